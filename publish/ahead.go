package publish

import (
	"context"
	"iter"
	"slices"

	"rejot.dev/rejot"
)

// aheadLimit is how many tuples are asked for together with the snapshot. With few, the round trip that is
// saved is most of a batch's time; with many it is nothing, and some would be asked for in vain.
const aheadLimit = 64

// Ahead gives the questions that the next cut will probably come to: those of the transactions that wait. They may
// be asked together with the snapshot, before it is known which transactions that sees.
func (p *Pending) Ahead() []rejot.Ask {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) > aheadLimit {
		return nil
	}
	asks := make([]rejot.Ask, len(p.pub.slots))
	type ask struct {
		slot int
		item string
	}
	seen := map[ask]bool{}
	for i := range p.waiting {
		for slot, set := range p.waiting[i].keys.sets {
			if set == nil {
				continue
			}
			if set.Len() > aheadLimit || len(seen) > aheadLimit {
				return nil
			}
			for item, err := range set.All() {
				if err != nil {
					return nil // whoever needs it meets the error
				}
				id := ask{slot, string(item)}
				if seen[id] {
					continue
				}
				seen[id] = true
				tuple, err := readValues(id.item, p.pub.slots[slot].width)
				if err != nil {
					return nil
				}
				asks[slot].Tuples = append(asks[slot].Tuples, tuple)
			}
		}
	}
	for i, s := range p.pub.slots {
		if asks[i].Query = s.keys; s.keys == nil {
			asks[i].Query = p.pub.views[s.view].Rows
		}
	}
	return slices.DeleteFunc(asks, func(a rejot.Ask) bool { return len(a.Tuples) == 0 })
}

// Answered is snap with what it was asked ahead: where a query comes with tuples that are answered
// already, only the others are asked for.
func Answered(snap rejot.Snapshot, asks []rejot.Ask) rejot.Snapshot {
	answers := snap.Ahead()
	a := &answered{Snapshot: snap, known: map[*rejot.Query]*known{}}
	for i, ask := range asks {
		if i >= len(answers) || answers[i] == nil {
			continue
		}
		k := &known{rows: map[string][]rejot.Answer{}}
		tuples := make([]string, len(ask.Tuples))
		for n, t := range ask.Tuples {
			tuples[n] = string(appendValues(nil, t))
			k.rows[tuples[n]] = nil
		}
		for _, row := range answers[i] {
			if row.Tuple < 0 {
				k.all = append(k.all, row)
				continue
			}
			k.rows[tuples[row.Tuple]] = append(k.rows[tuples[row.Tuple]], row)
		}
		a.known[ask.Query] = k
	}
	if len(a.known) == 0 {
		return snap
	}
	return a
}

type answered struct {
	rejot.Snapshot
	known map[*rejot.Query]*known
}

// known are a query's answers, by the tuple that they are for; those of a query that does not tell are in all.
type known struct {
	rows map[string][]rejot.Answer
	all  []rejot.Answer
}

// Query answers what is known and asks for the rest.
func (a *answered) Query(ctx context.Context, q *rejot.Query, tuples iter.Seq2[[]rejot.Value, error], yield func(rejot.Answer) error) error {
	k := a.known[q]
	if k == nil {
		return a.Snapshot.Query(ctx, q, tuples, yield)
	}
	hits := k.all // of tuples that are asked for or will be soon: a key too many is a true row too
	var rest []int
	unknown := func(ask func([]rejot.Value, error) bool) {
		n := -1
		for t, err := range tuples {
			n++
			if err == nil {
				if rows, ok := k.rows[string(appendValues(nil, t))]; ok {
					for _, row := range rows {
						hits = append(hits, rejot.Answer{Tuple: n, Row: row.Row})
					}
					continue
				}
				if q.Ordinal {
					rest = append(rest, n)
				}
			}
			if !ask(t, err) {
				return
			}
		}
	}
	err := a.Snapshot.Query(ctx, q, unknown, func(found rejot.Answer) error {
		if found.Tuple >= 0 {
			found.Tuple = rest[found.Tuple]
		}
		return yield(found)
	})
	for _, hit := range hits {
		if err == nil {
			err = yield(hit)
		}
	}
	return err
}
