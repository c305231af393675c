package dbserver

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Linux and macOS cut the path of a socket at about this length.
const longestSocket = 90

type postgres struct{ bin string }

// newPostgres copies programs that the server's user could not reach into dir.
func newPostgres(dir string, major int) (*postgres, error) {
	bin, err := FindPostgres(major)
	if err != nil {
		return nil, err
	}
	if reachable(bin) {
		return &postgres{bin}, nil
	}
	own := filepath.Join(dir, "programs-"+filepath.Base(filepath.Dir(bin)))
	if _, err := os.Stat(own); err == nil {
		return &postgres{filepath.Join(own, "bin")}, nil
	}
	if err := os.CopyFS(own, os.DirFS(filepath.Dir(bin))); err != nil {
		return nil, err
	}
	return &postgres{filepath.Join(own, "bin")}, nil
}

func (p *postgres) superuser() string { return "postgres" }

// initialize runs initdb. A copy of a prepared folder would be a second faster, but all its copies would have one system
// identifier, and that is how ReJot tells clusters apart.
func (p *postgres) initialize(ctx context.Context, s *Server) error {
	passwords := filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwords, []byte(s.Password+"\n"), 0o600); err != nil {
		return err
	}
	if err := s.user.own(passwords); err != nil {
		return err
	}
	return s.run(ctx, filepath.Join(p.bin, "initdb"), "--pgdata", filepath.Join(s.dir, "data"),
		"--username", s.User, "--pwfile", passwords, "--auth", "scram-sha-256",
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
}

func (p *postgres) command(s *Server) (string, []string) {
	args := []string{"-D", filepath.Join(s.dir, "data"), "-p", portText(s)}
	for _, setting := range s.settings(p.defaults(s)) {
		args = append(args, "-c", setting)
	}
	return filepath.Join(p.bin, "postgres"), args
}

func (p *postgres) defaults(s *Server) map[string]string {
	sockets := s.dir
	if len(sockets) > longestSocket {
		sockets = ""
	}
	return map[string]string{
		"listen_addresses":          Loopback,
		"unix_socket_directories":   sockets,
		"wal_level":                 "logical",
		"max_replication_slots":     "20",
		"max_wal_senders":           "20",
		"max_prepared_transactions": "10",
		"max_connections":           "200",
		"shared_buffers":            "64MB",
		"log_line_prefix":           "%m [%p] %q%d ",
	}
}

func (p *postgres) ping(ctx context.Context, s *Server) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := pgconn.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// signals: fast shutdown, and immediate shutdown, in which the postmaster takes its children along.
func (p *postgres) signals() (stop, parentDied syscall.Signal) {
	return syscall.SIGINT, syscall.SIGQUIT
}
