package publish

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"slices"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/spill"
)

// Keys is what is known to be affected, by view: tuples that are keys, tuples of changed rows that
// lead to keys, and whether a whole view is. It is used from one goroutine at a time.
type Keys struct {
	pub  *Publisher
	sets []*spill.Set // by slot; nil where nothing is known
	all  []bool       // by view; nil where no view is
	gone []bool       // by view: the base table was truncated; nil where none was
}

// NewKeys makes an empty set of keys.
func (p *Publisher) NewKeys() *Keys { return &Keys{pub: p} }

func (k *Keys) add(slot int, tuple []byte) error {
	if k.sets == nil {
		k.sets = make([]*spill.Set, len(k.pub.slots))
	}
	if k.sets[slot] == nil {
		k.sets[slot] = k.pub.pool.NewSet()
	}
	return k.sets[slot].Add(tuple)
}

func (k *Keys) addAll(view int) {
	if k.all == nil {
		k.all = make([]bool, len(k.pub.views))
	}
	k.all[view] = true
}

func (k *Keys) addGone(view int) {
	if k.gone == nil {
		k.gone = make([]bool, len(k.pub.views))
	}
	k.gone[view] = true
}

// Merge adds what o has of the views that want approves; nil approves all. o stays as it is.
func (k *Keys) Merge(o *Keys, want func(view int) bool) error {
	if o == nil {
		return nil
	}
	for slot, set := range o.sets {
		if set == nil || (want != nil && !want(o.pub.slots[slot].view)) {
			continue
		}
		if k.sets == nil {
			k.sets = make([]*spill.Set, len(k.pub.slots))
		}
		if k.sets[slot] == nil {
			k.sets[slot] = k.pub.pool.NewSet()
		}
		if err := k.sets[slot].AddAll(set); err != nil {
			return err
		}
	}
	for v := range k.pub.views {
		if want != nil && !want(v) {
			continue
		}
		if o.all != nil && o.all[v] {
			k.addAll(v)
		}
		if o.gone != nil && o.gone[v] {
			k.addGone(v)
		}
	}
	return nil
}

// take moves what o has to k, and leaves o as if it were closed.
func (k *Keys) take(o *Keys) error {
	if k.sets == nil {
		k.sets, o.sets = o.sets, nil
	}
	for slot, set := range o.sets { // the smaller one is added to the larger one
		if set != nil && (k.sets[slot] == nil || k.sets[slot].Len() < set.Len()) {
			k.sets[slot], o.sets[slot] = set, k.sets[slot]
		}
	}
	return errors.Join(k.Merge(o, nil), o.Close())
}

// Len is how many tuples there are at most.
func (k *Keys) Len() int {
	n := 0
	for _, set := range k.sets {
		if set != nil {
			n += set.Len()
		}
	}
	return n
}

// Truncated reports whether the base table of any view was truncated.
func (k *Keys) Truncated() bool { return slices.Contains(k.gone, true) }

// Empty reports whether nothing is affected of the views that want approves; nil approves all.
func (k *Keys) Empty(want func(view int) bool) bool {
	if k == nil {
		return true
	}
	for slot, set := range k.sets {
		if set != nil && set.Len() > 0 && (want == nil || want(k.pub.slots[slot].view)) {
			return false
		}
	}
	for v := range k.pub.views {
		if (k.isAll(v) || k.isGone(v)) && (want == nil || want(v)) {
			return false
		}
	}
	return true
}

func (k *Keys) isAll(view int) bool  { return k.all != nil && k.all[view] }
func (k *Keys) isGone(view int) bool { return k.gone != nil && k.gone[view] }

// Close gives back what the sets hold.
func (k *Keys) Close() error {
	if k == nil {
		return nil
	}
	var first error
	for _, set := range k.sets {
		if set == nil {
			continue
		}
		if err := set.Close(); err != nil && first == nil {
			first = err
		}
	}
	k.sets, k.all, k.gone = nil, nil, nil
	return first
}

// appendValues encodes a tuple so that equal tuples are equal bytes: NULL is 0, a text its length
// plus one and its bytes.
func appendValues(b []byte, values []rejot.Value) []byte {
	for _, v := range values {
		s, ok := v.Text()
		if !ok {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(s))+1)
		b = append(b, s...)
	}
	return b
}

// readValues decodes n values from text, which they share.
func readValues(text string, n int) ([]rejot.Value, error) {
	values := make([]rejot.Value, 0, n)
	for range n {
		size, width := length(text)
		if width <= 0 || size > len(text)-width+1 {
			return nil, rejot.Errorf(rejot.Corrupt, "a spilled tuple ends early")
		}
		text = text[width:]
		if size == 0 {
			values = append(values, rejot.NullValue())
			continue
		}
		values = append(values, rejot.TextValue(text[:size-1]))
		text = text[size-1:]
	}
	return values, nil
}

// length reads a varint that counts bytes, and how many bytes it takes itself: 0 where there is none.
func length(s string) (size, width int) {
	x, n := uvarint(s)
	if x > math.MaxInt32 {
		return 0, 0
	}
	return int(x), n
}

func uvarint(s string) (uint64, int) {
	var x uint64
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		x |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return x, i + 1
		}
	}
	return 0, 0
}

// tuples decodes items, each with values of its own.
func tuples(items iter.Seq2[[]byte, error], width int) iter.Seq2[[]rejot.Value, error] {
	return func(yield func([]rejot.Value, error) bool) {
		for item, err := range items {
			var values []rejot.Value
			if err == nil {
				values, err = readValues(string(item), width)
			}
			if !yield(values, err) || err != nil {
				return
			}
		}
	}
}

// difference gives the items of a that are not in b, which may be nil. Both come in the one order
// of all sets: by length, then bytes.
func difference(a, b *spill.Set) iter.Seq2[[]byte, error] {
	if b == nil {
		return a.All()
	}
	return func(yield func([]byte, error) bool) {
		next, stop := iter.Pull2(b.All())
		defer stop()
		other, err, more := next()
		for item, failed := range a.All() {
			for more && err == nil && failed == nil && spill.Compare(other, item) < 0 {
				other, err, more = next()
			}
			if failed == nil && more {
				failed = err
			}
			if failed == nil && more && spill.Compare(other, item) == 0 {
				continue
			}
			if !yield(item, failed) || failed != nil {
				return
			}
		}
	}
}
