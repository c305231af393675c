package apply

import (
	"cmp"
	"iter"
	"slices"

	"rejot.dev/rejot"
)

// The limits of a chunk: where its round trip no longer counts, and its memory does not yet.
const (
	chunkOps   = 1000
	chunkBytes = 4 << 20
)

// An Op is one execution of a consumer's statement. Its values stay as they are after the call that
// handed it over.
type Op struct {
	Target  *Target
	Kind    Kind
	Columns []rejot.Column // what each parameter is at the source
	Params  []rejot.Value  // one for each of Target.Statements[Kind].Names
	Shape   *rejot.Shape
	Key     []rejot.Value // of the event, in the order of Shape.Key; nil for Truncate

	// Park says that the values are put into the quarantine instead of running the statement.
	Park   Parking
	Reason error // of ParkNew

	class class
	part  int
}

// A Chunk is a portion of a batch, in the order in which it is to be run.
type Chunk struct {
	Ops  []Op
	Last bool
}

// A class is a step of an order. All statements of one run before those of the next.
type class struct{ phase, rank int }

func (c class) compare(d class) int {
	return cmp.Or(cmp.Compare(c.phase, d.phase), cmp.Compare(c.rank, d.rank))
}

// The phases.
const (
	clearing = iota
	deleting
	upserting
	deletingLate
)

// class gives the step of a statement. replaced says that a delete is the first half of a replacement.
func (p *part) class(k Kind, replaced bool) class {
	rank := 0
	if st := p.target.Statements[k]; st != nil {
		rank = st.Rank
	}
	switch {
	case k == Truncate:
		return class{clearing, -rank}
	case k == Upsert:
		return class{upserting, rank}
	case p.order != UpsertsFirst:
		return class{deleting, -rank}
	case replaced:
		return p.class(Upsert, false)
	default:
		return class{deletingLate, -rank}
	}
}

// classes gives the steps of the run's present orders, each once.
func (r *Run) classes() []class {
	var all []class
	for _, p := range r.active() {
		all = append(all, p.class(Truncate, false), p.class(Delete, false), p.class(Delete, true), p.class(Upsert, false))
	}
	slices.SortFunc(all, class.compare)
	return slices.Compact(all)
}

// Chunks arranges the batch for one attempt. It yields at least one chunk, and Last with the last. The
// error is a [Failure], or the batch's own, which ends the run.
func (r *Run) Chunks() iter.Seq2[*Chunk, error] {
	return func(yield func(*Chunk, error) bool) {
		c := &collector{run: r, parts: r.active(), chunk: &Chunk{}, yield: yield}
		for _, p := range c.parts {
			p.upserts, p.deletes = 0, 0
			p.held = nil // an attempt that was given up may have left one
		}
		r.chunks = 0
		if !r.whole {
			if !c.pass() {
				return
			}
		} else {
			for _, only := range r.classes() {
				c.only = &only
				if !c.pass() {
					return
				}
			}
		}
		c.chunk.Last = true
		c.hand()
	}
}

// A collector turns events into operations, and operations into chunks.
type collector struct {
	run   *Run
	parts []*part
	only  *class // of an attempt that orders the whole batch: the step that it is at
	chunk *Chunk
	slab  []rejot.Value
	bytes int
	yield func(*Chunk, error) bool
	over  bool // nobody wants more
}

// pass ranges over the batch once, and reports whether more is wanted.
func (c *collector) pass() bool {
	for _, p := range c.parts {
		p.cleared = false
	}
	for ev, err := range c.run.batch.Events {
		if err != nil {
			return c.fail(err)
		}
		for i, p := range c.parts {
			if err := c.event(i, p, ev); err != nil {
				return c.fail(err)
			}
			if c.over {
				return false
			}
		}
	}
	for i, p := range c.parts {
		if err := c.release(i, p, false); err != nil {
			return c.fail(err)
		}
	}
	return !c.over
}

func (c *collector) fail(err error) bool {
	c.over = true
	c.yield(nil, err)
	return false
}

func (c *collector) hand() {
	if !c.run.whole {
		slices.SortStableFunc(c.chunk.Ops, func(a, b Op) int {
			return cmp.Or(a.class.compare(b.class), cmp.Compare(a.part, b.part))
		})
	}
	c.run.chunks++
	c.run.single = c.run.chunks == 1 && c.chunk.Last
	if !c.yield(c.chunk, nil) {
		c.over = true
	}
	c.chunk, c.slab, c.bytes = &Chunk{Ops: make([]Op, 0, len(c.chunk.Ops))}, make([]rejot.Value, 0, len(c.slab)), 0
}

// event adds what one event is to one consumer.
func (c *collector) event(i int, p *part, ev *rejot.Event) error {
	b := p.binding(ev.Shape)
	if !b.reads || ev.For != "" && ev.For != p.move.To.Consumer {
		return nil
	}
	replaces := ev.Op == rejot.UpsertRow && p.held != nil && p.held.Shape == ev.Shape && slices.Equal(p.held.Key, ev.Key)
	if err := c.release(i, p, replaces); err != nil {
		return err
	}
	switch ev.Op {
	case rejot.Clear:
		return c.clear(i, p, ev)
	case rejot.DeleteKey:
		return c.delete(i, p, b, ev)
	case rejot.UpsertRow:
		return c.upsert(i, p, b, ev)
	default:
		return rejot.Errorf(rejot.Corrupt, "an event is of unknown kind %d", ev.Op)
	}
}

func (c *collector) clear(i int, p *part, ev *rejot.Event) error {
	if p.target.Statements[Truncate] == nil {
		err := rejot.Errorf(rejot.Rejected, "%s: the table under public schema %s was truncated, and it has no truncateSql", p.target.Consumer, ev.Shape.Schema.Name)
		return &Failure{Consumer: p.move.To.Consumer, Err: rejot.WithMend(err,
			"give it a truncateSql, or empty its table and repeat the backfill: rejot backfill %s", p.target.Consumer.Name)}
	}
	p.cleared = true
	if c.wants(p.class(Truncate, false)) {
		c.add(Op{Target: p.target, Kind: Truncate, Shape: ev.Shape, class: p.class(Truncate, false), part: i})
	}
	return nil
}

// delete adds a delete, or holds it until it is known whether an upsert of the same key follows.
func (c *collector) delete(i int, p *part, b *binding, ev *rejot.Event) error {
	if p.target.Statements[Delete] == nil {
		return nil
	}
	if p.order == UpsertsFirst && ev.Shape.Many {
		p.held = &rejot.Event{Shape: ev.Shape, Op: ev.Op, Key: slices.Clone(ev.Key)}
		return nil
	}
	at := p.class(Delete, false)
	if !c.wants(at) {
		return nil
	}
	p.deletes++
	return c.bound(i, p, b, Delete, ev, at)
}

// release adds the delete that was held.
func (c *collector) release(i int, p *part, replaced bool) error {
	if p.held == nil {
		return nil
	}
	ev := p.held
	p.held = nil
	at := p.class(Delete, replaced)
	if !c.wants(at) {
		return nil
	}
	p.deletes++
	return c.bound(i, p, p.binding(ev.Shape), Delete, ev, at)
}

func (c *collector) upsert(i int, p *part, b *binding, ev *rejot.Event) error {
	if at := p.class(Delete, false); p.order == Swap && !ev.Shape.Many && c.wants(at) && !p.isParked(ev) {
		if err := c.bound(i, p, b, Delete, ev, at); err != nil {
			return err
		}
	}
	at := p.class(Upsert, false)
	if !c.wants(at) {
		return nil
	}
	p.upserts++
	return c.bound(i, p, b, Upsert, ev, at)
}

func (c *collector) wants(at class) bool { return c.only == nil || *c.only == at }

// bound adds an operation with its values.
func (c *collector) bound(i int, p *part, b *binding, k Kind, ev *rejot.Event, at class) error {
	if err := b.err[k]; err != nil {
		return &Failure{Consumer: p.move.To.Consumer, Err: err}
	}
	op := Op{Target: p.target, Kind: k, Columns: b.types[k], Shape: ev.Shape, class: at, part: i}
	begin := len(c.slab)
	for j, from := range b.from[k] {
		var v rejot.Value
		if from >= 0 {
			v = ev.Row[from]
		} else {
			v = ev.Key[^from]
		}
		if v.Kind() == rejot.Unknown {
			return &Failure{Consumer: p.move.To.Consumer, Err: rejot.Errorf(rejot.Unsupported,
				"%s: the log has no value for %s of its %s", p.target.Consumer, Placeholder(p.target.Statements[k].Names[j]), k)}
		}
		text, _ := v.Text()
		c.bytes += len(text)
		c.slab = append(c.slab, v)
	}
	middle := len(c.slab)
	c.slab = append(c.slab, ev.Key...)
	op.Park, op.Reason = p.parking(k, ev)
	op.Params, op.Key = c.slab[begin:middle:middle], c.slab[middle:len(c.slab):len(c.slab)]
	c.add(op)
	return nil
}

func (c *collector) add(op Op) {
	c.chunk.Ops = append(c.chunk.Ops, op)
	if len(c.chunk.Ops) >= chunkOps || c.bytes >= chunkBytes {
		c.hand()
	}
}
