package pglog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/postgres"
)

// A sourceState is what the server says of itself and of one slot.
type sourceState struct {
	version    int // as 150004
	walLevel   string
	encoding   string
	recovery   bool
	replicates bool
	role       string
	database   string
	oid        string
	system     string
	timeline   string
	end        rejot.Place // of the log

	slot        bool // there is one
	plugin      string
	slotDB      string
	kind        string
	temporary   bool
	pid         string
	confirmed   rejot.Place
	walStatus   string
	invalidated string

	copyPID string // of the session that reads a copy of the slot
}

// stateQuery works for any role from 13 on; columns that came later are looked up by name.
const stateQuery = `
	SELECT pg_catalog.current_setting('server_version_num'), pg_catalog.current_setting('wal_level'), pg_catalog.getdatabaseencoding(), pg_catalog.pg_is_in_recovery(),
		(SELECT r.rolsuper OR r.rolreplication OR EXISTS (
			SELECT FROM pg_catalog.pg_roles m WHERE m.rolname = 'rds_replication' AND pg_catalog.pg_has_role(m.oid, 'USAGE'))
			FROM pg_catalog.pg_roles r WHERE r.rolname = current_user),
		current_user, d.datname, d.oid, (SELECT system_identifier FROM pg_catalog.pg_control_system()),
		CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) END,
		CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_catalog.pg_lsn END,
		s.slot_name, s.plugin, s.database, s.slot_type, s.temporary, s.active_pid, s.confirmed_flush_lsn - '0/0'::pg_catalog.pg_lsn,
		pg_catalog.to_jsonb(s)->>'wal_status',
		coalesce(pg_catalog.to_jsonb(s)->>'invalidation_reason', CASE WHEN pg_catalog.to_jsonb(s)->>'conflicting' = 'true' THEN 'conflict' END),
		(SELECT c.active_pid FROM pg_catalog.pg_replication_slots c WHERE c.slot_name = $2::pg_catalog.name AND c.temporary AND c.database = d.datname)
	FROM pg_catalog.pg_database d LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1::pg_catalog.name
	WHERE d.datname = pg_catalog.current_database()`

func readState(ctx context.Context, conn *pgconn.PgConn, slot string) (*sourceState, error) {
	rows, err := queryRows(ctx, conn, stateQuery, slot, copyName(slot))
	if err != nil {
		return nil, postgres.Classify(err, "read the state of slot "+slot)
	}
	if len(rows) != 1 || len(rows[0]) != 21 {
		return nil, rejot.Errorf(rejot.Internal, "the server tells of %d databases of this name", len(rows))
	}
	at := -1
	text := func() string { at++; return string(rows[0][at]) }
	flag := func() bool { return text() == "t" }
	place := func() rejot.Place {
		n, e := strconv.ParseUint(text(), 10, 64)
		if e != nil && len(rows[0][at]) > 0 {
			err = errors.Join(err, e)
		}
		return rejot.Place{Offset: n}
	}
	st := &sourceState{}
	if st.version, err = strconv.Atoi(text()); err != nil {
		return nil, rejot.Errorf(rejot.Corrupt, "the server's version: %w", err)
	}
	st.walLevel, st.encoding, st.recovery, st.replicates, st.role = text(), text(), flag(), flag(), text()
	st.database, st.oid, st.system, st.timeline, st.end = text(), text(), text(), text(), place()
	st.slot = text() != ""
	st.plugin, st.slotDB, st.kind, st.temporary, st.pid, st.confirmed = text(), text(), text(), flag(), text(), place()
	st.walStatus, st.invalidated, st.copyPID = text(), text(), text()
	if err != nil {
		return nil, rejot.Errorf(rejot.Corrupt, "the state of slot %s: %w", slot, err)
	}
	return st, nil
}

// holder is the process that reads the slot, by a stream or through a copy; empty where there is none.
func (st *sourceState) holder() string {
	if st.pid != "" {
		return st.pid
	}
	return st.copyPID
}

// incarnation names the history that the slot's positions belong to.
func (st *sourceState) incarnation(slot string) rejot.Incarnation {
	timeline, err := strconv.ParseUint(st.timeline, 16, 32)
	if err != nil {
		timeline = 0 // in recovery, which is refused elsewhere
	}
	return rejot.Incarnation(fmt.Sprintf("pg:%s:%d:%s:%s", st.system, timeline, st.oid, slot))
}

func gone(slot, format string, args ...any) error {
	err := rejot.Errorf(rejot.Gone, "slot "+slot+" "+format, args...)
	return rejot.WithMend(err, "rejot backfill --all")
}

// usable refuses a slot that can never be read by us.
func (st *sourceState) usable(slot string) error {
	switch {
	case st.recovery:
		return rejot.Errorf(rejot.Transient, "the source is a standby; its log is read from the primary")
	case !st.slot:
		return gone(slot, "is missing; what has changed since it was last read is lost")
	case st.kind != "logical" || st.plugin != "pgoutput":
		return rejot.Errorf(rejot.Invalid, "slot %s is a %s slot of %q, not a logical one of pgoutput: choose another slotName", slot, st.kind, st.plugin)
	case st.slotDB != st.database:
		return rejot.Errorf(rejot.Invalid, "slot %s belongs to database %s, not to %s: choose another slotName, slots are named for the whole server", slot, st.slotDB, st.database)
	case st.temporary:
		return rejot.Errorf(rejot.Invalid, "slot %s is a temporary one of PID %s: choose another slotName", slot, st.pid)
	}
	return st.lost(slot)
}

// lost tells whether the server has given up the slot's log.
func (st *sourceState) lost(slot string) error {
	if st.walStatus != "lost" && st.invalidated == "" {
		return nil
	}
	reason := st.invalidated
	if reason == "" {
		reason = "it fell further behind than max_slot_wal_keep_size"
	}
	return gone(slot, "is invalidated (%s); what has changed since %s is lost", reason, st.confirmed)
}

// holds refuses a position that the slot's log does not continue.
func (st *sourceState) holds(slot string, pos rejot.Position) error {
	switch in := st.incarnation(slot); {
	case pos.Incarnation != in:
		return gone(slot, "belongs to history %s and what the destinations have to %s", in, pos.Incarnation)
	case pos.Horizon.Less(st.confirmed):
		return gone(slot, "stands at %s, after %s that the destinations have: somebody else has moved or re-created it", st.confirmed, pos.Horizon)
	case st.end.Less(pos.Horizon):
		return gone(slot, "the destinations have %s, and the source's log ends at %s: it was restored from a backup", pos.Horizon, st.end)
	}
	return nil
}

// createSlot creates the slot. The server waits for the transactions that run; what it waits for is logged.
func (r *reader) createSlot(ctx context.Context, conn *pgconn.PgConn, st *sourceState) error {
	done := r.tellWaits(ctx, "slot "+r.cfg.slot+" is being created", "")
	defer done()
	options := ""
	if st.version >= 170000 {
		options = ", false, false, true" // failover
	}
	_, err := queryRows(ctx, conn, `SELECT pg_catalog.set_config('lock_timeout', '0', false)`) // it is locks that it waits for
	if err != nil {
		return postgres.Classify(err, "create slot "+r.cfg.slot)
	}
	_, err = queryRows(ctx, conn, `SELECT pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput'`+options+`)`, r.cfg.slot)
	var server *pgconn.PgError
	if errors.As(err, &server) && server.Code == "53400" {
		err := rejot.Errorf(rejot.Unsupported, "slot %s cannot be created: %s", r.cfg.slot, server.Message)
		return rejot.WithMend(err, "free a slot, or ALTER SYSTEM SET max_replication_slots = ... and restart the server")
	}
	if err == nil {
		r.cfg.log.InfoContext(ctx, "slot created", "slot", r.cfg.slot)
	}
	return postgres.Classify(err, "create slot "+r.cfg.slot)
}

// tellAfter is how long something may wait before it is told for what.
const tellAfter = 2 * time.Second

// tellWaits logs, after a while and then now and again, which transactions the server waits for, until
// the function that it gives is called. below restricts it to older xids, where it is not empty.
func (r *reader) tellWaits(ctx context.Context, what, below string) (done func()) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		timer := time.NewTimer(tellAfter)
		defer timer.Stop()
		for pause := tellAfter; ; pause *= 2 {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			r.tellOldest(ctx, what, below)
			timer.Reset(pause)
		}
	}()
	return func() { cancel(); <-over }
}

func (r *reader) tellOldest(ctx context.Context, what, below string) {
	err := r.withConn(ctx, func(conn *pgconn.PgConn) error {
		rows, err := queryRows(ctx, conn, `
			SELECT pid, coalesce(application_name, ''), coalesce(pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - xact_start)::text, '')
			FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL
			UNION ALL SELECT 0, 'prepared transaction ' || gid, pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - prepared)::text FROM pg_catalog.pg_prepared_xacts
			ORDER BY 3 DESC LIMIT 3`)
		for _, row := range rows {
			r.cfg.log.InfoContext(ctx, what+" and waits for a transaction to end", "pid", string(row[0]), "application", string(row[1]), "age", string(row[2]), "below", below)
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		r.cfg.log.InfoContext(ctx, what+" and waits for transactions to end", "error", err)
	}
}

// Drop removes the slot and the publication. What is missing already is fine.
func (r *reader) Drop(ctx context.Context) error {
	return r.withConn(ctx, func(conn *pgconn.PgConn) error {
		st, err := readState(ctx, conn, r.cfg.slot)
		if err != nil {
			return err
		}
		if st.slot {
			if st.kind != "logical" || st.plugin != "pgoutput" || st.slotDB != st.database {
				return st.usable(r.cfg.slot)
			}
			if pid := st.holder(); pid != "" {
				return rejot.Errorf(rejot.Conflict, "slot %s is being read by PID %s%s; stop it first", r.cfg.slot, pid, holder(ctx, conn, pid))
			}
			if err := r.dropSlot(ctx, conn); err != nil {
				return err
			}
		}
		return r.dropPublication(ctx, conn, st.version)
	})
}

func (r *reader) dropSlot(ctx context.Context, conn *pgconn.PgConn) error {
	_, err := queryRows(ctx, conn, `SELECT pg_catalog.pg_drop_replication_slot($1)`, r.cfg.slot)
	var server *pgconn.PgError
	switch {
	case errors.As(err, &server) && server.Code == "42704":
		return nil
	case errors.As(err, &server) && server.Code == "55006":
		return rejot.Errorf(rejot.Conflict, "slot %s is being read: %s", r.cfg.slot, server.Message)
	}
	return postgres.Classify(err, "drop slot "+r.cfg.slot)
}

// inUse tells who reads the slot. It ends by itself: it is a standby's leader, or a stream of our own that
// the server has not yet noticed to be dead.
func (r *reader) inUse(ctx context.Context, conn *pgconn.PgConn, pid string) error {
	return rejot.Errorf(rejot.Transient, "slot %s is being read by PID %s%s", r.cfg.slot, pid, holder(ctx, conn, pid))
}

// holder tells which program a process of the server works for, in brackets.
func holder(ctx context.Context, conn *pgconn.PgConn, pid string) string {
	rows, err := queryRows(ctx, conn, `
		SELECT coalesce(application_name, ''), coalesce(client_addr::text, 'local') FROM pg_catalog.pg_stat_activity WHERE pid = $1::int4`, pid)
	if err != nil || len(rows) == 0 {
		return "" // it is only said for people
	}
	return fmt.Sprintf(" (%s at %s)", rows[0][0], rows[0][1])
}

// refused makes of what the server says about a stream what is to be done about it.
func (r *reader) refused(ctx context.Context, server *pgconn.PgError) error {
	said := fmt.Sprintf("%s (SQLSTATE %s)", server.Message, server.Code)
	switch server.Code {
	case "55006": // the slot has another reader
		pid := lastNumber(server.Message)
		return r.withConn(ctx, func(conn *pgconn.PgConn) error { return r.inUse(ctx, conn, pid) })
	case "42704": // undefined object: the slot, or the publication as of the log's place
		return gone(r.cfg.slot, "cannot be read: %s", said)
	case "55000", "58P01": // invalidated, or its files are removed
		if server.Detail != "" && server.Code == "55000" {
			said += ", " + server.Detail
		}
		return gone(r.cfg.slot, "cannot be read: %s", said)
	}
	return postgres.Classify(server, "read slot "+r.cfg.slot)
}

func lastNumber(s string) string {
	s = strings.TrimRight(s, ".")
	return s[strings.LastIndexByte(s, ' ')+1:]
}
