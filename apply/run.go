package apply

import (
	"cmp"
	"errors"
	"slices"

	"rejot.dev/rejot"
)

// A Failure says that the destination refused a consumer's part of the batch, for a reason that
// trying again as before does not mend.
type Failure struct {
	Consumer string // whose; empty where the destination does not tell
	Err      error
	Reorder  bool // another order of the events may avoid it: a unique or foreign key was violated
	// Key is the key of the event that was refused, as KeyText writes it. A consumer that quarantines
	// goes on without it. Empty: it is not one event's trouble.
	Key string
}

// Error gives the cause's text.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Stale reports whether an outcome's error may come from a change of the destination's tables, so that what was
// prepared is to be prepared anew.
func Stale(err error) bool {
	switch rejot.CodeOf(err) {
	case rejot.NotFound, rejot.Invalid, rejot.Unsupported, rejot.Denied:
		return true
	default:
		return false
	}
}

// A Run is the application of one batch, in as many attempts as it takes. It is used from one goroutine.
type Run struct {
	batch  *rejot.Batch
	parts  []*part
	chunks int  // of the last attempt, so far
	single bool // the last attempt had one chunk, and that was the last
	whole  bool // order the batch as one, not chunk by chunk
	probe  int  // the part that is tried alone; -1: none
	search searching
}

// searching is how far the search for a failure's part has come.
type searching uint8

const (
	notSearched searching = iota
	underWay
	searched
)

// A part is one consumer's place in a run.
type part struct {
	target   *Target
	move     rejot.Move
	order    Order
	tried    [orders]bool
	first    error // of the first order that was tried
	firstKey string
	parked   map[string]error // keys that this run parks, and why
	cleared  bool             // the present pass has met a Clear: what was parked before is gone
	err      error            // why it left the run
	upserts  int64
	deletes  int64
	bindings map[*rejot.Shape]*binding
	held     *rejot.Event // a replacement's delete whose place depends on what follows
}

func (p *part) binding(s *rejot.Shape) *binding {
	b := p.bindings[s]
	if b == nil {
		b = p.target.bind(s)
		p.bindings[s] = b
	}
	return b
}

// NewRun begins to apply b for the consumers of moves. targets are by consumer ID.
func NewRun(targets map[string]*Target, moves []rejot.Move, b *rejot.Batch) (*Run, error) {
	r := &Run{batch: b, probe: -1, search: notSearched}
	for _, m := range moves {
		t := targets[m.To.Consumer]
		if t == nil {
			return nil, rejot.Errorf(rejot.NotFound, "the destination has no consumer schema %s", m.To.Consumer)
		}
		r.parts = append(r.parts, &part{target: t, move: m, order: t.order, err: t.Broken, bindings: map[*rejot.Shape]*binding{}})
	}
	return r, nil
}

// Moves are the cursors that the next attempt moves, sorted by consumer, so that two instances lock
// them in one order. When there are none the run has ended.
func (r *Run) Moves() []rejot.Move {
	var moves []rejot.Move
	for _, p := range r.active() {
		moves = append(moves, p.move)
	}
	slices.SortFunc(moves, func(a, b rejot.Move) int { return cmp.Compare(a.To.Consumer, b.To.Consumer) })
	return moves
}

// Probe says that the next attempt is to be rolled back where it would commit, after deferred
// constraints were checked: it is for finding out whose part a commit failed for.
func (r *Run) Probe() bool { return r.probe >= 0 }

// active are the parts of the next attempt.
func (r *Run) active() []*part {
	if r.probe >= 0 {
		return r.parts[r.probe : r.probe+1]
	}
	var in []*part
	for _, p := range r.parts {
		if p.err == nil {
			in = append(in, p)
		}
	}
	return in
}

// Again decides after an attempt that ended with err. It returns nil where another attempt is to be
// made, if there still are Moves, and err where it ends the run. After a Probe it is told of success too.
func (r *Run) Again(err error) error {
	var f *Failure
	switch {
	case err == nil:
		r.next()
		return nil
	case !errors.As(err, &f):
		return err
	}
	p := r.blamed(f)
	if p == nil {
		r.find(f)
		return nil
	}
	if p.first == nil {
		p.first, p.firstKey = f.Err, f.Key
	}
	if f.Reorder && r.reorder(p) || p.park() {
		return nil
	}
	p.err = p.first
	r.next()
	return nil
}

func (r *Run) blamed(f *Failure) *part {
	in := r.active()
	if len(in) == 1 {
		return in[0]
	}
	for _, p := range in {
		if p.move.To.Consumer == f.Consumer {
			return p
		}
	}
	return nil
}

// reorder finds another order for p, and reports whether there is one.
func (r *Run) reorder(p *part) bool {
	if !r.single && !r.whole {
		r.whole = true
		return true
	}
	p.tried[p.order] = true
	for o := range Order(orders) {
		if !p.tried[o] && p.target.permits(o) {
			p.order = o
			return true
		}
	}
	return false
}

// find begins to try the parts alone, or, where that was done, gives up on all of them.
func (r *Run) find(f *Failure) {
	if r.search == searched {
		for _, p := range r.active() {
			p.err = f.Err
		}
		return
	}
	r.search = underWay
	r.next()
}

// next goes on with the search, and after its last part with all parts together.
func (r *Run) next() {
	if r.search != underWay {
		return
	}
	for r.probe++; r.probe < len(r.parts); r.probe++ {
		if r.parts[r.probe].err == nil {
			return
		}
	}
	r.probe, r.search = -1, searched
}

// Outcomes tells what became of each consumer, in the order of the run's moves. It is called once,
// after the attempt that committed or when there are no Moves.
func (r *Run) Outcomes() []rejot.Outcome {
	out := make([]rejot.Outcome, len(r.parts))
	for i, p := range r.parts {
		out[i] = rejot.Outcome{Consumer: p.move.To.Consumer, Err: p.err}
		if p.err == nil {
			out[i].Upserts, out[i].Deletes = p.upserts, p.deletes
			p.settle()
			if p.order != Swap { // which rewrites rows that need it not, so it is never the first choice
				p.target.order = p.order
			}
		}
	}
	return out
}
