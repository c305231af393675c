package pglog

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/postgres"
)

// What goes to the server at once is bounded; more tuples are more round trips.
const (
	chunkTuples = 5_000
	chunkBytes  = 4 << 20
)

// silence ends a query whose connection has gone quietly. The server ends one that is slow before that.
const silence = 11 * time.Minute

// A resolvedQuery is what Resolve learned of a query that it made.
type resolvedQuery struct {
	types []uint32 // of the result's columns
	whole bool     // it may go through whole tables: it leads from changed rows to keys
}

// Query runs q for all tuples. See rejot.Snapshot.
func (s *snapshot) Query(ctx context.Context, q *rejot.Query, tuples iter.Seq2[[]rejot.Value, error], yield func(rejot.Answer) error) error {
	if s.session == nil {
		return rejot.Errorf(rejot.Internal, "%s: the snapshot is closed", q.Name)
	}
	run := s.newRun(q, "", yield)
	for tuple, err := range tuples {
		if err == nil {
			err = run.add(tuple)
		}
		if err != nil {
			return err
		}
		if run.tuples == chunkTuples || run.bytes() >= chunkBytes {
			if err := run.flush(ctx); err != nil {
				return err
			}
		}
	}
	return run.flush(ctx)
}

func (s *snapshot) newRun(q *rejot.Query, statement string, yield func(rejot.Answer) error) *queryRun {
	return &queryRun{snapshot: s, query: q, statement: statement, yield: yield, row: make([]rejot.Value, 0, len(q.Columns)), arrays: make([]arrayLiteral, len(q.Params))}
}

// prepare prepares q in the session where it is not yet.
func (s *snapshot) prepare(ctx context.Context, q *rejot.Query) (*pgconn.StatementDescription, error) {
	s.source.mu.Lock()
	known, ok := s.source.resolved[q.SQL]
	s.source.mu.Unlock()
	if !ok {
		return nil, rejot.Errorf(rejot.Internal, "%s: the query was not made by this source", q.Name)
	}
	if known.whole != s.whole {
		if err := s.plans(ctx, q, known.whole); err != nil {
			return nil, err
		}
	}
	prepared, err := s.session.prepare(ctx, q.SQL)
	if err != nil {
		return nil, s.failed(q, err)
	}
	same := len(prepared.Fields) == len(known.types)
	for i := 0; same && i < len(known.types); i++ {
		same = prepared.Fields[i].DataTypeOID == known.types[i]
	}
	if !same {
		s.broken = true
		err := rejot.Errorf(rejot.Invalid, "%s: its columns have changed since it was read: a migration has changed a type", q.Name)
		return nil, rejot.WithMend(err, "check the public schema and its consumers, and start again")
	}
	return prepared, nil
}

// plans allows plans over whole tables for the rest of the transaction, or forbids them.
func (s *snapshot) plans(ctx context.Context, q *rejot.Query, whole bool) error {
	value := "off"
	if whole {
		value = "on"
	}
	sql := "SET LOCAL enable_hashjoin = " + value + "; SET LOCAL enable_mergejoin = " + value + "; SET LOCAL enable_seqscan = " + value
	if _, err := s.session.conn.Exec(ctx, sql).ReadAll(); err != nil {
		return s.failed(q, err)
	}
	s.whole = whole
	return nil
}

// failed classifies a failure of the session. A plan that no longer fits is made anew in another session.
func (s *snapshot) failed(q *rejot.Query, err error) error {
	s.broken = true
	if postgres.StateOf(err) == "0A000" && isStalePlan(err) {
		return rejot.Errorf(rejot.Transient, "%s: a table that it reads was altered meanwhile", q.Name)
	}
	return postgres.Classify(err, q.Name)
}

// isStalePlan reports whether a prepared statement's result would have other types than it had. The
// message may be in any language; the routine has its name in all of them.
func isStalePlan(err error) bool {
	var e *pgconn.PgError
	return asPgError(err, &e) && e.Routine == "RevalidateCachedQuery"
}

// A queryRun is one run of a query, chunk by chunk.
type queryRun struct {
	*snapshot
	query     *rejot.Query
	statement string // empty: not prepared yet
	yield     func(rejot.Answer) error
	arrays    []arrayLiteral
	tuples    int // in the chunk
	before    int // in the chunks before it
	row       []rejot.Value
}

func (r *queryRun) bytes() int {
	n := 0
	for i := range r.arrays {
		n += len(r.arrays[i].text)
	}
	return n
}

func (r *queryRun) add(tuple []rejot.Value) error {
	if len(tuple) != len(r.arrays) {
		return rejot.Errorf(rejot.Internal, "%s: a tuple has %d values instead of %d", r.query.Name, len(tuple), len(r.arrays))
	}
	for i, v := range tuple {
		if v.Kind() == rejot.Unknown {
			return rejot.Errorf(rejot.Internal, "%s: the log left out the value of %s", r.query.Name, r.query.Params[i].Name)
		}
		r.arrays[i].add(v)
	}
	r.tuples++
	return nil
}

// flush runs the chunk.
func (r *queryRun) flush(ctx context.Context) error {
	if r.tuples == 0 {
		return nil
	}
	if r.statement == "" { // where all tuples were answered ahead, preparing would be the only round trip
		prepared, err := r.prepare(ctx, r.query)
		if err != nil {
			return err
		}
		r.statement = prepared.Name
	}
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	result := r.session.conn.ExecPrepared(ctx, r.statement, r.params(), nil, nil)
	var stopped error
	for stopped == nil && result.NextRow() {
		stopped = r.answer(result.Values())
	}
	if _, err := result.Close(); err != nil {
		err = r.failed(r.query, err)
		if stopped == nil {
			stopped = err
		}
	}
	r.before += r.tuples
	r.tuples = 0
	for i := range r.arrays {
		r.arrays[i].text = r.arrays[i].text[:0]
	}
	return stopped
}

func (r *queryRun) params() [][]byte {
	params := make([][]byte, len(r.arrays))
	for i := range r.arrays {
		params[i] = r.arrays[i].end()
	}
	return params
}

// answer hands one row on.
func (r *queryRun) answer(values [][]byte) error {
	a := rejot.Answer{Tuple: -1}
	if r.query.Ordinal {
		n, err := strconv.Atoi(string(values[0]))
		if err != nil || n < 1 || n > r.tuples {
			return rejot.Errorf(rejot.Corrupt, "%s: the server answers a tuple that was not asked for", r.query.Name)
		}
		a.Tuple = r.before + n - 1
		values = values[1:]
	}
	r.row = r.row[:0]
	for _, v := range values {
		if v == nil {
			r.row = append(r.row, rejot.NullValue())
		} else {
			r.row = append(r.row, rejot.TextValue(string(v)))
		}
	}
	a.Row = r.row
	return r.yield(a)
}

// An arrayLiteral is a text[] in the making.
type arrayLiteral struct{ text []byte }

// add adds an element. Everything but NULL is quoted: then only quotes and backslashes mean something.
func (a *arrayLiteral) add(v rejot.Value) {
	if len(a.text) == 0 {
		a.text = append(a.text, '{')
	} else {
		a.text = append(a.text, ',')
	}
	s, ok := v.Text()
	if !ok {
		a.text = append(a.text, "NULL"...)
		return
	}
	a.text = append(a.text, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			a.text = append(a.text, '\\')
		}
		a.text = append(a.text, s[i])
	}
	a.text = append(a.text, '"')
}

// end gives the literal.
func (a *arrayLiteral) end() []byte {
	if len(a.text) == 0 {
		a.text = append(a.text, '{')
	}
	a.text = append(a.text, '}')
	return a.text
}
