package myapply

import (
	"context"
	"errors"
	"fmt"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/internal/failpoint"
	"rejot.dev/rejot/internal/mysql"
)

// Apply writes b's events for the consumers of moves and moves their cursors, in one transaction.
func (a *Applier) Apply(ctx context.Context, moves []rejot.Move, b *rejot.Batch) ([]rejot.Outcome, error) {
	if err := a.ready(ctx, moves); err != nil {
		return nil, err
	}
	run, err := apply.NewRun(a.targets, moves, b)
	for err == nil && len(run.Moves()) > 0 {
		probe := run.Probe()
		err = a.attempt(ctx, run)
		if err == nil && !probe {
			break
		}
		if otherwise(err) {
			err = nil
		} else {
			err = run.Again(err)
		}
		if err == nil {
			err = a.connect(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	outcomes := run.Outcomes()
	a.note(ctx, outcomes)
	return outcomes, nil
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

// attempt is one transaction: the cursors, the events, the commit.
func (a *Applier) attempt(ctx context.Context, run *apply.Run) (err error) {
	probe := run.Probe()
	defer func() {
		if err != nil || probe {
			a.rollback(ctx)
		}
	}()
	moves := run.Moves()
	var refused error
	for chunk, err := range run.Chunks() {
		if refused != nil {
			break
		}
		if err != nil {
			return err
		}
		// The run has to see that there is another chunk before it can order them all as one.
		if refused = a.chunk(ctx, moves, chunk.Ops); refused != nil && (chunk.Last || !reorderable(refused)) {
			break
		}
		moves = nil // they go with the first
	}
	if refused != nil || probe {
		return refused
	}
	return a.commit(ctx)
}

func reorderable(err error) bool {
	var f *apply.Failure
	return errors.As(err, &f) && f.Reorder
}

// commit ends the transaction. Whatever goes wrong here, whether it took place is not known.
func (a *Applier) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := failpoint.Hit("dest.commit.before"); err != nil {
		return err
	}
	_, err := a.session.Exec(ctx, "COMMIT")
	if err == nil {
		err = failpoint.Hit("dest.commit.after")
	}
	if err != nil {
		a.drop()
		return rejot.Errorf(rejot.Transient, "commit in %s, whose outcome is not known: %w", a.connection, err)
	}
	return nil
}

// chunk runs a portion of the batch, with the cursors before it.
func (a *Applier) chunk(ctx context.Context, moves []rejot.Move, ops []apply.Op) error {
	for len(moves)+len(ops) > 0 {
		if n := a.blockable(ops); n > 0 && len(moves) == 0 {
			if err := a.runBlock(ctx, ops[:n]); err != nil {
				return err
			}
			ops = ops[n:]
			continue
		}
		n, careful := a.together(ops)
		if err := a.run(ctx, moves, ops[:n], careful); err != nil {
			return err
		}
		moves, ops = nil, ops[n:]
	}
	return nil
}

// together is how many of ops may be on their way at a time: all up to the first that a block may do,
// or of a consumer whose warnings have to be looked at, or that one alone.
func (a *Applier) together(ops []apply.Op) (n int, careful bool) {
	for i := range ops {
		if a.starts(ops, i) && a.blockable(ops[i:]) > 0 {
			return i, false
		}
		if !a.own(ops[i].Target).careful {
			continue
		}
		if i == 0 {
			return 1, true
		}
		return i, false
	}
	return len(ops), false
}

// starts reports whether another form begins at i.
func (a *Applier) starts(ops []apply.Op, i int) bool {
	return i == 0 || ops[i].Target != ops[i-1].Target || ops[i].Kind != ops[i-1].Kind
}

// run makes executions that are on their way at a time. The failing one is that which follows the
// last that was done.
func (a *Applier) run(ctx context.Context, moves []rejot.Move, ops []apply.Op, careful bool) error {
	at, warnings := 0, 0
	next := func(i int, room []mysql.Param) (*mysql.Stmt, []mysql.Param, error) {
		if i < len(moves) {
			return a.cursorStatement(moves[i], room)
		}
		op := &ops[i-len(moves)]
		st := a.own(op.Target).stmts[op.Kind]
		if st == nil { // the connection was lost, and the new one could not prepare it
			return nil, nil, &apply.Failure{Consumer: op.Target.Consumer.ID(), Err: op.Target.Broken}
		}
		params, err := a.params(op, room)
		return st, params, err
	}
	done := func(i int, r mysql.Result) error {
		at = i + 1
		if i < len(moves) {
			if r.Affected != 1 {
				return a.conflict(moves[i])
			}
			return nil
		}
		warnings = r.Warnings
		switch op := &ops[i-len(moves)]; {
		case !r.InTransaction:
			return &apply.Failure{Consumer: op.Target.Consumer.ID(), Err: rejot.Errorf(rejot.Invalid,
				"%s: its %s has ended the transaction", op.Target.Consumer, op.Kind)}
		case r.Warnings > 0 && !careful:
			return &again{own: a.own(op.Target)}
		default:
			return nil
		}
	}
	err := a.session.ExecAll(ctx, len(moves)+len(ops), next, done)
	switch {
	case err == nil && careful && warnings > 0:
		return a.warnings(ctx, &ops[0])
	case err == nil:
		return nil
	case at < len(moves):
		return a.moveFailed(moves[at], err)
	case at-len(moves) < len(ops):
		return a.failed(&ops[at-len(moves)], err)
	default:
		return err
	}
}

// own finds the consumer of a target.
func (a *Applier) own(t *apply.Target) *consumer {
	for _, c := range a.consumers {
		if c.target == t {
			return c
		}
	}
	return nil // cannot be: a run's targets are ours
}

// params are an operation's values under the types that the server is to take them for.
func (a *Applier) params(op *apply.Op, room []mysql.Param) ([]mysql.Param, error) {
	if len(op.Columns) == 0 {
		return room, nil
	}
	converters := a.types[&op.Columns[0]]
	if converters == nil {
		for i := range op.Columns {
			converters = append(converters, converterOf(&op.Columns[i].Type))
		}
		a.types[&op.Columns[0]] = converters
	}
	size := 0
	for i, v := range op.Params {
		text, ok := v.Text()
		switch {
		case v.Kind() == rejot.Null:
			room = append(room, mysql.Null())
			continue
		case !ok:
			return nil, refuseValue(op, i, errors.New("the log has no value for it"))
		}
		p, err := converters[i](text)
		if err != nil {
			return nil, refuseValue(op, i, err)
		}
		room = append(room, p)
		size += p.Size()
	}
	if most := a.session.MaxPacket(); size > most-packetSpare {
		err := rejot.Errorf(rejot.Rejected, "%s: a row for its %s has %d bytes, and %s takes %d", op.Target.Consumer, op.Kind, size, a.connection, most)
		return nil, &apply.Failure{Consumer: op.Target.Consumer.ID(), Err: rejot.WithMend(err, "SET GLOBAL max_allowed_packet = %d", nextPacket(size))}
	}
	return room, nil
}

// packetSpare is for what goes with the values.
const packetSpare = 4096

// nextPacket is the next power of two that has room.
func nextPacket(size int) int {
	n := 1 << 20
	for n < size+packetSpare {
		n *= 2
	}
	return n
}

// refuseValue says that a value cannot be what its type is here.
func refuseValue(op *apply.Op, i int, err error) error {
	name := apply.Placeholder(op.Target.Statements[op.Kind].Names[i])
	return &apply.Failure{Consumer: op.Target.Consumer.ID(), Err: rejot.Errorf(rejot.Unsupported,
		"%s: %s of its %s, of type %s: %w", op.Target.Consumer, name, op.Kind, op.Columns[i].Type.Name, err)}
}

// note writes beside the cursor why a consumer was left behind, for whoever looks into the database.
// The outcome has it too, so that a failure here is only logged.
func (a *Applier) note(ctx context.Context, outcomes []rejot.Outcome) {
	for _, o := range outcomes {
		if o.Err == nil {
			continue
		}
		if a.session == nil || a.session.Broken() {
			return
		}
		sql := fmt.Sprintf("UPDATE rejot_cursors SET error = %s WHERE consumer = %s", mysql.Literal(o.Err.Error()), mysql.Literal(o.Consumer))
		_, err := a.session.Exec(ctx, sql)
		if err == nil {
			_, err = a.session.Exec(ctx, "COMMIT")
		}
		if err != nil {
			a.rollback(ctx)
			a.log.Warn("cannot note a consumer's error at the destination", "consumer", o.Consumer, "error", err)
		}
		if stale(o.Err) {
			a.drop() // what was prepared may no longer be right
			return
		}
	}
}

// stale reports whether err may come from a change of the destination's tables.
func stale(err error) bool {
	switch rejot.CodeOf(err) {
	case rejot.NotFound, rejot.Invalid, rejot.Unsupported, rejot.Denied:
		return true
	default:
		return false
	}
}
