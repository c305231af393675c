package pglog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/failpoint"
	"rejot.dev/rejot/internal/postgres"
)

// copyName names the temporary copy of a slot. It is the same for everybody who reads the slot, which is
// what keeps them apart.
func copyName(slot string) string { return beside(slot, "_copy") }

// markName names the slot that is made for a mark.
func markName(slot string) string { return beside(slot, "_mark") }

// beside makes a slot's name of another's.
func beside(slot, suffix string) string {
	const longest = 63
	if len(slot)+len(suffix) <= longest {
		return slot + suffix
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(slot)) // it never fails
	sum := fmt.Sprintf("_%08x", h.Sum32())
	return slot[:longest-len(sum)-len(suffix)] + sum + suffix
}

// goodbye is how long the server may take to end what it does.
const goodbye = time.Second

// A copied is a session with a temporary copy of the slot. It is used from one goroutine.
type copied struct {
	reader *reader
	conn   *pgconn.PgConn
	name   string
	main   rejot.Place     // where the main slot stood
	after  context.Context //nolint:containedctx // for what is done when nobody's context is left
}

// copySettings are for a session that decodes. What a role or a database limits is meant for others; and large transactions need not
// be written to disk by the decoder.
const copySettings = `
	SELECT pg_catalog.set_config(s.name, v.value, false) FROM (VALUES ('statement_timeout', '0'), ('lock_timeout', '0'), ('transaction_timeout', '0'),
		('idle_session_timeout', '0'), ('idle_in_transaction_session_timeout', '0')) v(name, value)
	JOIN pg_catalog.pg_settings s ON s.name = v.name`

// wishes are settings that not every server and every role may have.
func wishes() []string {
	return []string{
		`SET logical_decoding_work_mem = '128MB'`,
		`SET client_connection_check_interval = '5s'`, // so that a call ends whose reader is gone
	}
}

// copySlot makes a copy of the slot that stands at p.at. Where the server refuses it gives nil: a stream is slower
// and no worse, and it says what is wrong with the slot itself. alone demands that nobody streams.
func (p *passage) copySlot(ctx context.Context, alone bool) (*copied, error) {
	conn, err := p.cfg.dial(ctx, false)
	if err != nil {
		return nil, postgres.Classify(err, "connect to the source")
	}
	c := &copied{reader: p.reader, conn: conn, name: copyName(p.cfg.slot), after: context.WithoutCancel(ctx)}
	why, err := c.make(ctx, p.at, alone)
	if err == nil && why == "" {
		err = failpoint.Hit("gear.copied")
	}
	if err == nil && why == "" {
		return c, nil
	}
	c.close()
	if err == nil {
		p.mu.Lock()
		told := p.unable == why
		p.unable = why
		p.mu.Unlock()
		if !told {
			p.cfg.log.InfoContext(ctx, "the log is streamed although it is far ahead: the slot cannot be copied", "slot", p.cfg.slot, "reason", why)
		}
	}
	return nil, err
}

// make makes the copy, or says why there is none.
func (c *copied) make(ctx context.Context, at rejot.Place, alone bool) (why string, err error) {
	ctx, cancel := patient(ctx)
	defer cancel()
	slot := c.reader.cfg.slot
	rows, err := queryRows(ctx, c.conn, `SELECT pg_catalog.current_setting('synchronized_standby_slots', true)`)
	if err != nil {
		return "", postgres.Classify(err, "prepare a copy of slot "+slot)
	}
	if standbys := string(rows[0][0]); standbys != "" {
		return "standbys are waited for (synchronized_standby_slots)", nil
	}
	if _, err := queryRows(ctx, c.conn, copySettings); err != nil {
		return "", postgres.Classify(err, "prepare a copy of slot "+slot)
	}
	for _, sql := range wishes() {
		if _, err := queryRows(ctx, c.conn, sql); err != nil && postgres.StateOf(err) == "" {
			return "", postgres.Classify(err, "prepare a copy of slot "+slot)
		}
	}
	_, err = queryRows(ctx, c.conn, `SELECT pg_catalog.pg_copy_logical_replication_slot($1, $2, true)`, slot, c.name)
	if server := (*pgconn.PgError)(nil); errors.As(err, &server) {
		return c.refused(ctx, server)
	}
	if err != nil {
		return "", postgres.Classify(err, "copy slot "+slot)
	}
	st, err := readState(ctx, c.conn, slot)
	if err != nil {
		return "", err
	}
	if alone && st.pid != "" {
		return "", c.reader.inUse(ctx, c.conn, st.pid)
	}
	c.main = st.confirmed
	return "", c.advance(ctx, at)
}

// refused sorts why there is no copy. One that somebody else has is the sign that he reads.
func (c *copied) refused(ctx context.Context, server *pgconn.PgError) (why string, err error) {
	if server.Code == "42710" {
		st, err := readState(ctx, c.conn, c.reader.cfg.slot)
		if err != nil {
			return "", err
		}
		if st.copyPID != "" {
			return "", c.reader.inUse(ctx, c.conn, st.copyPID)
		}
	}
	return postgres.Reason(server), nil
}

// advance brings a new copy to where the reading has come.
func (c *copied) advance(ctx context.Context, to rejot.Place) error {
	now, err := c.progress(ctx)
	if err != nil {
		return err
	}
	if now.at.Less(to) {
		if _, err := queryRows(ctx, c.conn, `SELECT pg_catalog.pg_replication_slot_advance($1, $2::pg_catalog.pg_lsn)`, c.name, to.String()); err != nil {
			return c.explain(ctx, err)
		}
		if now, err = c.progress(ctx); err != nil {
			return err
		}
	}
	if now.at != to {
		return rejot.Errorf(rejot.Transient, "slot %s: its copy stands at %s, and %s was read: somebody has moved it meanwhile", c.reader.cfg.slot, now.at, to)
	}
	return nil
}

// progress is how the second gear stands.
type progress struct {
	at   rejot.Place // the copy is read to here
	end  rejot.Place // the log that can be decoded ends here
	from rejot.Place // a call decodes from here
	main rejot.Place // a stream would decode from here
}

// progress asks how it stands.
func (c *copied) progress(ctx context.Context) (progress, error) {
	ctx, cancel := patient(ctx)
	defer cancel()
	var now progress
	slot := c.reader.cfg.slot
	rows, err := queryRows(ctx, c.conn, `
		SELECT c.confirmed_flush_lsn::text, pg_catalog.pg_current_wal_flush_lsn()::text, c.restart_lsn::text, coalesce(m.restart_lsn, '0/0')::text
		FROM pg_catalog.pg_replication_slots c, pg_catalog.pg_replication_slots m WHERE c.slot_name = $1::pg_catalog.name AND m.slot_name = $2::pg_catalog.name`, c.name, slot)
	if err != nil {
		return now, c.explain(ctx, err)
	}
	if len(rows) != 1 {
		return now, rejot.Errorf(rejot.Transient, "slot %s, or its copy %s, has vanished", slot, c.name)
	}
	for i, place := range []*rejot.Place{&now.at, &now.end, &now.from, &now.main} {
		if *place, err = parsePlace(string(rows[0][i])); err != nil {
			return now, err
		}
	}
	return now, nil
}

// markWithin is how long the server may take to make a mark: it waits for the transactions that run.
const markWithin = 100 * time.Millisecond

// mark has the server write where decoding can begin. It does so by itself every 15 s, and whenever a logical
// slot is made, also one that is given up at once. Where there is no room for one, nothing is marked. It has a
// session of its own: an error takes all temporary slots of a session.
func (c *copied) mark(ctx context.Context) error {
	slot := c.reader.cfg.slot
	return c.reader.withConn(ctx, func(conn *pgconn.PgConn) error {
		_, err := queryRows(ctx, conn, `SELECT pg_catalog.set_config('statement_timeout', $1, false)`, markWithin.String())
		if err == nil {
			_, err = queryRows(ctx, conn, `SELECT pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput', true)`, markName(slot))
		}
		if postgres.StateOf(err) != "" {
			return nil
		}
		return postgres.Classify(err, "mark the log for slot "+slot)
	})
}

// call reads to end, or to the end of a transaction after which enough has been read.
func (c *copied) call(ctx context.Context, end rejot.Place, rows int, d *decoder) error {
	cfg := &c.reader.cfg
	sql := `COPY (SELECT data FROM pg_catalog.pg_logical_slot_get_binary_changes(` + quoteLiteral(c.name) + `, ` + quoteLiteral(end.String()) + `, ` + strconv.Itoa(rows) +
		`, 'proto_version', '1', 'publication_names', ` + quoteLiteral(postgres.Quote(cfg.publication)) + `)) TO STDOUT (FORMAT binary)`
	calling, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &sink{message: func(data []byte) error { return c.reader.decode(ctx, d, data) }, failed: cancel}
	var cancelling sync.WaitGroup
	defer cancelling.Wait()
	cancelling.Add(1)
	stop := context.AfterFunc(calling, func() {
		defer cancelling.Done()
		ctx, cancel := context.WithTimeout(c.after, goodbye)
		defer cancel()
		_ = c.conn.CancelRequest(ctx) // else the session ends as the connection does
	})
	hard, release := patient(calling)
	defer release()
	_, err := c.conn.CopyTo(hard, s, sql)
	if stop() {
		cancelling.Done()
	}
	switch cause := context.Cause(calling); {
	case cause != nil:
		return cause
	case err != nil:
		return c.explain(ctx, err)
	case !s.ended:
		return rejot.Errorf(rejot.Corrupt, "slot %s: the server's answer has no end", cfg.slot)
	case !d.between():
		return rejot.Errorf(rejot.Corrupt, "slot %s: the server's answer ends within a transaction", cfg.slot)
	}
	return nil
}

// explain makes of an error of the session what is to be done about it.
func (c *copied) explain(ctx context.Context, err error) error {
	if server := (*pgconn.PgError)(nil); errors.As(err, &server) {
		return c.reader.refused(ctx, server)
	}
	return postgres.Classify(err, "read slot "+c.reader.cfg.slot)
}

// close ends the session, and with it the copy.
func (c *copied) close() { hangUp(c.after, c.conn) }

// patient is ctx for what ends more orderly than by a closed connection, after which the server would go on for a
// while: it lasts a moment longer.
func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(goodbye)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}

// A sink takes what COPY writes in its binary form, rows of one column, and hands each on. The server sends
// each row whole (manual, COPY Operations), the first one with the header.
type sink struct {
	message func([]byte) error // the data is the caller's again after it returns
	failed  func(error)        // ends the call, whose rest is dropped

	begun, ended, over bool
}

// copyHeader begins the binary form: its signature, no flags, no extension. Manual, COPY, File Formats.
const copyHeader = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

// Write takes one message of the server's.
func (s *sink) Write(data []byte) (int, error) {
	n := len(data)
	if s.over {
		return n, nil
	}
	if err := s.take(data); err != nil {
		s.over = true
		s.failed(err)
	}
	return n, nil
}

func (s *sink) take(data []byte) error {
	if !s.begun {
		rest, ok := bytes.CutPrefix(data, []byte(copyHeader))
		if !ok {
			return rejot.Errorf(rejot.Corrupt, "the server's answer is not in the binary form of COPY")
		}
		s.begun, data = true, rest
	}
	for len(data) > 0 {
		if s.ended || len(data) < 2 {
			return s.corrupt()
		}
		columns := binary.BigEndian.Uint16(data)
		data = data[2:]
		if columns == 0xffff {
			s.ended = true
			continue
		}
		if columns != 1 || len(data) < 4 {
			return s.corrupt()
		}
		size := uint64(binary.BigEndian.Uint32(data))
		data = data[4:]
		if size > uint64(len(data)) {
			return s.corrupt()
		}
		if err := s.message(data[:size]); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

func (s *sink) corrupt() error {
	return rejot.Errorf(rejot.Corrupt, "the server's answer is not one row of one column after the other")
}
