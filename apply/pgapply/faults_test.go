package pgapply_test

import (
	"fmt"
	"strings"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply/pgapply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

// item is the public schema of these tests, and its consumer.
func item() (*rejot.Shape, *contract.Consumer) {
	row := []rejot.Column{{Name: "id", Type: rejot.Type{Name: "bigint"}}, {Name: "name", Type: rejot.Type{Name: "text"}}}
	s := &rejot.Shape{Schema: rejot.Ref{Manifest: "producer", Name: "item", Major: 1}, Key: row[:1], Row: row}
	return s, &contract.Consumer{
		Manifest: "reader", Name: "item", SourceManifest: "producer", Schema: "item", Major: 1,
		SQL:       upsertSQL("item", []string{"id"}, "id", "name"),
		DeleteSQL: "DELETE FROM item WHERE id = :id",
	}
}

const itemTable = `CREATE TABLE item (id bigint PRIMARY KEY, name text)`

func open(t *testing.T, c contract.Connection, consumers ...*contract.Consumer) *pgapply.Applier {
	t.Helper()
	a, err := pgapply.Open(t.Context(), pgapply.Config{Connection: c, Consumers: consumers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() }) // the server may be gone by now
	return a
}

func row(s *rejot.Shape, texts ...string) *rejot.Event {
	ev := &rejot.Event{Shape: s, Op: rejot.UpsertRow}
	for _, text := range texts {
		ev.Row = append(ev.Row, rejot.TextValue(text))
	}
	ev.Key = ev.Row[:len(s.Key)]
	return ev
}

func position(n int) rejot.Position {
	if n == 0 {
		return rejot.Position{}
	}
	return rejot.Position{Incarnation: "h", Horizon: rejot.Place{Offset: uint64(n)}} //nolint:gosec // small
}

// step applies a batch that moves consumers from n-1 to n.
func step(t *testing.T, a *pgapply.Applier, n int, consumers []*contract.Consumer, events ...*rejot.Event) ([]rejot.Outcome, error) {
	t.Helper()
	var moves []rejot.Move
	for _, c := range consumers {
		moves = append(moves, rejot.Move{
			From: rejot.Cursor{Consumer: c.ID(), Position: position(n - 1)},
			To:   rejot.Cursor{Consumer: c.ID(), Source: "s", Position: position(n)},
		})
	}
	return a.Apply(t.Context(), moves, &rejot.Batch{Source: "s", Position: position(n), Events: func(yield func(*rejot.Event, error) bool) {
		for _, ev := range events {
			if !yield(ev, nil) {
				return
			}
		}
	}})
}

func mustStep(t *testing.T, a *pgapply.Applier, n int, consumers []*contract.Consumer, events ...*rejot.Event) {
	t.Helper()
	outcomes, err := step(t, a, n, consumers, events...)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outcomes {
		if o.Err != nil {
			t.Fatalf("%s was left behind: %v", o.Consumer, o.Err)
		}
	}
}

func list(cs ...*contract.Consumer) []*contract.Consumer { return cs }

func wantRows(t *testing.T, db *dbtest.Database, sql, want string) {
	t.Helper()
	var got []string
	for _, r := range db.Query(t, sql) {
		got = append(got, strings.Join(r, "|"))
	}
	if strings.Join(got, " ") != want {
		t.Errorf("%s: got %q, want %q", sql, strings.Join(got, " "), want)
	}
}

func behind(t *testing.T, db *dbtest.Database) (*dbtest.Proxy, contract.Connection) {
	t.Helper()
	p := dbtest.NewProxy(t, fmt.Sprintf("%s:%d", db.Host, db.Port))
	c := connection(db)
	c.Host, c.Port = p.Host, p.Port
	return p, c
}

func TestLostConnectionIsTransientAndOpenedAgain(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable)
	p, conn := behind(t, db)
	s, c := item()
	a := open(t, conn, c)
	mustStep(t, a, 1, list(c), row(s, "1", "one"))
	p.Cut()
	if _, err := step(t, a, 2, list(c), row(s, "2", "two")); rejot.CodeOf(err) != rejot.Transient {
		t.Fatalf("error %v, want a transient one", err)
	}
	p.Refuse()
	if _, err := a.Cursors(t.Context()); rejot.CodeOf(err) != rejot.Transient {
		t.Fatalf("error %v, want a transient one", err)
	}
	p.Accept()
	mustStep(t, a, 2, list(c), row(s, "2", "two"))
	wantRows(t, db, `SELECT * FROM item ORDER BY id`, "1|one 2|two")
}

// FAULTS D9: the commit has taken place, and its answer is lost.
func TestLostAnswerOfCommitIsDecidedByTheCursor(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable, `CREATE TABLE applied (id bigint)`)
	p, conn := behind(t, db)
	s, c := item()
	c.SQL = `INSERT INTO applied VALUES (:id)` // not idempotent: it tells how often it ran
	a := open(t, conn, c)
	mustStep(t, a, 1, list(c))
	p.PauseReplies()
	failed := make(chan error, 1)
	go func() {
		_, err := step(t, a, 2, list(c), row(s, "1", "one"))
		failed <- err
	}()
	dbtest.Eventually(t, patience, func() (bool, string) {
		n := db.Query(t, `SELECT count(*) FROM applied`)[0][0]
		return n == "1", n + " rows"
	})
	p.Cut()
	p.Resume()
	if err := <-failed; rejot.CodeOf(err) != rejot.Transient {
		t.Fatalf("error %v, want a transient one", err)
	}
	cursors, err := a.Cursors(t.Context())
	if err != nil || len(cursors) != 1 || cursors[0].Position != position(2) {
		t.Fatalf("cursors %v, error %v; want position 2", cursors, err)
	}
	if _, err := step(t, a, 2, list(c), row(s, "1", "one")); rejot.CodeOf(err) != rejot.Conflict {
		t.Errorf("a blind retry gave %v, want a conflict", err)
	}
	wantRows(t, db, `SELECT * FROM applied`, "1")
}

func TestSilentServerDoesNotHangForEver(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable)
	p, conn := behind(t, db)
	s, c := item()
	a := open(t, conn, c)
	pgapply.SetStall(a, patience/20)
	mustStep(t, a, 1, list(c))
	p.Pause()
	_, err := step(t, a, 2, list(c), row(s, "1", "one"))
	if rejot.CodeOf(err) != rejot.Transient || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("error %v, want a transient one that says what happened", err)
	}
	p.Cut()
	p.Resume()
	dbtest.Eventually(t, patience, func() (bool, string) {
		_, err := a.Cursors(t.Context())
		return err == nil, fmt.Sprint(err)
	})
}

func TestLockedTableDelaysItsOwnConsumerOnly(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable, `CREATE TABLE other (id bigint PRIMARY KEY, name text)`, `ALTER DATABASE `+db.Name+` SET deadlock_timeout = '10ms'`)
	s, c := item()
	_, o := item()
	o.Name, o.SQL, o.DeleteSQL = "other", upsertSQL("other", []string{"id"}, "id", "name"), ""
	a := open(t, connection(db), c, o)
	pgapply.Exec(t, a, `SET lock_timeout = '100ms'`)
	session := db.Session(t)
	session.Exec(t, `BEGIN`, `LOCK TABLE item`)
	outcomes, err := step(t, a, 1, list(c, o), row(s, "1", "one"))
	if err != nil {
		t.Fatal(err)
	}
	if rejot.CodeOf(outcomes[0].Err) != rejot.Transient || outcomes[1].Err != nil {
		t.Errorf("outcomes %v, want the first left behind for a while", outcomes)
	}
	session.Exec(t, `COMMIT`)
	mustStep(t, a, 1, list(c), row(s, "1", "one"))
	wantRows(t, db, `SELECT * FROM item UNION ALL SELECT * FROM other`, "1|one 1|one")
}

func TestRestartedServer(t *testing.T) {
	server := dbtest.Postgres(t, dbtest.Private())
	db := server.NewDatabase(t)
	db.Exec(t, itemTable)
	s, c := item()
	a := open(t, connection(db), c)
	mustStep(t, a, 1, list(c), row(s, "1", "one"))
	server.Restart(t)
	_, err := step(t, a, 2, list(c), row(s, "2", "two"))
	if rejot.CodeOf(err) != rejot.Transient {
		t.Fatalf("error %v, want a transient one", err)
	}
	mustStep(t, a, 2, list(c), row(s, "2", "two"))
	wantRows(t, db, `SELECT * FROM item ORDER BY id`, "1|one 2|two")
}

// What a session has committed without waiting for the disk is known to be there only while the session lasts.
func TestDurableTellsOfASessionThatHasEnded(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable)
	s, c := item()
	a := open(t, connection(db), c)
	mustStep(t, a, 1, list(c), row(s, "1", "one"))
	waitDurable(t, a, 1)
	mustStep(t, a, 2, list(c), row(s, "2", "two"))
	pgapply.Reopen(t, a)
	mustStep(t, a, 3, list(c), row(s, "3", "three"))
	for range 2 {
		if got, err := a.Durable(t.Context()); rejot.CodeOf(err) != rejot.Transient {
			t.Errorf("durable is %v, error %v; want a transient one", got, err)
		}
	}
	if _, err := a.Cursors(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitDurable(t, a, 3)
	pgapply.Reopen(t, a) // with it goes nothing that is not known
	waitDurable(t, a, 3)
}

// waitDurable waits until the nth batch is on the server's disk.
func waitDurable(t *testing.T, a *pgapply.Applier, n int) {
	t.Helper()
	dbtest.Eventually(t, patience, func() (bool, string) {
		cursors, err := a.Durable(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(cursors) == 1 && cursors[0].Position == position(n), fmt.Sprint(cursors)
	})
}

// FAULTS D7.
func TestReadOnlyDestination(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable)
	s, c := item()
	a := open(t, connection(db), c)
	pgapply.Exec(t, a, `SET default_transaction_read_only = on`)
	mustStep(t, a, 1, list(c), row(s, "1", "one")) // we say READ WRITE; a standby cannot be told
	db.Exec(t, `ALTER DATABASE `+db.Name+` SET default_transaction_read_only = on`)
	_, err := pgapply.Open(t.Context(), pgapply.Config{Connection: connection(db), Consumers: list(c)})
	if rejot.CodeOf(err) != rejot.Transient || rejot.MendOf(err) == "" {
		t.Errorf("error %v (%s), want a transient one with its mend", err, rejot.MendOf(err))
	}
}

// FAULTS D10: the table changes while we run.
func TestDroppedColumnStopsItsConsumerUntilItIsBack(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable, `CREATE TABLE other (id bigint PRIMARY KEY, name text)`)
	s, c := item()
	_, o := item()
	o.Name, o.SQL, o.DeleteSQL = "other", upsertSQL("other", []string{"id"}, "id", "name"), ""
	a := open(t, connection(db), c, o)
	mustStep(t, a, 1, list(c, o), row(s, "1", "one"))
	db.Exec(t, `ALTER TABLE item DROP COLUMN name`)
	outcomes, err := step(t, a, 2, list(c, o), row(s, "2", "two"))
	if err != nil {
		t.Fatal(err)
	}
	if rejot.CodeOf(outcomes[0].Err) != rejot.NotFound || outcomes[1].Err != nil {
		t.Errorf("outcomes %v, want the first left behind", outcomes)
	}
	wantRows(t, db, `SELECT consumer FROM rejot.cursor WHERE error LIKE '%name%'`, "reader/item")
	if _, err := step(t, a, 2, list(c), row(s, "2", "two")); err != nil { // it is prepared again, in vain
		t.Fatal(err)
	}
	db.Exec(t, `ALTER TABLE item ADD COLUMN name text`)
	mustStep(t, a, 2, list(c), row(s, "2", "two"))
	wantRows(t, db, `SELECT * FROM item ORDER BY id`, "1|NULL 2|two")
	wantRows(t, db, `SELECT count(*) FROM rejot.cursor WHERE error IS NOT NULL`, "0")
}
