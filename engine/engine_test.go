package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply/pgapply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/engine"
	"rejot.dev/rejot/internal/dbtest"
	"rejot.dev/rejot/internal/failpoint"
	"rejot.dev/rejot/internal/spill"
	"rejot.dev/rejot/source/pglog"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// source fits pglog to the engine.
type source struct{ *pglog.Source }

func (s source) Resolve(ctx context.Context, schema *contract.PublicSchema) ([]*contract.View, error) {
	return s.Source.Resolve(ctx, []*contract.PublicSchema{schema})
}

func (s source) Begin(ctx context.Context, tables []contract.TableName, oldest rejot.Position) (rejot.Position, error) {
	return s.Source.Begin(ctx, pglog.Setup{Tables: tables, Oldest: oldest})
}

// confirming notes that the source is never told to forget what a destination does not hold.
type confirming struct {
	source
	t  *testing.T
	to *dbtest.Database
}

func (c confirming) Confirm(ctx context.Context, pos rejot.Position) error {
	for _, row := range c.to.Query(c.t, `SELECT position FROM rejot.cursor`) {
		if row[0] < pos.String() {
			c.t.Errorf("confirmed %s, and a cursor is at %s", pos, row[0])
		}
	}
	return c.source.Confirm(ctx, pos)
}

func connectionOf(db *dbtest.Database) contract.Connection {
	return contract.Connection{Slug: db.Name, Type: "postgres", Host: db.Host, Port: db.Port, User: db.User, Password: contract.NewSecret(db.Password), Database: db.Name}
}

// pipeline is one source and one destination whose applier fails by a plan.
func pipeline(t *testing.T, from, to *dbtest.Database, plan *failpoint.Plan) *engine.Engine {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	src, err := pglog.Open(t.Context(), pglog.Config{Store: contract.DataStore{Connection: connectionOf(from), SlotName: "slot_" + from.Name, PublicationName: "p"}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	schema := &contract.PublicSchema{
		Ref: rejot.Ref{Manifest: "m", Name: "item", Major: 1}, Source: "from",
		Transformations: []contract.Transformation{{Operations: []string{"insert"}, Table: "item", SQL: `SELECT id, name FROM item WHERE id = :id`}},
	}
	consumer := &contract.Consumer{
		Manifest: "m", Name: "c", SourceManifest: "m", Schema: "item", Major: 1, Destination: "to",
		SQL: `INSERT INTO item VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = :name`, DeleteSQL: `DELETE FROM item WHERE id = :id`,
	}
	end, err := pgapply.Open(t.Context(), pgapply.Config{Connection: connectionOf(to), Consumers: []*contract.Consumer{consumer}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
		if err := end.Close(); err != nil {
			t.Error(err)
		}
	})
	d := engine.NewDestination("to", failpoint.Applier(end, plan), log)
	p := engine.NewProducer("from", confirming{source{src}, t, to}, spill.NewPool(t.TempDir(), 0), log)
	p.Add(consumer, schema, d)
	return &engine.Engine{Producers: []*engine.Producer{p}, Destinations: []*engine.Destination{d}}
}

// TestCallsThatFailBeforeAndAfterTheirSuccessLoseNothing fails calls of the applier before they have
// happened, or with their answer lost. The pool spills everything.
func TestCallsThatFailBeforeAndAfterTheirSuccessLoseNothing(t *testing.T) {
	every := func(k int) func(int) bool { return func(n int) bool { return n%k == 0 } }
	for name, plan := range map[string]*failpoint.Plan{
		"none": {}, "every third one before": {Before: every(3)}, "every third one after": {After: every(3)}, "many either way": {Before: every(5), After: every(3)},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
			from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `INSERT INTO item SELECT i, 'x' FROM generate_series(1, 2500) i`)
			to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
			e := pipeline(t, from, to, plan)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- e.Run(ctx) }()
			for i := range 25 {
				from.Exec(t, fmt.Sprintf(`INSERT INTO item VALUES (%d, 'new')`, 5000+i), fmt.Sprintf(`UPDATE item SET name = 'round %d' WHERE id %% 50 = %d`, i, i), fmt.Sprintf(`DELETE FROM item WHERE id = %d`, 100+i))
			}
			const all = `SELECT id, name FROM item ORDER BY id`
			dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
				same := fmt.Sprint(from.Query(t, all)) == fmt.Sprint(to.Query(t, all))
				return same, fmt.Sprintf("the ends differ; %+v", e.Status())
			})
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
