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
// be empty follows at once and says it. Killed between the two, the keys are found and evaluated again.

// growing is how many tuples are worth it.
const growing = 5_000

// errTruncated ends a batch whose rows would be removed after they were written.
var errTruncated = errors.New("a table was truncated while a batch grew")

// enoughToGrow is growing, or what a test forces.
func enoughToGrow() int {
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
		if len(jobs) > 0 && part.Keys.Truncated() {
			s.enough = 0 // whatever is truncated in the next batch is known before it is evaluated
			err = errTruncated
		} else {
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
	return errors.Join(err, brought.Close())
}
