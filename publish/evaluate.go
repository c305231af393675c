package publish

import (
	"context"
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
	For  string
	Keys *Keys
	Want func(view int) bool // the views to evaluate; nil: all
}

// Evaluate asks snap for the present rows of the works' keys and writes them to out, which stays
// unfinished. A ViewError says that one view failed; the events are then incomplete and useless.
//
// The work for everyone, if there is one, comes first; a key that it has is left out of the others.
// leading is how long it took to find the keys.
func (p *Publisher) Evaluate(ctx context.Context, snap rejot.Snapshot, works []Work, out *Events) (leading time.Duration, err error) {
	for view := range p.views {
		if err := p.evaluateView(ctx, snap, view, works, out, &leading); err != nil {
			return leading, p.viewError(view, err)
		}
	}
	return leading, nil
}

func (p *Publisher) evaluateView(ctx context.Context, snap rejot.Snapshot, view int, works []Work, out *Events, leading *time.Duration) error {
	var everyone *spill.Set
	for _, w := range works {
		if w.Want != nil && !w.Want(view) {
			continue
		}
		if w.Keys.isGone(view) {
			if err := out.append(view, rejot.Clear, w.For, nil, nil); err != nil {
				return err
			}
		}
		began := time.Now()
		keys, owned, err := p.resolve(ctx, snap, view, w.Keys)
		*leading += time.Since(began)
		if err != nil {
			return err
		}
		if owned {
			defer keys.Close() //nolint:errcheck // an unlinked file's close has nothing to tell
		}
		e := evaluation{Publisher: p, snap: snap, view: view, to: w.For, out: out}
		if err := e.runAll(ctx, keys, everyone); err != nil {
			return err
		}
		if w.For == "" {
			everyone = keys
		}
	}
	return nil
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

// evaluation is one view's part of an Evaluate.
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
