package engine

import (
	"context"
	"sync"
	"time"

	"rejot.dev/rejot"
)

// An Engine is all pipelines of one program.
type Engine struct {
	Producers    []*Producer
	Destinations []*Destination
}

// Run runs the pipelines until ctx ends, which is no error, or until every one of them stands still
// for a reason that does not end by itself, or at the start a source's setup is refused.
func (e *Engine) Run(ctx context.Context) error {
	for _, d := range e.Destinations {
		d.jobs = make(chan *job, jobsAhead*len(e.Producers))
		for _, p := range e.Producers {
			for _, c := range p.consumers {
				if c.dest == d {
					d.producers = append(d.producers, p)
					break
				}
			}
		}
	}
	var reading, applying sync.WaitGroup
	applyCtx, stopApplying := context.WithCancel(context.WithoutCancel(ctx))
	for _, d := range e.Destinations {
		applying.Go(func() { d.run(applyCtx) })
	}
	readCtx, stopReading := context.WithCancel(ctx)
	refused := make(chan error, len(e.Producers))
	for _, p := range e.Producers {
		reading.Go(func() {
			if err := p.run(readCtx); err != nil {
				refused <- err
			}
		})
	}
	err := e.watch(readCtx, refused)
	stopReading()
	reading.Wait()
	stopApplying()
	applying.Wait()
	return err
}

// watch returns when ctx ends, a source is refused, or nothing is left that could go on.
func (e *Engine) watch(ctx context.Context, refused <-chan error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-refused:
			return err
		case <-tick.C:
		}
		all, stopped := e.stopped()
		if all {
			return rejot.Errorf(rejot.Rejected, "every pipeline has stopped: %w", stopped)
		}
	}
}

// stopped tells whether all pipelines stand still until they are resumed, and gives the first one's reason.
func (e *Engine) stopped() (all bool, first error) {
	all = true
	for _, p := range e.Status() {
		if p.State != Stopped {
			all = false
		} else if first == nil {
			first = p.Err
		}
	}
	return all, first
}

// Failed gives why a pipeline stands still, nil when none does.
func (e *Engine) Failed() error {
	for _, p := range e.Status() {
		if p.Err != nil {
			return p.Err
		}
	}
	return nil
}

// Resume tries a consumer again at once, or all where id is empty. It reports how many stood still.
func (e *Engine) Resume(id string) int {
	n := 0
	for _, p := range e.Producers {
		n += p.Resume(id)
	}
	return n
}

// A Pipeline is the state of one consumer schema.
type Pipeline struct {
	Consumer    string // its ID
	Schema      rejot.Ref
	Source      string
	Destination string
	State       State
	Since       time.Time
	Position    rejot.Position
	LagBytes    uint64        // of the source's log, between the position and how far it is read
	Lag         time.Duration // since when the destination is not up to date; 0 where it is
	Backfill    rejot.Backfill
	Upserts     int64 // since the program began, as Deletes and Batches
	Deletes     int64
	Batches     int64
	Err         error     // why it stands still
	RetryAt     time.Time // zero where it is not tried again by itself
}

// Status tells where every pipeline stands.
func (e *Engine) Status() []Pipeline {
	var all []Pipeline
	for _, p := range e.Producers {
		all = append(all, p.status(time.Now())...)
	}
	return all
}

func (p *Producer) status(now time.Time) []Pipeline {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Pipeline, 0, len(p.consumers))
	for _, c := range p.consumers {
		line := Pipeline{
			Consumer: c.ID(), Schema: c.schema.Ref, Source: p.Name, Destination: c.dest.Name, State: c.state, Since: c.since,
			Position: c.at.Position, Backfill: c.at.Backfill, Upserts: c.upserts, Deletes: c.deletes, Batches: c.batches,
			Err: c.err, RetryAt: c.retryAt,
		}
		if c.jobs > 0 || !c.owed.Empty(nil) || c.err != nil || !c.at.Backfill.Done {
			line.Lag = now.Sub(c.behind)
		}
		if h := c.at.Position.Horizon; !c.at.Position.IsZero() && h.Less(p.reached) && h.File == p.reached.File {
			line.LagBytes = p.reached.Offset - h.Offset
		}
		list = append(list, line)
	}
	return list
}
