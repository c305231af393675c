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

func wantError(t *testing.T, err error, code rejot.Code, says string) {
	t.Helper()
	if rejot.CodeOf(err) != code || !strings.Contains(err.Error()+" "+rejot.MendOf(err), says) {
		t.Errorf("got %s: %v (%s)\nwant %s: … %s …", rejot.CodeOf(err), err, rejot.MendOf(err), code, says)
	}
}

func table(t *testing.T, server *dbtest.Server) *dbtest.Database {
	t.Helper()
	db := server.NewDatabase(t)
	db.Exec(t, `CREATE TABLE t (id int PRIMARY KEY, v text)`)
	return db
}

// readOnce gives the error that Read begins with.
func readOnce(t *testing.T, r *reader, pos rejot.Position) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return r.Read(ctx, pos, &streamed{})
}

func TestP1SourceShutsDownAlthoughNothingIsConfirmed(t *testing.T) {
	server := dbtest.Postgres(t, dbtest.Private())
	db := table(t, server)
	r := testReader(t, db)
	pos := begin(t, r, setup("t"))
	s := &streamed{}
	failed := make(chan error, 1)
	go func() { failed <- r.Read(t.Context(), pos, s) }()
	db.Exec(t, `INSERT INTO t VALUES (1)`)
	caughtUp(t, db, r, s)
	began := time.Now()
	server.Stop(t)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the server needed %s to stop", took)
	}
	wantError(t, <-failed, rejot.Transient, "")
	server.Start(t)
	s = &streamed{}
	reading(t, r, pos, s)
	caughtUp(t, db, r, s)
	if len(s.lines()) != 2 {
		t.Errorf("after the restart: got %q", s.lines())
	}
}

func TestP2SourceCrashes(t *testing.T) {
	server := dbtest.Postgres(t, dbtest.Private())
	db := table(t, server)
	r := testReader(t, db)
	pos := begin(t, r, setup("t"))
	failed := make(chan error, 1)
	go func() { failed <- r.Read(t.Context(), pos, &streamed{}) }()
	db.Exec(t, `INSERT INTO t VALUES (1)`)
	server.Kill(t)
	wantError(t, <-failed, rejot.Transient, "")
	wantError(t, readOnce(t, r, pos), rejot.Transient, "")
	server.Start(t)
	if next := begin(t, r, Setup{Tables: setup("t").Tables, Oldest: pos}); next.Incarnation != pos.Incarnation {
		t.Errorf("a crash makes history %s of %s", next.Incarnation, pos.Incarnation)
	}
	s := &streamed{}
	reading(t, r, pos, s)
	caughtUp(t, db, r, s)
	if len(s.lines()) != 2 {
		t.Errorf("after the crash: got %q", s.lines())
	}
}

func TestP5P6SlotIsMissingOrAnother(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r := testReader(t, db)
	old := Setup{Tables: setup("t").Tables, Oldest: begin(t, r, setup("t"))}
	db.Exec(t, `SELECT pg_drop_replication_slot('slot_`+db.Name+`')`)
	_, err := r.Begin(t.Context(), old)
	wantError(t, err, rejot.Gone, "is missing")
	wantError(t, err, rejot.Gone, "rejot backfill")
	wantError(t, readOnce(t, r, old.Oldest), rejot.Gone, "is missing")
	db.Exec(t, `INSERT INTO t VALUES (1)`, `SELECT pg_create_logical_replication_slot('slot_`+db.Name+`', 'pgoutput')`)
	_, err = r.Begin(t.Context(), old)
	wantError(t, err, rejot.Gone, "re-created")
	wantError(t, readOnce(t, r, old.Oldest), rejot.Gone, "re-created")
}

func TestP7SlotIsInvalidated(t *testing.T) {
	server := dbtest.Postgres(t, dbtest.Setting("max_slot_wal_keep_size", "1MB"), dbtest.Setting("min_wal_size", "32MB"), dbtest.Setting("max_wal_size", "32MB"))
	db := table(t, server)
	r := testReader(t, db)
	pos := begin(t, r, setup("t"))
	for range 4 {
		db.Exec(t, `CREATE TABLE filling AS SELECT repeat('x', 1000) FROM generate_series(1, 10000)`, `DROP TABLE filling`, `SELECT pg_switch_wal()`, `CHECKPOINT`)
	}
	wantError(t, readOnce(t, r, pos), rejot.Gone, "invalidated")
	_, err := r.Begin(t.Context(), Setup{Tables: setup("t").Tables, Oldest: pos})
	wantError(t, err, rejot.Gone, "max_slot_wal_keep_size")
	next := begin(t, r, setup("t")) // nobody has anything: it is created anew
	s := &streamed{}
	reading(t, r, next, s)
	db.Exec(t, `INSERT INTO t VALUES (1)`)
	caughtUp(t, db, r, s)
	if len(s.lines()) != 2 {
		t.Errorf("got %q", s.lines())
	}
}

func TestP8SlotIsActiveForAnother(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r, other := testReader(t, db), testReader(t, db)
	pos := begin(t, r, setup("t"))
	s := &streamed{}
	stop := reading(t, r, pos, s)
	caughtUp(t, db, r, s)
	err := readOnce(t, other, pos)
	wantError(t, err, rejot.Transient, "is being read by PID")
	wantError(t, err, rejot.Transient, "rejot test")
	_, err = other.Begin(t.Context(), Setup{Oldest: pos})
	wantError(t, err, rejot.Transient, "is being read by PID")
	if got := len(db.Query(t, `SELECT FROM pg_publication_tables`)); got != 1 {
		t.Errorf("the publication of the one who reads has %d tables", got)
	}
	wantError(t, other.Drop(t.Context()), rejot.Conflict, "stop it first")
	_ = stop()
	s = &streamed{}
	reading(t, other, pos, s)
	caughtUp(t, db, other, s)
}

func TestP9P10SlotOfAnotherKind(t *testing.T) {
	server := dbtest.Postgres(t)
	db, elsewhere := table(t, server), server.NewDatabase(t)
	r := testReader(t, db)
	name := "slot_" + db.Name
	drop := `SELECT pg_drop_replication_slot('` + name + `')`
	db.Exec(t, `SELECT pg_create_physical_replication_slot('`+name+`')`)
	_, err := r.Begin(t.Context(), setup("t"))
	wantError(t, err, rejot.Invalid, "physical")
	wantError(t, r.Drop(t.Context()), rejot.Invalid, "physical")
	db.Exec(t, drop, `SELECT pg_create_logical_replication_slot('`+name+`', 'test_decoding')`)
	_, err = r.Begin(t.Context(), setup("t"))
	wantError(t, err, rejot.Invalid, "test_decoding")
	db.Exec(t, drop)
	elsewhere.Exec(t, `SELECT pg_create_logical_replication_slot('`+name+`', 'pgoutput')`)
	_, err = r.Begin(t.Context(), setup("t"))
	wantError(t, err, rejot.Invalid, "belongs to database "+elsewhere.Name)
}

func TestP11WALLevel(t *testing.T) {
	db := table(t, dbtest.Postgres(t, dbtest.Setting("wal_level", "replica")))
	_, err := testReader(t, db).Begin(t.Context(), setup("t"))
	wantError(t, err, rejot.Unsupported, "wal_level is replica")
	wantError(t, err, rejot.Unsupported, "ALTER SYSTEM SET wal_level = logical")
}

func TestP11NoFreeSlot(t *testing.T) {
	db := table(t, dbtest.Postgres(t, dbtest.Setting("max_replication_slots", "1")))
	db.Exec(t, `SELECT pg_create_physical_replication_slot('taken')`)
	_, err := testReader(t, db).Begin(t.Context(), setup("t"))
	wantError(t, err, rejot.Unsupported, "max_replication_slots")
}

func TestP12PublicationIsMissing(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r := testReader(t, db)
	pos := begin(t, r, setup("t"))
	db.Exec(t, `DROP PUBLICATION "pub ""' `+db.Name+`"`, `INSERT INTO t VALUES (1)`)
	wantError(t, readOnce(t, r, pos), rejot.Gone, "does not exist")
	_, err := r.Begin(t.Context(), Setup{Tables: setup("t").Tables, Oldest: pos})
	wantError(t, err, rejot.Gone, "lost its publication")
	pos = begin(t, r, setup("t"))
	s := &streamed{}
	reading(t, r, pos, s)
	db.Exec(t, `INSERT INTO t VALUES (2)`)
	caughtUp(t, db, r, s)
	if len(s.lines()) != 2 {
		t.Errorf("got %q", s.lines())
	}
}

func TestP13P16PublicationHasExactlyTheTables(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	db.Exec(t, `CREATE TABLE u (id int PRIMARY KEY)`, `CREATE TABLE no_pk (id int)`, `INSERT INTO no_pk VALUES (1)`)
	r := testReader(t, db)
	tables := func() string {
		return fmt.Sprint(db.Query(t, `SELECT tablename FROM pg_publication_tables ORDER BY 1`))
	}
	pos := begin(t, r, setup("t"))
	if got := tables(); got != "[[t]]" {
		t.Errorf("got %s", got)
	}
	begin(t, r, Setup{Tables: setup("t", "u").Tables, Oldest: pos})
	if got := tables(); got != "[[t] [u]]" {
		t.Errorf("got %s", got)
	}
	begin(t, r, Setup{Tables: setup("u").Tables, Oldest: pos})
	if got := tables(); got != "[[u]]" {
		t.Errorf("got %s", got)
	}
	db.Exec(t, `UPDATE no_pk SET id = 2`)
	_, err := r.Begin(t.Context(), setup("absent"))
	wantError(t, err, rejot.NotFound, "absent")
}

func TestP14TableIsTakenOutOfThePublication(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r := testReader(t, db)
	old := Setup{Tables: setup("t").Tables, Oldest: begin(t, r, setup("t"))}
	db.Exec(t, `ALTER PUBLICATION "pub ""' `+db.Name+`" DROP TABLE t`, `INSERT INTO t VALUES (1)`)
	for range 2 {
		_, err := r.Begin(t.Context(), old)
		wantError(t, err, rejot.Gone, "table public.t since it was taken out of publication")
		wantError(t, err, rejot.Gone, "rejot backfill")
	}
	begin(t, r, setup("t")) // nobody has anything
}

func TestP14JoiningWaitsForOlderTransactions(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	db.Exec(t, `CREATE TABLE u (id int PRIMARY KEY)`)
	r := testReader(t, db)
	pos := begin(t, r, setup("t"))
	older := db.Session(t)
	older.Exec(t, `BEGIN; INSERT INTO t VALUES (1)`)
	done := make(chan error, 1)
	go func() {
		_, err := r.Begin(t.Context(), Setup{Tables: setup("t", "u").Tables, Oldest: pos})
		done <- err
	}()
	dbtest.Eventually(t, 5*time.Second, func() (bool, string) {
		n := len(db.Query(t, `SELECT FROM pg_publication_tables`))
		return n == 2, fmt.Sprintf("%d tables", n)
	})
	select {
	case err := <-done:
		t.Fatalf("Begin does not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	older.Exec(t, `COMMIT`)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestP15PublicationThatHides(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r := testReader(t, db)
	pub := `PUBLICATION "pub ""' ` + db.Name + `"`
	for _, c := range []struct{ definition, says string }{
		{`FOR TABLE t WHERE (id > 5)`, "row filter"},
		{`FOR TABLE t (id)`, "column list"},
		{`FOR TABLE t WITH (publish = 'insert, update')`, "does not publish delete, truncate"},
		{`FOR TABLE t WITH (publish_via_partition_root)`, "publish_via_partition_root = false"},
		{`FOR ALL TABLES WITH (publish = 'insert')`, "does not publish update"},
	} {
		db.Exec(t, `CREATE `+pub+` `+c.definition)
		_, err := r.Begin(t.Context(), setup("t"))
		wantError(t, err, rejot.Invalid, c.says)
		db.Exec(t, `DROP `+pub)
	}
	db.Exec(t, `CREATE `+pub+` FOR TABLES IN SCHEMA public`)
	begin(t, r, setup("t"))
	db.Exec(t, `DROP `+pub, `CREATE `+pub+` FOR ALL TABLES`)
	begin(t, r, setup("t"))
	if err := r.Drop(t.Context()); err != nil {
		t.Error(err)
	}
	if len(db.Query(t, `SELECT FROM pg_publication`)) != 1 {
		t.Error("somebody's own publication is dropped")
	}
}

func TestP35WhatTheLogDoesNotHave(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	db.Exec(t, `CREATE VIEW v AS SELECT * FROM t`, `CREATE MATERIALIZED VIEW m AS SELECT * FROM t`, `CREATE UNLOGGED TABLE u (id int)`,
		`CREATE TABLE p (id int) PARTITION BY LIST (id)`, `CREATE FOREIGN DATA WRAPPER w`, `CREATE SERVER s FOREIGN DATA WRAPPER w`, `CREATE FOREIGN TABLE far PARTITION OF p FOR VALUES IN (1) SERVER s`)
	r := testReader(t, db)
	for name, says := range map[string]string{"v": "a view", "m": "a materialized view", "u": "an unlogged table", "p": "public.far is a foreign table"} {
		_, err := r.Begin(t.Context(), setup(name))
		wantError(t, err, rejot.Unsupported, says)
	}
}

func TestP41SlowReceiverKeepsTheStream(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	db.Exec(t, `ALTER DATABASE `+db.Name+` SET wal_sender_timeout = '400ms'`)
	r := testReader(t, db)
	r.cfg.beat = 50 * time.Millisecond
	r.cfg.silence = 200 * time.Millisecond
	pos := begin(t, r, setup("t"))
	s := &streamed{hold: make(chan struct{})}
	stop := reading(t, r, pos, s)
	db.Exec(t, `INSERT INTO t VALUES (1)`)
	dbtest.Eventually(t, 5*time.Second, func() (bool, string) {
		got := db.Query(t, `SELECT count(*) FROM pg_stat_replication WHERE backend_start < clock_timestamp() - interval '1.5s'`)[0][0]
		return got == "1", got + " streams that old"
	})
	close(s.hold)
	caughtUp(t, db, r, s)
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestP44P45PositionOfAnotherHistory(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r := testReader(t, db)
	pos := begin(t, r, setup("t"))
	future := rejot.Position{Incarnation: pos.Incarnation, Horizon: rejot.Place{Offset: pos.Horizon.Offset + 1<<40}}
	other := rejot.Position{Incarnation: pos.Incarnation + "x", Horizon: pos.Horizon}
	for _, c := range []struct {
		pos  rejot.Position
		says string
	}{{future, "restored from a backup"}, {other, "belongs to history"}} {
		_, err := r.Begin(t.Context(), Setup{Tables: setup("t").Tables, Oldest: c.pos})
		wantError(t, err, rejot.Gone, c.says)
		wantError(t, readOnce(t, r, c.pos), rejot.Gone, c.says)
	}
}

func TestP52SQLASCII(t *testing.T) {
	server := dbtest.Postgres(t)
	admin := server.NewDatabase(t)
	name := admin.Name + "_ascii"
	admin.Exec(t, `CREATE DATABASE `+name+` TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`)
	dial := testDial(strings.Replace(admin.URL, "/"+admin.Name, "/"+name, 1), "", 0)
	r := newReader(readerConfig{dial: dial, slot: "s", publication: "p", log: testLog(t)})
	_, err := r.Begin(t.Context(), setup())
	wantError(t, err, rejot.Unsupported, "SQL_ASCII")
	admin.Exec(t, `DROP DATABASE `+name+` WITH (FORCE)`)
}

func TestP54PrivilegesAreMissing(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	role := "role_" + db.Name
	db.Exec(t, `CREATE ROLE `+role+` LOGIN PASSWORD 'x'`)
	dial := testDial(strings.Replace(db.URL, db.User+":"+db.Password+"@", role+":x@", 1), "", 0)
	r := newReader(readerConfig{dial: dial, slot: "slot_" + db.Name, publication: "pub", log: testLog(t)})
	_, err := r.Begin(t.Context(), setup("t"))
	wantError(t, err, rejot.Denied, "ALTER ROLE")
	db.Exec(t, `ALTER ROLE `+role+` REPLICATION`)
	_, err = r.Begin(t.Context(), setup("t"))
	wantError(t, err, rejot.Denied, `let the tables' owner run: CREATE PUBLICATION "pub" FOR TABLE ONLY "public"."t"`)
	db.Exec(t, `CREATE PUBLICATION pub FOR TABLE t`)
	pos := begin(t, r, setup("t"))
	s := &streamed{}
	stop := reading(t, r, pos, s)
	db.Exec(t, `INSERT INTO t VALUES (1)`)
	dbtest.Eventually(t, 5*time.Second, func() (bool, string) {
		return len(s.lines()) == 2, "nothing is read"
	})
	_ = stop()
	if err := r.Drop(t.Context()); err != nil {
		t.Error(err)
	}
	db.Exec(t, `DROP OWNED BY `+role, `DROP ROLE `+role)
}

func TestP56ConnectionDropsInATransaction(t *testing.T) {
	server := dbtest.Postgres(t)
	db := table(t, server)
	proxy := dbtest.NewProxy(t, fmt.Sprintf("%s:%d", db.Host, db.Port))
	r := testReader(t, db)
	r.cfg.dial = testDial(db.URL, proxy.Host, proxy.Port)
	pos := begin(t, r, setup("t"))
	s := &streamed{hold: make(chan struct{})}
	failed := make(chan error, 1)
	go func() { failed <- r.Read(t.Context(), pos, s) }()
	db.Exec(t, `INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g`)
	dbtest.Eventually(t, 5*time.Second, func() (bool, string) {
		return len(s.lines()) > 0, "nothing is read"
	})
	proxy.Cut()
	close(s.hold)
	wantError(t, <-failed, rejot.Transient, "")
	s = &streamed{}
	reading(t, r, pos, s)
	caughtUp(t, db, r, s)
	if n := len(s.lines()); n != 20001 {
		t.Errorf("%d lines", n)
	}
}

func TestP57HalfOpen(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	proxy := dbtest.NewProxy(t, fmt.Sprintf("%s:%d", db.Host, db.Port))
	r := testReader(t, db)
	r.cfg.dial = testDial(db.URL, proxy.Host, proxy.Port)
	r.cfg.beat, r.cfg.silence = 50*time.Millisecond, 300*time.Millisecond
	pos := begin(t, r, setup("t"))
	s := &streamed{}
	failed := make(chan error, 1)
	go func() { failed <- r.Read(t.Context(), pos, s) }()
	caughtUp(t, db, r, s)
	proxy.Pause()
	defer proxy.Resume()
	wantError(t, <-failed, rejot.Transient, "silent")
}

func TestP64SlotCreationWaits(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r := testReader(t, db)
	older := db.Session(t)
	older.Exec(t, `BEGIN; INSERT INTO t VALUES (1)`)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := r.Begin(ctx, setup("t")); done <- err }()
	dbtest.Eventually(t, 5*time.Second, func() (bool, string) {
		got := db.Query(t, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%create_logical%' AND pid <> pg_backend_pid()`)[0][0]
		return got == "1", got
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	older.Exec(t, `COMMIT`)
	begin(t, r, setup("t"))
}
