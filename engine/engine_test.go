package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
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

func (s source) Begin(ctx context.Context, tables []contract.TableName, keep bool, oldest rejot.Position) (rejot.Position, error) {
	return s.Source.Begin(ctx, pglog.Setup{Tables: tables, Keep: keep, Oldest: oldest})
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

// interrupted does something when its log is first begun: the cursors are read, and the slot not yet.
type interrupted struct {
	engine.Source
	once *sync.Once
	by   func()
}

func (i interrupted) Begin(ctx context.Context, tables []contract.TableName, keep bool, oldest rejot.Position) (rejot.Position, error) {
	i.once.Do(i.by)
	return i.Source.Begin(ctx, tables, keep, oldest)
}

// pipeline is one source and one destination whose applier fails by a plan. Where by is given, it is
// called when the log is first begun.
func pipeline(t *testing.T, from, to *dbtest.Database, plan *failpoint.Plan, by func()) *engine.Engine {
	t.Helper()
	return pipelineOf(t, from, to, plan, by, itemQuery)
}

const itemQuery = `SELECT id, name FROM item WHERE id = :id`

// pipelineOf is a pipeline of a query of its own.
func pipelineOf(t *testing.T, from, to *dbtest.Database, plan *failpoint.Plan, by func(), query string) *engine.Engine {
	t.Helper()
	if by == nil {
		by = func() {}
	}
	return pipelineOver(t, from, to, plan, query, func(s engine.Source) engine.Source { return interrupted{s, &sync.Once{}, by} })
}

// pipelineOver is a pipeline whose source is wrapped.
func pipelineOver(t *testing.T, from, to *dbtest.Database, plan *failpoint.Plan, query string, wrap func(engine.Source) engine.Source) *engine.Engine {
	t.Helper()
	return setup{
		from: from, to: map[string]*dbtest.Database{"to": to}, queries: map[string]string{"item": query}, consumers: []*contract.Consumer{itemConsumer("c", "to")},
		source:  func(s source) engine.Source { return wrap(confirming{s, t, to}) },
		applier: func(_ string, a rejot.Applier) rejot.Applier { return failpoint.Applier(a, plan) },
	}.open(t)
}

// itemConsumer writes the rows of itemQuery.
func itemConsumer(name, destination string) *contract.Consumer {
	return &contract.Consumer{
		Manifest: "m", Name: name, SourceManifest: "m", Schema: "item", Major: 1, Destination: destination,
		SQL: `INSERT INTO item VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = :name`, DeleteSQL: `DELETE FROM item WHERE id = :id`,
	}
}

// A setup is what an engine of one source is made of.
type setup struct {
	from      *dbtest.Database
	to        map[string]*dbtest.Database // by the destination's name
	queries   map[string]string           // by their table, which is the public schema's name
	consumers []*contract.Consumer
	source    func(source) engine.Source                              // wraps it
	applier   func(destination string, a rejot.Applier) rejot.Applier // wraps it; nil: it stays as it is
	memory    int64                                                   // beyond which keys and events are spilled
}

func (s setup) open(t *testing.T) *engine.Engine {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	src, err := pglog.Open(t.Context(), pglog.Config{Store: contract.DataStore{Connection: connectionOf(s.from), SlotName: "slot_" + s.from.Name, PublicationName: "p"}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	closing := func(c interface{ Close() error }) {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	closing(src)
	if s.source == nil {
		s.source = func(s source) engine.Source { return s }
	}
	p := engine.NewProducer("from", s.source(source{src}), spill.NewPool(t.TempDir(), s.memory), log)
	e := &engine.Engine{Producers: []*engine.Producer{p}}
	schemas := map[string]*contract.PublicSchema{}
	for table, query := range s.queries {
		schemas[table] = &contract.PublicSchema{
			Ref: rejot.Ref{Manifest: "m", Name: table, Major: 1}, Source: "from",
			Transformations: []contract.Transformation{{Operations: []string{"insert"}, Table: table, SQL: query}},
		}
	}
	for name, to := range s.to {
		var own []*contract.Consumer
		for _, c := range s.consumers {
			if c.Destination == name {
				own = append(own, c)
			}
		}
		end, err := pgapply.Open(t.Context(), pgapply.Config{Connection: connectionOf(to), Consumers: own, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		closing(end)
		var a rejot.Applier = end
		if s.applier != nil {
			a = s.applier(name, a)
		}
		d := engine.NewDestination(name, a, log)
		e.Destinations = append(e.Destinations, d)
		for _, c := range own {
			p.Add(c, schemas[c.Schema], d)
		}
	}
	return e
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
			e := pipeline(t, from, to, plan, nil)
			stop := running(t, e)
			for i := range 25 {
				from.Exec(t, fmt.Sprintf(`INSERT INTO item VALUES (%d, 'new')`, 5000+i), fmt.Sprintf(`UPDATE item SET name = 'round %d' WHERE id %% 50 = %d`, i, i), fmt.Sprintf(`DELETE FROM item WHERE id = %d`, 100+i))
			}
			equal(t, from, to, e)
			stop()
		})
	}
}

// running runs e until stop is called.
func running(t *testing.T, e *engine.Engine) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// equal waits until both ends are.
func equal(t *testing.T, from, to *dbtest.Database, e *engine.Engine) {
	t.Helper()
	const all = `SELECT id, name FROM item ORDER BY id`
	dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
		got, err := to.TryQuery(t.Context(), all)
		same := err == nil && fmt.Sprint(from.Query(t, all)) == fmt.Sprint(got)
		return same, fmt.Sprintf("the ends differ, %v; %+v", err, e.Status())
	})
}

// TestAnInstanceThatWasOvertakenGoesOn has another instance move cursors and slot between this one's look
// at the cursors and its look at the slot.
func TestAnInstanceThatWasOvertakenGoesOn(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `INSERT INTO item VALUES (1, 'one')`)
	to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
	other := func(name string) {
		e := pipeline(t, from, to, &failpoint.Plan{}, nil)
		stop := running(t, e)
		equal(t, from, to, e)
		before := from.Query(t, `SELECT pg_current_wal_insert_lsn()`)[0][0]
		from.Exec(t, fmt.Sprintf(`UPDATE item SET name = '%s'`, name))
		equal(t, from, to, e)
		dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
			moved := from.Query(t, `SELECT confirmed_flush_lsn > '`+before+`' FROM pg_replication_slots WHERE slot_name = 'slot_`+from.Name+`'`)[0][0]
			return moved == "t", "the slot stays before " + before
		})
		stop()
	}
	other("by the first")
	overtaken := make(chan struct{})
	e := pipeline(t, from, to, &failpoint.Plan{}, func() {
		defer close(overtaken)
		other("by another")
	})
	stop := running(t, e)
	<-overtaken
	from.Exec(t, `UPDATE item SET name = 'by this one'`)
	equal(t, from, to, e)
	stop()
}

// TestACrashOfTheDestinationThatUndoesCommitsLosesNothing kills a server that keeps its log in memory for
// long: what was committed last is gone, rows and cursor, and comes again.
func TestACrashOfTheDestinationThatUndoesCommitsLosesNothing(t *testing.T) {
	server := dbtest.Postgres(t, dbtest.Setting("wal_writer_delay", "10s"), dbtest.Setting("wal_writer_flush_after", "1GB"), dbtest.Setting("wal_buffers", "16MB"))
	from, to := dbtest.Postgres(t).NewDatabase(t), server.NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `INSERT INTO item SELECT i, 'x' FROM generate_series(1, 100) i`)
	to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
	e := pipeline(t, from, to, &failpoint.Plan{}, nil)
	stop := running(t, e)
	equal(t, from, to, e)
	for round := range 3 {
		dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
			from.Exec(t, fmt.Sprintf(`UPDATE item SET name = name || '%d'`, round), fmt.Sprintf(`INSERT INTO item SELECT coalesce(max(id), 0) + 1, '%d' FROM item`, round))
			equal(t, from, to, e)
			return to.Query(t, `SELECT pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()`)[0][0] == "t", "everything is flushed"
		})
		server.Kill(t)
		from.Exec(t, `DELETE FROM item WHERE id = (SELECT min(id) FROM item)`)
		server.Start(t)
		equal(t, from, to, e)
	}
	stop()
}

// TestAChangedSQLWritesTheRowsThatDiffer counts what the destination is sent when the contract's SQL changes under one
// version, also where the program ends on the way.
func TestAChangedSQLWritesTheRowsThatDiffer(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text, other text)`, `INSERT INTO item SELECT i, 'x', CASE WHEN i % 100 = 0 THEN 'y' ELSE 'x' END FROM generate_series(1, 5000) i`)
	to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `CREATE TABLE written (id int, op text)`,
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO written VALUES (coalesce(NEW.id, OLD.id), TG_OP); RETURN NULL; END $$`,
		`CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON item FOR EACH ROW EXECUTE FUNCTION note()`)
	for _, c := range []struct {
		name, query, atSource string
		want                  string // upserts and deletes; empty: not counted
	}{
		{"the first one", `SELECT id, name FROM item WHERE id = :id`, `SELECT id, name FROM item ORDER BY id`, ""},
		{"another expression", `SELECT id, other AS name FROM item WHERE id = :id`, `SELECT id, other FROM item ORDER BY id`, "[[50 0]]"},
		{"the same in other words", `SELECT i.other AS name, i.id FROM item i WHERE i.id = :id`, `SELECT id, other FROM item ORDER BY id`, "[[0 0]]"},
		{"a filter", `SELECT id, other AS name FROM item WHERE id = :id AND id % 1000 <> 0`, `SELECT id, other FROM item WHERE id % 1000 <> 0 ORDER BY id`, "[[0 5]]"},
		{"a field that nobody uses", `SELECT id, other AS name, name AS unused FROM item WHERE id = :id AND id % 1000 <> 0`, `SELECT id, other FROM item WHERE id % 1000 <> 0 ORDER BY id`, "[[0 0]]"},
		{"no filter", `SELECT id, other AS name FROM item WHERE id = :id`, `SELECT id, other FROM item ORDER BY id`, "[[5 0]]"},
	} {
		to.Exec(t, `TRUNCATE written`)
		for _, stopsEarly := range []bool{true, false} {
			e := pipelineOf(t, from, to, &failpoint.Plan{}, nil, c.query)
			stop := running(t, e)
			dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
				s := e.Status()[0]
				if s.State == engine.Stopped {
					t.Fatalf("%s: %v", c.name, s.Err)
				}
				return s.Backfill.Done && s.Lag == 0 || stopsEarly && s.Backfill.Rows > 0, fmt.Sprintf("%s: %+v", c.name, s)
			})
			if !stopsEarly {
				dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
					return fmt.Sprint(to.Query(t, `SELECT id, name FROM item ORDER BY id`)) == fmt.Sprint(from.Query(t, c.atSource)), c.name + ": the ends differ"
				})
			}
			stop()
		}
		got := fmt.Sprint(to.Query(t, `SELECT count(*) FILTER (WHERE op <> 'DELETE'), count(*) FILTER (WHERE op = 'DELETE') FROM written`))
		if c.want != "" && got != c.want {
			t.Errorf("%s: written %s, want %s", c.name, got, c.want)
		}
	}
}

// broken fails its first reading once a transaction has been handed over, while the log goes on.
type broken struct {
	engine.Source
	once *sync.Once
	more func()
}

func (b broken) Read(ctx context.Context, pos rejot.Position, r rejot.Receiver) error {
	return b.Source.Read(ctx, pos, breaking{r, b})
}

type breaking struct {
	rejot.Receiver
	by broken
}

func (b breaking) Commit(tx rejot.Transaction) (err error) {
	b.by.once.Do(func() {
		b.by.more()
		err = errors.Join(b.Receiver.Commit(tx), rejot.Errorf(rejot.Transient, "the stream is broken"))
	})
	if err != nil {
		return err
	}
	return b.Receiver.Commit(tx)
}

// TestAReadingThatFailsEndsTheWaitForIt breaks the stream while a snapshot waits for the log to be read to its place.
func TestAReadingThatFailsEndsTheWaitForIt(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `INSERT INTO item VALUES (1, 'one')`)
	to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
	e := pipelineOver(t, from, to, &failpoint.Plan{}, itemQuery, func(s engine.Source) engine.Source {
		return broken{s, &sync.Once{}, func() { from.Exec(t, `SELECT pg_logical_emit_message(true, 'x', repeat('y', 1000))`) }}
	})
	stop := running(t, e)
	equal(t, from, to, e)
	from.Exec(t, `UPDATE item SET name = 'two'`)
	equal(t, from, to, e)
	stop()
}

// TestACommitOfAnInstanceThatHasEndedIsNoConflict moves the cursor, as a commit does that was still on its way when the
// cursors were read, and nothing of the slot.
func TestACommitOfAnInstanceThatHasEndedIsNoConflict(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `INSERT INTO item VALUES (1, 'one')`)
	to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
	e := pipeline(t, from, to, &failpoint.Plan{}, nil)
	stop := running(t, e)
	equal(t, from, to, e)
	from.Exec(t, `UPDATE item SET name = 'two'`)
	equal(t, from, to, e)
	to.Exec(t, `UPDATE rejot.cursor SET position = left(position, -8) || '00000009'`)
	from.Exec(t, `UPDATE item SET name = 'three'`)
	equal(t, from, to, e)
	stop()
}
