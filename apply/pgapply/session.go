package pgapply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/internal/postgres"
)

// Bounds of silence. A statement that waits for a lock gives up first, then one that is slow, and then
// we, for a network that loses everything.
const (
	lockTimeout      = "10s"
	statementTimeout = "5min"
	stallAfter       = 5*time.Minute + 30*time.Second
	idleTimeout      = "15min" // between two chunks of a batch that is still evaluated
)

// errStalled says that the server was silent for too long.
var errStalled = errors.New("the destination does not answer")

// oldest is the oldest server that is supported.
const oldest = 13

// connect opens the connection where there is none, with everything prepared.
func (a *Applier) connect(ctx context.Context) error {
	if a.conn != nil && !a.conn.IsClosed() && a.conn.TxStatus() == 'I' {
		return nil
	}
	a.drop()
	conn, err := postgres.Dial(ctx, a.connection, postgres.Options{Application: "apply", Settings: map[string]string{
		"statement_timeout": statementTimeout, "lock_timeout": lockTimeout, "idle_in_transaction_session_timeout": idleTimeout,
	}})
	if err != nil {
		return err
	}
	a.conn = conn
	for _, step := range []func(context.Context) error{a.inspect, a.hurry, a.migrate, a.prepareOwn, a.prepareConsumers, a.prepareSets, a.readParked} {
		if err := step(ctx); err != nil {
			a.drop()
			return err
		}
	}
	return nil
}

// drop lets go of the connection.
func (a *Applier) drop() {
	if a.conn == nil {
		return
	}
	if !a.conn.IsClosed() {
		ctx, cancel := context.WithTimeout(a.after, time.Second) // a goodbye must not hang
		defer cancel()
		_ = a.conn.Close(ctx) // nothing is lost with it
	}
	a.closing = append(a.closing, a.conn)
	a.lost = a.lost || len(a.marks) > 0
	a.conn, a.marks = nil, nil
	if len(a.closing) > 8 {
		<-a.closing[0].CleanupDone()
		a.closing = a.closing[1:]
	}
}

// within bounds an exchange with the server.
func (a *Applier) within(ctx context.Context, d time.Duration) (context.Context, func()) {
	return context.WithTimeoutCause(ctx, d, errStalled)
}

// inspect refuses a server that cannot be written to.
func (a *Applier) inspect(ctx context.Context) error {
	rows, err := a.exec(ctx, `SELECT current_setting('server_version_num')::int / 10000 < $1::int, pg_is_in_recovery(), current_setting('transaction_read_only'),
		EXISTS (SELECT FROM pg_constraint WHERE condeferrable), current_setting('server_version')`, text("13"))
	if err != nil {
		return err
	}
	row := rows[0]
	switch {
	case string(row[0]) == "t":
		return rejot.Errorf(rejot.Unsupported, "%s has Postgres %s; %d is the oldest that is supported", a.connection, row[4], oldest)
	case string(row[1]) == "t":
		err := rejot.Errorf(rejot.Transient, "%s is a standby and cannot be written to", a.connection)
		return rejot.WithMend(err, "point connection %s to the primary", a.connection.Slug)
	case string(row[2]) == "on":
		err := rejot.Errorf(rejot.Transient, "%s is read-only", a.connection)
		return rejot.WithMend(err, "set default_transaction_read_only to off for the user or the database")
	}
	a.deferrable = string(row[3]) == "t"
	return nil
}

// hurry lets commits return before they are on disk, where no standby is waited for either.
func (a *Applier) hurry(ctx context.Context) error {
	rows, err := a.exec(ctx, `SELECT set_config('synchronous_commit', 'off', false) WHERE current_setting('synchronous_standby_names') = ''`)
	a.lazy = len(rows) == 1
	return err
}

// A flight is a pipeline with what is expected to come back. Sections end with a Sync; the last one is being filled.
type flight struct {
	a        *Applier
	pipe     *pgconn.Pipeline
	ctx      context.Context //nolint:containedctx // of the pipeline, for the time of one attempt
	cancel   context.CancelCauseFunc
	timer    *time.Timer
	buf      []byte
	values   [][]byte
	place    []byte // how far the server's log went after the commit
	open     []expected
	sections [][]expected // sent, not yet read
	unsent   int          // bytes
}

// An expected result.
type expected struct {
	what expectation
	op   *apply.Op // of an event
	name string    // of a cursor's consumer
}

type expectation uint8

const (
	control expectation = iota // begin, rollback and so on
	cursor                     // fails with a division by zero where the cursor is elsewhere
	event                      // a consumer's statement
	set                        // a consumer's statement for many rows
	parking                    // fails with a division by zero where the key is no longer parked
	check                      // of deferred constraints
	commit
	places
)

func (a *Applier) fly(ctx context.Context) *flight {
	ctx, cancel := context.WithCancelCause(ctx)
	f := &flight{a: a, ctx: ctx, cancel: cancel}
	f.timer = time.AfterFunc(a.stall, func() { cancel(errStalled) })
	f.timer.Stop()
	f.pipe = a.conn.StartPipeline(ctx)
	return f
}

// flushAt is how many bytes are written before the server gets them: it works while we go on.
const flushAt = 16 << 10

// send adds a prepared statement.
func (f *flight) send(e expected, name string, params [][]byte) error {
	f.pipe.SendQueryPrepared(name, params, nil, nil)
	f.open = append(f.open, e)
	f.unsent += 64 // what a statement costs beside its values
	for _, p := range params {
		f.unsent += len(p)
	}
	if f.unsent < flushAt {
		return nil
	}
	f.unsent = 0
	f.timer.Reset(f.a.stall)
	defer f.timer.Stop()
	return f.pipe.Flush()
}

// sync ends a section and sends it.
func (f *flight) sync() error {
	f.timer.Reset(f.a.stall)
	defer f.timer.Stop()
	f.sections = append(f.sections, f.open)
	f.open, f.unsent = nil, 0
	return f.pipe.Sync()
}

// collect reads the results of the oldest section. Its error is that of the first statement that
// failed; the server has skipped the rest of the section.
func (f *flight) collect() (expected, error) {
	section := f.sections[0]
	f.sections = f.sections[1:]
	var at expected
	var failed error
	for i := 0; ; i++ {
		f.timer.Reset(f.a.stall)
		result, err := f.pipe.GetResults()
		if r, ok := result.(*pgconn.ResultReader); ok && err == nil {
			if i < len(section) && section[i].what == places && r.NextRow() {
				f.place = slices.Clone(r.Values()[0])
			}
			tag, e := r.Close()
			if err = e; err == nil && i < len(section) && section[i].what == commit && tag.String() != "COMMIT" {
				err = errNoCommit
			}
		}
		f.timer.Stop()
		if _, ok := result.(*pgconn.PipelineSync); ok {
			return at, failed
		}
		if err == nil && result == nil {
			err = errors.New("the server has ended the pipeline")
		}
		if err == nil {
			continue
		}
		if failed == nil {
			failed = err
			if i < len(section) {
				at = section[i]
			}
		}
		if !fromServer(err) {
			return at, failed
		}
	}
}

// errNoCommit says that a commit had nothing to commit. It cannot happen unless an error went unseen.
var errNoCommit = errors.New("the destination rolled back instead of committing")

// end reads what is left and gives the connection back: clean, or closed. It reports whether it is clean.
func (f *flight) end() bool {
	defer f.cancel(nil)
	ok := true
	if len(f.open) > 0 {
		ok = f.sync() == nil
	}
	for ok && len(f.sections) > 0 {
		_, err := f.collect()
		ok = err == nil || fromServer(err)
	}
	f.timer.Reset(f.a.stall)
	err := f.pipe.Close()
	f.timer.Stop()
	if !ok || err != nil && !fromServer(err) || f.a.conn.IsClosed() {
		f.a.drop()
		return false
	}
	return true
}

// failed makes an error of ours of one of the connection's.
func (f *flight) failed(err error) error { return f.a.named(because(f.ctx, err)) }

// because adds why the context of an exchange ended.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// params are values as the wire has them, until the next call.
func (f *flight) params(values []rejot.Value) [][]byte {
	f.buf, f.values = f.buf[:0], f.values[:0]
	for _, v := range values {
		s, ok := v.Text()
		if !ok {
			f.values = append(f.values, nil)
			continue
		}
		begin := len(f.buf)
		f.buf = append(f.buf, s...)
		f.values = append(f.values, f.buf[begin:len(f.buf):len(f.buf)])
	}
	return f.values
}

// fromServer reports whether err is the server's answer, after which the connection goes on.
func fromServer(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.SeverityUnlocalized != "FATAL" && e.SeverityUnlocalized != "PANIC"
	}
	return errors.Is(err, errNoCommit)
}
