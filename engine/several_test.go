package engine_test

import (
	"context"
	"fmt"
	"log/slog"
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

// partQuery reads a second table, whose rows lead to keys by a column that is no key of theirs.
const partQuery = `SELECT i.id, (SELECT count(*) FROM part p WHERE p.item_id = i.id)::text AS name FROM item i WHERE i.id = :id`

// TestACursorStaysBeforeAChangeOfWhichTheLogSaysTooLittle has the log lack a column that leads to a key, in a transaction
// that gives the consumer other rows as well. The next program meets the same change.
func TestACursorStaysBeforeAChangeOfWhichTheLogSaysTooLittle(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `CREATE TABLE part (id int PRIMARY KEY, item_id int)`, `ALTER TABLE part REPLICA IDENTITY FULL`,
		`INSERT INTO item SELECT i, 'x' FROM generate_series(1, 3) i`, `INSERT INTO part SELECT i, i % 3 + 1 FROM generate_series(1, 9) i`)
	to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
	e := pipelineOf(t, from, to, &failpoint.Plan{}, nil, partQuery)
	stop := running(t, e)
	counts := func(want string) {
		t.Helper()
		dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
			got := fmt.Sprint(to.Query(t, `SELECT id, name FROM item ORDER BY id`))
			return got == want, fmt.Sprintf("the destination has %s; %+v", got, e.Status())
		})
	}
	counts("[[1 3] [2 3] [3 3]]")
	from.Exec(t, `ALTER TABLE part REPLICA IDENTITY DEFAULT`, `BEGIN; DELETE FROM part WHERE id = 1; INSERT INTO part VALUES (10, 3); INSERT INTO item VALUES (4, 'x'); COMMIT`)
	stopped := func(e *engine.Engine) {
		t.Helper()
		dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
			s := e.Status()[0]
			return s.State == engine.Stopped && rejot.CodeOf(s.Err) == rejot.Unsupported, fmt.Sprintf("%+v", s)
		})
	}
	stopped(e)
	ended := make(chan struct{})
	go func() { defer close(ended); stop() }()
	<-ended
	from.Exec(t, `ALTER TABLE part REPLICA IDENTITY FULL`)
	e = pipelineOf(t, from, to, &failpoint.Plan{}, nil, partQuery)
	stop = running(t, e)
	stopped(e)
	counts("[[1 3] [2 3] [3 3]]")
	stop()
}

// gated lets a call of Apply through for each value of gate.
type gated struct {
	rejot.Applier
	gate <-chan struct{}
}

func (g gated) Apply(ctx context.Context, moves []rejot.Move, b *rejot.Batch) ([]rejot.Outcome, error) {
	select {
	case <-g.gate:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return g.Applier.Apply(ctx, moves, b)
}

// TestANewConsumersFirstCommitIsWaitedFor has one destination go on while the first batch of another is on its way: what that one
// lacks must still be in the log when it is committed at last.
func TestANewConsumersFirstCommitIsWaitedFor(t *testing.T) {
	from := dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `INSERT INTO item VALUES (1, 'one')`)
	ends := []*dbtest.Database{dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)}
	log := slog.New(slog.DiscardHandler)
	open := func(gate <-chan struct{}) *engine.Engine {
		src, err := pglog.Open(t.Context(), pglog.Config{Store: contract.DataStore{Connection: connectionOf(from), SlotName: "slot_" + from.Name, PublicationName: "p"}, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = src.Close() })
		e := &engine.Engine{Producers: []*engine.Producer{engine.NewProducer("from", source{src}, spill.NewPool(t.TempDir(), 1<<20), log)}}
		schema := &contract.PublicSchema{
			Ref: rejot.Ref{Manifest: "m", Name: "item", Major: 1}, Source: "from",
			Transformations: []contract.Transformation{{Operations: []string{"insert"}, Table: "item", SQL: itemQuery}},
		}
		for i, to := range ends {
			c := &contract.Consumer{
				Manifest: "m", Name: fmt.Sprint("c", i), SourceManifest: "m", Schema: "item", Major: 1, Destination: fmt.Sprint("to", i),
				SQL: `INSERT INTO item VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = :name`, DeleteSQL: `DELETE FROM item WHERE id = :id`,
			}
			end, err := pgapply.Open(t.Context(), pgapply.Config{Connection: connectionOf(to), Consumers: []*contract.Consumer{c}, Log: log})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = end.Close() })
			var a rejot.Applier = end
			if i == 1 {
				a = gated{end, gate}
			}
			d := engine.NewDestination(c.Destination, a, log)
			e.Destinations = append(e.Destinations, d)
			e.Producers[0].Add(c, schema, d)
		}
		return e
	}
	for _, to := range ends {
		to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
	}
	gate := make(chan struct{})
	e := open(gate)
	stop := running(t, e)
	equal(t, from, ends[0], e)
	for i := range 5 { // each is committed at the first destination, and could be confirmed
		from.Exec(t, fmt.Sprintf(`UPDATE item SET name = '%d'`, i), `SELECT pg_logical_emit_message(true, 'x', repeat('y', 100000))`)
		equal(t, from, ends[0], e)
	}
	gate <- struct{}{}
	dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
		return len(ends[1].Query(t, `SELECT FROM rejot.cursor`)) == 1, "the second destination has no cursor"
	})
	stop()
	gate = make(chan struct{})
	close(gate)
	e = open(gate)
	stop = running(t, e)
	equal(t, from, ends[1], e)
	stop()
}

// TestConsumersOfADestinationMoveTogetherWhileABatchGrows has the log bring much for one consumer, and then a transaction for two
// whose tables are bound by a foreign key.
func TestConsumersOfADestinationMoveTogetherWhileABatchGrows(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE customer (id int PRIMARY KEY, name text)`, `CREATE TABLE item (id int PRIMARY KEY, name text, customer int REFERENCES customer)`,
		`INSERT INTO customer VALUES (1, 'one')`, `INSERT INTO item SELECT i, 'x', 1 FROM generate_series(1, 20000) i`)
	to.Exec(t, `CREATE TABLE customer (id int PRIMARY KEY, name text)`, `CREATE TABLE item (id int PRIMARY KEY, name text, customer int REFERENCES customer)`)
	log := slog.New(slog.DiscardHandler)
	open := func() *engine.Engine {
		src, err := pglog.Open(t.Context(), pglog.Config{Store: contract.DataStore{Connection: connectionOf(from), SlotName: "slot_" + from.Name, PublicationName: "p"}, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = src.Close() })
		var consumers []*contract.Consumer
		for name, columns := range map[string]string{"customer": ":id, :name", "item": ":id, :name, :customer"} {
			consumers = append(consumers, &contract.Consumer{
				Manifest: "m", Name: name, SourceManifest: "m", Schema: name, Major: 1, Destination: "to", DeleteSQL: `DELETE FROM ` + name + ` WHERE id = :id`,
				SQL: `INSERT INTO ` + name + ` VALUES (` + columns + `) ON CONFLICT (id) DO UPDATE SET name = :name`,
			})
		}
		end, err := pgapply.Open(t.Context(), pgapply.Config{Connection: connectionOf(to), Consumers: consumers, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = end.Close() })
		e := &engine.Engine{
			Producers:    []*engine.Producer{engine.NewProducer("from", source{src}, spill.NewPool(t.TempDir(), 1<<20), log)},
			Destinations: []*engine.Destination{engine.NewDestination("to", end, log)},
		}
		for _, c := range consumers {
			e.Producers[0].Add(c, &contract.PublicSchema{
				Ref: rejot.Ref{Manifest: "m", Name: c.Name, Major: 1}, Source: "from",
				Transformations: []contract.Transformation{{Operations: []string{"insert"}, Table: c.Name, SQL: `SELECT * FROM ` + c.Name + ` WHERE id = :id`}},
			}, e.Destinations[0])
		}
		return e
	}
	e := open()
	stop := running(t, e)
	equal(t, from, to, e)
	dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
		for _, s := range e.Status() {
			if !s.Backfill.Done {
				return false, fmt.Sprintf("%+v", s)
			}
		}
		return true, ""
	})
	stop()
	for round := range 4 {
		from.Exec(t, `UPDATE item SET name = name || 'y'`, fmt.Sprintf(`BEGIN; INSERT INTO customer VALUES (%[1]d, 'new'); INSERT INTO item VALUES (%[1]d, 'new', %[1]d); COMMIT`, 100000+round))
		e = open()
		stop = running(t, e)
		dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
			for _, s := range e.Status() {
				if s.Err != nil {
					t.Fatal(s.Err)
				}
			}
			n := to.Query(t, `SELECT count(*) FROM item WHERE name LIKE 'new%'`)[0][0]
			return n == fmt.Sprint(round+1), n + " of the new rows are there"
		})
		equal(t, from, to, e)
		stop()
	}
}
