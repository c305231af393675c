package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

type mariadb struct{ server, install string }

func newMariaDB() (*mariadb, error) {
	server, install, err := FindMariaDB()
	return &mariadb{server, install}, err
}

func (m *mariadb) superuser() string { return "rejot" }

func (m *mariadb) initialize(ctx context.Context, s *Server) error {
	err := s.run(ctx, m.install, "--no-defaults", "--datadir="+filepath.Join(s.dir, "data"),
		"--auth-root-authentication-method=socket", "--skip-test-db", "--innodb-flush-method=nosync")
	if err != nil {
		return err
	}
	// The server runs this before it lets anybody in, at each start.
	users := fmt.Sprintf("SET sql_log_bin = 0;\nCREATE USER IF NOT EXISTS '%s'@'%%' IDENTIFIED BY '%s';\n"+
		"GRANT ALL ON *.* TO '%s'@'%%' WITH GRANT OPTION;\n", s.User, s.Password, s.User)
	if err := os.WriteFile(m.users(s), []byte(users), 0o600); err != nil {
		return err
	}
	return s.user.own(m.users(s))
}

func (m *mariadb) users(s *Server) string { return filepath.Join(s.dir, "users.sql") }

func (m *mariadb) command(s *Server) (string, []string) {
	args := []string{"--no-defaults"} // has to be the first
	for _, setting := range s.settings(m.defaults(s)) {
		args = append(args, "--"+setting)
	}
	return m.server, args
}

func (m *mariadb) defaults(s *Server) map[string]string {
	return map[string]string{
		"datadir":                 filepath.Join(s.dir, "data"),
		"socket":                  filepath.Join(s.dir, "sock"),
		"pid-file":                filepath.Join(s.dir, "pid"),
		"init-file":               m.users(s),
		"bind-address":            Loopback,
		"port":                    portText(s),
		"skip-name-resolve":       "ON",
		"character-set-server":    "utf8mb4",
		"innodb-buffer-pool-size": "64M",
		// All that a reader of the binlog needs, and on disk when a commit returns.
		"server-id":           "1",
		"log-bin":             "binlog",
		"binlog-format":       "ROW",
		"binlog-row-image":    "FULL",
		"binlog-row-metadata": "FULL",
		"sync-binlog":         "1",
	}
}

// ping waits for the first packet: the server greets when it lets clients in, and its protocol's version is 10.
func (m *mariadb) ping(ctx context.Context, s *Server) (err error) {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	greeting := make([]byte, 5)
	if _, err := io.ReadFull(conn, greeting); err != nil {
		return err
	}
	if greeting[4] != 10 {
		return fmt.Errorf("port %d does not speak MariaDB's protocol", s.Port)
	}
	return nil
}

func (m *mariadb) signals() (stop, parentDied syscall.Signal) {
	return syscall.SIGTERM, syscall.SIGKILL
}

func portText(s *Server) string { return strconv.Itoa(s.Port) }
