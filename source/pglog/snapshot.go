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

// A snapshot is opened and says, in this order, what it sees and how far the log was then or
// later. The log's end is that of what is written, not of what is flushed: a commit that is not yet
// flushed can be visible (synchronous_commit=off).
const (
	beginSQL = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`
	seesSQL  = `SELECT pg_catalog.pg_current_snapshot()::text, pg_catalog.pg_current_wal_insert_lsn()::text`
)

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
	ahead   [][]rejot.Answer
}

// Snapshot opens a committed state of the source. See rejot.Source.
func (s *Source) Snapshot(ctx context.Context, ahead ...rejot.Ask) (rejot.Snapshot, error) {
	snap := &snapshot{source: s}
	begin := func(ctx context.Context, session *session) error { return snap.begin(ctx, session, ahead) }
	session, err := s.pool.take(ctx, begin)
	if err != nil && len(ahead) > 0 && ctx.Err() == nil { // whatever a question met, Query meets again and can name it
		*snap = snapshot{source: s}
		ahead = nil
		session, err = s.pool.take(ctx, begin)
	}
	if err != nil {
		return nil, named(err, "open a snapshot of "+s.store.Connection.String())
	}
	snap.session = session
	s.want(snap.through)
	return snap, nil
}

// begin opens the snapshot and asks what can be asked without another round trip.
func (s *snapshot) begin(ctx context.Context, session *session, ahead []rejot.Ask) error {
	within := openWithin
	if len(ahead) > 0 {
		within = silence
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, sql := range []string{beginSQL, seesSQL} {
		if _, err := session.prepare(ctx, sql); err != nil {
			return err
		}
	}
	pipe := session.conn.StartPipeline(ctx)
	err := s.pipeline(session, pipe, ahead)
	if e := pipe.Close(); err == nil {
		err = e
	}
	return err
}

func (s *snapshot) pipeline(session *session, pipe *pgconn.Pipeline, ahead []rejot.Ask) error {
	pipe.SendQueryPrepared(session.statements[beginSQL].Name, nil, nil, nil)
	pipe.SendQueryPrepared(session.statements[seesSQL].Name, nil, nil, nil)
	s.ahead = make([][]rejot.Answer, len(ahead))
	runs := make([]*queryRun, len(ahead))
	for i, ask := range ahead {
		prepared := session.statements[ask.Query.SQL]
		if prepared == nil {
			continue // the first time it is asked by Query
		}
		s.ahead[i] = []rejot.Answer{}
		runs[i] = s.newRun(ask.Query, prepared.Name, func(a rejot.Answer) error {
			a.Row = slices.Clone(a.Row)
			s.ahead[i] = append(s.ahead[i], a)
			return nil
		})
		for _, tuple := range ask.Tuples {
			if err := runs[i].add(tuple); err != nil {
				return err
			}
		}
		pipe.SendQueryPrepared(prepared.Name, runs[i].params(), nil, nil)
	}
	if err := pipe.Sync(); err != nil {
		return err
	}
	if err := next(pipe, func([][]byte) error { return nil }); err != nil {
		return err
	}
	if err := next(pipe, s.opened); err != nil {
		return err
	}
	for _, run := range runs {
		if run == nil {
			continue
		}
		if err := next(pipe, run.answer); err != nil {
			return err
		}
	}
	return nil
}

// next reads one statement's rows.
func next(pipe *pgconn.Pipeline, row func([][]byte) error) error {
	results, err := pipe.GetResults()
	if err != nil {
		return err
	}
	reader, ok := results.(*pgconn.ResultReader)
	if !ok {
		return rejot.Errorf(rejot.Transient, "the server has ended the pipeline")
	}
	for err == nil && reader.NextRow() {
		err = row(reader.Values())
	}
	if _, e := reader.Close(); err == nil {
		err = e
	}
	return err
}

// opened reads what the snapshot sees and how far the log was.
func (s *snapshot) opened(row [][]byte) (err error) {
	if s.sees, err = parseVisibility(string(row[0])); err != nil {
		return err
	}
	s.through, err = parsePlace(string(row[1]))
	return err
}

// Ahead gives what was asked with the snapshot. See rejot.Snapshot.
func (s *snapshot) Ahead() [][]rejot.Answer { return s.ahead }

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
