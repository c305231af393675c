package pgapply_test

import (
	"fmt"
	"strings"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

const parked = `SELECT key, statements, error FROM rejot.quarantine ORDER BY key`

// picky has a table that refuses long names, and a consumer that parks them.
func picky(t *testing.T) (*dbtest.Database, *rejot.Shape, *contract.Consumer) {
	t.Helper()
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint PRIMARY KEY, name varchar(3))`)
	s, c := item()
	c.OnError = "quarantine"
	return db, s, c
}

func TestRefusedKeyIsParkedAndOthersGoOn(t *testing.T) {
	db, s, c := picky(t)
	a := open(t, connection(db), c)
	mustStep(t, a, 1, list(c), row(s, "1", "one"), row(s, "2", "too long"), row(s, "3", "tri"), row(s, "4", "long too"))
	wantRows(t, db, `SELECT id FROM item ORDER BY id`, "1 3")
	wantRows(t, db, `SELECT key, error NOT LIKE '%long%', error LIKE '%22001%' FROM rejot.quarantine ORDER BY key`, `["2"]|t|t ["4"]|t|t`)
	// Later events of the key replace what is parked, whether they could be written or not.
	mustStep(t, a, 2, list(c), row(s, "2", "two"), row(s, "1", "uno"), drop(s, "4"))
	wantRows(t, db, `SELECT * FROM item ORDER BY id`, "1|uno 3|tri")
	wantRows(t, db, `SELECT statements FROM rejot.quarantine ORDER BY key`,
		`[{"kind":"sql","params":{"id":"2","name":"two"}}] [{"kind":"deleteSql","params":{"id":"4"}}]`)
	// So does one that knows of it from the table alone.
	b := open(t, connection(db), c)
	mustStep(t, b, 3, list(c), row(s, "2", "dos"))
	keys, err := b.Quarantined(t.Context(), c.ID())
	if err != nil || len(keys) != 2 || keys[0].Key != `["2"]` || keys[0].Since.IsZero() {
		t.Fatalf("parked %+v, error %v", keys, err)
	}
	if err := b.Retry(t.Context(), c.ID(), keys[0].Key); err != nil {
		t.Fatal(err)
	}
	if err := b.Skip(t.Context(), c.ID(), keys[1].Key); err != nil {
		t.Fatal(err)
	}
	wantRows(t, db, parked, "")
	wantRows(t, db, `SELECT * FROM item ORDER BY id`, "1|uno 2|dos 3|tri")
	mustStep(t, a, 4, list(c), row(s, "2", "due"), row(s, "4", "for")) // a still thinks they are parked
	wantRows(t, db, parked, "")
	wantRows(t, db, `SELECT * FROM item ORDER BY id`, "1|uno 2|due 3|tri 4|for")
	for _, err := range []error{a.Skip(t.Context(), c.ID(), `["2"]`), a.Retry(t.Context(), c.ID(), `["2"]`)} {
		if rejot.CodeOf(err) != rejot.NotFound {
			t.Errorf("a key that is not parked: %v", err)
		}
	}
}

func TestRetryThatIsRefusedKeepsTheKey(t *testing.T) {
	db, s, c := picky(t)
	a := open(t, connection(db), c)
	mustStep(t, a, 1, list(c), row(s, "2", "too long"))
	err := a.Retry(t.Context(), c.ID(), `["2"]`)
	if rejot.CodeOf(err) != rejot.Rejected {
		t.Fatalf("error %v, want a refusal", err)
	}
	wantRows(t, db, `SELECT key FROM rejot.quarantine`, `["2"]`)
	db.Exec(t, `ALTER TABLE item ALTER name TYPE text`)
	if err := a.Retry(t.Context(), c.ID(), `["2"]`); err != nil {
		t.Fatal(err)
	}
	wantRows(t, db, `SELECT * FROM item`, "2|too long")
}

func TestReplacementIsParkedAsAWhole(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint, name varchar(3))`)
	s, c := item()
	s.Many, c.OnError, c.SQL = true, "quarantine", `INSERT INTO item VALUES (:id, :name)`
	a := open(t, connection(db), c)
	mustStep(t, a, 1, list(c), drop(s, "1"), row(s, "1", "a"), row(s, "1", "too long"), drop(s, "2"), row(s, "2", "b"))
	wantRows(t, db, `SELECT * FROM item`, "2|b")
	db.Exec(t, `ALTER TABLE item ALTER name TYPE text`, `INSERT INTO item VALUES (1, 'old')`)
	if err := a.Retry(t.Context(), c.ID(), `["1"]`); err != nil {
		t.Fatal(err)
	}
	wantRows(t, db, `SELECT * FROM item ORDER BY id, name`, "1|a 1|too long 2|b")
}

func TestClearEmptiesTheQuarantine(t *testing.T) {
	db, s, c := picky(t)
	c.TruncateSQL = `TRUNCATE item`
	a := open(t, connection(db), c)
	mustStep(t, a, 1, list(c), row(s, "1", "one"), row(s, "2", "too long"))
	mustStep(t, a, 2, list(c), &rejot.Event{Shape: s, Op: rejot.Clear}, row(s, "2", "two"), row(s, "3", "long too"))
	wantRows(t, db, `SELECT * FROM item`, "2|two")
	wantRows(t, db, `SELECT key FROM rejot.quarantine`, `["3"]`)
}

// What is refused row after row is not the rows' trouble.
func TestTooManyRefusalsLeaveTheConsumerBehind(t *testing.T) {
	db, s, c := picky(t)
	a := open(t, connection(db), c)
	var events []*rejot.Event
	for i := range 150 {
		events = append(events, row(s, fmt.Sprint(i), "too long"))
	}
	outcomes, err := step(t, a, 1, list(c), events...)
	if err != nil {
		t.Fatal(err)
	}
	if rejot.CodeOf(outcomes[0].Err) != rejot.Rejected || strings.Contains(outcomes[0].Err.Error(), "too long") {
		t.Errorf("outcome %v, want a refusal", outcomes[0].Err)
	}
	wantRows(t, db, parked, "")
}
