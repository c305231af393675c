package pglog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"go.uber.org/goleak"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

// A streamed is a receiver that a test looks into.
type streamed struct {
	mu      sync.Mutex
	written written
	reached rejot.Place
	hold    chan struct{} // where it is set, Commit waits for it
}

func (s *streamed) Change(c *rejot.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written.Change(c)
}

func (s *streamed) Commit(tx rejot.Transaction) error {
	if s.hold != nil {
		<-s.hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written.Commit(tx)
}

func (s *streamed) Abort(tx, sub rejot.TxID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written.Abort(tx, sub)
}

func (s *streamed) Reached(p rejot.Place) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached = p
	return nil
}

func (s *streamed) place() rejot.Place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reached
}

func (s *streamed) isAt(p rejot.Place) bool { return !s.place().Less(p) }

func (s *streamed) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.written.lines)
}

func testDial(url string, host string, port int) func(context.Context, bool) (*pgconn.PgConn, error) {
	return func(ctx context.Context, replication bool) (*pgconn.PgConn, error) {
		config, err := pgconn.ParseConfig(url)
		if err != nil {
			return nil, err
		}
		config.RuntimeParams["application_name"] = "rejot test"
		if replication {
			config.RuntimeParams["replication"] = "database"
		}
		if host != "" {
			config.Host, config.Port = host, uint16(port)
			config.Fallbacks = nil
		}
		return pgconn.ConnectConfig(ctx, config)
	}
}

func testFlush(dial func(context.Context, bool) (*pgconn.PgConn, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := dial(ctx, false)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		_, err = queryRows(ctx, conn, `SELECT pg_logical_emit_message(true, 'rejot', '')`)
		return err
	}
}

// testReader gives a reader of db with a slot and a publication named after it.
func testReader(t *testing.T, db *dbtest.Database) *reader {
	t.Helper()
	dial := testDial(db.URL, "", 0)
	return newReader(readerConfig{dial: dial, slot: "slot_" + db.Name, publication: `pub "' ` + db.Name, flush: testFlush(dial), log: testLog(t)})
}

func testLog(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func setup(names ...string) Setup {
	s := Setup{}
	for _, n := range names {
		s.Tables = append(s.Tables, contract.TableName{Schema: "public", Name: n})
	}
	return s
}

func begin(t *testing.T, r *reader, s Setup) rejot.Position {
	t.Helper()
	pos, err := r.Begin(t.Context(), s)
	if err != nil {
		t.Fatalf("begin: %v (%s)", err, rejot.MendOf(err))
	}
	return pos
}

// reading runs Read until the function that it gives is called, which gives Read's error.
func reading(t *testing.T, r *reader, pos rejot.Position, to rejot.Receiver) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Read(ctx, pos, to) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return stop
}

func insertPlace(t *testing.T, db *dbtest.Database) rejot.Place {
	t.Helper()
	var place rejot.Place
	if _, err := fmt.Sscan(db.Query(t, `SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn`)[0][0], &place.Offset); err != nil {
		t.Fatal(err)
	}
	return place
}

// caughtUp waits until s is read to where the log ends now.
func caughtUp(t *testing.T, db *dbtest.Database, r *reader, s *streamed) {
	t.Helper()
	place := insertPlace(t, db)
	r.want(place)
	dbtest.Eventually(t, 10*time.Second, func() (bool, string) { return s.isAt(place), "the log is not read to " + place.String() })
}

func TestStartCommand(t *testing.T) {
	place := rejot.Place{Offset: 1<<63 + 0xAB}
	for version, options := range map[string]string{"13.22": "proto_version '1'", "14.1 (Debian)": "proto_version '2', streaming 'on'", "18beta1": "proto_version '2', streaming 'on'"} {
		want := `START_REPLICATION SLOT "s" LOGICAL 80000000/AB (` + options + `, publication_names '"a''""b"')`
		if got := startCommand("s", `a'"b`, place, version); got != want {
			t.Errorf("Postgres %s: got %s\nwant %s", version, got, want)
		}
	}
}

func TestReadHandsOverAndConfirms(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	db.Exec(t, `CREATE TABLE t (id int PRIMARY KEY, v text)`)
	r := testReader(t, db)
	pos := begin(t, r, setup("t"))
	s := &streamed{}
	stop := reading(t, r, pos, s)
	db.Exec(t, `INSERT INTO t VALUES (1, 'a')`, `UPDATE t SET v = NULL`, `UPDATE t SET id = 2`, `DELETE FROM t`, `TRUNCATE t`)
	caughtUp(t, db, r, s)
	if len(s.lines()) != 10 {
		t.Errorf("got %q", s.lines())
	}
	to := rejot.Position{Incarnation: pos.Incarnation, Horizon: s.place()}
	if err := r.Confirm(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	dbtest.Eventually(t, 5*time.Second, func() (bool, string) {
		got := db.Query(t, `SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'slot_`+db.Name+`'`)[0][0]
		return got == to.Horizon.String(), got
	})
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
	s2 := &streamed{}
	stop = reading(t, r, to, s2) // the slot is free at once
	db.Exec(t, `INSERT INTO t VALUES (3)`)
	caughtUp(t, db, r, s2)
	if len(s2.lines()) != 2 {
		t.Errorf("after what was confirmed: got %q", s2.lines())
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
	if err := r.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Drop(t.Context()); err != nil {
		t.Errorf("drop what is missing: %v", err)
	}
}
