package failpoint

import (
	"context"
	"sync"

	"rejot.dev/rejot"
)

// A Plan fails calls by number, counted from 1 over all calls that it sees. The zero Plan fails none.
type Plan struct {
	Before func(n int) bool // before the call: nothing has happened
	After  func(n int) bool // after its success: it has happened, and the answer is lost

	mu sync.Mutex
	n  int
}

func (p *Plan) around(call func() error) error {
	p.mu.Lock()
	p.n++
	n := p.n
	p.mu.Unlock()
	if p.Before != nil && p.Before(n) {
		return rejot.Errorf(rejot.Transient, "failpoint before call %d", n)
	}
	if err := call(); err != nil {
		return err
	}
	if p.After != nil && p.After(n) {
		return rejot.Errorf(rejot.Transient, "failpoint after call %d", n)
	}
	return nil
}

// Applier fails an applier's calls of Apply and Cursors by a plan.
func Applier(a rejot.Applier, p *Plan) rejot.Applier { return &applier{a, p} }

type applier struct {
	rejot.Applier
	plan *Plan
}

// Durable is never late where the applier's own is not.
func (a *applier) Durable(ctx context.Context) ([]rejot.Cursor, error) {
	if lazy, ok := a.Applier.(rejot.LazyApplier); ok {
		return lazy.Durable(ctx)
	}
	return a.Applier.Cursors(ctx)
}

func (a *applier) Cursors(ctx context.Context) (cursors []rejot.Cursor, err error) {
	err = a.plan.around(func() error {
		cursors, err = a.Applier.Cursors(ctx)
		return err
	})
	return cursors, err
}

func (a *applier) Apply(ctx context.Context, moves []rejot.Move, b *rejot.Batch) (outcomes []rejot.Outcome, err error) {
	err = a.plan.around(func() error {
		outcomes, err = a.Applier.Apply(ctx, moves, b)
		return err
	})
	return outcomes, err
}
