package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// The deadlines of a session. A caller's own, in its context, may come sooner.
const (
	connectWithin = 10 * time.Second
	callWithin    = 5 * time.Minute
	quitWithin    = time.Second
	// The server gives up on a lock before we give up on the server.
	lockWithin = 30 * time.Second
)

// A Session is one connection to a server. It is used from one goroutine.
type Session struct {
	conn    *client.Conn
	name    string // the connection's slug
	mariaDB bool
	version [3]int
	// attributes says that an execution carries the number of its parameters (MySQL 8.0.23 and later).
	attributes bool
	maxPacket  int
	broken     bool
}

// A Result is what a statement did.
type Result struct {
	Affected uint64
	Warnings int
	// InTransaction says that a transaction is open after it.
	InTransaction bool
}

// Connect opens a session and pins what statements and values mean in it: UTF-8, UTC, strict
// modes, no commit but ours.
func Connect(ctx context.Context, c contract.Connection) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	option, err := encryption(c)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, c, option)
	if err != nil {
		if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
			return nil, fmt.Errorf("connect to %s: %w", c, context.Cause(ctx))
		}
		return nil, connectError(c, err)
	}
	s := &Session{conn: conn, name: c.Slug}
	s.attributes = strings.Contains(conn.CapabilityString(), "CLIENT_QUERY_ATTRIBUTES")
	if err := s.pin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %s: %w", c, err), s.Close())
	}
	return s, nil
}

// address gives what net.Dial wants.
func address(c contract.Connection) (network, addr string) {
	if strings.HasPrefix(c.Host, "/") {
		return "unix", c.Host
	}
	return "tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
}

// dial connects and authenticates. The library takes a greeting apart without looking how long it
// is, so that another service on that port makes it panic.
func dial(ctx context.Context, c contract.Connection, encrypt client.Option) (conn *client.Conn, err error) {
	defer func() {
		if r := recover(); r != nil {
			conn, err = nil, errNotMySQL
		}
	}()
	network, addr := address(c)
	released := func() bool { return true }
	dialer := func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			released = interruptible(ctx, nc)
		}
		return nc, err
	}
	conn, err = client.ConnectWithDialer(ctx, network, addr, c.User, c.Password.Reveal(), c.Database, dialer, encrypt,
		func(conn *client.Conn) error { return conn.SetCollation("utf8mb4_general_ci") })
	released()
	return conn, err
}

// interruptible lets the end of ctx end what is read and written on nc, until released is called.
func interruptible(ctx context.Context, nc net.Conn) (released func() bool) {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = nc.SetDeadline(time.Unix(1, 0)) // fails where nc is closed, which is as good
	})
	return func() bool {
		if stop() {
			return true
		}
		<-ended // so that it does not come over the next call
		return false
	}
}

// pin sets what the session's statements rely on.
func (s *Session) pin(ctx context.Context) error {
	rows, err := s.Query(ctx, "SELECT VERSION(), @@log_bin, @@binlog_format, @@max_allowed_packet")
	if err != nil {
		return err
	}
	text, _ := rows[0][0].Text()
	s.mariaDB = strings.Contains(strings.ToLower(text), "mariadb")
	if s.version, err = parseVersion(text); err != nil {
		return err
	}
	packet, _ := rows[0][3].Text()
	if s.maxPacket, err = strconv.Atoi(packet); err != nil {
		return rejot.Errorf(rejot.Unsupported, "the server has no max_allowed_packet")
	}
	logged, _ := rows[0][1].Text()
	format, _ := rows[0][2].Text()
	isolation := "READ COMMITTED"
	if logged == "1" && strings.EqualFold(format, "STATEMENT") {
		isolation = "REPEATABLE READ" // the server refuses the other with this binlog (error 1665)
	}
	lock := int(lockWithin / time.Second)
	settings := []string{
		"NAMES utf8mb4",
		"SESSION time_zone = '+00:00'",
		"SESSION sql_mode = 'TRADITIONAL,NO_ENGINE_SUBSTITUTION'",
		"SESSION autocommit = 0",
		"SESSION sql_notes = 0",
		"SESSION group_concat_max_len = 1073741824",
		"SESSION TRANSACTION ISOLATION LEVEL " + isolation,
		fmt.Sprintf("SESSION innodb_lock_wait_timeout = LEAST(%d, @@GLOBAL.innodb_lock_wait_timeout)", lock),
		fmt.Sprintf("SESSION lock_wait_timeout = LEAST(%d, @@GLOBAL.lock_wait_timeout)", lock),
		"SESSION foreign_key_checks = 1",
		"SESSION unique_checks = 1",
	}
	if s.mariaDB {
		settings = append(settings, fmt.Sprintf("SESSION max_statement_time = %d", int(callWithin/time.Second)))
	}
	for _, set := range settings {
		if _, err := s.Exec(ctx, "SET "+set); err != nil {
			return fmt.Errorf("SET %s: %w", set, err)
		}
	}
	return nil
}

// MariaDB reports whether the server is MariaDB, and not MySQL.
func (s *Session) MariaDB() bool { return s.mariaDB }

// AtLeast compares the server's version.
func (s *Session) AtLeast(major, minor int) bool {
	return s.version[0] > major || s.version[0] == major && s.version[1] >= minor
}

// Version is the server's version for people.
func (s *Session) Version() string {
	kind := "MySQL"
	if s.mariaDB {
		kind = "MariaDB"
	}
	return fmt.Sprintf("%s %d.%d.%d", kind, s.version[0], s.version[1], s.version[2])
}

// parseVersion reads 10.11.6-MariaDB-log, 8.0.36 and, as replication makes older clients see it, 5.5.5-10.6.1-MariaDB.
func parseVersion(text string) (v [3]int, err error) {
	numbers, _, _ := strings.Cut(strings.TrimPrefix(text, "5.5.5-"), "-")
	if n, _ := fmt.Sscanf(numbers, "%d.%d.%d", &v[0], &v[1], &v[2]); n < 2 {
		return v, rejot.Errorf(rejot.Unsupported, "the server calls its version %q, which is none of MariaDB's or MySQL's", text)
	}
	return v, nil
}

// MaxPacket is how many bytes a statement may have with its parameters. At a longer one the server
// hangs up, often before it has said why.
func (s *Session) MaxPacket() int { return s.maxPacket }

// Broken reports whether the conversation was cut off, so that the session is only good for closing.
func (s *Session) Broken() bool { return s.broken }

// Close ends the session. It may be called again.
func (s *Session) Close() error {
	if s.conn == nil {
		return nil
	}
	conn := s.conn
	s.conn, s.broken = nil, true
	_ = conn.SetDeadline(time.Now().Add(quitWithin))
	_ = conn.Quit() // a word of courtesy; the server also sees the connection end
	_ = conn.Close()
	return nil
}

// Exec runs one statement without parameters.
func (s *Session) Exec(ctx context.Context, sql string) (Result, error) {
	var out Result
	err := s.during(ctx, func() error {
		r, err := s.conn.Execute(sql)
		if err != nil {
			return err
		}
		defer r.Close()
		out = Result{Affected: r.AffectedRows, Warnings: int(r.Warnings), InTransaction: r.Status&mysql.SERVER_STATUS_IN_TRANS != 0}
		return nil
	})
	return out, err
}

// Query runs one statement without parameters and gives its rows, which are few.
func (s *Session) Query(ctx context.Context, sql string) ([][]rejot.Value, error) {
	var rows [][]rejot.Value
	err := s.during(ctx, func() error {
		r, err := s.conn.Execute(sql)
		if err != nil {
			return err
		}
		defer r.Close()
		if r.Resultset == nil {
			return nil
		}
		for _, fields := range r.Values {
			row := make([]rejot.Value, len(fields))
			for i, f := range fields {
				row[i] = value(f)
			}
			rows = append(rows, row)
		}
		return nil
	})
	return rows, err
}

// value copies a field out of the library's buffer.
func value(f mysql.FieldValue) rejot.Value {
	switch v := f.Value().(type) {
	case nil:
		return rejot.NullValue()
	case []byte:
		return rejot.TextValue(string(v))
	default:
		return rejot.TextValue(fmt.Sprint(v))
	}
}

// An ownError came from the caller's side of a conversation, which was brought to an end.
type ownError struct{ err error }

func (e ownError) Error() string { return e.err.Error() }

// during runs a conversation under the deadline, and tells the server's errors from those of the way to it.
func (s *Session) during(ctx context.Context, talk func() error) error {
	if s.conn == nil || s.broken {
		return rejot.Errorf(rejot.Transient, "the connection %s is closed", s.name)
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	wire := s.conn.Conn.Conn
	if err := wire.SetDeadline(time.Now().Add(callWithin)); err != nil {
		s.broken = true
		return rejot.Errorf(rejot.Transient, "connection %s: %w", s.name, err)
	}
	released := interruptible(ctx, wire)
	err := talk()
	released()
	var answer *mysql.MyError
	var own ownError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own.err
	case errors.As(err, &answer):
		return serverError(answer)
	}
	s.broken = true
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return lostError(s.name, err)
}
