package engine

import (
	"context"
	"errors"
	"strconv"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/failpoint"
	"rejot.dev/rejot/publish"
)

// A batch that reaches far grows while it is on its way: the keys that the log has brought so far are evaluated, in the
// batch's snapshot, and applied, while the log is read on to the snapshot. It stays one transaction at the destination. How
// far it reaches is known only at its end, so its position says no more of the log than the one before; a batch that may
// be empty follows at once, does not grow, and says it. Killed between the two, the keys are found and evaluated again.

// growing is how many tuples are worth it.
const growing = 5_000

// errGivenUp ends a batch that must not be what it has grown to. Its keys are owed.
var errGivenUp = errors.New("a batch that grew was given up")

// enoughToGrow is growing, or what a test forces; 0 where a destination would keep another source waiting meanwhile.
func (p *Producer) enoughToGrow() int {
	for _, c := range p.consumers {
		if len(c.dest.producers) > 1 {
			return 0
		}
	}
	if n, err := strconv.Atoi(failpoint.Setting("grow")); err == nil {
		return n
	}
	return growing
}

// grow evaluates what comes of the batch until it is whole.
func (s *session) grow(ctx context.Context, snap rejot.Snapshot, b *shared, jobs []*job, e *publish.Evaluation, want func(view int) bool) error {
	for more := true; more; {
		began := time.Now()
		part, err := s.pending.More(ctx, snap, s.enough)
		s.producer.times.since(stageAlignment, began)
		if err != nil {
			return err
		}
		more = part.More
		switch {
		case len(jobs) > 0 && part.Keys.Truncated(): // rows that are written already would be removed
			s.enough = 0 // whatever is truncated in the next batch is known before it is evaluated
			err = errGivenUp
		case s.lacks(want):
			err = errGivenUp
		default:
			err = errors.Join(failpoint.Hit("grow.after"), s.run(ctx, e, publish.Work{Keys: part.Keys, Want: want, Brief: true}))
		}
		if err := errors.Join(err, s.grown(b, jobs, part)); err != nil {
			return err
		}
	}
	s.producer.mu.Lock()
	defer s.producer.mu.Unlock()
	for _, j := range jobs {
		for _, part := range j.parts {
			part.moved = part.moved.Add(-idleTime)
		}
	}
	return nil
}

// lacks reports whether the log has said too little of a view that is evaluated.
func (s *session) lacks(want func(view int) bool) bool {
	broken, _ := s.pending.Broken()
	for view := range broken {
		if want(view) {
			return true
		}
	}
	return false
}

// grown adds a part to the batch's keys, and to what is owed to those who do not take part in it or no longer.
func (s *session) grown(b *shared, jobs []*job, brought *publish.Cut) error {
	p := s.producer
	p.mu.Lock()
	defer p.mu.Unlock()
	err := b.keys.Merge(brought.Keys, nil)
	taking := map[*consumer]bool{}
	for _, j := range jobs {
		for _, part := range j.parts {
			taking[part.consumer] = !b.left[part.consumer]
		}
	}
	for _, c := range p.consumers {
		if !taking[c] {
			err = errors.Join(err, s.owe(c, brought))
		}
	}
	err = errors.Join(err, brought.Close())
	if err != nil && p.fatal == nil {
		p.fatal = err // a key may be nowhere now: nothing is confirmed any more
	}
	return err
}
