package myapply_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/dbtest"
)

// copies are n rows with the same value.
func copies(s *rejot.Shape, n int, text string) []*rejot.Event {
	events := make([]*rejot.Event, n)
	for i := range events {
		events[i] = row(s, fmt.Sprint(i+1), text)
	}
	return events
}

// A block writes what as many executions write, byte by byte.
func TestBlockWritesWhatExecutionsWrite(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	inBlocks := 0
	for i, e := range arrivals {
		t.Run(fmt.Sprintf("%d %s to %s", i, e.typ.Name, e.column), func(t *testing.T) {
			db.Exec(t, `DROP TABLE IF EXISTS item`, `CREATE TABLE item (id bigint PRIMARY KEY, v `+e.column+`) CHARACTER SET utf8mb4`)
			s, c := oneValue(e.typ)
			c.Name = fmt.Sprint("item", i)
			a := open(t, connection(db), c)
			mustStep(t, a, 1, c, copies(s, 100, e.text)...)
			inBlocks += a.Blocked()
			null := row(s, "101", "")
			null.Row[1] = rejot.NullValue()
			mustStep(t, a, 2, c, row(s, "1000", e.text), null)
			wantRows(t, db, `SELECT `+e.shown+` FROM item WHERE id = 77`, e.want)
			wantRows(t, db, `SELECT count(*), count(DISTINCT HEX(v)) FROM item WHERE v IS NOT NULL`, "101 1")
			nulls := copies(s, 100, "")
			for _, ev := range nulls {
				ev.Row[1] = rejot.NullValue()
			}
			mustStep(t, a, 3, c, nulls...)
			wantRows(t, db, `SELECT count(v) FROM item`, "1")
		})
	}
	if inBlocks < len(arrivals)/2 {
		t.Errorf("only %d of %d types went through a block", inBlocks, len(arrivals))
	}
}

// An applier lives as long as the program.
func TestFormsOfEarlierBatchesAreForgotten(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, itemTable)
	s, c := item()
	a := open(t, connection(db), c)
	gone := &rejot.Event{Shape: s, Op: rejot.DeleteKey, Key: row(s, "1", "").Key}
	events := append(copies(s, 100, "abc"), gone)
	mustStep(t, a, 1, c, events...)
	first := a.Forms()
	for n := 2; n <= 20; n++ {
		mustStep(t, a, n, c, events...)
	}
	if got := a.Forms(); first == 0 || got != first {
		t.Errorf("%d are kept after one batch, and %d after 20", first, got)
	}
}

func TestBlockThatFailsIsDoneAgainByExecutions(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint PRIMARY KEY, name varchar(5)) CHARACTER SET utf8mb4 COLLATE utf8mb4_czech_ci`)
	s, c := item()
	a := open(t, connection(db), c)
	events := copies(s, 200, "abc")
	mustStep(t, a, 1, c, events...)
	if a.Blocked() != 1 {
		t.Fatalf("%d blocks", a.Blocked())
	}
	events[150] = row(s, "151", "too long")
	wantMend(t, refused(t, a, 2, c, rejot.Rejected, events...), rejot.Rejected, "1406 ER_DATA_TOO_LONG, column name")
	events[150] = row(s, "151", "x")
	mustStep(t, a, 2, c, events...)
	if a.Blocked() != 2 {
		t.Errorf("%d blocks: one that failed for its row is no reason to go without", a.Blocked())
	}
	// A variable has a collation, and the server does not compare it with a column's of another.
	c.DeleteSQL = `DELETE FROM item WHERE name = :name AND id = :id`
	s.Key = s.Row
	b := open(t, connection(db), c)
	deletes := make([]*rejot.Event, 100)
	for i := range deletes {
		deletes[i] = &rejot.Event{Shape: s, Op: rejot.DeleteKey, Key: row(s, fmt.Sprint(i+1), "abc").Row}
	}
	mustStep(t, b, 3, c, deletes...)
	wantRows(t, db, `SELECT count(*) FROM item`, "100")
}

// FAULTS D14, in a block: a warning of one statement is not the block's.
func TestWarningInABlockIsAnError(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint PRIMARY KEY, name varchar(3))`)
	s, c := item()
	c.SQL = `INSERT IGNORE INTO item (id, name) VALUES (:id, :name)`
	a := open(t, connection(db), c)
	events := copies(s, 100, "abc")
	mustStep(t, a, 1, c, events...)
	events[50] = row(s, "1050", "s3cret")
	wantMend(t, refused(t, a, 2, c, rejot.Rejected, events...), rejot.Rejected, "column name")
	events[50] = row(s, "1050", "def")
	mustStep(t, a, 2, c, events...) // the others are duplicates, which IGNORE asks for
	wantRows(t, db, `SELECT count(*) FROM item`, "101")
}

func TestBlockInADeadlock(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, itemTable, `CREATE TABLE heavy (n int PRIMARY KEY)`, `INSERT INTO item VALUES (1, 'a'), (99, 'b')`)
	s, c := item()
	a := open(t, connection(db), c)
	other := db.Session(t)
	other.Exec(t, `BEGIN`, `INSERT INTO heavy SELECT seq FROM seq_1_to_5000`, `UPDATE item SET name = 'o' WHERE id = 99`)
	wait := startStep(t, a, 1, c, copies(s, 200, "x")...)
	waitForLock(t, db)
	other.Exec(t, `UPDATE item SET name = 'o' WHERE id = 1`)
	if _, err := wait(); rejot.CodeOf(err) != rejot.Transient {
		t.Fatalf("error %v is not transient", err)
	}
	other.Exec(t, `ROLLBACK`)
	wantRows(t, db, `SELECT id, name FROM item ORDER BY id`, `1 a, 99 b`)
	wantAt(t, a, 0)
	mustStep(t, a, 1, c, copies(s, 200, "x")...)
}

func TestLargeValuesArrive(t *testing.T) {
	db := dbtest.MariaDB(t, dbtest.Setting("max-allowed-packet", "64M")).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint PRIMARY KEY, v longtext)`)
	s, c := oneValue(rejot.Type{Name: "text"})
	a := open(t, connection(db), c)
	big := make([]byte, 17<<20) // more than one packet of the protocol
	for i := range big {
		big[i] = "abcdefghijk\\'\""[i%14]
	}
	events := append(copies(s, 50, "small"), row(s, "99", string(big)), row(s, "100", "behind"))
	o, err := step(t.Context(), a, 1, c, events...)
	if err = errors.Join(err, o.Err); err != nil {
		t.Fatal(err)
	}
	wantRows(t, db, `SELECT LENGTH(v), SHA2(v, 256) FROM item WHERE id = 99`, fmt.Sprintf("%d %x", len(big), sha256.Sum256(big)))
	wantRows(t, db, `SELECT count(*) FROM item`, "52")
}

func TestRowBeyondTheServersPacketIsRefused(t *testing.T) {
	db := dbtest.MariaDB(t, dbtest.Setting("max-allowed-packet", "2M")).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint PRIMARY KEY, v longtext)`)
	s, c := oneValue(rejot.Type{Name: "text"})
	a := open(t, connection(db), c)
	big := make([]byte, 1100000) // :v stands twice
	for i := range big {
		big[i] = 'x'
	}
	wantMend(t, refused(t, a, 1, c, rejot.Rejected, row(s, "1", string(big))), rejot.Rejected, "SET GLOBAL max_allowed_packet = 4194304")
	mustStep(t, a, 1, c, copies(s, 100, string(big[:20000]))...) // a block of them would be too long, with its escapes
	wantRows(t, db, `SELECT count(*) FROM item`, "100")
}
