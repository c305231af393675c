package engine

import (
	"context"
	"log/slog"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/failpoint"
)

// jobsAhead is how many jobs of one source a destination may have: one that is applied while the next is evaluated.
const jobsAhead = 2

// A Destination applies batches to one database, one after the other.
type Destination struct {
	Name string

	applier   rejot.Applier
	lazy      rejot.LazyApplier // the applier; nil where what is committed is durable
	log       *slog.Logger
	times     times
	jobs      chan *job
	calls     chan func()
	producers []*Producer
	down      error     // the reason while it is tried again; of the goroutine that runs it
	soft      bool      // something is committed and maybe not durable; likewise
	asked     time.Time // when that was last asked; likewise
}

// NewDestination makes a destination over an open applier.
func NewDestination(name string, a rejot.Applier, log *slog.Logger) *Destination {
	lazy, _ := a.(rejot.LazyApplier)
	return &Destination{Name: name, applier: a, lazy: lazy, log: log, calls: make(chan func())}
}

// run applies jobs until ctx ends. Whoever makes jobs waits for them to end before that.
func (d *Destination) run(ctx context.Context) {
	due := time.NewTicker(hardenAfter)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-d.calls:
			f()
		case j := <-d.jobs:
			d.apply(ctx, j)
		case <-due.C:
		}
		if d.soft && time.Since(d.asked) >= hardenAfter {
			d.harden(ctx)
		}
	}
}

// hardenAfter is how often it is asked whether what was committed is on the destination's disk.
// A Postgres server with its own settings writes it within 0.2 to 0.6 s.
const hardenAfter = 100 * time.Millisecond

// harden asks what is durable, and lets the source forget it.
func (d *Destination) harden(ctx context.Context) {
	d.asked = time.Now()
	cursors, err := d.lazy.Durable(ctx)
	if err != nil {
		d.log.Warn("destination failed", "destination", d.Name, "error", err)
		d.recover(ctx, err)
		return
	}
	d.soft = false
	for _, p := range d.producers {
		d.soft = p.hardened(d, cursors) || d.soft
	}
}

// cursors reads the cursors, between two jobs. While the destination is tried again it answers with the reason.
func (d *Destination) cursors(ctx context.Context) ([]rejot.Cursor, error) {
	type answer struct {
		cursors []rejot.Cursor
		err     error
	}
	ready := make(chan answer, 1)
	call := func() {
		if d.down != nil {
			ready <- answer{err: d.down}
			return
		}
		cs, err := d.applier.Cursors(ctx)
		d.soft = d.lazy != nil
		ready <- answer{cs, err}
	}
	late := func() error {
		return rejot.Errorf(rejot.Transient, "destination %s is busy and did not tell its cursors: %w", d.Name, ctx.Err())
	}
	select {
	case <-ctx.Done():
		return nil, late()
	case d.calls <- call:
	}
	select {
	case <-ctx.Done():
		return nil, late()
	case a := <-ready:
		return a.cursors, a.err
	}
}

func (d *Destination) apply(ctx context.Context, j *job) {
	p := j.session.producer
	parts := p.admit(j)
	if len(parts) == 0 {
		p.ended(j)
		return
	}
	moves := make([]rejot.Move, len(parts))
	for i, part := range parts {
		moves[i] = part.move
	}
	outcomes, err := d.write(j, moves)
	if err == nil {
		d.soft = d.lazy != nil
		p.applied(j, parts, outcomes)
		p.ended(j)
		return
	}
	if j.fault.Load() != nil { // not the destination's: the batch itself could not be made
		p.giveBack(j, parts, nil)
		p.ended(j)
		return
	}
	if ctx.Err() == nil && j.ctx.Err() == nil {
		d.log.Warn("destination failed", "destination", d.Name, "error", err)
	}
	p.giveBack(j, parts, err)
	p.ended(j)
	d.recover(ctx, err)
}

// write applies a job, between two steps at which tests end the process.
func (d *Destination) write(j *job, moves []rejot.Move) ([]rejot.Outcome, error) {
	if err := failpoint.Hit("apply.before"); err != nil {
		return nil, err
	}
	began := time.Now()
	outcomes, err := d.applier.Apply(j.ctx, moves, j.batch)
	d.times.since(stageApply, began)
	if err != nil {
		return nil, err
	}
	return outcomes, failpoint.Hit("apply.after")
}

// recover waits until the destination answers again and reads where its cursors are: a commit whose
// answer was lost may have taken place.
func (d *Destination) recover(ctx context.Context, cause error) {
	d.down = cause
	defer func() { d.down = nil }()
	delay := newDelay()
	for {
		cursors, err := d.applier.Cursors(ctx)
		if err == nil {
			d.soft = d.lazy != nil
			for _, p := range d.producers {
				p.found(d, cursors, false)
			}
			return
		}
		if ctx.Err() != nil {
			return
		}
		d.down = err
		if !d.waitRejecting(ctx, delay.NextBackOff()) {
			return
		}
	}
}

// waitRejecting waits, and sends jobs back meanwhile, so that nobody waits for a destination that is down.
func (d *Destination) waitRejecting(ctx context.Context, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case f := <-d.calls:
			f()
		case j := <-d.jobs:
			p := j.session.producer
			p.giveBack(j, p.admit(j), d.down)
			p.ended(j)
		}
	}
}
