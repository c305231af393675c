package dbserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Loopback is the only address that servers listen on.
const Loopback = "127.0.0.1"

const (
	startWithin = 60 * time.Second
	stopWithin  = 15 * time.Second
	portTries   = 3
	pollEvery   = 10 * time.Millisecond
)

// An Engine is a kind of server.
type Engine string

// The engines that there are.
const (
	Postgres Engine = "postgres"
	MariaDB  Engine = "mariadb"
)

// A Config says which server to start.
type Config struct {
	Engine   Engine
	Major    int               // Postgres only; 0 is the one that the machine has, see FindPostgres
	Settings map[string]string // the server's own names; they win over the defaults of this package
}

// A Server is one database server. It keeps its port and its data over Stop, Kill and Start.
type Server struct {
	Engine         Engine
	Host           string
	Port           int
	User, Password string // may do everything on this server

	driver driver
	dir    string
	user   *runAs
	config Config

	mu   sync.Mutex
	proc *process // nil while the server does not run
}

// A driver is what differs between engines.
type driver interface {
	superuser() string
	// initialize makes the data folder.
	initialize(ctx context.Context, s *Server) error
	// command is the program in the foreground with its arguments.
	command(s *Server) (string, []string)
	// ping tells whether the server answers.
	ping(ctx context.Context, s *Server) error
	// signals are for stopping with a checkpoint and for dying with the parent.
	signals() (stop, parentDied syscall.Signal)
}

func newDriver(home string, c Config) (driver, error) {
	switch c.Engine {
	case Postgres:
		return newPostgres(home, c.Major)
	case MariaDB:
		return newMariaDB()
	default:
		return nil, fmt.Errorf("unknown engine %q", c.Engine)
	}
}

func newServer(ctx context.Context, dir string, d driver, c Config) (*Server, error) {
	s := &Server{
		Engine: c.Engine, Host: Loopback, User: d.superuser(), Password: rand.Text(),
		driver: d, dir: dir, config: c,
	}
	var err error
	if s.user, err = findUser(c.Engine); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if err := s.user.own(dir); err != nil {
		return nil, err
	}
	if err := s.driver.initialize(ctx, s); err != nil {
		return nil, err
	}
	return s, s.firstStart(ctx)
}

// firstStart looks for a port. Another process may take it before the server does, so
// a server that ended at its first start gets another one.
func (s *Server) firstStart(ctx context.Context) error {
	var err error
	for range portTries {
		if s.Port, err = freePort(ctx); err != nil {
			return err
		}
		if err = s.Start(ctx); err == nil {
			return nil
		}
	}
	return err
}

// Start starts a stopped or killed server, on the port that it had, and returns when it answers.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		return errors.New("the server runs already")
	}
	program, args := s.driver.command(s)
	cmd := s.cmd(ctx, program, args...)
	_, parentDied := s.driver.signals()
	dieWith(cmd.SysProcAttr, parentDied)
	log, err := s.openLog()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	proc, err := startProcess(cmd)
	if closeErr := log.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := s.await(ctx, proc); err != nil {
		killTree(proc)
		return fmt.Errorf("%w; its log ends with:\n%s", err, s.LogTail(30))
	}
	s.proc = proc
	return nil
}

func (s *Server) openLog() (*os.File, error) {
	return os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// await polls until the server answers. Its caller holds mu.
func (s *Server) await(ctx context.Context, proc *process) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := s.driver.ping(ctx, s)
		if err == nil {
			return nil
		}
		select {
		case <-proc.done:
			return fmt.Errorf("the server ended before it answered: %w", proc.err)
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer within %s: %w", startWithin, err)
		case <-tick.C:
		}
	}
}

// Stop ends the server in the orderly way: sessions are closed, data is written.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	stop, _ := s.driver.signals()
	if err := s.proc.signal(stop); err != nil {
		return err
	}
	proc := s.proc
	s.proc = nil
	select {
	case <-proc.done:
		return nil
	case <-time.After(stopWithin):
		killTree(proc)
		return fmt.Errorf("%s did not stop within %s and was killed", s.Engine, stopWithin)
	}
}

// Kill ends all processes of the server with SIGKILL, as a crash does, and returns when they are gone.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		killTree(s.proc)
		s.proc = nil
	}
}

// Running tells whether the server was started and has not been stopped since.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc != nil
}

// Close kills the server and removes its data.
func (s *Server) Close() error {
	s.Kill()
	return os.RemoveAll(s.dir)
}

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// URL is the address of one of the server's databases with user and password.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme: string(s.Engine),
		User:   url.UserPassword(s.User, s.Password),
		Host:   s.Addr(),
		Path:   "/" + database,
	}
	if s.Engine == Postgres {
		u.RawQuery = "sslmode=disable"
	}
	return u.String()
}

// Dir is the server's folder: its data is in data, its log in log, its socket in sock.
func (s *Server) Dir() string { return s.dir }

// LogFile is where the server writes its log.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "log") }

// LogTail returns the log's last lines.
func (s *Server) LogTail(lines int) string {
	text, err := os.ReadFile(s.LogFile())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// cmd is a program run as the server's user, in its folder, with nothing of our environment that could lead it elsewhere.
func (s *Server) cmd(ctx context.Context, program string, args ...string) *exec.Cmd {
	// The server outlives the call that starts it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, args...) //nolint:gosec // programs found by this package
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TMPDIR=" + s.dir, "LANG=C.UTF-8", "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = s.user.attr()
	return cmd
}

// run runs a program to its end.
func (s *Server) run(ctx context.Context, program string, args ...string) error {
	out, err := s.cmd(ctx, program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, out)
	}
	return nil
}

// settings lays the configured settings over the defaults and yields them in order of their names.
func (s *Server) settings(defaults map[string]string) []string {
	all := maps.Clone(defaults)
	maps.Copy(all, s.config.Settings)
	args := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, name+"="+all[name])
	}
	return args
}

// freePort looks below the range that the kernel takes for outgoing connections: a port from that range
// could be some client's while the server is down between Kill and Start.
func freePort(ctx context.Context) (int, error) {
	const lowest, ports, tries = 15_000, 15_000, 50
	var lastErr error
	for range tries {
		n, err := rand.Int(rand.Reader, big.NewInt(ports))
		if err != nil {
			return 0, err
		}
		port := lowest + int(n.Int64())
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(Loopback, strconv.Itoa(port)))
		if err != nil {
			lastErr = err
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("no free port: %w", lastErr)
}
