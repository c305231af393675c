package pglog

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
)

// snapshotSQL opens a snapshot and says, in this order, what it sees and how far the log was then or
// later. The log's end is that of what is written, not of what is flushed: a commit that is not yet
// flushed can be visible (synchronous_commit=off).
const snapshotSQL = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_catalog.pg_current_snapshot()::text, pg_catalog.pg_current_wal_insert_lsn()::text`

// How long a session may take to begin a snapshot and to end it.
const (
	openWithin  = 15 * time.Second
	closeWithin = 5 * time.Second
)

// A snapshot is one transaction of a session.
type snapshot struct {
	source  *Source
	session *session // nil once closed
	broken  bool     // the session is not used again
	whole   bool     // plans over whole tables are allowed just now
	through rejot.Place
	sees    visibility
}

// Snapshot opens a committed state of the source. See rejot.Source.
func (s *Source) Snapshot(ctx context.Context) (rejot.Snapshot, error) {
	snap := &snapshot{source: s}
	session, err := s.pool.take(ctx, snap.begin)
	if err != nil {
		return nil, named(err, "open a snapshot of "+s.store.Connection.String())
	}
	snap.session = session
	s.want(snap.through)
	return snap, nil
}

func (s *snapshot) begin(ctx context.Context, conn *pgconn.PgConn) error {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	results, err := conn.Exec(ctx, snapshotSQL).ReadAll()
	if err != nil {
		return err
	}
	row := results[len(results)-1].Rows[0]
	if s.sees, err = parseVisibility(string(row[0])); err != nil {
		return err
	}
	s.through, err = parsePlace(string(row[1]))
	return err
}

// Through is the place that the log must have been read to before Sees is asked.
func (s *snapshot) Through() rejot.Place { return s.through }

// Sees reports whether tx is part of this state. Of the methods of a snapshot it alone may be called
// while another runs.
func (s *snapshot) Sees(tx rejot.Transaction) bool { return s.sees.has(uint32(tx.ID)) } //nolint:gosec // the log's numbers have 32 bits

// Close ends it. It may be called again.
func (s *snapshot) Close() error {
	if s.session == nil {
		return nil
	}
	session := s.session
	s.session = nil
	well := !s.broken && !session.conn.IsClosed()
	if well {
		ctx, cancel := context.WithTimeout(s.source.pool.after, closeWithin)
		defer cancel()
		_, err := session.conn.Exec(ctx, "ROLLBACK").ReadAll()
		well = err == nil // the state was read-only: a session that is lost loses nothing
	}
	s.source.pool.give(session, well)
	return nil
}

// visibility is a pg_snapshot: which transactions a state has. Its numbers have 64 bits.
type visibility struct {
	min, max uint64
	running  []uint64 // between them, sorted
}

// has compares a number of the log with the nearest of its kind: what is in the log and what is in
// a snapshot are never two thousand million transactions apart.
func (v visibility) has(xid uint32) bool {
	full := v.max + uint64(int64(int32(xid-uint32(v.max)))) //nolint:gosec // the low half is meant, and the distance has a sign
	if full < v.min {
		return true
	}
	if full >= v.max {
		return false
	}
	_, running := slices.BinarySearch(v.running, full)
	return !running
}

func parseVisibility(text string) (visibility, error) {
	var v visibility
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return v, rejot.Errorf(rejot.Corrupt, "the server's snapshot %q has another form", text)
	}
	var err1, err2 error
	v.min, err1 = strconv.ParseUint(parts[0], 10, 64)
	v.max, err2 = strconv.ParseUint(parts[1], 10, 64)
	if err1 != nil || err2 != nil {
		return v, rejot.Errorf(rejot.Corrupt, "the server's snapshot %q has another form", text)
	}
	if parts[2] == "" {
		return v, nil
	}
	for number := range strings.SplitSeq(parts[2], ",") {
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return v, rejot.Errorf(rejot.Corrupt, "the server's snapshot %q has another form", text)
		}
		v.running = append(v.running, n)
	}
	slices.Sort(v.running)
	return v, nil
}

// parsePlace reads an LSN.
func parsePlace(text string) (rejot.Place, error) {
	high, low, ok := strings.Cut(text, "/")
	a, err1 := strconv.ParseUint(high, 16, 32)
	b, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return rejot.Place{}, rejot.Errorf(rejot.Corrupt, "the server's log position %q has another form", text)
	}
	return rejot.Place{Offset: a<<32 | b}, nil
}
