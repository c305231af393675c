package dbtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot/internal/dbtest/dbserver"
)

// A Session is one connection that a test holds open. It is for one goroutine.
type Session struct{ q session }

// Exec runs statements one after the other.
func (s *Session) Exec(t testing.TB, sql ...string) {
	t.Helper()
	for _, text := range sql {
		s.Query(t, text)
	}
}

// Query returns the rows of a query in the database's own text form, NULL as "NULL".
func (s *Session) Query(t testing.TB, sql string) [][]string {
	t.Helper()
	rows, err := s.q.query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%v\nin: %s", err, sql)
	}
	return rows
}

// Close ends the session before the test does.
func (s *Session) Close(t testing.TB) {
	t.Helper()
	check(t, "close the session", s.q.close(t.Context()))
}

// A session is a connection to either engine.
type session interface {
	query(ctx context.Context, sql string) ([][]string, error)
	close(ctx context.Context) error
}

func openSession(ctx context.Context, d *Database) (session, error) {
	switch d.server.Engine {
	case dbserver.Postgres:
		conn, err := pgconn.Connect(ctx, d.URL)
		return pgSession{conn}, err
	case dbserver.MariaDB:
		return openMariaDB(ctx, d)
	default:
		return nil, fmt.Errorf("unknown engine %q", d.server.Engine)
	}
}

func withSession(ctx context.Context, d *Database, use func(session) error) error {
	q, err := openSession(ctx, d)
	if err != nil {
		return err
	}
	return errors.Join(use(q), q.close(ctx))
}

type pgSession struct{ conn *pgconn.PgConn }

func (s pgSession) query(ctx context.Context, sql string) ([][]string, error) {
	results, err := s.conn.Exec(ctx, sql).ReadAll() // simple protocol: values come as text
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for _, result := range results {
		for _, row := range result.Rows {
			rows = append(rows, texts(row))
		}
	}
	return rows, nil
}

func texts(row [][]byte) []string {
	out := make([]string, len(row))
	for i, value := range row {
		if out[i] = string(value); value == nil {
			out[i] = "NULL"
		}
	}
	return out
}

func (s pgSession) close(ctx context.Context) error { return s.conn.Close(ctx) }

// dropPostgres drops a database with what would keep it from being dropped.
func dropPostgres(ctx context.Context, admin, d *Database) error {
	if err := withSession(ctx, d, func(q session) error { return rollbackPrepared(ctx, q) }); err != nil {
		return err
	}
	return withSession(ctx, admin, func(q session) error {
		if err := dropSlots(ctx, q, d.Name); err != nil {
			return err
		}
		_, err := q.query(ctx, "DROP DATABASE "+d.Name+" WITH (FORCE)")
		return err
	})
}

func rollbackPrepared(ctx context.Context, q session) error {
	rows, err := q.query(ctx, `SELECT quote_literal(gid) FROM pg_prepared_xacts WHERE database = current_database()`)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if _, err := q.query(ctx, "ROLLBACK PREPARED "+row[0]); err != nil {
			return err
		}
	}
	return nil
}

// dropSlots ends those that read from the database's slots and drops the slots. A slot
// is free only a moment after its reader was ended, so it is tried until ctx ends.
func dropSlots(ctx context.Context, q session, database string) error {
	of := fmt.Sprintf(` FROM pg_replication_slots WHERE database = '%s'`, database)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		_, err := q.query(ctx, `SELECT pg_terminate_backend(active_pid)`+of+` AND active`)
		if err != nil {
			return err
		}
		_, dropErr := q.query(ctx, `SELECT pg_drop_replication_slot(slot_name)`+of+` AND NOT active`)
		left, err := q.query(ctx, `SELECT slot_name`+of)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("slots are left: %v: %w", left, errors.Join(dropErr, ctx.Err()))
		case <-tick.C:
		}
	}
}
