package pglog

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/postgres"
)

// A readerConfig is what reading a log needs.
type readerConfig struct {
	dial        func(ctx context.Context, replication bool) (*pgconn.PgConn, error)
	slot        string
	publication string
	flush       func(ctx context.Context) error // commits something synchronously, which flushes the log
	log         *slog.Logger

	beat    time.Duration // how often the server is asked whether it is there; 0: 10 s
	silence time.Duration // how long it may say nothing; 0: 60 s
	gear    gearConfig
}

// A reader reads one slot's log. Confirm and want may be called from any goroutine while Read runs in one.
type reader struct {
	cfg     readerConfig
	wake    chan struct{} // has room for one: want has set a place
	arrived chan struct{} // has room for one: the log is read to a place that was wanted

	decoding atomic.Int64 // nanoseconds

	mu          sync.Mutex
	tables      map[contract.TableName]bool // whose changes are wanted
	published   map[contract.TableName]bool // what the last Begin left in the publication
	incarnation rejot.Incarnation
	confirmed   rejot.Place
	wanted      rejot.Place
	reached     rejot.Place
	link        *link // of the stream that runs
	reading     bool
	unable      string // why there was no second gear when it was last wanted
}

func newReader(cfg readerConfig) *reader {
	if cfg.beat == 0 {
		cfg.beat = 10 * time.Second
	}
	if cfg.silence == 0 {
		cfg.silence = time.Minute
	}
	cfg.gear.fill()
	return &reader{cfg: cfg, wake: make(chan struct{}, 1), arrived: make(chan struct{}, 1)}
}

// Read hands the log after pos to to. See rejot.Source.
func (r *reader) Read(ctx context.Context, pos rejot.Position, to rejot.Receiver) error {
	if pos.IsZero() {
		return rejot.Errorf(rejot.Invalid, "the log of slot %s is read from a position, and there is none", r.cfg.slot)
	}
	r.mu.Lock()
	busy := r.reading
	r.reading = true
	tables := r.tables
	r.mu.Unlock()
	if busy {
		return rejot.Errorf(rejot.Conflict, "slot %s is being read already", r.cfg.slot)
	}
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reading, r.link, r.reached = false, nil, rejot.Place{}
	}()
	names := newCatalog(r.cfg.dial, tables)
	defer names.close(context.WithoutCancel(ctx))
	return ended(ctx, r.readOn(ctx, pos, to, names))
}

// ended prefers the end of ctx over what came of it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// checkPosition refuses a position that the slot or the server no longer belongs to, and a slot that
// somebody reads through a copy. The server itself would go on silently behind a gap.
func (r *reader) checkPosition(ctx context.Context, conn *pgconn.PgConn, pos rejot.Position) error {
	st, err := readState(ctx, conn, r.cfg.slot)
	if err != nil {
		return err
	}
	if err := st.usable(r.cfg.slot); err != nil {
		return err
	}
	r.mu.Lock()
	r.incarnation = st.incarnation(r.cfg.slot)
	r.mu.Unlock()
	if st.copyPID != "" {
		return r.inUse(ctx, conn, st.copyPID)
	}
	return st.holds(r.cfg.slot, pos)
}

// withConn opens an ordinary connection for use.
func (r *reader) withConn(ctx context.Context, use func(*pgconn.PgConn) error) error {
	conn, err := r.cfg.dial(ctx, false)
	if err != nil {
		return postgres.Classify(err, "connect to the source")
	}
	defer hangUp(context.WithoutCancel(ctx), conn)
	return use(conn)
}

// stream reads until something fails or the log is far behind, and waits for what it has started. In the
// second case it gives the copy of the slot that the log is read on from.
func (p *passage) stream(ctx context.Context, l *link) (*copied, error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer l.close()
	defer p.setLink(nil)
	defer running.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, l.interrupt)
	defer stop()
	p.setLink(l)
	running.Go(func() { p.beat(ctx, l) })
	if p.cfg.gear.force == chosen {
		running.Go(func() { p.watch(ctx, l) })
	}
	if err := p.status(l, true); err != nil {
		return nil, p.explain(ctx, err)
	}
	d := newDecoder(p.to, p.names.describe)
	for {
		data, err := l.receive()
		if err != nil {
			return nil, p.explain(ctx, err)
		}
		switch {
		case len(data) >= 25 && data[0] == 'w':
			l.passed(binary.BigEndian.Uint64(data[1:]))
			err = p.decode(ctx, d, data[25:])
			l.asks = 0
		case len(data) == 18 && data[0] == 'k':
			l.passed(binary.BigEndian.Uint64(data[1:]))
			err = p.keepalive(l, p.to, data[1:])
		default:
			err = rejot.Errorf(rejot.Corrupt, "slot %s: the server sends a message of %d bytes that is not of the replication protocol", p.cfg.slot, len(data))
		}
		if err != nil {
			return nil, err
		}
		if l.behind.Load() && d.between() {
			l.behind.Store(false)
			if c, err := p.leave(ctx, d); c != nil || err != nil {
				return c, err
			}
		}
	}
}

func (r *reader) setLink(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.link = l
}

// A server that shuts down waits until everything is confirmed, and asks again and again without a pause.
const (
	asksAtShutdown = 10
	asksWithin     = 100_000 // microseconds from one to the next
)

// keepalive answers, and hands on how far the server has sent: what committed up to there came before.
func (r *reader) keepalive(l *link, to rejot.Receiver, data []byte) error {
	end := rejot.Place{Offset: binary.BigEndian.Uint64(data)}
	if data[16] == 1 {
		if err := r.status(l, false); err != nil {
			return postgres.Classify(err, "answer the source on slot "+r.cfg.slot)
		}
		// The server's own clock counts: what was sent long ago may be received at once.
		sent := binary.BigEndian.Uint64(data[8:])
		if sent-l.asked > asksWithin {
			l.asks = 0
		}
		l.asked = sent
		if l.asks++; l.asks >= asksAtShutdown {
			return rejot.Errorf(rejot.Transient, "slot %s: the source is shutting down", r.cfg.slot)
		}
	}
	return r.reach(to, end)
}

// reach hands on how far the log is read. A stream that begins decodes again what was confirmed and
// tells of places that lie behind.
func (r *reader) reach(to rejot.Receiver, place rejot.Place) error {
	r.mu.Lock()
	behind := place == (rejot.Place{}) || place.Less(r.reached)
	r.mu.Unlock()
	if behind {
		return nil
	}
	if err := to.Reached(place); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reached.Less(place) {
		r.reached = place
		if !place.Less(r.wanted) {
			signal(r.arrived)
		}
	}
	return nil
}

// status tells the server what is confirmed.
func (r *reader) status(l *link, reply bool) error {
	r.mu.Lock()
	confirmed := r.confirmed
	r.mu.Unlock()
	return l.status(confirmed, reply)
}

// tell is status, where there is a stream, which it reports. Its errors are met by the goroutine that reads,
// and what is confirmed is said again.
func (r *reader) tell(reply bool) bool {
	r.mu.Lock()
	l := r.link
	r.mu.Unlock()
	if l != nil {
		_ = r.status(l, reply)
	}
	return l != nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// beat asks the server from time to time whether it is there, and ends the stream when it is not.
func (r *reader) beat(ctx context.Context, l *link) {
	tick := time.NewTicker(r.cfg.beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if l.silentFor() > r.cfg.silence {
			l.silent.Store(true)
			l.interrupt()
			return
		}
		if r.status(l, true) != nil {
			l.interrupt()
			return
		}
	}
}

// How long the log may stay below a wanted place before it is flushed, and the longest pause between two questions.
const (
	flushAfter = 2 * time.Millisecond
	askAtMost  = 100 * time.Millisecond
	flushAgain = time.Second // in the second gear
)

// want says that somebody waits for the log to be read to place.
func (r *reader) want(place rejot.Place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted.Less(place) {
		r.wanted = place
		signal(r.wake)
	}
}

// short gives the place that is wanted, where the log is not read to it.
func (r *reader) short() (rejot.Place, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wanted, r.reached.Less(r.wanted)
}

// ask makes the server say that it has sent what is wanted. What it has not flushed it does not send, so
// that after a moment the log is flushed, once for each place. In the second gear that alone is done, and again: a
// call may wait for the end of a record that begins after the place.
func (r *reader) ask(ctx context.Context) {
	var flushed rejot.Place
	var last time.Time // when it was flushed
	var flushing chan error
	defer func() {
		if flushing != nil {
			<-flushing //nolint:errcheck // the reading is over, and with it what the flush was for
		}
	}()
	var pending rejot.Place
	streams, pause := false, flushAfter
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		place, short := r.short()
		if short {
			streams = r.tell(true)
			timer.Reset(pause)
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			pause = flushAfter
		case <-r.arrived:
		case err := <-flushing:
			flushing = nil
			if err == nil {
				flushed, pause = pending, flushAfter
			} else {
				r.cfg.log.DebugContext(ctx, "flush the source's log", "slot", r.cfg.slot, "error", err)
			}
		case <-timer.C:
			pause = min(2*pause, askAtMost)
			due := flushed.Less(place) || !streams && time.Since(last) > flushAgain
			if flushing == nil && due && r.cfg.flush != nil {
				pending, last, flushing = place, time.Now(), make(chan error, 1)
				go func(done chan<- error) { done <- r.cfg.flush(ctx) }(flushing)
			}
		}
	}
}

// decode takes one message, and counts the time.
func (r *reader) decode(ctx context.Context, d *decoder, data []byte) error {
	began := time.Now()
	err := d.message(ctx, data)
	r.decoding.Add(int64(time.Since(began)))
	return err
}

// Decoding is how long the log's messages have taken to become changes and to be handed over. It may be called from any goroutine.
func (r *reader) Decoding() time.Duration { return time.Duration(r.decoding.Load()) }

// explain makes of the end of a stream what is to be done about it.
func (r *reader) explain(ctx context.Context, err error) error {
	var response *pgproto3.ErrorResponse
	if !asResponse(err, &response) {
		return postgres.Classify(err, "read slot "+r.cfg.slot)
	}
	return r.refused(ctx, pgconn.ErrorResponseToPgError(response))
}
