package pgapply

import (
	"context"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/internal/failpoint"
)

// attempt is one transaction: the cursors, the events, the commit.
func (a *Applier) attempt(ctx context.Context, run *apply.Run) (err error) {
	f := a.fly(ctx)
	defer func() {
		if f.end() && a.conn.TxStatus() != 'I' {
			if _, e := a.exec(ctx, `ROLLBACK`); e != nil {
				a.drop()
			}
		}
	}()
	if err := a.begin(f, run); err != nil {
		return f.failed(err)
	}
	for chunk, err := range run.Chunks() {
		if err != nil {
			return err
		}
		if err := a.chunk(f, run, chunk); err != nil {
			return err
		}
	}
	began := time.Now()
	err = a.landed(f, 0)
	a.committing.Add(int64(time.Since(began)))
	if err != nil {
		return err
	}
	if err := a.note(f, run); err != nil {
		return err
	}
	return failpoint.Hit("dest.commit.after")
}

// note remembers what is committed, and when it is on disk.
func (a *Applier) note(f *flight, run *apply.Run) error {
	if run.Probe() {
		return nil
	}
	var cursors []rejot.Cursor
	for _, m := range run.Moves() {
		cursors = append(cursors, m.To)
	}
	return a.committed(cursors, f.place)
}

// begin sends what comes before the events.
func (a *Applier) begin(f *flight, run *apply.Run) error {
	if err := f.send(expected{}, stBegin, nil); err != nil {
		return err
	}
	for _, m := range run.Moves() {
		name, params, err := moveParams(m)
		if err != nil {
			return err
		}
		if err := f.send(expected{what: cursor, name: m.To.Consumer}, name, params); err != nil {
			return err
		}
	}
	if a.deferrable {
		return f.send(expected{}, stDefer, nil)
	}
	return nil
}

// chunk sends a chunk, with the commit after the last. Results are read one chunk later, so that the
// server has work while the next chunk is evaluated.
func (a *Applier) chunk(f *flight, run *apply.Run, c *apply.Chunk) error {
	for ops := c.Ops; len(ops) > 0; {
		n, err := a.next(f, ops)
		if err != nil {
			return f.failed(err)
		}
		ops = ops[n:]
	}
	if c.Last {
		if err := a.finish(f, run); err != nil {
			return f.failed(err)
		}
	}
	if err := f.sync(); err != nil {
		return f.failed(err)
	}
	return a.landed(f, 1)
}

// next sends the first of ops, or as many as can be run at once.
func (a *Applier) next(f *flight, ops []apply.Op) (int, error) {
	own, kind := a.own[ops[0].Target], ops[0].Kind
	if own.sets[kind] == "" || a.single {
		return 1, a.op(f, &ops[0])
	}
	n := 1
	for n < len(ops) && ops[n].Target == ops[0].Target && ops[n].Kind == kind {
		n++
	}
	if n < smallestSet && failpoint.Setting(setting) != "sets" {
		return 1, a.op(f, &ops[0])
	}
	return n, f.send(expected{what: set, op: &ops[0]}, own.sets[kind], f.arrays(ops[:n], own.used[kind]))
}

// op sends one event's statement, or what parks it.
func (a *Applier) op(f *flight, op *apply.Op) error {
	own := a.own[op.Target]
	if op.Park != apply.NotParked {
		return a.park(f, op)
	}
	if op.Kind == apply.Truncate && own.quarantines() {
		if err := f.send(expected{}, stUnpark, [][]byte{text(own.ID())}); err != nil {
			return err
		}
	}
	return f.send(expected{what: event, op: op}, own.names[op.Kind], f.params(op.Params))
}

// finish sends the end of the transaction.
func (a *Applier) finish(f *flight, run *apply.Run) error {
	if err := f.ctx.Err(); err != nil {
		return err // nobody waits for it any more
	}
	if err := failpoint.Hit("dest.commit.before"); err != nil {
		return err
	}
	if !run.Probe() {
		err := f.send(expected{what: commit}, stCommit, nil)
		if a.lazy && err == nil {
			err = f.send(expected{what: places}, stPlaces, nil)
		}
		return err
	}
	if err := f.send(expected{what: check}, stImmediate, nil); err != nil {
		return err
	}
	return f.send(expected{}, stRollback, nil)
}

// landed reads results until no more than ahead sections are on their way.
func (a *Applier) landed(f *flight, ahead int) error {
	for len(f.sections) > ahead {
		if at, err := f.collect(); err != nil {
			return a.refused(f, at, err)
		}
	}
	return nil
}
