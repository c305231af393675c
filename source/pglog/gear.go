package pglog

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/failpoint"
	"rejot.dev/rejot/internal/postgres"
)

// Which gear a test forces.
const (
	chosen     = ""
	onlyFast   = "fast"   // never streams
	onlyStream = "stream" // never calls
)

// A gearConfig says when the log is read in which gear; distances are in bytes of log.
type gearConfig struct {
	force   string        // a gear; empty: chosen
	enter   uint64        // so far behind, a reading begins in the second gear; 0: 8 MB
	leave   uint64        // nearer than this, it goes on as a stream; 0: 1 MB
	back    uint64        // so far behind, a stream is left again; 0: 64 MB
	bytes   uint64        // of log, that a call reads at most; 0: 1 GB
	rows    int           // messages, after which a call ends with the transaction; 0: 1,000,000
	advance time.Duration // how often the main slot is moved at most; 0: 1 s
}

func (g *gearConfig) fill() {
	if g.force == chosen {
		g.force = failpoint.Setting("gear")
	}
	for _, n := range []struct {
		field *uint64
		name  string
		usual uint64
	}{
		{&g.enter, "gear.enter", 8 << 20}, {&g.leave, "gear.leave", 1 << 20}, {&g.back, "gear.back", 64 << 20}, {&g.bytes, "gear.bytes", 1 << 30},
	} {
		if *n.field != 0 {
			continue
		}
		*n.field = n.usual
		if forced, err := strconv.ParseUint(failpoint.Setting(n.name), 10, 64); err == nil {
			*n.field = forced
		}
	}
	if g.rows == 0 {
		g.rows = 1_000_000
	}
	if g.advance == 0 {
		g.advance = time.Second
	}
}

// A passage is one Read, in whichever gear.
type passage struct {
	*reader
	to    rejot.Receiver
	names *catalog
	at    rejot.Place // what committed up to here is handed over, where a gear begins
}

// readOn reads in one gear after the other until something fails. The first gear is a stream, the second
// are calls on a copy of the slot. One is held before the other is let go, so that nobody comes between.
func (r *reader) readOn(ctx context.Context, pos rejot.Position, to rejot.Receiver, names *catalog) error {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	p := &passage{reader: r, to: to, names: names, at: pos.Horizon}
	c, l, err := p.begin(ctx, pos)
	if err != nil {
		return err
	}
	asking.Go(func() { r.ask(ctx) })
	for {
		if c != nil {
			if l, err = p.calls(ctx, c); err != nil {
				return err
			}
		}
		if c, err = p.stream(ctx, l); err != nil {
			return err
		}
	}
}

// begin checks the position, chooses the gear and holds the slot in it.
func (p *passage) begin(ctx context.Context, pos rejot.Position) (c *copied, l *link, err error) {
	err = p.withConn(ctx, func(conn *pgconn.PgConn) error {
		if err := p.checkPosition(ctx, conn, pos); err != nil {
			return err
		}
		far, err := p.far(ctx, conn, p.cfg.gear.enter)
		if err != nil {
			return err
		}
		if far {
			c, err = p.copySlot(ctx, true)
			if c != nil || err != nil {
				return err
			}
		}
		if l, err = p.start(ctx, p.at); err != nil {
			return err
		}
		// Whoever has made a copy since the check looks for a stream after it, and this looks for a copy.
		st, err := readState(ctx, conn, p.cfg.slot)
		if err == nil && st.copyPID != "" {
			err = p.inUse(ctx, conn, st.copyPID)
		}
		if err != nil {
			l.close()
		}
		return err
	})
	return c, l, err
}

// far reports whether a reading that begins is to begin in the second gear.
func (p *passage) far(ctx context.Context, conn *pgconn.PgConn, limit uint64) (bool, error) {
	switch p.cfg.gear.force {
	case onlyFast:
		return true, nil
	case onlyStream:
		return false, nil
	}
	end, err := flushedPlace(ctx, conn)
	return distance(p.at, end) > limit, err
}

// flushedPlace is the end of the log that can be decoded.
func flushedPlace(ctx context.Context, conn *pgconn.PgConn) (rejot.Place, error) {
	rows, err := queryRows(ctx, conn, `SELECT pg_catalog.pg_current_wal_flush_lsn()::text`)
	if err != nil || len(rows) != 1 {
		return rejot.Place{}, postgres.Classify(err, "read the end of the source's log")
	}
	return parsePlace(string(rows[0][0]))
}

// distance is how much log lies between two places, 0 where to lies behind.
func distance(from, to rejot.Place) uint64 {
	if to.Less(from) {
		return 0
	}
	return to.Offset - from.Offset
}

// watch looks, with each beat, how far a stream is from the log's end; the stream itself does not tell. It
// asks only where much of the log has passed meanwhile: who is behind for another reason than the
// stream's own slowness would not be faster with calls.
func (p *passage) watch(ctx context.Context, l *link) {
	tick := time.NewTicker(p.cfg.beat)
	defer tick.Stop()
	before := l.seen.Load()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		seen := l.seen.Load()
		much := seen-before > min(p.cfg.gear.enter, p.cfg.gear.back)
		before = seen
		if !much {
			continue
		}
		err := p.withConn(ctx, func(conn *pgconn.PgConn) error {
			end, err := flushedPlace(ctx, conn)
			if err == nil && distance(rejot.Place{Offset: l.seen.Load()}, end) > p.cfg.gear.back {
				l.behind.Store(true)
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			p.cfg.log.DebugContext(ctx, "look how far the stream is behind", "slot", p.cfg.slot, "error", err)
		}
	}
}

// leave prepares to go on in the second gear, after what the stream has handed over. Where there is no copy
// to be had it gives nil, and the stream goes on.
func (p *passage) leave(ctx context.Context, d *decoder) (*copied, error) {
	for _, place := range []rejot.Place{d.last, p.place()} {
		if p.at.Less(place) {
			p.at = place
		}
	}
	c, err := p.copySlot(ctx, false)
	if c == nil || err != nil {
		return nil, err
	}
	if err := d.forget(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// place is how far the log is read.
func (r *reader) place() rejot.Place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reached
}

// calls reads in the second gear until the log's end is near, and gives the stream that goes on.
func (p *passage) calls(ctx context.Context, c *copied) (*link, error) {
	defer c.close()
	p.cfg.log.InfoContext(ctx, "the log is far ahead and is read in large calls", "slot", p.cfg.slot, "from", p.at.String())
	calling, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	k := p.newKeeper(c)
	var keeping sync.WaitGroup
	keeping.Go(func() {
		if err := k.run(calling); err != nil {
			cancel(err)
		}
	})
	err := p.callOn(calling, c)
	if err == nil {
		close(k.finish)
	} else {
		cancel(err)
	}
	keeping.Wait()
	if cause := context.Cause(calling); cause != nil {
		return nil, cause // of the two errors, the one that was first
	}
	l, err := p.start(ctx, p.at)
	if err != nil {
		return nil, err
	}
	if err := failpoint.Hit("gear.stream"); err != nil {
		l.close()
		return nil, err
	}
	p.cfg.log.InfoContext(ctx, "the log is streamed", "slot", p.cfg.slot, "from", p.at.String())
	return l, nil
}

const (
	// idle is the pause between two calls once the log's end is near. Each call leaves some lines in the server's log.
	idle = 10 * time.Millisecond
	// firstRows is how many messages the first call may give, and growth how many times as many the next one. A call gives nothing
	// before the server has decoded all of it: after a small one there is something to evaluate.
	firstRows = 60_000
	growth    = 5
	// firstRest is the pause after a first mark, which doubles. It may take two: at the first, transactions may be running
	// that began before it.
	firstRest = time.Second
	// again is how much log a second a stream is taken to decode that begins far behind.
	again = 4 << 20
)

// callOn calls until the log's end is near and a stream would soon be there. A stream decodes again what is not
// yet confirmed, ten times as slowly as a call does, and nothing comes of it meanwhile: so calls go on until
// that is confirmed, or have gone on for about as long as the stream would take.
func (p *passage) callOn(ctx context.Context, c *copied) error {
	var a approach
	known := newRecall(p.names.describe, p.names.ancestry)
	rows := min(firstRows, p.cfg.gear.rows)
	for {
		now, err := c.progress(ctx)
		if err != nil {
			return err
		}
		if err := p.reach(p.to, now.at); err != nil {
			return err
		}
		p.at = now.at
		left := distance(now.at, now.end)
		if left < p.cfg.gear.leave {
			if there, err := p.near(ctx, c, &a, now); there || err != nil {
				return err
			}
		}
		if left == 0 {
			continue
		}
		end := rejot.Place{Offset: now.at.Offset + min(left, p.cfg.gear.bytes)}
		if err := c.call(ctx, end, rows, known.decoder(p.to)); err != nil {
			return err
		}
		rows = min(growth*rows, p.cfg.gear.rows)
		if err := failpoint.Hit("gear.called"); err != nil {
			return err
		}
	}
}

// An approach is what was done since the log's end has been near.
type approach struct {
	began, marked time.Time
	rest          time.Duration // before the next mark
}

// near reports whether it is time to stream, or pauses before the next call.
func (p *passage) near(ctx context.Context, c *copied, a *approach, now progress) (bool, error) {
	if a.began.IsZero() {
		a.began = time.Now()
	}
	if p.cfg.gear.force != onlyFast && p.streams(now, time.Since(a.began)) {
		return true, nil
	}
	if distance(now.from, now.at) > p.cfg.gear.enter && time.Since(a.marked) > a.rest {
		if err := c.mark(ctx); err != nil {
			return false, err
		}
		a.marked, a.rest = time.Now(), max(firstRest, 2*a.rest)
	}
	return false, pause(ctx, idle)
}

// streams reports whether it is time to stream, after calls have been near the log's end for a while.
func (p *passage) streams(now progress, waited time.Duration) bool {
	back := distance(now.main, now.at)
	return back < p.cfg.gear.enter || waited.Seconds()*again > float64(back)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
