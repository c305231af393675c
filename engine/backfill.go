package engine

import (
	"context"
	"errors"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/publish"
)

// A fill is the next piece of a consumer's backfill.
type fill struct {
	view    int
	keys    [][]rejot.Value
	to      rejot.Backfill
	queries string // that rows which are not reached yet are of; empty: none that is known
}

// backfill asks for the next keys of each consumer that has some to come and no job on its way.
func (s *session) backfill(ctx context.Context, snap rejot.Snapshot, ready []*consumer) (map[*consumer]*fill, error) {
	fills := map[*consumer]*fill{}
	for _, c := range ready {
		s.producer.mu.Lock()
		from, chunk, wait := c.next, c.chunk, c.next.Backfill.Done || c.jobs > 0
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

func (s *session) nextFill(ctx context.Context, snap rejot.Snapshot, c *consumer, at rejot.Cursor, chunk int) (*fill, error) {
	from := at.Backfill
	f := &fill{to: from, queries: at.Queries}
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
	if f.keys, err = s.changed(ctx, snap, c, from.View, f, keys); err != nil {
		return nil, err
	}
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

// changed leaves out, where a consumer's rows are of another SQL of its schema, the keys whose rows are the same by both.
func (s *session) changed(ctx context.Context, snap rejot.Snapshot, c *consumer, view int, f *fill, keys [][]rejot.Value) ([][]rejot.Value, error) {
	if c.whole {
		f.queries = ""
	}
	if f.queries == "" || len(keys) == 0 {
		return keys, nil
	}
	before, err := s.before(ctx, c, f.queries)
	var differ []publish.Difference
	if err == nil {
		differ, err = publish.Differing(ctx, snap, before[view], s.pub.Views()[f.view], keys, c.MayUse)
	}
	if err != nil && (rejot.CodeOf(err) == rejot.Transient || ctx.Err() != nil) {
		return nil, err
	}
	if err != nil {
		c.whole = true
		s.producer.log.Info("the public schema's SQL has changed, and its rows cannot be compared with those by the old one; all are written", "consumer", c.ID(), "reason", err)
		return nil, errAgain // a query that failed has ended the snapshot
	}
	only := make([][]rejot.Value, 0, len(differ))
	for _, d := range differ {
		only = append(only, d.Key)
	}
	return only, nil
}

// before gives the views of a consumer's schema by the SQL that its rows are of.
func (s *session) before(ctx context.Context, c *consumer, queries string) ([]*contract.View, error) {
	if views := s.old[c]; views != nil {
		return views, nil
	}
	schema, err := c.schema.WithQueries(queries)
	if err != nil {
		return nil, err
	}
	views, err := s.producer.src.Resolve(ctx, schema)
	if err != nil {
		return nil, err
	}
	own := s.viewsOf(c)
	alike := len(views) == len(own)
	for i := 0; alike && i < len(own); i++ {
		alike = publish.Comparable(views[i], s.pub.Views()[own[i]])
	}
	if !alike {
		return nil, rejot.Errorf(rejot.Invalid, "%s has other keys", c.schema)
	}
	s.old[c] = views
	s.producer.log.Info("the public schema's SQL has changed; the rows that differ by it are written", "consumer", c.ID())
	return views, nil
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
