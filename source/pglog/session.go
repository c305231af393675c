package pglog

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/postgres"
)

// maxSessions is how many snapshots may be open at a time.
const maxSessions = 4

// evaluating are the settings of a session that evaluates keys. A batch of keys is looked up in
// indexes, key by key; plans that go through a whole table are for other numbers of keys.
func evaluating() map[string]string {
	return map[string]string{
		"default_transaction_read_only": "on", "statement_timeout": "10min", "lock_timeout": "30s", "idle_in_transaction_session_timeout": "0",
		"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_seqscan": "off", "jit": "off",
	}
}

// A session is a connection with the statements that are prepared in it.
type session struct {
	conn       *pgconn.PgConn
	statements map[string]*pgconn.StatementDescription // by SQL
}

// prepare prepares a statement where it is not yet.
func (s *session) prepare(ctx context.Context, sql string) (*pgconn.StatementDescription, error) {
	if known := s.statements[sql]; known != nil {
		return known, nil
	}
	prepared, err := s.conn.Prepare(ctx, "q"+strconv.Itoa(len(s.statements)), sql, nil)
	if err == nil {
		s.statements[sql] = prepared
	}
	return prepared, err
}

// A pool keeps a few sessions.
type pool struct {
	after context.Context //nolint:containedctx // for what is done when nobody's context is left
	dial  func(context.Context) (*pgconn.PgConn, error)
	room  chan struct{}

	mu     sync.Mutex
	idle   []*session
	closed bool
}

func newPool(after context.Context, dial func(context.Context) (*pgconn.PgConn, error)) *pool {
	return &pool{after: after, dial: dial, room: make(chan struct{}, maxSessions)}
}

// take gives a session on which begin went well. One that was idle may have lost its server meanwhile,
// which is no failure as long as another can be had.
func (p *pool) take(ctx context.Context, begin func(context.Context, *session) error) (*session, error) {
	select {
	case p.room <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		s, err := p.pop()
		if err != nil {
			<-p.room
			return nil, err
		}
		fresh := s == nil
		if fresh {
			conn, err := p.dial(ctx)
			if err != nil {
				<-p.room
				return nil, err
			}
			s = &session{conn: conn, statements: map[string]*pgconn.StatementDescription{}}
		}
		err = begin(ctx, s)
		if err == nil {
			return s, nil
		}
		lost := s.conn.IsClosed()
		hangUp(p.after, s.conn)
		if fresh || !lost || ctx.Err() != nil {
			<-p.room
			return nil, err
		}
	}
}

func (p *pool) pop() (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, rejot.Errorf(rejot.Internal, "the source is closed")
	}
	n := len(p.idle)
	if n == 0 {
		return nil, nil
	}
	s := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return s, nil
}

// give takes a session back; one that is not well is closed.
func (p *pool) give(s *session, well bool) {
	defer func() { <-p.room }()
	if well && !s.conn.IsClosed() && s.conn.TxStatus() == 'I' {
		p.mu.Lock()
		if !p.closed {
			p.idle = append(p.idle, s)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
	hangUp(p.after, s.conn)
}

// use runs do on a session outside of a transaction; what begins the text of its error.
func (p *pool) use(ctx context.Context, what string, do func(context.Context, *pgconn.PgConn) error) error {
	s, err := p.take(ctx, func(ctx context.Context, s *session) error { return do(ctx, s.conn) })
	if err != nil {
		return named(err, what)
	}
	p.give(s, true)
	return nil
}

// named classifies what has not said yet what it is about.
func named(err error, what string) error {
	var own *rejot.Error
	if errors.As(err, &own) {
		return err
	}
	return postgres.Classify(err, what)
}

// close closes the idle sessions; those in use are closed when they come back.
func (p *pool) close() error {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, s := range idle {
		hangUp(p.after, s.conn)
	}
	return nil
}
