package dbtest

import (
	"context"
	"errors"
	"maps"
	"os"
	"sync"
	"testing"

	"rejot.dev/rejot/internal/dbtest/dbserver"
)

// logLines of a server are shown when a test fails.
const logLines = 60

// A Server is a database server of this test process.
type Server struct {
	*dbserver.Server
	private bool
}

// An Option says which server a test wants.
type Option func(*options)

type options struct {
	private  bool
	major    int
	settings map[string]string
}

// Private asks for a server of the test's own. It may be stopped and killed, and is gone after the test.
func Private() Option { return func(o *options) { o.private = true } }

// Setting asks for a private server with a setting under the server's own name, as in Setting("fsync", "off").
func Setting(name, value string) Option {
	return func(o *options) {
		o.private = true
		o.settings[name] = value
	}
}

// Version asks for a major version of Postgres; the default is 15, or what the machine has.
func Version(major int) Option { return func(o *options) { o.major = major } }

// Postgres returns a Postgres with wal_level=logical and room for 20 replication slots. It is shared with other tests
// of the process unless opts say otherwise.
func Postgres(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return get(t, dbserver.Postgres, opts)
}

// PostgresVersion returns the shared server of a major version. Without CI=true, a test is
// skipped where that version is not installed.
func PostgresVersion(t testing.TB, major int) *Server {
	t.Helper()
	return Postgres(t, Version(major))
}

// MariaDB returns a MariaDB whose binlog has whole rows and names of columns. It is
// shared with other tests of the process unless opts say otherwise.
func MariaDB(t testing.TB, opts ...Option) *Server {
	t.Helper()
	return get(t, dbserver.MariaDB, opts)
}

func get(t testing.TB, engine dbserver.Engine, opts []Option) *Server {
	t.Helper()
	o := options{settings: map[string]string{}}
	for _, opt := range opts {
		opt(&o)
	}
	config := dbserver.Config{Engine: engine, Major: o.major, Settings: maps.Clone(o.settings)}
	s, err := running.server(t.Context(), config, o.private)
	if errors.Is(err, dbserver.ErrMissing) && o.major != 0 && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of %s at %s ends with:\n%s", s.Engine, s.Addr(), s.LogTail(logLines))
		}
		if o.private {
			check(t, "close the server", s.Close())
		}
	})
	return &Server{Server: s, private: o.private}
}

// Stop stops a private server in the orderly way.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.mine(t)
	check(t, "stop the server", s.Server.Stop())
}

// Kill kills all processes of a private server with SIGKILL.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.mine(t)
	s.Server.Kill()
}

// Start starts a private server again, on its port and with its data.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.mine(t)
	check(t, "start the server", s.Server.Start(t.Context()))
}

// Restart stops and starts a private server.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop(t)
	s.Start(t)
}

func (s *Server) mine(t testing.TB) {
	t.Helper()
	if !s.private {
		t.Fatal("other tests use this server: ask for one with dbtest.Private()")
	}
}

func check(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// running is the one changing variable here: servers belong to the process, as its tests share them.
var running = &process{shared: map[kind]*entry{}}

type process struct {
	mu     sync.Mutex
	home   *dbserver.Home
	shared map[kind]*entry
}

type kind struct {
	engine dbserver.Engine
	major  int
}

// An entry is a shared server once it was asked for. A failed start is not tried again.
type entry struct {
	once   sync.Once
	server *dbserver.Server
	err    error
}

func (p *process) server(ctx context.Context, c dbserver.Config, private bool) (*dbserver.Server, error) {
	home, err := p.open()
	if err != nil {
		return nil, err
	}
	if private {
		return home.Start(ctx, c)
	}
	e := p.entry(kind{c.Engine, c.Major})
	e.once.Do(func() { e.server, e.err = home.Start(context.WithoutCancel(ctx), c) })
	return e.server, e.err
}

func (p *process) open() (*dbserver.Home, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.home == nil {
		home, err := dbserver.Open("")
		if err != nil {
			return nil, err
		}
		p.home = home
	}
	return p.home, nil
}

func (p *process) entry(k kind) *entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shared[k] == nil {
		p.shared[k] = &entry{}
	}
	return p.shared[k]
}

// close ends all servers. Later tests of the process would start new ones.
func (p *process) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.home == nil {
		return nil
	}
	home := p.home
	p.home = nil
	clear(p.shared)
	return home.Close()
}
