package pgapply_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply/pgapply"
	"rejot.dev/rejot/internal/dbtest"
)

// Each statement is run for twelve rows in both ways, and both leave the same behind.
func TestSetsDoWhatRowsDo(t *testing.T) {
	const table = `CREATE TABLE item (id bigint PRIMARY KEY, name varchar(12), n numeric(6,2) DEFAULT 7, at timestamptz DEFAULT '2020-01-01', s serial)`
	for _, c := range []struct {
		name, sql, deleteSQL string
		before               []string
		sets                 string // the statements that may be run for many rows
	}{
		{name: "excluded", sql: upsertSQL("item", []string{"id"}, "id", "name"), deleteSQL: `DELETE FROM item WHERE id = :id`, sets: "sql deleteSql"},
		{name: "placeholders", sql: `INSERT INTO item AS i (id, name, n) VALUES (:id, upper(:name), :id) ON CONFLICT (id) DO UPDATE SET id = :id WHERE i.name <> ' VALUES ( WHERE '`, sets: "sql"},
		{name: "same column", sql: `INSERT INTO item (id, name) VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = :name`, sets: "sql"},
		{name: "expression of a cut value", sql: `INSERT INTO item (id, name) VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = lower(:name)`},
		{name: "the expression of VALUES", sql: `INSERT INTO item (id, name) VALUES (:id, left(:name || ' ' || :id, 3)) ON CONFLICT (id) DO UPDATE SET name = left(:name || ' ' || :id, 3), n = 5`, sets: "sql"},
		{name: "an expression that differs by a cast", sql: `INSERT INTO item (id, name) VALUES (:id, left(:name || ' ' || :id, 3)) ON CONFLICT (id) DO UPDATE SET name = left(:name || ' ' || :id::int::text, 3)`},
		{name: "an expression of another column", sql: `INSERT INTO item (id, name, n) VALUES (:id, left(:name, 3), :id::int + 1) ON CONFLICT (id) DO UPDATE SET n = :id::int + 2`},
		{name: "some assignments", sql: `INSERT INTO item (id, name) VALUES (:id, left(:name, 3)) ON CONFLICT (id) DO UPDATE SET name = left(:name, 3), n = item.n + 1, at = EXCLUDED.at WHERE item.name IS NOT NULL`, sets: "sql"},
		{name: "expression", sql: `INSERT INTO item (id, name) VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET n = CAST(:id AS bigint) + 1`, sets: "sql"},
		{name: "two types", sql: `INSERT INTO item (id, name) VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET n = :id + 1`},
		{name: "quotes", sql: `INSERT INTO item (id, name) VALUES (:id, E'a\'b)' || ' (""' || "left"(:name, 3)) ON CONFLICT (id) DO NOTHING`, deleteSQL: `DELETE FROM item AS "WHERE x" WHERE id = :id AND name <> 'WHERE '`, sets: "sql deleteSql"},
		{name: "subquery", sql: `INSERT INTO item (id, n) VALUES (:id, (SELECT count(*) FROM item)) ON CONFLICT (id) DO NOTHING`},
		{name: "volatile", sql: `INSERT INTO item (id, n) VALUES (:id, random()) ON CONFLICT (id) DO UPDATE SET n = 1`},
		{name: "returning", sql: `INSERT INTO item (id, name) VALUES (:id, :name) ON CONFLICT (id) DO NOTHING RETURNING id`},
		{name: "two rows", sql: `INSERT INTO item (id, name) VALUES (:id, :name), (- CAST(:id AS bigint) - 1, 'minus') ON CONFLICT (id) DO NOTHING`},
		{name: "update", sql: `UPDATE item SET name = :name WHERE id = :id`, before: []string{`INSERT INTO item SELECT g, 'old' FROM generate_series(0, 20) g`}},
		{name: "other table", sql: `INSERT INTO item (id, name) VALUES (:id, :name) ON CONFLICT (id) DO NOTHING`, deleteSQL: `DELETE FROM item USING pg_class WHERE item.id = :id AND relname = 'pg_class'`, sets: "sql"},
		{name: "trigger", sql: upsertSQL("item", []string{"id"}, "id", "name"), before: []string{
			`CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := 'h' || NEW.name; RETURN NEW; END $$`,
			`CREATE TRIGGER shout BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION shout()`,
		}},
		{name: "one key", sql: `INSERT INTO item (id, name) VALUES (CAST(:id AS bigint) / 2, :name) ON CONFLICT (id) DO UPDATE SET name = :name`, sets: "sql"}, // refused as a set
	} {
		t.Run(c.name, func(t *testing.T) {
			var left []string
			for _, sets := range []bool{true, false} {
				db := dbtest.Postgres(t).NewDatabase(t)
				db.Exec(t, append([]string{table}, c.before...)...)
				s, con := item()
				con.SQL, con.DeleteSQL = c.sql, c.deleteSQL
				a := open(t, connection(db), con)
				if got := pgapply.Sets(a, con.ID()); strings.Join(got, " ") != c.sets {
					t.Errorf("sets are %v, want %q", got, c.sets)
				}
				if !sets {
					pgapply.NoSets(a)
				}
				for i := 1; i <= 2; i++ {
					var events []*rejot.Event
					for id := range 12 {
						events = append(events, row(s, fmt.Sprint(id), fmt.Sprintf(`"%d\, {N}`, id*i)))
					}
					mustStep(t, a, i, list(con), events...)
				}
				var events []*rejot.Event
				for id := range 8 {
					events = append(events, drop(s, fmt.Sprint(id)))
				}
				mustStep(t, a, 3, list(con), events...)
				left = append(left, fmt.Sprint(db.Query(t, `SELECT id, name, CASE WHEN n BETWEEN 0.0001 AND 0.9999 THEN 0.5 ELSE n END, at FROM item ORDER BY id`)))
			}
			if left[0] != left[1] {
				t.Errorf("sets leave  %s\nrows leave %s", left[0], left[1])
			}
			if !strings.Contains(left[0], "0") {
				t.Error("nothing is left to compare")
			}
		})
	}
}

func TestRefusedSetFindsTheOffender(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint PRIMARY KEY, name varchar(3))`)
	s, c := item()
	var log bytes.Buffer
	a, err := pgapply.Open(t.Context(), pgapply.Config{Connection: connection(db), Consumers: list(c), Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close() //nolint:errcheck // the test is over
	var events []*rejot.Event
	for i := range 20 {
		events = append(events, row(s, fmt.Sprint(i), "abc"))
	}
	events[13] = row(s, "13", "too long")
	outcomes, err := step(t, a, 1, list(c), events...)
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes[0].Err; rejot.CodeOf(got) != rejot.Rejected || !strings.Contains(got.Error(), "22001") {
		t.Errorf("error %v", got)
	}
	events[13] = row(s, "13", "ok")
	mustStep(t, a, 1, list(c), events...)
	wantRows(t, db, `SELECT count(*) FROM item`, "20")
}

// The server answers that it refuses a set, and closes the connection behind that.
func TestRefusedSetOnAConnectionThatIsLost(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable, `CREATE SEQUENCE calls`,
		`CREATE FUNCTION once(text) RETURNS text LANGUAGE sql STABLE AS $$
			SELECT CASE WHEN nextval('calls') = 1 AND pg_terminate_backend(pg_backend_pid()) THEN (1 / (length($1) - length($1)))::text ELSE $1 END $$`)
	s, c := item()
	c.SQL = `INSERT INTO item (id, name) VALUES (:id, once(:name)) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name`
	a := open(t, connection(db), c)
	if got := pgapply.Sets(a, c.ID()); len(got) != 2 {
		t.Fatalf("sets are %v", got)
	}
	var events []*rejot.Event
	for i := range 12 {
		events = append(events, row(s, fmt.Sprint(i), "abc"))
	}
	mustStep(t, a, 1, list(c), events...)
	if !pgapply.RowByRow(a) {
		t.Error("no set was refused")
	}
	wantRows(t, db, `SELECT count(*), count(DISTINCT name) FROM item`, "12|1")
}

// Nothing of ours depends on the destination's tables, so that their owner can alter them.
func TestSetsLeaveNothingBehind(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable)
	_, c := item()
	a := open(t, connection(db), c)
	if got := pgapply.Sets(a, c.ID()); len(got) != 2 {
		t.Fatalf("sets are %v", got)
	}
	wantRows(t, db, `SELECT count(*) FROM pg_class WHERE relpersistence = 't'`, "0")
	db.Exec(t, `ALTER TABLE item ALTER name TYPE varchar(10)`)
}
