package publish

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/spill"
)

// How many keys go to the source at once: so many that the round trip does not count, so few that the destination has
// work meanwhile. Where a chunk takes less or more than the times below, the next has twice or half its keys.
const (
	firstChunk    = 1000
	smallestChunk = 100
	largestChunk  = 5000
	chunkAtLeast  = 10 * time.Millisecond
	chunkAtMost   = 100 * time.Millisecond
)

// A Work is a set of keys to evaluate, for one consumer or, where For is empty, for everyone.
type Work struct {
	For   string
	Keys  *Keys
	Want  func(view int) bool // the views to evaluate; nil: all
	Brief bool                // the keys do not outlive the Run
}

func (w *Work) wants(view int) bool { return w.Want == nil || w.Want(view) }

// An Evaluation writes the present rows of keys to events, in one snapshot. It is used from one goroutine, and closed.
type Evaluation struct {
	*Publisher
	// Leading is how long it took to find the keys.
	Leading time.Duration

	snap rejot.Snapshot
	out  *Events
	done []*spill.Set // by view: the keys that everyone has the rows of
	ours []bool       // by view: done belongs to the evaluation, and to no work
}

// Evaluation begins to evaluate in snap. out stays unfinished.
func (p *Publisher) Evaluation(snap rejot.Snapshot, out *Events) *Evaluation {
	return &Evaluation{Publisher: p, snap: snap, out: out, done: make([]*spill.Set, len(p.views)), ours: make([]bool, len(p.views))}
}

// Clear writes that base tables were truncated. It comes before every row, whoever that is for.
func (e *Evaluation) Clear(works ...Work) error {
	for view := range e.views {
		for _, w := range works {
			if !w.wants(view) || !w.Keys.isGone(view) {
				continue
			}
			if err := e.out.append(view, rejot.Clear, w.For, nil, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// Run asks for the present rows of the works' keys; of one that an earlier work for everyone has had it does not. A
// ViewError says that one view failed; the events are then incomplete and useless.
func (e *Evaluation) Run(ctx context.Context, works ...Work) error {
	for view := range e.views {
		for _, w := range works {
			if !w.wants(view) {
				continue
			}
			if err := e.runView(ctx, view, w); err != nil {
				return e.viewError(view, err)
			}
		}
	}
	return nil
}

func (e *Evaluation) runView(ctx context.Context, view int, w Work) error {
	began := time.Now()
	keys, owned, err := e.resolve(ctx, e.snap, view, w.Keys)
	e.Leading += time.Since(began)
	if err != nil || keys == nil {
		return err
	}
	one := evaluation{Publisher: e.Publisher, snap: e.snap, view: view, to: w.For, out: e.out}
	err = one.runAll(ctx, keys, e.done[view])
	if err == nil && w.For == "" {
		owned, err = e.note(view, keys, owned, w.Brief)
	}
	if owned {
		err = errors.Join(err, keys.Close())
	}
	return err
}

// note remembers that everyone has keys. It reports whether the set is still to be closed.
func (e *Evaluation) note(view int, keys *spill.Set, owned, brief bool) (bool, error) {
	done := e.done[view]
	if done == nil && (owned || !brief) {
		e.done[view], e.ours[view] = keys, owned
		return false, nil
	}
	if !e.ours[view] {
		e.done[view], e.ours[view] = e.pool.NewSet(), true
		if done != nil {
			if err := e.done[view].AddAll(done); err != nil {
				return owned, err
			}
		}
	}
	return owned, e.done[view].AddAll(keys)
}

// Close gives back what the evaluation holds.
func (e *Evaluation) Close() error {
	var err error
	for view, ours := range e.ours {
		if ours {
			err = errors.Join(err, e.done[view].Close())
		}
	}
	return err
}

// runAll evaluates the keys that are not in but, in chunks; either may be nil.
func (e *evaluation) runAll(ctx context.Context, keys, but *spill.Set) error {
	if keys == nil {
		return nil
	}
	chunk := make([][]rejot.Value, 0, min(e.chunk, keys.Len()))
	for tuple, err := range tuples(difference(keys, but), len(e.views[e.view].Key)) {
		if err != nil {
			return err
		}
		if chunk = append(chunk, tuple); len(chunk) >= e.chunk {
			began := time.Now()
			if err := e.run(ctx, chunk); err != nil {
				return err
			}
			e.adapt(time.Since(began))
			chunk = chunk[:0]
		}
	}
	if len(chunk) == 0 {
		return nil
	}
	return e.run(ctx, chunk)
}

// adapt sizes the next chunk by the time that a full one took.
func (p *Publisher) adapt(took time.Duration) {
	switch {
	case took < chunkAtLeast:
		p.chunk = min(2*p.chunk, largestChunk)
	case took > chunkAtMost:
		p.chunk = max(p.chunk/2, smallestChunk)
	}
}

// resolve gives the keys of a view that k affects, each once: what is known directly, what the
// derived statements find in the snapshot, or all. owned says that the caller closes the set.
func (p *Publisher) resolve(ctx context.Context, snap rejot.Snapshot, view int, k *Keys) (set *spill.Set, owned bool, err error) {
	var direct *spill.Set
	var derived []int
	for i, s := range p.slots {
		switch {
		case s.view != view || k.sets == nil || k.sets[i] == nil:
		case s.keys == nil:
			direct = k.sets[i]
		default:
			derived = append(derived, i)
		}
	}
	if len(derived) == 0 && !k.isAll(view) {
		return direct, false, nil
	}
	set = p.pool.NewSet()
	defer func() {
		if err != nil {
			_ = set.Close()
		}
	}()
	if direct != nil {
		if err := set.AddAll(direct); err != nil {
			return nil, false, err
		}
	}
	for _, i := range derived {
		if err := p.lead(ctx, snap, p.slots[i], k.sets[i], set); err != nil {
			return nil, false, err
		}
	}
	if k.isAll(view) {
		if err := p.present(ctx, snap, view, set); err != nil {
			return nil, false, err
		}
	}
	return set, true, nil
}

// lead adds the keys that images lead to.
func (p *Publisher) lead(ctx context.Context, snap rejot.Snapshot, s slot, images, keys *spill.Set) error {
	var buf []byte
	return snap.Query(ctx, s.keys, tuples(images.All(), s.width), func(a rejot.Answer) error {
		for _, v := range a.Row {
			if v.Kind() != rejot.Text {
				return nil // no key is NULL
			}
		}
		buf = appendValues(buf[:0], a.Row)
		return keys.Add(buf)
	})
}

// present adds every key that the base table has.
func (p *Publisher) present(ctx context.Context, snap rejot.Snapshot, view int, keys *spill.Set) error {
	const chunk = 10_000
	var after []rejot.Value
	for {
		found, err := p.Next(ctx, snap, view, after, chunk)
		if err != nil {
			return err
		}
		for _, key := range found {
			if err := keys.Add(appendValues(nil, key)); err != nil {
				return err
			}
		}
		if len(found) < chunk {
			return nil
		}
		after = found[len(found)-1]
	}
}

// Next gives up to limit keys of a view that follow after in key order; nil begins.
func (p *Publisher) Next(ctx context.Context, snap rejot.Snapshot, view int, after []rejot.Value, limit int) ([][]rejot.Value, error) {
	q := p.views[view].Next
	if after == nil {
		q = p.views[view].First
	}
	tuple := append(slices.Clone(after), rejot.TextValue(strconv.Itoa(limit)))
	found := make([][]rejot.Value, 0, limit)
	err := snap.Query(ctx, q, one(tuple), func(a rejot.Answer) error {
		found = append(found, slices.Clone(a.Row))
		return nil
	})
	return found, p.viewError(view, err)
}

func one(tuple []rejot.Value) iter.Seq2[[]rejot.Value, error] {
	return func(yield func([]rejot.Value, error) bool) { yield(tuple, nil) }
}

// AddKeys adds keys of a view, as a backfill does.
func (k *Keys) AddKeys(view int, keys [][]rejot.Value) error {
	slot := slices.IndexFunc(k.pub.slots, func(s slot) bool { return s.view == view && s.keys == nil })
	for _, key := range keys {
		if err := k.add(slot, appendValues(nil, key)); err != nil {
			return err
		}
	}
	return nil
}

// evaluation is one view's part of a Run.
type evaluation struct {
	*Publisher
	snap rejot.Snapshot
	view int
	to   string
	out  *Events
	key  []rejot.Value
}

// run evaluates a chunk of keys: one round trip.
func (e *evaluation) run(ctx context.Context, chunk [][]rejot.Value) error {
	v := e.views[e.view]
	if v.Shape.Many {
		return e.runMany(ctx, chunk)
	}
	answered := make([]bool, len(chunk))
	err := e.snap.Query(ctx, v.Rows, each(chunk), func(a rejot.Answer) error {
		if answered[a.Tuple] {
			err := rejot.Errorf(rejot.Invalid, "a key has a second row")
			return rejot.WithMend(err, `remove "rows": "one" and give the consumers a deleteSql, or make the query yield one row a key`)
		}
		answered[a.Tuple] = true
		return e.out.append(e.view, rejot.UpsertRow, e.to, e.shapeKey(chunk[a.Tuple]), a.Row)
	})
	if err != nil {
		return err
	}
	for i, yes := range answered {
		if yes {
			continue
		}
		if err := e.out.append(e.view, rejot.DeleteKey, e.to, e.shapeKey(chunk[i]), nil); err != nil {
			return err
		}
	}
	return nil
}

// runMany replaces each key's rows: a delete, then its rows.
func (e *evaluation) runMany(ctx context.Context, chunk [][]rejot.Value) error {
	rows := make([][][]rejot.Value, len(chunk))
	err := e.snap.Query(ctx, e.views[e.view].Rows, each(chunk), func(a rejot.Answer) error {
		rows[a.Tuple] = append(rows[a.Tuple], slices.Clone(a.Row))
		return nil
	})
	if err != nil {
		return err
	}
	for i, key := range chunk {
		if err := e.out.append(e.view, rejot.DeleteKey, e.to, e.shapeKey(key), nil); err != nil {
			return err
		}
		for _, row := range rows[i] {
			if err := e.out.append(e.view, rejot.UpsertRow, e.to, e.shapeKey(key), row); err != nil {
				return err
			}
		}
	}
	return nil
}

// shapeKey gives a key under the names of the shape.
func (e *evaluation) shapeKey(key []rejot.Value) []rejot.Value {
	e.key = e.key[:0]
	for _, i := range e.views[e.view].KeyNames {
		e.key = append(e.key, key[i])
	}
	return e.key
}

func each(chunk [][]rejot.Value) iter.Seq2[[]rejot.Value, error] {
	return func(yield func([]rejot.Value, error) bool) {
		for _, t := range chunk {
			if !yield(t, nil) {
				return
			}
		}
	}
}
