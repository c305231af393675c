package spill

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
)

// A Log is a list of records that one goroutine writes and any number read from the beginning, also
// while it is written.
type Log struct {
	pool *Pool

	mu      sync.Mutex
	file    *os.File
	flushed int64    // bytes in the file
	memory  [][]byte // what follows them, in segments of whole records; bytes that are there never change
	size    int64    // of what is in memory
	told    int64    // how much there was when readers were last woken
	charged int64
	done    bool
	closed  bool
	err     error
	more    chan struct{} // closed when something changes; nil while nobody waits
}

// NewLog makes an empty list.
func (p *Pool) NewLog() *Log { return &Log{pool: p} }

// The sizes of segments: a list of few records takes little, and a long one is not copied as it grows.
const (
	firstSegment   = 2 << 10
	largestSegment = 256 << 10
)

// wakeAt is how many bytes there have to be before a reader that waits is woken for them: it is not worth it for each record.
const wakeAt = 16 << 10

// Append adds a copy of rec. A reader that waits may learn of it later, and by Finish at the latest.
func (l *Log) Append(rec []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	need := len(rec) + binary.MaxVarintLen64
	last := len(l.memory) - 1
	grown := last < 0 || cap(l.memory[last])-len(l.memory[last]) < need
	if grown {
		size := firstSegment
		if last >= 0 {
			size = min(2*cap(l.memory[last]), largestSegment)
		}
		l.memory = append(l.memory, make([]byte, 0, max(size, need)))
		last++
		l.charge(int64(cap(l.memory[last])))
	}
	before := len(l.memory[last])
	l.memory[last] = binary.AppendUvarint(l.memory[last], uint64(len(rec)))
	l.memory[last] = append(l.memory[last], rec...)
	l.size += int64(len(l.memory[last]) - before)
	if l.flushed+l.size-l.told >= wakeAt {
		l.tell()
	}
	if !grown || l.charged < least || !l.pool.over() {
		return nil
	}
	return l.flush()
}

func (l *Log) charge(n int64) {
	l.charged += n
	l.pool.used.Add(n)
}

func (l *Log) flush() error {
	if l.file == nil {
		f, err := l.pool.file()
		if err != nil {
			return err
		}
		l.file = f
	}
	at := l.flushed
	for _, segment := range l.memory {
		if _, err := l.file.WriteAt(segment, at); err != nil {
			return fmt.Errorf("spill to disk: %w", err)
		}
		at += int64(len(segment))
	}
	l.flushed = at
	l.free()
	return nil
}

func (l *Log) free() {
	l.charge(-l.charged)
	l.memory, l.size = nil, 0
}

func (l *Log) tell() {
	l.told = l.flushed + l.size
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
}

// Finish ends the list; readers get err at its end, where it is not nil.
func (l *Log) Finish(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done, l.err = true, err
	l.tell()
}

// Close gives back memory and file. Whoever still reads gets an error.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.free()
	l.tell()
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

var errClosed = errors.New("a list of events was closed while it was read")

// All gives the records from the beginning, and waits for more until Finish. A record is valid until the next one.
func (l *Log) All(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var at int64
		for {
			piece, err := l.piece(ctx, at)
			if err != nil {
				yield(nil, err)
				return
			}
			if piece == nil {
				return
			}
			n, ok := piece.each(yield)
			if !ok {
				return
			}
			at += n
		}
	}
}

// A piece is a part of the list that begins and ends with a record.
type piece struct {
	memory []byte
	file   *io.SectionReader // where memory is nil
}

// piece gives what there is from at on; nil at the end of the list.
func (l *Log) piece(ctx context.Context, at int64) (*piece, error) {
	for {
		l.mu.Lock()
		switch end := l.flushed + l.size; {
		case l.closed:
			l.mu.Unlock()
			return nil, errClosed
		case at < l.flushed:
			p := &piece{file: io.NewSectionReader(l.file, at, l.flushed-at)}
			l.mu.Unlock()
			return p, nil
		case at < end:
			p := &piece{memory: l.segment(at - l.flushed)}
			l.mu.Unlock()
			return p, nil
		case l.done:
			defer l.mu.Unlock()
			return nil, l.err
		}
		if l.more == nil {
			l.more = make(chan struct{})
		}
		more := l.more
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-more:
		}
	}
}

// segment gives the rest of a segment from a place in memory on.
func (l *Log) segment(at int64) []byte {
	for _, s := range l.memory {
		if at < int64(len(s)) {
			return s[at:]
		}
		at -= int64(len(s))
	}
	return nil
}

// each yields the piece's records and gives its length; false where yield ended it.
func (p *piece) each(yield func([]byte, error) bool) (int64, bool) {
	if p.memory != nil {
		for rest := p.memory; len(rest) > 0; {
			size, n := binary.Uvarint(rest)
			end := n + int(size) //nolint:gosec // written by Append
			if !yield(rest[n:end], nil) {
				return 0, false
			}
			rest = rest[end:]
		}
		return int64(len(p.memory)), true
	}
	r := bufio.NewReaderSize(p.file, 64<<10)
	var buf []byte
	for {
		rec, err := readItem(r, buf)
		if errors.Is(err, io.EOF) {
			return p.file.Size(), true
		}
		if !yield(rec, err) || err != nil {
			return 0, false
		}
		buf = rec
	}
}
