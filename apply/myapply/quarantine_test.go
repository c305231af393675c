package myapply_test

import (
	"fmt"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/dbtest"
)

func TestQuarantineParksARowAndGoesOn(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint PRIMARY KEY, name varchar(5) NOT NULL)`)
	s, c := item()
	c.OnError = "quarantine"
	a := open(t, connection(db), c)
	events := copies(s, 100, "abc")
	events[50] = row(s, "51", "too long")
	mustStep(t, a, 1, c, events...)
	wantRows(t, db, `SELECT count(*) FROM item`, "99")
	parked, err := a.Quarantined(t.Context(), c.ID())
	if err != nil || len(parked) != 1 || parked[0].Key != `["51"]` || parked[0].Since.IsZero() {
		t.Fatalf("parked %v, %v", parked, err)
	}
	key := parked[0].Key
	if err := a.Retry(t.Context(), c.ID(), key); rejot.CodeOf(err) != rejot.Rejected {
		t.Fatalf("error %v", err)
	}
	// Later states of the key replace what is parked, also in another process.
	mustStep(t, a, 2, c, row(s, "51", "x"), row(s, "1", "y"))
	b := open(t, connection(db), c)
	mustStep(t, b, 3, c, row(s, "51", "z"))
	wantRows(t, db, `SELECT count(*) FROM item`, "99")
	if err := b.Retry(t.Context(), c.ID(), key); err != nil {
		t.Fatal(err)
	}
	wantRows(t, db, `SELECT name FROM item WHERE id IN (1, 51) ORDER BY id`, "y, z")
	mustStep(t, a, 4, c, row(s, "51", "w")) // a has not heard of it
	wantRows(t, db, `SELECT name FROM item WHERE id = 51`, "w")
	mustStep(t, a, 5, c, row(s, "52", "too long"))
	if err := a.Skip(t.Context(), c.ID(), `["52"]`); err != nil {
		t.Fatal(err)
	}
	if err := a.Skip(t.Context(), c.ID(), `["52"]`); rejot.CodeOf(err) != rejot.NotFound {
		t.Fatalf("error %v", err)
	}
	mustStep(t, a, 6, c, row(s, "52", "v"))
	wantRows(t, db, `SELECT name FROM item WHERE id = 52`, "v")
	wantRows(t, db, `SELECT count(*) FROM rejot_quarantine`, "0")
}

func TestQuarantineOfValuesAndTypes(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint PRIMARY KEY, v json)`)
	s, c := oneValue(array(rejot.Type{Name: "numeric"}))
	c.OnError, c.TruncateSQL = "quarantine", "DELETE FROM item"
	a := open(t, connection(db), c)
	mustStep(t, a, 1, c, row(s, "1", "{1.10,NaN}"), row(s, "2", "{1.10}"))
	wantRows(t, db, `SELECT id, v FROM item`, "2 [1.10]")
	mustStep(t, a, 2, c, row(s, "1", "{{1.10},{NULL}}"))
	if err := a.Retry(t.Context(), c.ID(), `["1"]`); err != nil {
		t.Fatal(err)
	}
	wantRows(t, db, `SELECT v FROM item WHERE id = 1`, "[[1.10],[null]]")
	mustStep(t, a, 3, c, row(s, "1", "{NaN}"))
	mustStep(t, a, 4, c, &rejot.Event{Shape: s, Op: rejot.Clear}, row(s, "3", "{1}"))
	wantRows(t, db, `SELECT (SELECT count(*) FROM rejot_quarantine), id FROM item`, "0 3")
}

func TestQuarantineOfAReplacement(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint, name varchar(5), PRIMARY KEY (id, name))`)
	s, c := item()
	s.Many = true
	c.OnError = "quarantine"
	c.SQL = `INSERT INTO item (id, name) VALUES (:id, :name)`
	a := open(t, connection(db), c)
	gone := func(id string) *rejot.Event {
		return &rejot.Event{Shape: s, Op: rejot.DeleteKey, Key: []rejot.Value{rejot.TextValue(id)}}
	}
	mustStep(t, a, 1, c, gone("1"), row(s, "1", "a"), row(s, "1", "b"))
	mustStep(t, a, 2, c, gone("1"), row(s, "1", "a"), row(s, "1", "too long"), gone("2"), row(s, "2", "x"))
	wantRows(t, db, `SELECT id, name FROM item ORDER BY id, name`, "1 a, 1 b, 2 x")
	mustStep(t, a, 3, c, gone("1"), row(s, "1", "c"), row(s, "1", "d"))
	wantRows(t, db, `SELECT JSON_LENGTH(statements) FROM rejot_quarantine`, "3")
	if err := a.Retry(t.Context(), c.ID(), `["1"]`); err != nil {
		t.Fatal(err)
	}
	wantRows(t, db, `SELECT id, name FROM item ORDER BY id, name`, "1 c, 1 d, 2 x")
	many := make([]*rejot.Event, 0, 400)
	for i := range 200 {
		many = append(many, gone(fmt.Sprint(i)), row(s, fmt.Sprint(i), "too long"))
	}
	_ = refused(t, a, 4, c, rejot.Rejected, many...) // more than a few is the consumer's trouble
}
