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
	flushed int64  // bytes in the file
	memory  []byte // what follows them; bytes that are there never change
	charged int64
	done    bool
	closed  bool
	err     error
	more    chan struct{} // closed when something changes; nil while nobody waits
}

// NewLog makes an empty list.
func (p *Pool) NewLog() *Log { return &Log{pool: p} }

// Append adds a copy of rec.
func (l *Log) Append(rec []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.memory = binary.AppendUvarint(l.memory, uint64(len(rec)))
	l.memory = append(l.memory, rec...)
	l.tell()
	size := int64(cap(l.memory))
	if size == l.charged {
		return nil
	}
	l.pool.used.Add(size - l.charged)
	l.charged = size
	if size < least || !l.pool.over() {
		return nil
	}
	return l.flush()
}

func (l *Log) flush() error {
	if l.file == nil {
		f, err := l.pool.file()
		if err != nil {
			return err
		}
		l.file = f
	}
	if _, err := l.file.WriteAt(l.memory, l.flushed); err != nil {
		return fmt.Errorf("spill to disk: %w", err)
	}
	l.flushed += int64(len(l.memory))
	l.free()
	return nil
}

func (l *Log) free() {
	l.pool.used.Add(-l.charged)
	l.memory, l.charged = nil, 0
}

func (l *Log) tell() {
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
		switch end := l.flushed + int64(len(l.memory)); {
		case l.closed:
			l.mu.Unlock()
			return nil, errClosed
		case at < l.flushed:
			p := &piece{file: io.NewSectionReader(l.file, at, l.flushed-at)}
			l.mu.Unlock()
			return p, nil
		case at < end:
			p := &piece{memory: l.memory[at-l.flushed:]}
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
