package dbserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

const (
	homePrefix  = "rejot-db-"
	readyMark   = "home-" // a home has its name from the moment that its lock is held, see Open
	lockName    = "lock"
	fallbackTmp = "/tmp"
)

// A Home is a folder that holds servers of one process. Its methods may be called from several goroutines.
type Home struct {
	dir  string
	lock *os.File

	mu      sync.Mutex
	servers []*Server
	started int // servers ever started: a name each
}

// Open makes a home below parent (the system's temporary folder when empty) and
// removes homes there that belong to no living process.
func Open(parent string) (*Home, error) {
	if parent == "" {
		parent = tempDir()
	}
	removeStale(parent)
	// The folder gets the name that removeStale looks for only when its lock is held,
	// so that no other process takes a new home for a left-over one.
	dir, err := os.MkdirTemp(parent, homePrefix)
	if err != nil {
		return nil, err
	}
	h, err := claim(parent, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return h, nil
}

func claim(parent, dir string) (*Home, error) {
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the servers' user has to pass through
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	name := filepath.Join(parent, homePrefix+readyMark+strings.TrimPrefix(filepath.Base(dir), homePrefix))
	if err := os.Rename(dir, name); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Home{dir: name, lock: lock}, nil
}

// removeStale is best effort: what cannot be removed now is tried again at the next start.
func removeStale(parent string) {
	dirs, err := filepath.Glob(filepath.Join(parent, homePrefix+readyMark+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0o600)
		if err != nil {
			continue // another user's home
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(dir)
		}
		_ = lock.Close()
	}
}

// tempDir is the system's temporary folder, unless the servers' user could not reach it.
func tempDir() string {
	if dir := os.TempDir(); reachable(dir) {
		return dir
	}
	return fallbackTmp
}

// reachable tells whether any user may enter dir; it matters only to root, who starts servers as somebody else.
func reachable(dir string) bool {
	if os.Geteuid() != 0 {
		return true
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// Start starts a server and returns when it answers.
func (h *Home) Start(ctx context.Context, c Config) (*Server, error) {
	h.mu.Lock()
	h.started++
	name := fmt.Sprintf("%s%d", c.Engine, h.started)
	driver, err := newDriver(h.dir, c) // may copy programs, once
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s, err := newServer(ctx, filepath.Join(h.dir, name), driver, c)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.servers = append(h.servers, s)
	return s, nil
}

// Close kills the servers that still run, and removes the folder.
func (h *Home) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, s := range h.servers {
		errs = append(errs, s.Close())
	}
	h.servers = nil
	errs = append(errs, os.RemoveAll(h.dir), h.lock.Close())
	return errors.Join(errs...)
}
