package spill

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
)

// merged gives the items of memory and all runs, each once.
func (s *Set) merged() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var h heads
		defer func() {
			for _, x := range h {
				x.stop()
			}
		}()
		sources := []iter.Seq2[[]byte, error]{s.memory()}
		for _, f := range s.runs {
			sources = append(sources, readRun(f))
		}
		for _, src := range sources {
			next, stop := iter.Pull2(src)
			x := &head{next: next, stop: stop}
			h = append(h, x)
			if more, err := x.advance(); err != nil {
				yield(nil, err)
				return
			} else if !more {
				h = h[:len(h)-1]
			}
		}
		heap.Init(&h)
		var last []byte
		for first := true; len(h) > 0; first = false {
			x := h[0]
			if first || !bytes.Equal(x.item, last) {
				last = append(last[:0], x.item...)
				if !yield(last, nil) {
					return
				}
			}
			more, err := x.advance()
			if err != nil {
				yield(nil, err)
				return
			}
			if more {
				heap.Fix(&h, 0)
			} else {
				heap.Pop(&h)
			}
		}
	}
}

// A head is the next item of one run.
type head struct {
	item []byte
	next func() ([]byte, error, bool)
	stop func()
}

func (x *head) advance() (bool, error) {
	item, err, more := x.next()
	x.item = item
	return more, err
}

type heads []*head

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return Compare(h[i].item, h[j].item) < 0 }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is part of heap.Interface; nothing is pushed after Init.
func (h *heads) Push(any) {}

// Pop takes the last one away, which has no more items.
func (h *heads) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	x.stop()
	return x
}

// readRun gives the items of a file from its beginning; several may read it at the same time.
func readRun(f *os.File) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		r := bufio.NewReaderSize(io.NewSectionReader(f, 0, math.MaxInt64), 64<<10)
		var buf []byte
		for {
			item, err := readItem(r, buf)
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(item, err) || err != nil {
				return
			}
			buf = item
		}
	}
}

// readItem reads a length and as many bytes, into buf where it has room. io.EOF: there is no more.
func readItem(r *bufio.Reader, buf []byte) ([]byte, error) {
	size, err := binary.ReadUvarint(r)
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("read what was spilled: %w", err)
	}
	if uint64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, fmt.Errorf("read what was spilled: it ends early")
	}
	return buf, nil
}
