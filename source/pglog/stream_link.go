package pglog

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/postgres"
)

// closeStream is how long the server may take to end the stream.
const closeStream = 250 * time.Millisecond

// writeWithin is how long the server may take to take a few bytes.
const writeWithin = 10 * time.Second

// A link is a connection that streams. One goroutine receives; status may come from any.
type link struct {
	conn     net.Conn
	frontend *pgproto3.Frontend
	since    atomic.Int64  // when receive began to wait, in Unix nanoseconds; 0 while it does not
	silent   atomic.Bool   // the server has said nothing for too long
	seen     atomic.Uint64 // the furthest place that was named
	behind   atomic.Bool   // the log's end is far away

	asks  int    // reply requests in a row; the receiving goroutine's
	asked uint64 // when the last was sent, in microseconds

	mu     sync.Mutex // of writing
	buffer [5 + 34]byte
}

// start opens the stream after place.
func (r *reader) start(ctx context.Context, place rejot.Place) (*link, error) {
	conn, err := r.cfg.dial(ctx, true)
	if err != nil {
		return nil, postgres.Classify(err, "open a replication connection to the source")
	}
	version := conn.ParameterStatus("server_version")
	hijacked, err := conn.Hijack()
	if err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	l := &link{conn: hijacked.Conn, frontend: hijacked.Frontend}
	l.passed(place.Offset)
	stop := context.AfterFunc(ctx, l.interrupt)
	defer stop()
	if err := l.begin(startCommand(r.cfg.slot, r.cfg.publication, place, version)); err != nil {
		l.close()
		return nil, r.explain(ctx, err)
	}
	return l, nil
}

func startCommand(slot, publication string, place rejot.Place, version string) string {
	options := "proto_version '2', streaming 'on'"
	if major, err := strconv.Atoi(version[:digits(version)]); err == nil && major < 14 {
		options = "proto_version '1'"
	}
	return "START_REPLICATION SLOT " + postgres.Quote(slot) + " LOGICAL " + place.String() +
		" (" + options + ", publication_names " + quoteLiteral(postgres.Quote(publication)) + ")"
}

func digits(s string) int {
	n := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if n < 0 {
		return len(s)
	}
	return n
}

// quoteLiteral makes a string of the replication grammar, which has no escapes.
func quoteLiteral(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }

// A responseError is an error that the server has sent.
type responseError struct{ *pgproto3.ErrorResponse }

// Error gives the server's message and code; its detail may name values.
func (e responseError) Error() string { return e.Message + " (SQLSTATE " + e.Code + ")" }

func asResponse(err error, response **pgproto3.ErrorResponse) bool {
	var e responseError
	if !errors.As(err, &e) {
		return false
	}
	*response = e.ErrorResponse
	return true
}

// begin sends the command and waits until the stream stands.
func (l *link) begin(command string) error {
	l.frontend.SendQuery(&pgproto3.Query{String: command})
	if err := l.frontend.Flush(); err != nil {
		return err
	}
	for {
		msg, err := l.frontend.Receive()
		if err != nil {
			return err
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyBothResponse:
			return nil
		case *pgproto3.ErrorResponse:
			return responseError{msg}
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		default:
			return rejot.Errorf(rejot.Corrupt, "the server answers the start of replication with a %T", msg)
		}
	}
}

// receive gives the next piece of the stream, which is valid until the next call.
func (l *link) receive() ([]byte, error) {
	l.since.Store(time.Now().UnixNano())
	defer l.since.Store(0)
	for {
		msg, err := l.frontend.Receive()
		if err != nil {
			if l.silent.Load() {
				return nil, rejot.Errorf(rejot.Transient, "the source has been silent for too long")
			}
			return nil, err
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyData:
			return msg.Data, nil
		case *pgproto3.ErrorResponse:
			return nil, responseError{msg}
		case *pgproto3.CopyDone, *pgproto3.CommandComplete:
			return nil, rejot.Errorf(rejot.Transient, "the source has ended the stream")
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		default:
			return nil, rejot.Errorf(rejot.Corrupt, "the server sends a %T within the stream", msg)
		}
	}
}

// passed notes that the server has come to place; the receiving goroutine's. A transaction's messages
// name places that lie behind.
func (l *link) passed(place uint64) { l.seen.Store(max(l.seen.Load(), place)) }

// silentFor is how long receive has been waiting.
func (l *link) silentFor() time.Duration {
	since := l.since.Load()
	if since == 0 {
		return 0
	}
	return time.Since(time.Unix(0, since))
}

// status tells the server what is confirmed, and asks it how far it has sent.
func (l *link) status(confirmed rejot.Place, reply bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buffer[:]
	b[0] = 'd'
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-1)) //nolint:gosec // a constant
	b[5] = 'r'
	for i := range 3 { // written, flushed, applied: a server tells where it is as long as less is written
		binary.BigEndian.PutUint64(b[6+8*i:], confirmed.Offset)
	}
	binary.BigEndian.PutUint64(b[30:], uint64(time.Now().UnixMicro()-postgresEpoch)) //nolint:gosec // a signed number on the wire
	b[38] = 0
	if reply {
		b[38] = 1
	}
	return l.write(b)
}

func (l *link) write(b []byte) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	_, err := l.conn.Write(b)
	return err
}

// interrupt ends a receive that waits, and every later one.
func (l *link) interrupt() {
	_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // fails only where the connection is closed already
}

// close says good-bye and waits a moment for the server's, after which the slot is free. All of this is
// best effort: the server notices the closed connection too.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.conn.SetDeadline(time.Now().Add(closeStream))
	if _, err := l.conn.Write([]byte{'c', 0, 0, 0, 4, 'X', 0, 0, 0, 4}); err == nil {
		_, _ = io.Copy(io.Discard, l.conn)
	}
	_ = l.conn.Close()
}
