package pgapply_test

import (
	"strings"
	"testing"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/dbtest"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func drop(s *rejot.Shape, key string) *rejot.Event {
	return &rejot.Event{Shape: s, Op: rejot.DeleteKey, Key: []rejot.Value{rejot.TextValue(key)}}
}

func TestDeferrableConstraintIsDeferred(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint PRIMARY KEY, name text UNIQUE DEFERRABLE INITIALLY IMMEDIATE)`)
	s, c := item()
	a := open(t, connection(db), c)
	mustStep(t, a, 1, list(c), row(s, "1", "a"), row(s, "2", "b"))
	mustStep(t, a, 2, list(c), row(s, "1", "b"), row(s, "2", "a"))
	wantRows(t, db, `SELECT * FROM item ORDER BY id`, "1|b 2|a")
	wantRows(t, db, `SELECT count(*) FROM pg_stat_user_tables WHERE n_tup_del > 0`, "0")
}

// A constraint that is checked at the commit names its table, and that its consumer.
func TestRefusedCommitLeavesItsConsumerBehind(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint PRIMARY KEY, name text UNIQUE DEFERRABLE)`, `CREATE TABLE other (id bigint PRIMARY KEY, name text)`)
	s, c := item()
	_, o := item()
	o.Name, o.SQL, o.DeleteSQL = "other", upsertSQL("other", []string{"id"}, "id", "name"), ""
	a := open(t, connection(db), o, c)
	outcomes, err := step(t, a, 1, list(o, c), row(s, "1", "a"), row(s, "2", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if outcomes[0].Err != nil || rejot.CodeOf(outcomes[1].Err) != rejot.Rejected {
		t.Errorf("outcomes %v, want the second left behind", outcomes)
	}
	wantRows(t, db, `SELECT consumer FROM rejot.cursor`, "reader/other")
}

// A deferred trigger names nothing: who is to blame is found by trying.
func TestRefusedCommitWithoutAName(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable, `CREATE TABLE other (id bigint PRIMARY KEY, name text)`,
		`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.name = 'bad' THEN RAISE 'no: %', NEW.name; END IF; RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
	s, c := item()
	_, o := item()
	o.Name, o.SQL, o.DeleteSQL = "other", upsertSQL("other", []string{"id"}, "id", "name"), ""
	a := open(t, connection(db), o, c)
	outcomes, err := step(t, a, 1, list(o, c), row(s, "1", "bad"))
	if err != nil {
		t.Fatal(err)
	}
	if outcomes[0].Err != nil || rejot.CodeOf(outcomes[1].Err) != rejot.Rejected || strings.Contains(outcomes[1].Err.Error(), "bad") {
		t.Errorf("outcomes %v, want the second left behind, without the value", outcomes)
	}
	wantRows(t, db, `SELECT name FROM other`, "bad")
	wantRows(t, db, `SELECT name FROM item`, "")
}

// Deleting and inserting rows would reach further than they do where a foreign key cascades.
func TestSwapIsRefusedWhereAForeignKeyCascades(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint PRIMARY KEY, name text UNIQUE)`, `CREATE TABLE note (item bigint REFERENCES item ON DELETE CASCADE)`)
	s, c := item()
	a := open(t, connection(db), c)
	mustStep(t, a, 1, list(c), row(s, "1", "a"), row(s, "2", "b"))
	db.Exec(t, `INSERT INTO note VALUES (1)`)
	outcomes, err := step(t, a, 2, list(c), row(s, "1", "b"), row(s, "2", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if rejot.CodeOf(outcomes[0].Err) != rejot.Rejected {
		t.Errorf("outcomes %v, want a refusal", outcomes)
	}
	wantRows(t, db, `SELECT * FROM note`, "1")
}

func TestTablesAreOrderedByForeignKeysThroughFunctionsOfWITH(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE "Top" (id bigint PRIMARY KEY)`, `CREATE TABLE middle (id bigint PRIMARY KEY REFERENCES "Top")`,
		`CREATE TABLE item (id bigint PRIMARY KEY REFERENCES middle, name text) PARTITION BY RANGE (id)`, `CREATE TABLE item1 PARTITION OF item DEFAULT`)
	s, c := item()
	_, top := item()
	top.Name, top.SQL, top.DeleteSQL = "top", `WITH v AS (SELECT CAST(:id AS bigint) AS id), w AS (INSERT INTO "Top" SELECT id FROM v RETURNING id) SELECT * FROM w`, `DELETE FROM "Top" WHERE id = $1`
	_, middle := item()
	middle.Name, middle.SQL, middle.DeleteSQL = "middle", `INSERT INTO middle (id) VALUES (:id)`, `DELETE FROM middle WHERE id = :id`
	a := open(t, connection(db), c, middle, top)
	mustStep(t, a, 1, list(c, middle, top), row(s, "1", "a"), row(s, "2", "b"))
	mustStep(t, a, 2, list(c, middle, top), drop(s, "1"))
	wantRows(t, db, `SELECT id FROM item UNION ALL SELECT id FROM middle UNION ALL SELECT id FROM "Top"`, "2 2 2")
	wantRows(t, db, `SELECT xact_rollback < 30 FROM pg_stat_database WHERE datname = current_database()`, "t")
}

func TestTruncateSQLMayBeTRUNCATE(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable)
	s, c := item()
	c.TruncateSQL = "  truncate table item"
	a := open(t, connection(db), c)
	mustStep(t, a, 1, list(c), row(s, "1", "a"))
	mustStep(t, a, 2, list(c), &rejot.Event{Shape: s, Op: rejot.Clear}, row(s, "2", "b"))
	wantRows(t, db, `SELECT id FROM item`, "2")
}

func TestDrop(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable)
	s, c := item()
	a := open(t, connection(db), c)
	mustStep(t, a, 1, list(c), row(s, "1", "a"))
	if err := a.Drop(t.Context(), "reader/nobody"); rejot.CodeOf(err) != rejot.NotFound {
		t.Errorf("dropping nobody: %v", err)
	}
	if err := a.Drop(t.Context(), c.ID()); err != nil {
		t.Fatal(err)
	}
	if cursors, err := a.Cursors(t.Context()); err != nil || len(cursors) > 0 {
		t.Errorf("cursors %v, error %v", cursors, err)
	}
	if err := a.Drop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wantRows(t, db, `SELECT count(*) FROM pg_namespace WHERE nspname = 'rejot'`, "0")
	wantRows(t, db, `SELECT id FROM item`, "1")
	mustStep(t, a, 1, list(c), row(s, "1", "a")) // and everything is made again
}
