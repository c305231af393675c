package spill

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"os"
	"slices"
)

const (
	few     = 8  // items that are searched one by one
	maxRuns = 64 // files before they are merged into one
)

// A Set is a set of byte strings. It is used from one goroutine at a time. A set of few items costs
// little more than their bytes.
type Set struct {
	pool    *Pool
	arena   []byte   // items in memory: length as a varint, bytes
	offsets []uint32 // where they begin, in the order of their coming
	table   []uint32 // open addressing: index into offsets, plus one; nil while there are few
	charged int64
	runs    []*os.File
	inRuns  int
}

var seed = maphash.MakeSeed()

// NewSet makes an empty set.
func (p *Pool) NewSet() *Set { return &Set{pool: p} }

// Len is how many items there are at most: an item is counted once for each run that has it.
func (s *Set) Len() int { return len(s.offsets) + s.inRuns }

// Add adds a copy of item.
func (s *Set) Add(item []byte) error {
	if s.has(item) {
		return nil
	}
	at := len(s.arena)
	s.arena = binary.AppendUvarint(s.arena, uint64(len(item)))
	s.arena = append(s.arena, item...)
	s.offsets = append(s.offsets, uint32(at)) //nolint:gosec // an arena is written to disk long before it has 4 GB
	if s.table != nil || len(s.offsets) > few {
		s.index()
	}
	return s.charge()
}

// AddAll adds what o has, which stays as it is.
func (s *Set) AddAll(o *Set) error {
	if len(o.runs) == 0 {
		for _, at := range o.offsets {
			if err := s.Add(o.item(at)); err != nil {
				return err
			}
		}
		return nil
	}
	for item, err := range o.All() {
		if err != nil {
			return err
		}
		if err := s.Add(item); err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) item(at uint32) []byte {
	size, n := binary.Uvarint(s.arena[at:])
	begin := int(at) + n
	return s.arena[begin : begin+int(size)] //nolint:gosec // written by Add
}

func (s *Set) has(item []byte) bool {
	if s.table == nil {
		for _, at := range s.offsets {
			if bytes.Equal(s.item(at), item) {
				return true
			}
		}
		return false
	}
	mask := uint64(len(s.table) - 1) //nolint:gosec // a table is not empty
	for i := maphash.Bytes(seed, item) & mask; s.table[i] != 0; i = (i + 1) & mask {
		if bytes.Equal(s.item(s.offsets[s.table[i]-1]), item) {
			return true
		}
	}
	return false
}

// index enters the last item into the table, which is at most three quarters full.
func (s *Set) index() {
	first := len(s.offsets) - 1
	if 4*len(s.offsets) > 3*len(s.table) {
		s.table = make([]uint32, max(4*few, 2*len(s.table)))
		first = 0
	}
	mask := uint64(len(s.table) - 1) //nolint:gosec // a table is not empty
	for n := first; n < len(s.offsets); n++ {
		i := maphash.Bytes(seed, s.item(s.offsets[n])) & mask
		for s.table[i] != 0 {
			i = (i + 1) & mask
		}
		s.table[i] = uint32(n + 1) //nolint:gosec // fewer items than bytes in the arena
	}
}

// charge tells the pool what the set takes now, and writes a run where that is too much.
func (s *Set) charge() error {
	size := int64(cap(s.arena) + 4*cap(s.offsets) + 4*cap(s.table))
	if size == s.charged {
		return nil
	}
	s.pool.used.Add(size - s.charged)
	s.charged = size
	if size < least || !s.pool.over() {
		return nil
	}
	return s.spill()
}

func (s *Set) free() {
	s.pool.used.Add(-s.charged)
	s.arena, s.offsets, s.table, s.charged = nil, nil, nil, 0
}

// sorted gives where the items in memory begin, in the set's order.
func (s *Set) sorted() []uint32 {
	at := slices.Clone(s.offsets)
	slices.SortFunc(at, func(a, b uint32) int { return Compare(s.item(a), s.item(b)) })
	return at
}

// Compare is the order of all sets: by length, then by bytes, so that positive numbers come in their order.
func Compare(a, b []byte) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), bytes.Compare(a, b))
}

func (s *Set) spill() error {
	f, n, err := s.write(s.memory())
	if err != nil {
		return err
	}
	s.runs = append(s.runs, f)
	s.inRuns += n
	s.free()
	if len(s.runs) < maxRuns {
		return nil
	}
	f, n, err = s.write(s.All())
	if err != nil {
		return err
	}
	old := s.runs
	s.runs, s.inRuns = []*os.File{f}, n
	return closeAll(old)
}

// write writes items to a file, and tells how many they are.
func (s *Set) write(items iter.Seq2[[]byte, error]) (f *os.File, n int, err error) {
	if f, err = s.pool.file(); err != nil {
		return nil, 0, err
	}
	w := bufio.NewWriterSize(f, 256<<10)
	var head [binary.MaxVarintLen64]byte
	for item, err := range items {
		if err == nil {
			_, err = w.Write(head[:binary.PutUvarint(head[:], uint64(len(item)))])
		}
		if err == nil {
			_, err = w.Write(item)
		}
		if err != nil {
			return nil, 0, errors.Join(fmt.Errorf("spill to disk: %w", err), f.Close())
		}
		n++
	}
	if err := w.Flush(); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("spill to disk: %w", err), f.Close())
	}
	return f, n, nil
}

// memory gives the items in memory in order.
func (s *Set) memory() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, at := range s.sorted() {
			if !yield(s.item(at), nil) {
				return
			}
		}
	}
}

// All gives each item once, in the order of all sets: by length, then bytes. It may be ranged over
// again; an item is valid until the next one.
func (s *Set) All() iter.Seq2[[]byte, error] {
	if len(s.runs) == 0 {
		return s.memory()
	}
	return s.merged()
}

// Close gives back memory and files.
func (s *Set) Close() error {
	s.free()
	runs := s.runs
	s.runs, s.inRuns = nil, 0
	return closeAll(runs)
}

func closeAll(files []*os.File) error {
	var err error
	for _, f := range files {
		err = errors.Join(err, f.Close())
	}
	return err
}
