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
	// A run has columns of its own, so that those of the one before are not met again.
	clear(a.types)
	clear(a.blocks)
	run, err := apply.NewRun(a.targets, moves, b)
	for err == nil && len(run.Moves()) > 0 {
		probe := run.Probe()
		err = a.attempt(ctx, run)
		if err == nil && !probe {
			break
		}
		if !otherwise(err) && !errors.Is(err, errUnparked) {
			if err = run.Again(err); err != nil {
				break
			}
		}
		unparked := errors.Is(err, errUnparked)
		if err = a.connect(ctx); err == nil && unparked {
			err = a.readParked(ctx)
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

// A task is one execution of a prepared statement: one of these.
type task struct {
	move   *rejot.Move
	unpark *consumer // its quarantine is emptied, as its table is
	op     *apply.Op
}

// chunk runs a portion of the batch, with the cursors before it.
func (a *Applier) chunk(ctx context.Context, moves []rejot.Move, ops []apply.Op) error {
	var tasks []task
	for i := range moves {
		tasks = append(tasks, task{move: &moves[i]})
	}
	for len(ops) > 0 {
		n := a.blockable(ops)
		careful := n == 0 && a.own(ops[0].Target).careful
		if n > 0 || careful {
			if err := a.run(ctx, tasks, false); err != nil {
				return err
			}
			tasks = tasks[:0]
		}
		switch {
		case n > 0:
			if err := a.runBlock(ctx, ops[:n]); err != nil {
				return err
			}
			ops = ops[n:]
			continue
		case careful:
			if err := a.run(ctx, a.tasks(nil, &ops[0]), true); err != nil {
				return err
			}
			ops = ops[1:]
			continue
		}
		// Up to the next form, which a block may do.
		form := &ops[0]
		for len(ops) > 0 && ops[0].Target == form.Target && ops[0].Kind == form.Kind && (ops[0].Park == form.Park || len(ops) < blockFrom) {
			tasks = a.tasks(tasks, &ops[0])
			ops = ops[1:]
		}
	}
	return a.run(ctx, tasks, false)
}

// tasks adds those of an operation.
func (a *Applier) tasks(to []task, op *apply.Op) []task {
	if own := a.own(op.Target); op.Kind == apply.Truncate && own.quarantines() {
		to = append(to, task{unpark: own})
	}
	return append(to, task{op: op})
}

// run makes executions that are on their way at a time. The failing one is that which follows the
// last that was done. careful says that there is one operation, and that its warnings are looked at.
func (a *Applier) run(ctx context.Context, tasks []task, careful bool) error {
	if len(tasks) == 0 {
		return nil
	}
	at, warnings := 0, 0
	done := func(i int, r mysql.Result) error {
		at, warnings = i+1, r.Warnings
		return a.check(&tasks[i], r, careful)
	}
	next := func(i int, room []mysql.Param) (*mysql.Stmt, []mysql.Param, error) {
		return a.statement(&tasks[i], room)
	}
	err := a.session.ExecAll(ctx, len(tasks), next, done)
	switch {
	case err == nil && careful && warnings > 0:
		return a.warnings(ctx, tasks[len(tasks)-1].op)
	case err == nil || at == len(tasks):
		return err
	case tasks[at].move != nil:
		return a.moveFailed(*tasks[at].move, err)
	case tasks[at].op != nil && tasks[at].op.Park == apply.NotParked:
		return a.failed(tasks[at].op, err)
	default:
		return err
	}
}

// statement gives a task's statement and parameters.
func (a *Applier) statement(t *task, room []mysql.Param) (*mysql.Stmt, []mysql.Param, error) {
	switch {
	case t.move != nil:
		return a.cursorStatement(*t.move, room)
	case t.unpark != nil:
		return a.parking.all, append(room, mysql.String(t.unpark.target.Consumer.ID())), nil
	case t.op.Park != apply.NotParked:
		return a.park(t.op, room)
	}
	st := a.own(t.op.Target).stmts[t.op.Kind]
	if st == nil { // the connection was lost, and the new one could not prepare it
		return nil, nil, &apply.Failure{Consumer: t.op.Target.Consumer.ID(), Err: t.op.Target.Broken}
	}
	params, err := a.params(t.op, room)
	return st, params, err
}

// check looks at what a task has done.
func (a *Applier) check(t *task, r mysql.Result, careful bool) error {
	switch {
	case t.move != nil && r.Affected != 1:
		return a.conflict(*t.move)
	case t.move != nil || t.unpark != nil:
		return nil
	case t.op.Park != apply.NotParked:
		if r.Affected == 0 {
			return errUnparked
		}
		return nil
	case !r.InTransaction:
		return &apply.Failure{Consumer: t.op.Target.Consumer.ID(), Err: rejot.Errorf(rejot.Invalid,
			"%s: its %s has ended the transaction", t.op.Target.Consumer, t.op.Kind)}
	case r.Warnings > 0 && !careful:
		return &again{own: a.own(t.op.Target)}
	default:
		return nil
	}
}

// own gives the consumer of a target.
func (a *Applier) own(t *apply.Target) *consumer { return a.byTarget[t] }

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
			return nil, &apply.Failure{Consumer: op.Target.Consumer.ID(), Err: rejot.Errorf(rejot.Unsupported,
				"%s: the log has no value for %s", op.Target.Consumer, apply.Placeholder(op.Target.Statements[op.Kind].Names[i]))}
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
		return nil, &apply.Failure{Consumer: op.Target.Consumer.ID(), Key: keyOf(op), Err: rejot.WithMend(err, "SET GLOBAL max_allowed_packet = %d", nextPacket(size))}
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
	err = rejot.Errorf(rejot.Rejected, "%s: %s of its %s, of type %s: %w", op.Target.Consumer, name, op.Kind, op.Columns[i].Type.Name, err)
	return &apply.Failure{
		Consumer: op.Target.Consumer.ID(), Key: keyOf(op),
		Err: rejot.WithMend(err, "mend the value at its source, or let the public schema's query give it another form, for instance text"),
	}
}

// keyOf is the key that may be parked for an operation that was refused.
func keyOf(op *apply.Op) string {
	if op.Kind == apply.Truncate {
		return ""
	}
	return apply.KeyText(op.Key)
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
		sql := fmt.Sprintf("UPDATE rejot_cursor SET error = %s WHERE consumer = %s", mysql.Literal(o.Err.Error()), mysql.Literal(o.Consumer))
		_, err := a.session.Exec(ctx, sql)
		if err == nil {
			_, err = a.session.Exec(ctx, "COMMIT")
		}
		if err != nil {
			a.rollback(ctx)
			a.log.Warn("cannot note a consumer's error at the destination", "consumer", o.Consumer, "error", err)
		}
		if apply.Stale(o.Err) {
			a.drop() // what was prepared may no longer be right
			return
		}
	}
}
