package pgapply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/postgres"
)

// A Config says where to apply what.
type Config struct {
	Connection contract.Connection
	Consumers  []*contract.Consumer // those with this destination
	Log        *slog.Logger
}

// An Applier writes to one Postgres database, over one connection that it opens again when it is lost.
// It is used from one goroutine.
type Applier struct {
	connection contract.Connection
	log        *slog.Logger
	consumers  []*consumer
	targets    map[string]*apply.Target // by consumer ID
	own        map[*apply.Target]*consumer

	conn       *pgconn.PgConn // nil or closed: connect opens it
	closing    []*pgconn.PgConn
	after      context.Context //nolint:containedctx // for saying goodbye when the caller's has ended
	deferrable bool            // some constraint of the database is
	single     bool            // run this batch row by row
	committing atomic.Int64    // nanoseconds
	lazy       bool            // commits do not wait for the server's disk
	marks      []mark          // of this session, in order
	lost       bool            // marks went with the session that made them, and no cursors were read since
	durable    map[string]rejot.Cursor

	stall time.Duration // how long the server may stay silent
}

var _ rejot.Applier = (*Applier)(nil)

// Open connects, brings ReJot's own tables up to date and prepares the consumers' statements. Its
// error names everything that is wrong with them, each with its mend.
func Open(ctx context.Context, cfg Config) (*Applier, error) {
	a := &Applier{
		connection: cfg.Connection, log: cfg.Log, targets: map[string]*apply.Target{}, own: map[*apply.Target]*consumer{},
		durable: map[string]rejot.Cursor{}, stall: stallAfter, after: context.WithoutCancel(ctx),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	var errs []error
	for i, c := range cfg.Consumers {
		own, err := newConsumer(i, c)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		a.consumers = append(a.consumers, own)
		a.targets[c.ID()], a.own[own.target] = own.target, own
	}
	if err := a.connect(ctx); err != nil {
		return nil, errors.Join(append(errs, err, a.Close())...)
	}
	for _, c := range a.consumers {
		errs = append(errs, c.target.Broken)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.warn()
	return a, nil
}

// Close lets go of the destination.
func (a *Applier) Close() error {
	a.drop()
	for _, c := range a.closing {
		<-c.CleanupDone() // bounded: pgconn gives it 15 s
	}
	a.closing = nil
	return nil
}

// Check reports what keeps a consumer from taking the rows of a shape that it reads: placeholders that
// are not its fields, or no deleteSql where a key has several rows.
func (a *Applier) Check(consumer string, s *rejot.Shape) error {
	t := a.targets[consumer]
	if t == nil {
		return rejot.Errorf(rejot.NotFound, "%s has no consumer schema %s", a.connection, consumer)
	}
	return t.Check(s)
}

// Committing is how long the applier has waited for commits, once it had nothing more to send. It may be called from
// any goroutine.
func (a *Applier) Committing() time.Duration { return time.Duration(a.committing.Load()) }

// Ways tells how a consumer's statements are run. It may be called from any goroutine.
func (a *Applier) Ways(consumer string) []apply.Way {
	if t := a.targets[consumer]; t != nil {
		return t.Ways()
	}
	return nil
}

// Apply writes b's events for the consumers of moves and moves their cursors, in one transaction.
func (a *Applier) Apply(ctx context.Context, moves []rejot.Move, b *rejot.Batch) ([]rejot.Outcome, error) {
	if err := a.ready(ctx, moves); err != nil {
		return nil, err
	}
	a.single = false
	run, err := apply.NewRun(a.targets, moves, b)
	for err == nil && len(run.Moves()) > 0 {
		probe := run.Probe()
		err = a.attempt(ctx, run)
		if err == nil && !probe {
			break
		}
		unparked := errors.Is(err, errUnparked)
		if !unparked && !a.again(err) {
			if err = run.Again(err); err != nil {
				break
			}
		}
		// However the attempt ended, the connection may have been lost with it.
		if err = a.connect(ctx); err == nil && unparked {
			err = a.readParked(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	if !a.single {
		for _, m := range moves {
			a.own[a.targets[m.To.Consumer]].refused = 0
		}
	}
	outcomes := run.Outcomes()
	a.complain(ctx, outcomes)
	return outcomes, nil
}

// again reports whether an attempt failed only by the way it took, and lets the next go row by row.
func (a *Applier) again(err error) bool {
	var r *refusedSet
	if !errors.As(err, &r) {
		return false
	}
	a.single = true // for this batch
	if r.consumer.refused++; r.consumer.refused == setTries {
		r.consumer.sets = [apply.Kinds]string{} // until the next connection
		for _, w := range []apply.Kind{apply.Upsert, apply.Delete} {
			r.consumer.target.SetWay(w, apply.Pipeline, fmt.Sprintf("sets were refused %d times: %s", setTries, postgres.Condition(r.code)))
		}
	}
	return true
}

// ready connects, anew where a consumer of moves could not be prepared the last time.
func (a *Applier) ready(ctx context.Context, moves []rejot.Move) error {
	for _, m := range moves {
		if t := a.targets[m.To.Consumer]; t != nil && t.Broken != nil {
			a.drop()
			break
		}
	}
	return a.connect(ctx)
}

// complain writes beside the cursor why a consumer was left behind, for whoever looks into the database.
// The outcome has it too, so that a failure here is only logged.
func (a *Applier) complain(ctx context.Context, outcomes []rejot.Outcome) {
	for _, o := range outcomes {
		if o.Err == nil {
			continue
		}
		_, err := a.exec(ctx, `UPDATE rejot.cursor SET error = $2, updated_at = now() WHERE consumer = $1 AND error IS DISTINCT FROM $2`,
			text(o.Consumer), text(o.Err.Error()))
		if err != nil {
			a.log.Warn("cannot note a consumer's error at the destination", "consumer", o.Consumer, "error", err)
		}
		if apply.Stale(o.Err) {
			a.drop() // what was prepared may no longer be right
			return
		}
	}
}

// Drop removes what ReJot keeps about a consumer, or, where consumer is empty, all of ReJot's own
// tables for applying. It leaves the consumers' tables alone.
func (a *Applier) Drop(ctx context.Context, consumer string) error {
	if err := a.connect(ctx); err != nil {
		return err
	}
	if consumer == "" {
		return a.dropTables(ctx)
	}
	rows, err := a.exec(ctx, `WITH q AS (DELETE FROM rejot.quarantine WHERE consumer = $1)
		DELETE FROM rejot.cursor WHERE consumer = $1 RETURNING 1`, text(consumer))
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return rejot.Errorf(rejot.NotFound, "%s has no cursor of consumer schema %s", a.connection, consumer)
	}
	return nil
}

// exec runs one statement of our own and gives its rows. Where it fails inside a transaction, the
// caller rolls back.
func (a *Applier) exec(ctx context.Context, sql string, params ...[]byte) ([][][]byte, error) {
	if a.conn == nil {
		return nil, rejot.Errorf(rejot.Transient, "the connection to %s is lost", a.connection)
	}
	ctx, end := a.within(ctx, a.stall)
	defer end()
	result := a.conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, a.named(because(ctx, result.Err))
	}
	return result.Rows, nil
}

// text is a parameter in text format.
func text(s string) []byte { return []byte(s) }
