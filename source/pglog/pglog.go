package pglog

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/postgres"
)

// A Config says which database is the source.
type Config struct {
	Store contract.DataStore
	Log   *slog.Logger // nil: nothing is logged
}

// A Source is one Postgres database. Its methods may be called from several goroutines, Read from one.
// Of the reader it has Read, Confirm, Begin and Drop.
type Source struct {
	*reader

	store contract.DataStore
	log   *slog.Logger
	pool  *pool

	mu       sync.Mutex
	resolved map[string]resolvedQuery // by SQL: what Resolve learned of the queries that it made

	flushing sync.Mutex // of flusher
	flusher  *pgconn.PgConn
}

var _ rejot.Source = (*Source)(nil)

// Open connects once, to tell now what is wrong with the connection.
func Open(ctx context.Context, cfg Config) (*Source, error) {
	s := &Source{store: cfg.Store, log: cfg.Log, resolved: map[string]resolvedQuery{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.pool = newPool(context.WithoutCancel(ctx), func(ctx context.Context) (*pgconn.PgConn, error) {
		return postgres.Dial(ctx, cfg.Store.Connection, postgres.Options{Application: "evaluate", Settings: evaluating()})
	})
	s.reader = newReader(readerConfig{
		dial: s.dial, slot: cfg.Store.SlotName, publication: cfg.Store.PublicationName, flush: s.flush, log: s.log,
	})
	err := s.pool.use(ctx, "connect to "+cfg.Store.Connection.String(), s.inspect)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// inspect refuses a server that cannot be a source.
func (s *Source) inspect(ctx context.Context, conn *pgconn.PgConn) error {
	result := conn.ExecParams(ctx, `SELECT pg_catalog.current_setting('server_version_num')::int4 >= 130000,
		pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('server_version')`, nil, nil, nil, nil).Read()
	if result.Err != nil {
		return result.Err
	}
	row := result.Rows[0]
	switch {
	case string(row[0]) == "f":
		return rejot.Errorf(rejot.Unsupported, "%s has Postgres %s; 13 is the oldest that is supported", s.store.Connection, row[2])
	case string(row[1]) == "t":
		err := rejot.Errorf(rejot.Transient, "%s is a standby, which cannot be read as a source", s.store.Connection)
		return rejot.WithMend(err, "point connection %s to the primary", s.store.Connection.Slug)
	}
	return nil
}

// dial opens a session for reading the log, or one beside it.
func (s *Source) dial(ctx context.Context, replication bool) (*pgconn.PgConn, error) {
	return postgres.Dial(ctx, s.store.Connection, postgres.Options{Replication: replication, Application: "capture"})
}

// flush commits something synchronously: the server sends only what it has flushed. It waits for
// this server's disk and for no standby, which might be away.
func (s *Source) flush(ctx context.Context) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if s.flusher == nil || s.flusher.IsClosed() {
		conn, err := postgres.Dial(ctx, s.store.Connection, postgres.Options{
			Application: "flush", Settings: map[string]string{"synchronous_commit": "local", "default_transaction_read_only": "off"},
		})
		if err != nil {
			return err
		}
		s.flusher = conn
	}
	_, err := s.flusher.Exec(ctx, `SELECT pg_catalog.pg_logical_emit_message(true, 'rejot', '')`).ReadAll()
	if err != nil {
		hangUp(context.WithoutCancel(ctx), s.flusher)
		s.flusher = nil
	}
	return postgres.Classify(err, "flush the log of "+s.store.Connection.String())
}

// Close ends the sessions. A snapshot that is open ends with it.
func (s *Source) Close() error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if s.flusher != nil {
		hangUp(s.pool.after, s.flusher)
		s.flusher = nil
	}
	return s.pool.close()
}

// hangUp closes a connection and waits for what belongs to it. A goodbye must not hang.
func hangUp(ctx context.Context, conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing is lost with it
	select {
	case <-conn.CleanupDone():
	case <-ctx.Done():
	}
}
