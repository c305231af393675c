package engine

import (
	"context"
	"errors"

	"rejot.dev/rejot"
	"rejot.dev/rejot/publish"
)

// A fill is the next piece of a consumer's backfill.
type fill struct {
	view int
	keys [][]rejot.Value
	to   rejot.Backfill
}

// backfill asks for the next keys of each consumer that has some to come and no job on its way.
func (s *session) backfill(ctx context.Context, snap rejot.Snapshot, ready []*consumer) (map[*consumer]*fill, error) {
	fills := map[*consumer]*fill{}
	for _, c := range ready {
		s.producer.mu.Lock()
		from, chunk, wait := c.next.Backfill, c.chunk, c.next.Backfill.Done || c.jobs > 0
		s.producer.mu.Unlock()
		if wait {
			continue
		}
		f, err := s.nextFill(ctx, snap, c, from, chunk)
		var view *publish.ViewError
		if errors.As(err, &view) {
			s.breakSchema(c.schema, err)
		}
		if err != nil {
			return nil, err
		}
		fills[c] = f
	}
	return fills, nil
}

func (s *session) nextFill(ctx context.Context, snap rejot.Snapshot, c *consumer, from rejot.Backfill, chunk int) (*fill, error) {
	f := &fill{to: from}
	own := s.viewsOf(c)
	if from.After == nil && from.View == 0 {
		f.to.Estimate = 0
		for _, v := range own {
			f.to.Estimate += s.pub.Views()[v].Estimate
		}
	}
	if from.View >= len(own) {
		f.to.Done = true
		return f, nil
	}
	f.view = own[from.View]
	keys, err := s.pub.Next(ctx, snap, f.view, from.After, chunk)
	if err != nil {
		return nil, err
	}
	f.keys = keys
	f.to.Rows += int64(len(keys))
	if len(keys) == chunk {
		f.to.After = keys[len(keys)-1]
		return f, nil
	}
	f.to.After = nil
	f.to.View++
	f.to.Done = f.to.View == len(own)
	return f, nil
}

// viewsOf gives the views of c's public schema, in their order.
func (s *session) viewsOf(c *consumer) []int {
	var own []int
	for i, v := range s.pub.Views() {
		if v.Schema == c.schema {
			own = append(own, i)
		}
	}
	return own
}
