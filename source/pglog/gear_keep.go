package pglog

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/failpoint"
	"rejot.dev/rejot/internal/postgres"
)

const (
	// rest is how many times longer the pause after a move of the slot is than the move took.
	rest = 10
	// advanceWithin is how long one move may take: it reads the log again from the slot's restart_lsn.
	advanceWithin = 5 * time.Minute
	// stride is how much log one move passes at most, so that the last one, which is waited for, is short.
	stride = 1 << 30
)

// A keeper does beside the second gear, on a connection of its own, what a stream does by itself: it moves the main slot to what
// is confirmed, and notices that the server is gone. A call may be silent for a while, and its silence tells nothing.
type keeper struct {
	reader *reader
	copy   *copied
	finish chan struct{} // closed: move the slot once more, and end
	moved  rejot.Place   // where the main slot is
	next   time.Time     // not before then is it moved again
	beaten time.Time
}

func (p *passage) newKeeper(c *copied) *keeper {
	return &keeper{reader: p.reader, copy: c, finish: make(chan struct{}), moved: c.main, beaten: time.Now()}
}

// run keeps until finish or the end of ctx.
func (k *keeper) run(ctx context.Context) error {
	conn, err := k.dial(ctx)
	if err != nil {
		return err
	}
	defer hangUp(k.copy.after, conn)
	cfg := &k.reader.cfg
	tick := time.NewTicker(min(cfg.gear.advance, cfg.beat))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.finish:
			return k.advance(ctx, conn)
		case <-tick.C:
		}
		now := time.Now()
		if !now.Before(k.next) {
			if err := k.advance(ctx, conn); err != nil {
				return err
			}
		}
		if now.Sub(k.beaten) >= cfg.beat {
			if err := k.beat(ctx, conn); err != nil {
				return err
			}
			k.beaten = time.Now()
		}
	}
}

func (k *keeper) dial(ctx context.Context) (*pgconn.PgConn, error) {
	ctx, cancel := context.WithTimeout(ctx, k.reader.cfg.silence)
	defer cancel()
	conn, err := k.reader.cfg.dial(ctx, false)
	if err != nil {
		return nil, postgres.Classify(err, "connect to the source")
	}
	if _, err := queryRows(ctx, conn, copySettings); err != nil {
		hangUp(k.copy.after, conn)
		return nil, postgres.Classify(err, "prepare to move slot "+k.reader.cfg.slot)
	}
	return conn, nil
}

// advance moves the main slot towards what is confirmed.
func (k *keeper) advance(ctx context.Context, conn *pgconn.PgConn) error {
	k.reader.mu.Lock()
	to := k.reader.confirmed
	k.reader.mu.Unlock()
	if !k.moved.Less(to) {
		return nil
	}
	to.Offset = min(to.Offset, k.moved.Offset+stride)
	if err := failpoint.Hit("gear.advance.before"); err != nil {
		return err
	}
	began, before := time.Now(), k.moved
	err := k.move(ctx, conn, to)
	if err == nil && distance(before, k.moved) > k.reader.cfg.gear.enter {
		// Of the places where decoding could begin, a slot that is moved takes the first that it passes, and the
		// last one when it passes them again.
		err = k.move(ctx, conn, k.moved)
	}
	k.next = time.Now().Add(max(k.reader.cfg.gear.advance, rest*time.Since(began)))
	if err != nil {
		return err
	}
	return failpoint.Hit("gear.advance.after")
}

// move moves the main slot. One that is ahead stays where it is, and one that somebody holds just now is left
// to the next time.
func (k *keeper) move(ctx context.Context, conn *pgconn.PgConn, to rejot.Place) error {
	longer, release := patient(ctx)
	defer release()
	short, cancel := context.WithTimeout(longer, advanceWithin)
	defer cancel()
	slot := k.reader.cfg.slot
	rows, err := queryRows(short, conn, `
		SELECT CASE WHEN s.confirmed_flush_lsn <= $2::pg_catalog.pg_lsn THEN (SELECT end_lsn FROM pg_catalog.pg_replication_slot_advance($1::pg_catalog.name, $2::pg_catalog.pg_lsn))
			ELSE s.confirmed_flush_lsn END::text FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = $1::pg_catalog.name`, slot, to.String())
	switch {
	case postgres.StateOf(err) == "55006":
		return nil
	case err != nil:
		return k.copy.explain(ctx, err)
	case len(rows) == 0:
		return gone(slot, "is missing; what has changed since it was last read is lost")
	}
	k.moved, err = parsePlace(string(rows[0][0]))
	return err
}

// beat ends the reading where the server does not answer, or no longer knows the session that calls.
func (k *keeper) beat(ctx context.Context, conn *pgconn.PgConn) error {
	cfg := &k.reader.cfg
	short, cancel := context.WithTimeout(ctx, cfg.silence)
	defer cancel()
	rows, err := queryRows(short, conn, `SELECT active_pid FROM pg_catalog.pg_replication_slots WHERE slot_name = $1::pg_catalog.name`, k.copy.name)
	switch {
	case ctx.Err() != nil:
		return nil
	case short.Err() != nil:
		return rejot.Errorf(rejot.Transient, "slot %s: the source has been silent for too long", cfg.slot)
	case err != nil:
		return k.copy.explain(ctx, err)
	case len(rows) == 0 || string(rows[0][0]) != strconv.FormatUint(uint64(k.copy.conn.PID()), 10):
		return rejot.Errorf(rejot.Transient, "slot %s: its copy %s has vanished", cfg.slot, k.copy.name)
	}
	return nil
}
