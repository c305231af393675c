// Package sourcetest says what a Postgres rejot.Source does, as tests on a real server.
package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

// A Fixture is a source over an empty database.
type Fixture struct {
	Source rejot.Source
	// Begin prepares the reading of tables, as for a source that no destination has anything of.
	Begin func(ctx context.Context, tables []contract.TableName) (rejot.Position, error)
	// Resolve makes a public schema's views.
	Resolve func(ctx context.Context, schemas []*contract.PublicSchema) ([]*contract.View, error)
	DB      *dbtest.Database
	Slot    string
	// Whole says that a big transaction may come after its commit alone, not while it is in progress.
	Whole bool
	// Snapshots is how many are compared with what was received; 0: 300.
	Snapshots int
}

// Run runs every case, each with a fixture of its own. The stream of it keeps transactions of more than
// 64 kB in memory for no longer than it has to (logical_decoding_work_mem).
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, f Fixture)
	}{
		{"commits come in order", commitsInOrder},
		{"what is rolled back is not handed over", rolledBack},
		{"P37 a big transaction is streamed between small ones", streamedBig},
		{"P22 P18 images of keys, whole rows and large values", images},
		{"P26 truncate with what it cascades to", truncates},
		{"P32 P33 partitions are changes of their root", partitions},
		{"inheritance children are changes of their parent", children},
		{"P38 two phases", twoPhases},
		{"P27 P29 columns come and go", columnsChange},
		{"P30 another table takes the name", renames},
		{"P61 every way to write", waysToWrite},
		{"P50 text is canonical whatever the database has set", canonical},
		{"P40 the log is read on where nothing of it is published", idle},
		{"only Confirm moves the slot", confirmMoves},
		{"what is not confirmed comes again", comesAgain},
		{"a snapshot is what was received that it sees", aligned},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// A reading is a source that is being read.
type reading struct {
	f    Fixture
	log  *Log
	stop func() error
}

func read(t *testing.T, f Fixture, tables ...string) (*reading, rejot.Position) {
	t.Helper()
	names := make([]contract.TableName, len(tables))
	for i, n := range tables {
		names[i] = contract.TableName{Schema: "public", Name: n}
	}
	pos, err := f.Begin(t.Context(), names)
	if err != nil {
		t.Fatalf("begin: %v (%s)", err, rejot.MendOf(err))
	}
	return readFrom(t, f, pos), pos
}

func readFrom(t *testing.T, f Fixture, pos rejot.Position) *reading {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	r := &reading{f: f, log: newLog()}
	go func() {
		for {
			err := f.Source.Read(ctx, pos, r.log)
			if ctx.Err() != nil || rejot.CodeOf(err) != rejot.Transient || !r.log.empty() {
				done <- err
				return // else it may be called again: the server has not yet noticed that a reader before has gone
			}
		}
	}()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := r.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Read ends with %v, not with its context", err)
		}
		for _, bad := range r.log.bad {
			t.Error(bad)
		}
	})
	return r
}

// through waits until the log is read to what a snapshot of now needs.
func (r *reading) through(t *testing.T) {
	t.Helper()
	snap, err := r.f.Source.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := snap.Close(); err != nil {
			t.Error(err)
		}
	}()
	dbtest.Eventually(t, 20*time.Second, func() (bool, string) {
		_, _, reached := r.log.state()
		return !reached.Less(snap.Through()), fmt.Sprintf("reached %s of %s", reached, snap.Through())
	})
}

func (r *reading) want(t *testing.T, want ...string) {
	t.Helper()
	r.through(t)
	got, _, _ := r.log.state()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func commitsInOrder(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE t (id int PRIMARY KEY, v text)`, `CREATE TABLE other (id int PRIMARY KEY)`)
	r, _ := read(t, f, "t")
	a, b := f.DB.Session(t), f.DB.Session(t)
	a.Exec(t, `BEGIN; INSERT INTO t VALUES (1, 'a')`)
	b.Exec(t, `BEGIN; INSERT INTO t VALUES (2, NULL); COMMIT`)
	a.Exec(t, `UPDATE t SET v = 'b' WHERE id = 1; COMMIT`)
	b.Exec(t, `INSERT INTO other VALUES (1)`)
	r.want(t, "+t (2,NULL)", "+t (1,a) ~t (1,?) (1,b)")
}

func rolledBack(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE t (id int PRIMARY KEY)`)
	r, _ := read(t, f, "t")
	f.DB.Exec(t, `BEGIN; INSERT INTO t VALUES (1); ROLLBACK`)
	f.DB.Exec(t, `BEGIN; INSERT INTO t VALUES (2); SAVEPOINT s; INSERT INTO t VALUES (3); ROLLBACK TO s; INSERT INTO t VALUES (4); COMMIT`)
	r.want(t, "+t (2) +t (4)")
}

func streamedBig(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE t (id int PRIMARY KEY, v text)`)
	r, _ := read(t, f, "t")
	big, doomed := f.DB.Session(t), f.DB.Session(t)
	big.Exec(t, `BEGIN; INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 3000) g`)
	doomed.Exec(t, `BEGIN; INSERT INTO t SELECT g, repeat('y', 100) FROM generate_series(10001, 13000) g`)
	big.Exec(t, `SAVEPOINT s; INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(3001, 6000) g`)
	r.through(t)
	dbtest.Eventually(t, 10*time.Second, func() (bool, string) {
		_, open, _ := r.log.state()
		return open == 2 || f.Whole, fmt.Sprintf("%d transactions are streamed", open)
	})
	f.DB.Exec(t, `INSERT INTO t VALUES (20001, 'small')`)
	big.Exec(t, `ROLLBACK TO s; INSERT INTO t VALUES (20002, 'last')`)
	doomed.Exec(t, `ROLLBACK`)
	f.DB.Exec(t, `INSERT INTO t VALUES (20003, 'small')`)
	big.Exec(t, `COMMIT`)
	r.through(t)
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if len(r.log.open) != 0 || r.log.aborted < 2 && !f.Whole {
		t.Errorf("%d transactions stay open after %d aborts", len(r.log.open), r.log.aborted)
	}
	var sizes []int
	for _, tx := range r.log.done {
		if len(tx.lines) > 0 {
			sizes = append(sizes, len(tx.lines))
		}
	}
	if !slices.Equal(sizes, []int{1, 1, 3001}) {
		t.Errorf("transactions of %d changes, want 1, 1 and 3001", sizes)
	}
}

func images(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE k (id int PRIMARY KEY, v text, big text)`, `ALTER TABLE k ALTER big SET STORAGE EXTERNAL`,
		`CREATE TABLE f (id int PRIMARY KEY, v text, big text)`, `ALTER TABLE f ALTER big SET STORAGE EXTERNAL`, `ALTER TABLE f REPLICA IDENTITY FULL`,
		`CREATE TABLE u (id int PRIMARY KEY, code text NOT NULL UNIQUE)`, `ALTER TABLE u REPLICA IDENTITY USING INDEX u_code_key`)
	for _, table := range []string{"k", "f"} {
		f.DB.Exec(t, `INSERT INTO `+table+` VALUES (1, 'a', repeat('x', 5000))`)
	}
	f.DB.Exec(t, `INSERT INTO u VALUES (1, 'c')`)
	r, _ := read(t, f, "k", "f", "u")
	f.DB.Exec(t, `UPDATE k SET v = 'b'`, `UPDATE k SET id = 2`, `DELETE FROM k`, `UPDATE f SET v = 'b'`, `UPDATE f SET id = 2`, `DELETE FROM f`, `UPDATE u SET code = 'd'`, `DELETE FROM u`)
	r.want(t, "~k (1,?,?) (1,b,?)", "~k (1,?,?) (2,b,?)", "-k (2,?,?)",
		"~f (1,a,<5000>) (1,b,<5000>)", "~f (1,b,<5000>) (2,b,<5000>)", "-f (2,b,<5000>)", "~u (?,c) (1,d)", "-u (?,d)")
}

func truncates(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE a (id int PRIMARY KEY)`, `CREATE TABLE b (id int PRIMARY KEY REFERENCES a)`)
	r, _ := read(t, f, "a", "b")
	f.DB.Exec(t, `TRUNCATE b`, `TRUNCATE a RESTART IDENTITY CASCADE`)
	r.want(t, "0b", "0a 0b")
}

func partitions(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE p (id int, v text, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)`,
		`CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu')`, `CREATE TABLE p_us (region text NOT NULL, gone int, v text, id int NOT NULL)`,
		`ALTER TABLE p_us DROP gone, ADD PRIMARY KEY (id, region)`, `ALTER TABLE p ATTACH PARTITION p_us FOR VALUES IN ('us')`)
	r, _ := read(t, f, "p")
	f.DB.Exec(t, `INSERT INTO p VALUES (1, 'a', 'eu'), (2, 'b', 'us')`, `UPDATE p SET region = 'us' WHERE id = 1`, `DELETE FROM p WHERE id = 2`, `TRUNCATE p_us`,
		`CREATE TABLE p_asia PARTITION OF p FOR VALUES IN ('asia') PARTITION BY RANGE (id); CREATE TABLE p_asia_1 PARTITION OF p_asia FOR VALUES FROM (0) TO (10)`,
		`INSERT INTO p VALUES (3, 'c', 'asia')`, `TRUNCATE p`)
	r.want(t, "+p (1,a,eu) +p (2,b,us)", "-p (1,?,eu) +p (1,a,us)", "-p (2,?,us)", "0p", "+p (3,c,asia)", "0p 0p 0p")
}

func children(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE parent (id int PRIMARY KEY, v text)`, `CREATE TABLE child (extra int, PRIMARY KEY (id)) INHERITS (parent)`)
	r, _ := read(t, f, "parent")
	f.DB.Exec(t, `INSERT INTO child VALUES (1, 'a', 7)`, `INSERT INTO parent VALUES (2, 'b')`, `UPDATE parent SET v = 'c' WHERE id = 1`)
	r.want(t, "+parent (1,a)", "+parent (2,b)", "~parent (1,?) (1,c)")
}

func twoPhases(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE t (id int PRIMARY KEY)`)
	r, _ := read(t, f, "t")
	f.DB.Exec(t, `BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'one'`, `BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'two'`, `INSERT INTO t VALUES (3)`)
	r.want(t, "+t (3)")
	f.DB.Exec(t, `COMMIT PREPARED 'one'`, `ROLLBACK PREPARED 'two'`)
	r.want(t, "+t (3)", "+t (1)")
}

func columnsChange(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE DOMAIN short AS varchar(3)`, `CREATE TABLE t (id int PRIMARY KEY, v short)`)
	r, _ := read(t, f, "t")
	f.DB.Exec(t, `INSERT INTO t VALUES (1, 'a')`, `ALTER TABLE t ADD w int DEFAULT 5`, `INSERT INTO t VALUES (2)`, `ALTER TABLE t DROP v`, `INSERT INTO t VALUES (3)`,
		`ALTER TABLE t ALTER w TYPE text`, `BEGIN; ALTER TABLE t ADD x int; INSERT INTO t VALUES (9, '9', 9); ROLLBACK; INSERT INTO t VALUES (4, 'e')`)
	r.want(t, "+t (1,a)", "+t (2,NULL,5)", "+t (3,5)", "+t (4,e)")
}

func renames(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE t (id int PRIMARY KEY)`)
	r, _ := read(t, f, "t")
	f.DB.Exec(t, `INSERT INTO t VALUES (1)`, `ALTER TABLE t RENAME TO was_t`, `INSERT INTO was_t VALUES (2)`, `ALTER TABLE was_t RENAME TO t`, `INSERT INTO t VALUES (3)`)
	r.want(t, "+t (1)", "+t (3)")
}

func waysToWrite(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE t (id int PRIMARY KEY, v text)`, `CREATE TABLE c (id int REFERENCES t ON DELETE CASCADE, PRIMARY KEY (id))`,
		`CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO c VALUES (new.id); RETURN new; END'`,
		`CREATE TRIGGER also AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION also()`)
	r, _ := read(t, f, "t", "c")
	f.DB.Exec(t, `INSERT INTO t VALUES (1, 'a')`, `INSERT INTO t VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET v = excluded.v`, `INSERT INTO t VALUES (1, 'c') ON CONFLICT DO NOTHING`,
		`MERGE INTO t USING (VALUES (1, 'd'), (2, 'e')) n(id, v) ON t.id = n.id WHEN MATCHED THEN UPDATE SET v = n.v WHEN NOT MATCHED THEN INSERT VALUES (n.id, n.v)`,
		`BEGIN; SET LOCAL session_replication_role = replica; INSERT INTO t VALUES (3, 'f'); COMMIT`, `DELETE FROM t WHERE id = 1`)
	r.want(t, "+t (1,a) +c (1)", "~t (1,?) (1,b)", "~t (1,?) (1,d) +t (2,e) +c (2)", "+t (3,f)", "-t (1,?) -c (1)")
}

func canonical(t *testing.T, f Fixture) {
	for _, setting := range []string{"datestyle = 'SQL, DMY'", "intervalstyle = 'iso_8601'", "bytea_output = 'escape'", "extra_float_digits = 0", "timezone = 'Asia/Tokyo'"} {
		f.DB.Exec(t, `ALTER DATABASE `+f.DB.Name+` SET `+setting)
	}
	f.DB.Exec(t, `CREATE TABLE t (d date, i interval, b bytea, f float8, z timestamptz)`, `ALTER TABLE t REPLICA IDENTITY FULL`)
	r, _ := read(t, f, "t")
	f.DB.Exec(t, `INSERT INTO t VALUES ('2024-02-03', '1 day 2 hours', '\xdead', 0.1::float8 + 0.2::float8, '2024-02-03 04:05:06+00')`)
	r.want(t, `+t (2024-02-03,1 day 02:00:00,\xdead,0.30000000000000004,<22>)`)
}

func idle(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE t (id int PRIMARY KEY)`, `CREATE TABLE other (id int PRIMARY KEY)`)
	r, _ := read(t, f, "t")
	f.DB.Exec(t, `INSERT INTO other SELECT generate_series(1, 1000)`)
	r.want(t)
	open := f.DB.Session(t) // its log is not flushed by itself for as long as it is open
	open.Exec(t, `BEGIN; INSERT INTO other SELECT generate_series(1001, 2000)`)
	r.want(t)
}

func (f Fixture) confirmed(t *testing.T) string {
	t.Helper()
	return f.DB.Query(t, `SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '`+f.Slot+`'`)[0][0]
}

func confirmMoves(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE t (id int PRIMARY KEY)`)
	r, pos := read(t, f, "t")
	f.DB.Exec(t, `INSERT INTO t VALUES (1)`)
	r.want(t, "+t (1)")
	if got := f.confirmed(t); got != pos.Horizon.String() {
		t.Errorf("the slot is at %s without a Confirm, it began at %s", got, pos.Horizon)
	}
	_, _, reached := r.log.state()
	if err := f.Source.Confirm(t.Context(), rejot.Position{Incarnation: pos.Incarnation, Horizon: reached}); err != nil {
		t.Fatal(err)
	}
	dbtest.Eventually(t, 5*time.Second, func() (bool, string) {
		got := f.confirmed(t)
		return got == reached.String(), "the slot is at " + got
	})
	if err := f.Source.Confirm(t.Context(), rejot.Position{Incarnation: "another", Horizon: rejot.Place{Offset: reached.Offset + 1}}); rejot.CodeOf(err) != rejot.Gone {
		t.Errorf("a position of another history is confirmed: %v", err)
	}
}

func comesAgain(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE t (id int PRIMARY KEY)`)
	r, pos := read(t, f, "t")
	f.DB.Exec(t, `INSERT INTO t VALUES (1)`)
	r.want(t, "+t (1)")
	_, _, reached := r.log.state()
	f.DB.Exec(t, `INSERT INTO t VALUES (2)`)
	r.want(t, "+t (1)", "+t (2)")
	if err := r.stop(); !errors.Is(err, context.Canceled) {
		t.Fatalf("Read ends with %v", err)
	}
	later := readFrom(t, f, rejot.Position{Incarnation: pos.Incarnation, Horizon: reached})
	later.want(t, "+t (2)")
	if err := later.stop(); !errors.Is(err, context.Canceled) {
		t.Fatalf("Read ends with %v", err)
	}
	readFrom(t, f, pos).want(t, "+t (1)", "+t (2)")
}
