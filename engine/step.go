package engine

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/failpoint"
	"rejot.dev/rejot/publish"
)

const (
	firstChunk   = 1_000  // keys of a backfill in the first batch
	largestChunk = 20_000 // and in any
	// A backfill's chunk is what a live change may have to wait for.
	chunkAim = 200 * time.Millisecond
	// With nothing to apply, a cursor moves at most every idleTime or idleBytes of log, so that the
	// source need not keep what concerns nobody.
	idleTime  = 10 * time.Second
	idleBytes = 16 << 20
)

// loop makes batches until ctx or the reading ends. A nil error means that the reading has ended; its error is in read.
func (s *session) loop(ctx context.Context, read chan error) error {
	p := s.producer
	for {
		worked, err := s.step(ctx)
		if err != nil {
			return err
		}
		if err := s.confirm(ctx); err != nil {
			return err
		}
		if again, err := s.mended(ctx); err != nil || again {
			return errors.Join(err, errIf(again))
		}
		if worked {
			select {
			case err := <-read:
				read <- err
				return err
			default:
			}
			continue
		}
		began := time.Now()
		timer := time.NewTimer(s.untilDue(began))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case err := <-read:
			timer.Stop()
			read <- err
			return err
		case <-p.wake:
		case <-s.pending.Woken():
		case <-timer.C:
		}
		timer.Stop()
		p.times.since(stageWaiting, began)
	}
}

func errIf(again bool) error {
	if again {
		return errAgain
	}
	return nil
}

// mended reports whether the session is to begin again: a table has another form now, the time has come
// to look again at a schema that could not be resolved, or a destination has lost what it had committed.
func (s *session) mended(ctx context.Context) (bool, error) {
	changed := s.breakViews()
	s.producer.mu.Lock()
	changed = changed || s.producer.undone
	s.producer.mu.Unlock()
	if changed {
		return true, nil
	}
	for schema := range s.broken {
		if !s.due(schema, time.Now()) {
			continue
		}
		views, err := s.producer.src.Resolve(ctx, schema)
		if err == nil && s.stands(schema, views) {
			delete(s.broken, schema) // what its consumers miss is owed to them
			continue
		}
		if err == nil {
			return true, nil
		}
		if rejot.CodeOf(err) == rejot.Transient {
			return false, err
		}
		s.breakSchema(schema, err)
	}
	return false, nil
}

// stands reports whether a schema that is resolved to views is what the session reads the log for, and has read it all.
func (s *session) stands(schema *contract.PublicSchema, views []*contract.View) bool {
	broken, _ := s.pending.Broken()
	n := 0
	for i, v := range s.pub.Views() {
		if v.Schema != schema {
			continue
		}
		if n == len(views) || broken[i] != nil || !alike(v, views[n]) {
			return false
		}
		n++
	}
	return n > 0 && n == len(views)
}

func alike(a, b *contract.View) bool {
	x, y := *a, *b
	x.Estimate, y.Estimate = 0, 0
	return reflect.DeepEqual(x, y)
}

// breakViews makes the consumers of views stand still of which the log does not say enough. It reports whether a
// table has another form now.
func (s *session) breakViews() (changed bool) {
	broken, changed := s.pending.Broken()
	for view, err := range broken {
		if schema := s.pub.Views()[view].Schema; s.broken[schema] == nil {
			s.breakSchema(schema, err)
		}
	}
	return changed
}

func (s *session) due(schema *contract.PublicSchema, now time.Time) bool {
	s.producer.mu.Lock()
	defer s.producer.mu.Unlock()
	for _, c := range s.producer.consumers {
		if c.schema == schema && c.state == Retrying && !now.Before(c.retryAt) {
			return true
		}
	}
	return false
}

// untilDue is how long nothing has to be done if nothing happens.
func (s *session) untilDue(now time.Time) time.Duration {
	p := s.producer
	reached, _, _ := s.pending.State()
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := time.Minute
	until := func(at time.Time) { wait = min(wait, max(at.Sub(now), time.Millisecond)) }
	if !s.again.IsZero() {
		until(s.again)
	}
	for _, c := range p.consumers {
		if c.state == Retrying && !c.retryAt.IsZero() && c.known && c.jobs == 0 { // else it is waited for, not for a time
			until(c.retryAt)
		}
		if c.jobs == 0 && c.next.Position.Horizon.Less(reached) && c.ready(now) {
			until(c.moved.Add(idleTime))
		}
	}
	return wait
}

// A plan is what a step is about to do: who takes part, and with what.
type plan struct {
	ready    []*consumer // have room for a job
	need     bool        // there is something to do for one of them
	position rejot.Position
}

// look finds who can take a batch and whether there is a reason to make one.
func (s *session) look(now time.Time) plan {
	p := s.producer
	reached, waiting, fresh := s.pending.State()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reached = reached
	var pl plan
	for _, c := range p.consumers {
		if !c.ready(now) || p.flying[c.dest] >= jobsAhead || s.broken[c.schema] != nil {
			continue
		}
		pl.ready = append(pl.ready, c)
		pl.need = pl.need || !c.owed.Empty(nil) || s.idleDue(c, reached, now) || !c.next.Backfill.Done
	}
	if waiting && len(pl.ready) > 0 && (fresh || !now.Before(s.again)) {
		pl.need = true
	}
	return pl
}

func (s *session) idleDue(c *consumer, reached rejot.Place, now time.Time) bool {
	h := c.next.Position.Horizon
	if !h.Less(reached) || c.jobs > 0 {
		return false
	}
	return now.Sub(c.moved) >= idleTime || reached.File != h.File || reached.Offset-h.Offset >= idleBytes
}

// step makes one batch, if there is a reason to and somebody to take it.
func (s *session) step(ctx context.Context) (worked bool, err error) {
	pl := s.look(time.Now())
	if !pl.need {
		return false, nil
	}
	snap, cut, err := s.cut(ctx)
	if err != nil {
		return false, err
	}
	defer snap.Close() //nolint:errcheck // a snapshot is read only: nothing depends on how it ends
	s.notice(cut)
	s.breakViews() // whose consumers are not to move beyond a change of which the log says too little
	if err := failpoint.Hit("cut.after"); err != nil {
		return false, errors.Join(err, cut.Close())
	}
	b, jobs, err := s.prepare(ctx, snap, cut, &pl)
	var view *publish.ViewError
	if errors.As(err, &view) {
		return false, errors.Join(errAgain, cut.Close()) // without that schema
	}
	if err != nil {
		return false, errors.Join(err, cut.Close())
	}
	for _, j := range jobs {
		j.dest.jobs <- j // has room: flying says so
	}
	err = s.evaluate(ctx, snap, b, jobs, cut.More)
	if len(jobs) > 0 {
		err = errors.Join(err, failpoint.Hit("evaluate.after"))
	}
	return len(jobs) > 0, errors.Join(err, b.release())
}

// cut opens a snapshot and takes the transactions that it sees.
func (s *session) cut(ctx context.Context) (rejot.Snapshot, *publish.Cut, error) {
	s.cutting.Lock()
	defer s.cutting.Unlock()
	defer s.producer.times.since(stageAlignment, time.Now())
	asks := s.pending.Ahead()
	snap, err := s.producer.src.Snapshot(ctx, asks...)
	if err != nil {
		return nil, nil, err
	}
	enough := s.enough
	if s.grew { // the batch after one that has grown says how far both reach
		enough = 0
	}
	cut, err := s.pending.Cut(ctx, snap, enough)
	if err != nil {
		return nil, nil, errors.Join(err, snap.Close())
	}
	s.grew = cut.More
	return publish.Answered(snap, asks), cut, nil
}

// notice reports a commit that stays invisible, and lets the next look at it wait a little.
func (s *session) notice(cut *publish.Cut) {
	now := time.Now()
	s.again = time.Time{}
	if cut.Oldest.IsZero() {
		s.hidden = time.Time{}
		return
	}
	age := now.Sub(cut.Oldest)
	s.again = now.Add(min(max(age/4, 100*time.Microsecond), time.Second))
	if age > 5*time.Second && s.hidden != cut.Oldest {
		s.hidden = cut.Oldest
		s.producer.log.Warn("a committed transaction has not become visible; it may wait for a synchronous standby", "after", age)
	}
}

// prepare decides who gets what of a cut: consumers that are ready get it in jobs, with what is owed
// to them and a piece of their backfill; to the others it is owed.
func (s *session) prepare(ctx context.Context, snap rejot.Snapshot, cut *publish.Cut, pl *plan) (*shared, []*job, error) {
	p := s.producer
	b := &shared{ctx: s.ctx, keys: cut.Keys, owed: map[*consumer]*publish.Keys{}}
	b.refs.Store(1)
	pl.position = s.nextPosition(cut.Horizon)
	b.events = s.pub.NewEvents()
	b.batch = b.events.Batch(s.ctx, pl.position)
	backfills, err := s.backfill(ctx, snap, pl.ready)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	jobs := map[*Destination]*job{}
	for _, c := range p.consumers {
		fill := backfills[c]
		if !slices.Contains(pl.ready, c) || s.broken[c.schema] != nil || !c.known || !cut.More && !s.hasWork(c, cut, fill, now) { // what a later part brings nobody knows yet
			if err := s.owe(c, cut); err != nil {
				return nil, nil, err
			}
			continue
		}
		j := jobs[c.dest]
		if j == nil {
			j = &job{shared: b, session: s, dest: c.dest}
			jobs[c.dest] = j
		}
		if err := s.join(c, j, cut, fill, pl.position, now); err != nil {
			return nil, nil, err
		}
	}
	list := make([]*job, 0, len(jobs))
	for _, j := range jobs {
		list = append(list, j)
		b.refs.Add(1)
		p.flying[j.dest]++
	}
	if len(list) > 0 {
		s.last = pl.position
	}
	return b, list, closeFor(cut)
}

func closeFor(cut *publish.Cut) error {
	var err error
	for _, k := range cut.For {
		err = errors.Join(err, k.Close())
	}
	return err
}

// nextPosition is the position of a batch that is cut at horizon.
func (s *session) nextPosition(horizon rejot.Place) rejot.Position {
	next := rejot.Position{Incarnation: s.last.Incarnation, Horizon: horizon}
	if !s.last.Horizon.Less(horizon) { // a consumer's cursor says that everything up to there is included
		next.Horizon, next.Ordinal = s.last.Horizon, s.last.Ordinal+1
	}
	return next
}

// reads approves the views that c consumes.
func (s *session) reads(c *consumer) func(view int) bool {
	views := s.pub.Views()
	return func(view int) bool { return views[view].Schema == c.schema }
}

func (s *session) hasWork(c *consumer, cut *publish.Cut, fill *fill, now time.Time) bool {
	reached, _, _ := s.pending.State()
	return fill != nil || !c.owed.Empty(nil) || !cut.Keys.Empty(s.reads(c)) || !cut.For[c.ID()].Empty(s.reads(c)) || s.idleDue(c, reached, now)
}

// owe keeps for a consumer what it cannot be given now.
func (s *session) owe(c *consumer, cuts ...*publish.Cut) error {
	for _, cut := range cuts {
		if cut.Keys.Empty(s.reads(c)) && cut.For[c.ID()].Empty(s.reads(c)) {
			continue
		}
		if c.owed == nil {
			c.owed = s.pub.NewKeys()
		}
		if err := errors.Join(c.owed.Merge(cut.Keys, s.reads(c)), c.owed.Merge(cut.For[c.ID()], s.reads(c))); err != nil {
			return err
		}
	}
	return nil
}

// join makes c take part in a job.
func (s *session) join(c *consumer, j *job, cut *publish.Cut, f *fill, to rejot.Position, now time.Time) error {
	move := rejot.Move{From: c.next, To: c.next}
	move.From.Contract = c.at.Contract
	move.To.Position = to
	own := c.owed
	c.owed = nil
	if more := cut.For[c.ID()]; !more.Empty(s.reads(c)) || f != nil {
		if own == nil {
			own = s.pub.NewKeys()
		}
		if err := own.Merge(more, s.reads(c)); err != nil {
			return err
		}
	}
	if f != nil {
		move.To.Backfill, move.To.Queries = f.to, f.queries
		if err := own.AddKeys(f.view, f.keys); err != nil {
			return err
		}
	}
	if own != nil {
		j.owed[c] = own
	}
	if move.To.Backfill.Done {
		move.To.Queries = c.schema.Queries()
	}
	c.next, c.moved = move.To, now
	c.jobs++
	j.parts = append(j.parts, part{consumer: c, move: move, begun: now})
	return nil
}

// evaluate fills the batch that is on its way already, so that it is applied while it is evaluated. With more it
// grows meanwhile.
func (s *session) evaluate(ctx context.Context, snap rejot.Snapshot, b *shared, jobs []*job, more bool) (err error) {
	if len(jobs) == 0 && !more {
		return nil
	}
	wanted := map[*contract.PublicSchema]bool{}
	var own []publish.Work
	for _, j := range jobs {
		for _, part := range j.parts {
			wanted[part.schema] = true
			if keys := b.owed[part.consumer]; keys != nil {
				own = append(own, publish.Work{For: part.ID(), Keys: keys, Want: s.reads(part.consumer)})
			}
		}
	}
	want := func(view int) bool { return wanted[s.pub.Views()[view].Schema] }
	e := s.pub.Evaluation(snap, b.events)
	defer func() { err = errors.Join(err, e.Close()) }()
	everyone := publish.Work{Keys: b.keys, Want: want}
	if err = e.Clear(append(own, everyone)...); err == nil {
		err = s.run(ctx, e, everyone)
	}
	if err == nil && more {
		err = s.grow(ctx, snap, b, jobs, e, want)
	}
	if err == nil {
		err = s.run(ctx, e, own...)
	}
	s.producer.times[stageKeys].Add(int64(e.Leading))
	s.producer.times[stageEvaluation].Add(-int64(e.Leading))
	if err == nil {
		b.events.Finish(nil)
		return nil
	}
	b.fail(err)
	var view *publish.ViewError
	switch {
	case errors.As(err, &view):
		s.breakSchema(s.pub.Views()[view.View].Schema, err)
	case errors.Is(err, errGivenUp):
	default:
		return err
	}
	return s.pending.Leave()
}

// run evaluates works.
func (s *session) run(ctx context.Context, e *publish.Evaluation, works ...publish.Work) error {
	defer s.producer.times.since(stageEvaluation, time.Now())
	return e.Run(ctx, works...)
}

// settle merges waiting transactions into sets when there are many, while batches take long or
// nobody is ready. Where it fails they wait in their list for the next cut.
func (s *session) settle(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.pending.Crowded():
		}
		if err := s.settleOnce(ctx); err != nil && ctx.Err() == nil {
			s.producer.log.Warn("waiting transactions were not merged", "error", err)
		}
	}
}

func (s *session) settleOnce(ctx context.Context) error {
	s.cutting.Lock()
	defer s.cutting.Unlock()
	snap, err := s.producer.src.Snapshot(ctx)
	if err != nil {
		return err
	}
	return errors.Join(s.pending.Settle(snap), snap.Close())
}
