package pglog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/dbtest"
)

// publishes gives the tables of the publication.
func publishes(t *testing.T, db *dbtest.Database) string {
	t.Helper()
	return fmt.Sprint(db.Query(t, `SELECT tablename FROM pg_publication_tables ORDER BY 1`))
}

func takeOut(t *testing.T, db *dbtest.Database, table string) {
	t.Helper()
	db.Exec(t, `ALTER PUBLICATION "pub ""' `+db.Name+`" DROP TABLE `+table)
}

func TestKeptTableIsInTheLogWhenItIsWantedAgain(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	db.Exec(t, `CREATE TABLE u (id int PRIMARY KEY)`)
	r := testReader(t, db)
	pos := begin(t, r, setup("t", "u"))
	for _, known := range [][]string{{"t"}, {}} {
		begin(t, r, Setup{Tables: setup(known...).Tables, Oldest: pos, Keep: true})
		if got := publishes(t, db); got != "[[t] [u]]" {
			t.Fatalf("with %q known, the publication has %s", known, got)
		}
		s := &streamed{}
		stop := reading(t, r, pos, s)
		db.Exec(t, `INSERT INTO u SELECT count(*) FROM u`)
		caughtUp(t, db, r, s)
		if slices.ContainsFunc(s.lines(), func(line string) bool { return line[:6] != "commit" }) {
			t.Errorf("with %q known, the reader hands over %q", known, s.lines())
		}
		_ = stop()
	}
	begin(t, r, Setup{Tables: setup("t", "u").Tables, Oldest: pos})
	s := &streamed{}
	reading(t, r, pos, s)
	caughtUp(t, db, r, s)
	if len(s.lines()) != 4 {
		t.Errorf("of two transactions that inserted into the kept table, the log has %q", s.lines())
	}
}

func TestP14KeptTableIsTakenOutOfThePublication(t *testing.T) {
	for _, c := range []struct {
		name  string
		begun []string // by an earlier Begin of the same process
	}{{"it was wanted before", []string{"t", "u"}}, {"since the start it was only kept", []string{"t"}}} {
		t.Run(c.name, func(t *testing.T) {
			db := table(t, dbtest.Postgres(t))
			db.Exec(t, `CREATE TABLE u (id int PRIMARY KEY)`)
			pos := begin(t, testReader(t, db), setup("t", "u"))
			r := testReader(t, db)
			begin(t, r, Setup{Tables: setup(c.begun...).Tables, Oldest: pos, Keep: len(c.begun) == 1})
			kept := Setup{Tables: setup("t").Tables, Oldest: pos, Keep: true}
			begin(t, r, kept)
			takeOut(t, db, "u")
			begin(t, r, kept)
			_, err := r.Begin(t.Context(), Setup{Tables: setup("t", "u").Tables, Oldest: pos})
			wantError(t, err, rejot.Gone, "table public.u since it was taken out of publication")
		})
	}
}

// waits tells whether Begin waits while a transaction runs that has begun in session; it ends with it.
func waits(t *testing.T, r *reader, s Setup, session *dbtest.Session) {
	t.Helper()
	done := make(chan error, 1)
	go func() { _, err := r.Begin(t.Context(), s); done <- err }()
	select {
	case err := <-done:
		t.Errorf("Begin does not wait: %v", err)
		session.Exec(t, `COMMIT`)
		return
	case <-time.After(300 * time.Millisecond):
	}
	session.Exec(t, `COMMIT`)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestP14JoiningWaitsAgainAfterItWasCutOff(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	db.Exec(t, `CREATE TABLE u (id int PRIMARY KEY)`)
	pos := begin(t, testReader(t, db), setup("t"))
	both := Setup{Tables: setup("t", "u").Tables, Oldest: pos}
	older := db.Session(t)
	older.Exec(t, `BEGIN; INSERT INTO u VALUES (1)`)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := testReader(t, db).Begin(ctx, both); done <- err }()
	dbtest.Eventually(t, 5*time.Second, func() (bool, string) { return publishes(t, db) == "[[t] [u]]", "u has not joined" })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the first Begin ends with %v", err)
	}
	waits(t, testReader(t, db), both, older)
}

// TestP14JoiningWaitsForWhatBeganMeanwhile has a transaction that is younger than the one that adds the
// table, and writes before that one commits.
func TestP14JoiningWaitsForWhatBeganMeanwhile(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	db.Exec(t, `CREATE TABLE u (id int PRIMARY KEY)`)
	pos := begin(t, testReader(t, db), setup("t"))
	both := Setup{Tables: setup("t", "u").Tables, Oldest: pos}
	adds, meanwhile := db.Session(t), db.Session(t)
	adds.Exec(t, `BEGIN; ALTER PUBLICATION "pub ""' `+db.Name+`" ADD TABLE u`)
	meanwhile.Exec(t, `BEGIN; INSERT INTO u VALUES (1)`)
	adds.Exec(t, `COMMIT`)
	waits(t, testReader(t, db), both, meanwhile)
}

func TestBeginDoesNotWaitForWhatBeganAfterTheTablesHaveJoined(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	db.Exec(t, `CREATE TABLE u (id int PRIMARY KEY)`)
	pos := begin(t, testReader(t, db), setup("t"))
	both := Setup{Tables: setup("t", "u").Tables, Oldest: pos}
	begin(t, testReader(t, db), both)
	db.Session(t).Exec(t, `BEGIN; INSERT INTO u VALUES (1)`)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := testReader(t, db).Begin(ctx, both); err != nil {
		t.Error(err)
	}
}
