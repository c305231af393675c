package dbtest

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rejot.dev/rejot/internal/dbtest/dbserver"
)

// cleanWithin is how long the end of a test may take to remove a database.
const cleanWithin = 15 * time.Second

// A Database is an empty database of one test.
type Database struct {
	Host           string
	Port           int
	User, Password string
	Name           string
	URL            string // postgres://… or mariadb://…, with user and password

	server *Server
}

// databases counts, so that each has its own name, which is in no other
// server of this machine either where the name goes into something global.
var databases atomic.Int64

// NewDatabase creates a database that is dropped after the test, with its replication slots and prepared transactions.
func (s *Server) NewDatabase(t testing.TB) *Database {
	t.Helper()
	name := fmt.Sprintf("db%d_%s", databases.Add(1), plain(t.Name()))
	s.database("").Exec(t, s.createDatabase(name))
	t.Cleanup(func() {
		if !s.Running() {
			return // a private server goes as a whole
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), cleanWithin)
		defer cancel()
		if err := s.drop(ctx, name); err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	return s.database(name)
}

// plain keeps what needs no quotes in SQL, in any database.
func plain(name string) string {
	const longest = 40
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
		if b.Len() == longest {
			break
		}
	}
	return b.String()
}

// database is the handle of a database that exists; "" is the one for administration.
func (s *Server) database(name string) *Database {
	if name == "" && s.Engine == dbserver.Postgres {
		name = "postgres"
	}
	return &Database{
		Host: s.Host, Port: s.Port, User: s.User, Password: s.Password,
		Name: name, URL: s.URL(name), server: s,
	}
}

func (s *Server) createDatabase(name string) string {
	if s.Engine == dbserver.Postgres {
		// template0 has no sessions that could be in the way.
		return "CREATE DATABASE " + name + " TEMPLATE template0"
	}
	return "CREATE DATABASE " + name
}

func (s *Server) drop(ctx context.Context, name string) error {
	if s.Engine == dbserver.Postgres {
		return dropPostgres(ctx, s.database(""), s.database(name))
	}
	return withSession(ctx, s.database(""), func(q session) error {
		_, err := q.query(ctx, "DROP DATABASE "+name)
		return err
	})
}

// Exec runs statements one after the other in a session of their own. A text may hold several statements.
func (d *Database) Exec(t testing.TB, sql ...string) {
	t.Helper()
	err := withSession(t.Context(), d, func(q session) error {
		for _, text := range sql {
			if _, err := q.query(t.Context(), text); err != nil {
				return fmt.Errorf("%w\nin: %s", err, text)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Query returns the rows of a query in the database's own text form, NULL as "NULL".
func (d *Database) Query(t testing.TB, sql string) [][]string {
	t.Helper()
	rows, err := d.TryQuery(t.Context(), sql)
	if err != nil {
		t.Fatalf("%v\nin: %s", err, sql)
	}
	return rows
}

// TryQuery is Query for a test that expects an error, or that may meet a server that is down.
func (d *Database) TryQuery(ctx context.Context, sql string) (rows [][]string, err error) {
	err = withSession(ctx, d, func(q session) error {
		rows, err = q.query(ctx, sql)
		return err
	})
	return rows, err
}

// Session opens a session that stays until the test ends: for open transactions, locks and settings.
func (d *Database) Session(t testing.TB) *Session {
	t.Helper()
	q, err := openSession(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
		defer cancel()
		_ = q.close(ctx) // the server may be gone by now
	})
	return &Session{q: q}
}
