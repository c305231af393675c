package pglog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/dbtest"
)

// fastReader gives a reader that never streams.
func fastReader(t *testing.T, db *dbtest.Database) *reader {
	t.Helper()
	r := testReader(t, db)
	r.cfg.gear.force = onlyFast
	r.cfg.gear.advance = 20 * time.Millisecond
	return r
}

// failing runs Read, whose error comes.
func failing(t *testing.T, r *reader, pos rejot.Position, to rejot.Receiver) chan error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	failed := make(chan error, 1)
	go func() { failed <- r.Read(ctx, pos, to) }()
	return failed
}

func (r *reader) hasCopy(t *testing.T, db *dbtest.Database) bool {
	t.Helper()
	return len(db.Query(t, `SELECT FROM pg_replication_slots WHERE slot_name = '`+copyName(r.cfg.slot)+`'`)) == 1
}

func TestP8SlotIsReadThroughACopy(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r, other := fastReader(t, db), testReader(t, db)
	pos := begin(t, r, setup("t"))
	s := &streamed{}
	stop := reading(t, r, pos, s)
	caughtUp(t, db, r, s)
	for _, force := range []string{chosen, onlyStream, onlyFast} {
		other.cfg.gear.force = force
		err := readOnce(t, other, pos)
		wantError(t, err, rejot.Transient, "is being read by PID")
		wantError(t, err, rejot.Transient, "rejot test")
	}
	_, err := other.Begin(t.Context(), Setup{Oldest: pos})
	wantError(t, err, rejot.Transient, "is being read by PID")
	_, err = other.Begin(t.Context(), setup())
	wantError(t, err, rejot.Transient, "is being read by PID")
	if got := len(db.Query(t, `SELECT FROM pg_publication_tables`)); got != 1 {
		t.Errorf("the publication of the one who reads has %d tables", got)
	}
	wantError(t, other.Drop(t.Context()), rejot.Conflict, "stop it first")
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Read ends with %v", err)
	}
	s = &streamed{}
	other.cfg.gear.force = onlyStream
	reading(t, other, pos, s)
	caughtUp(t, db, other, s)
	wantError(t, readOnce(t, r, pos), rejot.Transient, "is being read by PID") // a stream, for one who would call
	if r.hasCopy(t, db) {
		t.Error("the copy of the one who gave way is left")
	}
}

func TestP11NoFreeSlotForACopy(t *testing.T) {
	db := table(t, dbtest.Postgres(t, dbtest.Setting("max_replication_slots", "1")))
	r := fastReader(t, db)
	log := counted(t, r)
	pos := begin(t, r, setup("t"))
	for range 2 {
		s := &streamed{}
		stop := reading(t, r, pos, s)
		db.Exec(t, `INSERT INTO t SELECT max(id) + 1 FROM (SELECT 0 AS id UNION SELECT id FROM t) all_t`)
		caughtUp(t, db, r, s)
		_ = stop()
	}
	if got := log.count(saysNoCopy); got != 1 {
		t.Errorf("it is told %d times that there is no copy", got)
	}
}

const saysNoCopy = "the log is streamed although it is far ahead: the slot cannot be copied"

func TestSlotOfSomebodyHasTheNameOfTheCopy(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r := fastReader(t, db)
	log := counted(t, r)
	pos := begin(t, r, setup("t"))
	db.Exec(t, `SELECT pg_create_logical_replication_slot('`+copyName(r.cfg.slot)+`', 'test_decoding')`, `INSERT INTO t VALUES (1)`)
	s := &streamed{}
	reading(t, r, pos, s)
	caughtUp(t, db, r, s)
	if len(s.lines()) != 2 || log.count(saysNoCopy) != 1 {
		t.Errorf("got %q, told %d times", s.lines(), log.count(saysNoCopy))
	}
}

func TestSlotThatStandbysWaitForIsNotCopied(t *testing.T) {
	db := table(t, dbtest.Postgres(t, dbtest.Version(17), dbtest.Setting("synchronized_standby_slots", "standby")))
	r := fastReader(t, db)
	log := counted(t, r)
	pos := begin(t, r, setup("t"))
	reading(t, r, pos, &streamed{})
	dbtest.Eventually(t, 10*time.Second, func() (bool, string) { return log.count(saysNoCopy) == 1, "nothing is told" })
	if r.hasCopy(t, db) {
		t.Error("there is a copy")
	}
}

// A refusal is a receiver that fails at a change.
type refusal struct {
	streamed
	err error
}

func (r *refusal) Change(*rejot.Change) error { return r.err }

func TestReceiversErrorEndsACall(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r := fastReader(t, db)
	pos := begin(t, r, setup("t"))
	db.Exec(t, `INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 50000) g`)
	want := errors.New("enough")
	for range 2 {
		if err := <-failing(t, r, pos, &refusal{err: want}); !errors.Is(err, want) {
			t.Errorf("Read ends with %v", err)
		}
		if r.hasCopy(t, db) {
			t.Error("the copy is left")
		}
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r := fastReader(t, db)
	pos := begin(t, r, setup("t"))
	db.Exec(t, `INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 50000) g`, `INSERT INTO t VALUES (0)`)
	for _, held := range []bool{false, true} {
		s := &streamed{}
		if held {
			s.hold = make(chan struct{})
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Read(ctx, pos, s) }()
		dbtest.Eventually(t, 10*time.Second, func() (bool, string) { return !held || len(s.lines()) == 50000, "nothing is read" })
		cancel()
		if held {
			close(s.hold)
		}
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Read ends with %v", err)
		}
		if r.hasCopy(t, db) {
			t.Error("the copy is left")
		}
	}
}

func TestP57HalfOpenInTheSecondGear(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	proxy := dbtest.NewProxy(t, fmt.Sprintf("%s:%d", db.Host, db.Port))
	r := fastReader(t, db)
	r.cfg.dial = testDial(db.URL, proxy.Host, proxy.Port)
	r.cfg.beat, r.cfg.silence = 50*time.Millisecond, 300*time.Millisecond
	pos := begin(t, r, setup("t"))
	s := &streamed{}
	failed := failing(t, r, pos, s)
	caughtUp(t, db, r, s)
	dbtest.Eventually(t, 5*time.Second, func() (bool, string) {
		got := db.Query(t, `SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT active_pid FROM pg_catalog.pg_replication_slots%'`)[0][0]
		return got == "1", "nobody looks after the server"
	})
	proxy.Pause()
	defer proxy.Resume()
	wantError(t, <-failed, rejot.Transient, "silent")
}

func TestP56ConnectionDropsInACall(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	proxy := dbtest.NewProxy(t, fmt.Sprintf("%s:%d", db.Host, db.Port))
	r := fastReader(t, db)
	r.cfg.dial = testDial(db.URL, proxy.Host, proxy.Port)
	pos := begin(t, r, setup("t"))
	db.Exec(t, `INSERT INTO t VALUES (0)`, `INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g`)
	s := &streamed{hold: make(chan struct{})}
	failed := failing(t, r, pos, s)
	dbtest.Eventually(t, 5*time.Second, func() (bool, string) { return len(s.lines()) > 0, "nothing is read" })
	proxy.Cut()
	close(s.hold)
	wantError(t, <-failed, rejot.Transient, "")
	dbtest.Eventually(t, 10*time.Second, func() (bool, string) { return !r.hasCopy(t, db), "the copy is left" })
	s = &streamed{}
	reading(t, r, pos, s)
	caughtUp(t, db, r, s)
	if n := len(s.lines()); n != 20003 {
		t.Errorf("%d lines", n)
	}
}

func TestSessionThatCallsIsEnded(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r := fastReader(t, db)
	pos := begin(t, r, setup("t"))
	s := &streamed{}
	failed := failing(t, r, pos, s)
	caughtUp(t, db, r, s)
	db.Exec(t, `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '`+copyName(r.cfg.slot)+`'`)
	wantError(t, <-failed, rejot.Transient, "")
}

func TestP2SourceCrashesInTheSecondGear(t *testing.T) {
	server := dbtest.Postgres(t, dbtest.Private())
	db := table(t, server)
	r := fastReader(t, db)
	pos := begin(t, r, setup("t"))
	s := &streamed{}
	failed := failing(t, r, pos, s)
	db.Exec(t, `INSERT INTO t VALUES (1)`)
	caughtUp(t, db, r, s)
	server.Kill(t)
	wantError(t, <-failed, rejot.Transient, "")
	server.Start(t)
	begin(t, r, Setup{Tables: setup("t").Tables, Oldest: pos})
	s = &streamed{}
	failed = failing(t, r, pos, s)
	caughtUp(t, db, r, s)
	if len(s.lines()) != 2 {
		t.Errorf("after the crash: got %q", s.lines())
	}
	began := time.Now()
	server.Stop(t)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the server needed %s to stop", took)
	}
	wantError(t, <-failed, rejot.Transient, "")
}

func TestP5P12SlotOrPublicationGoesInTheSecondGear(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r := fastReader(t, db)
	pos := begin(t, r, setup("t"))
	s := &streamed{}
	failed := failing(t, r, pos, s)
	caughtUp(t, db, r, s)
	db.Exec(t, `SELECT pg_drop_replication_slot('`+r.cfg.slot+`')`)
	wantError(t, <-failed, rejot.Transient, "vanished")
	wantError(t, readOnce(t, r, pos), rejot.Gone, "is missing")

	pos = begin(t, r, setup("t"))
	db.Exec(t, `DROP PUBLICATION "pub ""' `+db.Name+`"`, `INSERT INTO t VALUES (1)`)
	wantError(t, readOnce(t, r, pos), rejot.Gone, "does not exist")
}

// TestStreamBeginsWhenItsLogIsConfirmed: before, it would decode again for a long time and say nothing.
func TestStreamBeginsWhenItsLogIsConfirmed(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r := testReader(t, db)
	log := counted(t, r)
	r.cfg.gear = gearConfig{enter: 1 << 20, advance: 20 * time.Millisecond}
	r.cfg.gear.fill()
	pos := begin(t, r, setup("t"))
	db.Exec(t, `INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 100000) g`, `INSERT INTO t VALUES (0)`)
	open := db.Session(t)
	open.Exec(t, `BEGIN; INSERT INTO t VALUES (-100)`) // a mark waits for it, and gives up
	s := &streamed{}
	reading(t, r, pos, s)
	caughtUp(t, db, r, s)
	for n := range 5 {
		db.Exec(t, fmt.Sprintf(`INSERT INTO t VALUES (%d)`, -1-n)) // goes through calls
		caughtUp(t, db, r, s)
	}
	open.Exec(t, `COMMIT`)
	if log.count(saysCalls) != 1 || log.count(saysStream) != 0 {
		t.Error("it streams although nothing is confirmed")
	}
	caughtUp(t, db, r, s)
	if err := r.Confirm(t.Context(), rejot.Position{Incarnation: pos.Incarnation, Horizon: s.place()}); err != nil {
		t.Fatal(err)
	}
	dbtest.Eventually(t, 10*time.Second, func() (bool, string) {
		if log.count(saysStream) > 0 {
			return true, ""
		}
		// A mark may be needed that lies before what is confirmed.
		db.Exec(t, `SELECT pg_logical_emit_message(true, '', '')`)
		err := r.Confirm(t.Context(), rejot.Position{Incarnation: pos.Incarnation, Horizon: s.place()})
		return false, fmt.Sprintf("no stream, %v", err)
	})
	got := db.Query(t, `SELECT pg_current_wal_lsn() - restart_lsn < 2000000 FROM pg_replication_slots WHERE slot_name = '`+r.cfg.slot+`'`)
	if got[0][0] != "t" {
		t.Error("the slot is far behind")
	}
	if marks := db.Query(t, `SELECT slot_name FROM pg_replication_slots WHERE database = current_database()`); len(marks) != 1 || !strings.HasPrefix(marks[0][0], "slot_") {
		t.Errorf("slots are left: %v", marks)
	}
}
