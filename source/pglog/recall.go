package pglog

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// A recall keeps, from one call to the next, what the log's relations are: each call describes them again, and to look
// all of them up would be most of the time of a short one.
type recall struct {
	describe func(context.Context, *relation) error
	ancestry func(context.Context, ...*relation) (map[uint32][]contract.TableName, error)

	rels    map[uint32]*relation // that earlier calls have described and this one has not
	last    *decoder
	checked bool // in this call
}

func newRecall(describe func(context.Context, *relation) error, ancestry func(context.Context, ...*relation) (map[uint32][]contract.TableName, error)) *recall {
	return &recall{describe: describe, ancestry: ancestry, rels: map[uint32]*relation{}}
}

// decoder makes the decoder of the next call, after one that went well.
func (m *recall) decoder(to rejot.Receiver) *decoder {
	if m.last != nil {
		maps.Copy(m.rels, m.last.rels)
	}
	m.last, m.checked = newDecoder(to, m.describe), false
	m.last.recall = m
	return m.last
}

// find gives a relation that an earlier call has described in the same words; nil where there is none. A second
// description within a call means that something about the table is different.
func (m *recall) find(ctx context.Context, id uint32, raw []byte) (*relation, error) {
	known := m.rels[id]
	if known == nil || !bytes.Equal(known.raw, raw) {
		return nil, nil
	}
	if err := m.check(ctx); err != nil {
		return nil, err
	}
	known = m.rels[id]
	delete(m.rels, id)
	return known, nil
}

// check drops, once in a call, the relations that have come under other tables; no description says so. The
// server has decoded all of the call before it gives the first row, so nothing in it is later than this.
func (m *recall) check(ctx context.Context) error {
	if m.checked {
		return nil
	}
	above, err := m.ancestry(ctx, slices.Collect(maps.Values(m.rels))...)
	if err != nil {
		return err
	}
	maps.DeleteFunc(m.rels, func(id uint32, rel *relation) bool { return !slices.Equal(rel.above, above[id]) })
	m.checked = true
	return nil
}
