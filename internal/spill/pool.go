package spill

import (
	"fmt"
	"os"
	"sync/atomic"
)

// least is what a set or log has to hold before writing it to disk is worth a file.
const least = 64 << 10

// A Pool bounds the memory of its sets and logs. It may be used from several goroutines.
type Pool struct {
	dir   string
	limit int64
	used  atomic.Int64
}

// NewPool makes a pool of limit bytes that spills into dir; empty is the system's folder for temporary files.
func NewPool(dir string, limit int64) *Pool { return &Pool{dir: dir, limit: limit} }

// Used is how many bytes of memory the pool's sets and logs take.
func (p *Pool) Used() int64 { return p.used.Load() }

func (p *Pool) over() bool { return p.used.Load() > p.limit }

// file opens a file without a name.
func (p *Pool) file() (*os.File, error) {
	f, err := os.CreateTemp(p.dir, "rejot-spill-")
	if err != nil {
		return nil, fmt.Errorf("spill to disk: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("spill to disk: %w", err)
	}
	return f, nil
}
