package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/spill"
	"rejot.dev/rejot/publish"
)

// A Source is what the engine needs of a data store that public schemas are read from.
type Source interface {
	rejot.Source
	// Resolve makes the views of one public schema.
	Resolve(ctx context.Context, schema *contract.PublicSchema) ([]*contract.View, error)
	// Begin prepares the log for reading the tables, and checks that it reaches back to oldest, the
	// smallest cursor of any consumer; where that is zero, the log may begin now. It returns where it begins. With keep
	// there are tables that could not be found out: those that the log has now stay in it.
	Begin(ctx context.Context, tables []contract.TableName, keep bool, oldest rejot.Position) (rejot.Position, error)
}

// A Producer makes the batches of one source.
type Producer struct {
	Name string // the data store's slug

	src  Source
	pool *spill.Pool
	log  *slog.Logger

	times   times
	views   map[*contract.PublicSchema][]*contract.View // for the first session; of the goroutine that runs it, as begun
	begun   bool                                        // a session has
	wake    chan struct{}                               // room for one
	resumed chan struct{}                               // room for one

	mu        sync.Mutex
	consumers []*consumer
	flying    map[*Destination]int // jobs on their way
	idle      *sync.Cond           // flying has changed
	session   *session             // nil between two
	fatal     error                // of the journey of keys: a spill that failed
	undone    bool                 // a cursor is not where it was, or it is not known where: the log has to be read again from there
	reached   rejot.Place
}

// NewProducer makes a producer over an open source, whose keys and events spill into pool.
func NewProducer(name string, src Source, pool *spill.Pool, log *slog.Logger) *Producer {
	p := &Producer{
		Name: name, src: src, pool: pool, log: log.With("source", name), flying: map[*Destination]int{},
		wake: make(chan struct{}, 1), resumed: make(chan struct{}, 1),
	}
	p.idle = sync.NewCond(&p.mu)
	return p
}

// Add makes a consumer schema of dest read schema, one of this source. It comes before the engine's Run.
func (p *Producer) Add(c *contract.Consumer, schema *contract.PublicSchema, dest *Destination) {
	now := time.Now()
	p.consumers = append(p.consumers, &consumer{
		Consumer: c, schema: schema, dest: dest, state: Starting, since: now, behind: now, delay: newDelay(),
		chunk: firstChunk, at: rejot.Cursor{Consumer: c.ID(), Source: p.Name},
	})
}

// Resolved tells what schema was resolved to just now, so that the first session need not ask again. It comes
// before the engine's Run.
func (p *Producer) Resolved(schema *contract.PublicSchema, views []*contract.View) {
	if p.views == nil {
		p.views = map[*contract.PublicSchema][]*contract.View{}
	}
	p.views[schema] = views
}

func (p *Producer) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// errAgain ends a session whose views have to be resolved again.
var errAgain = errors.New("the source's tables have changed")

// run reads the source, session after session, until ctx ends. It returns an error where the first
// session could not begin for a reason that is the setup's.
func (p *Producer) run(ctx context.Context) error {
	delay := newDelay()
	for ctx.Err() == nil {
		began := time.Now()
		err := p.runSession(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errAgain), rejot.CodeOf(err) == rejot.Gone && p.overtaken(ctx):
			continue
		case !p.begun && rejot.CodeOf(err) != rejot.Transient:
			return err
		}
		if time.Since(began) > time.Minute {
			delay.Reset()
		}
		wait := delay.NextBackOff()
		p.sourceFailed(err, time.Now().Add(wait))
		p.log.Warn("source failed", "error", err, "retry", endsByItself(err))
		if !endsByItself(err) {
			wait = 1 << 62 // until resumed
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-p.resumed:
		}
		timer.Stop()
	}
	return nil
}

// overtaken reports whether another instance has moved the cursors since they were last read. What was then
// said of the log, that it begins after them, was said of cursors that nobody has any more.
func (p *Producer) overtaken(ctx context.Context) bool {
	before, _, err := p.span()
	if err != nil || p.readCursors(ctx) != nil {
		return false
	}
	after, _, err := p.span()
	return err == nil && after != before
}

// sourceFailed tells all consumers that do not stand still for a reason of their own.
func (p *Producer) sourceFailed(err error, retryAt time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.consumers {
		if c.state == Stopped || (c.err != nil && !c.outside) {
			continue
		}
		c.err, c.outside, c.state, c.since, c.retryAt = err, true, Retrying, time.Now(), retryAt
		if !endsByItself(err) {
			c.state, c.retryAt = Stopped, time.Time{}
		}
	}
}

// Resume tries the consumer of that ID again at once, or all where it is empty. It reports how many stood still.
func (p *Producer) Resume(id string) int {
	p.mu.Lock()
	n := 0
	for _, c := range p.consumers {
		if (id == "" || c.ID() == id || c.Name == id) && (c.state == Stopped || c.state == Retrying) {
			n++
			c.state, c.retryAt = Retrying, time.Now()
			c.delay.Reset()
			p.undone = p.undone || !c.known // the cursors are read again
		}
	}
	p.mu.Unlock()
	if n > 0 {
		select {
		case p.resumed <- struct{}{}:
		default:
		}
		p.signal()
	}
	return n
}

// A session is one reading of the log, from the consumers' cursors on.
type session struct {
	producer *Producer
	ctx      context.Context //nolint:containedctx // its goroutines and jobs end with it
	pub      *publish.Publisher
	pending  *publish.Pending
	last     rejot.Position // of the last batch
	broken   map[*contract.PublicSchema]error
	old      map[*consumer][]*contract.View // by the SQL that their rows are of
	cutting  sync.Mutex                     // a snapshot that is cut at is opened and cut under it, so that cuts are in the snapshots' order
	enough   int                            // so many tuples of a batch are evaluated before the log is read to its end; 0: none are
	grew     bool                           // the last batch did
	hidden   time.Time                      // since when a committed transaction is not visible
	again    time.Time                      // not before then is it looked for again
}

func (p *Producer) runSession(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	select {
	case <-p.resumed: // it is tried now
	default:
	}
	s, start, err := p.begin(ctx)
	if err != nil {
		return err
	}
	p.begun = true
	read := make(chan error, 1)
	go func() {
		read <- p.src.Read(ctx, start, s.pending)
		cancel() // somebody may be waiting for the log to be read to a place
	}()
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		s.settle(ctx)
	}()
	err = s.loop(ctx, read)
	cancel()
	if r := <-read; err == nil || errors.Is(err, context.Canceled) {
		err = r
	}
	<-settled
	p.endSession()
	return err
}

// endSession waits for the session's jobs and forgets what it owed: the log after the cursors has it all.
func (p *Producer) endSession() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.busy() {
		p.idle.Wait()
	}
	for _, c := range p.consumers {
		_ = c.owed.Close() // the session is over, and with it what could fail here
		c.owed, c.jobs = nil, 0
	}
	if p.session != nil {
		_ = p.session.pending.Close() // likewise
	}
	p.session = nil
}

func (p *Producer) busy() bool {
	for _, n := range p.flying {
		if n > 0 {
			return true
		}
	}
	return false
}

// begin reads the cursors, resolves the schemas and opens the log.
func (p *Producer) begin(ctx context.Context) (*session, rejot.Position, error) {
	p.mu.Lock()
	p.undone = false
	p.mu.Unlock()
	if err := p.readCursors(ctx); err != nil {
		p.views = nil // who knows when the next try will be
		return nil, rejot.Position{}, err
	}
	s := &session{
		producer: p, ctx: ctx, broken: map[*contract.PublicSchema]error{}, old: map[*consumer][]*contract.View{}, enough: p.enoughToGrow(),
	}
	views, asOf, err := s.resolve(ctx)
	if err != nil {
		return nil, rejot.Position{}, err
	}
	oldest, newest, err := p.span()
	if err != nil {
		return nil, rejot.Position{}, err
	}
	start, err := p.src.Begin(ctx, publish.Tables(views), len(s.broken) > 0, oldest)
	if err != nil {
		return nil, rejot.Position{}, err
	}
	if oldest.IsZero() {
		oldest, newest = start, start
	}
	s.last = newest
	s.pub = publish.New(p.Name, views, p.pool)
	p.mu.Lock()
	defer p.mu.Unlock()
	var since []publish.Since
	for _, c := range p.consumers {
		place := newest.Horizon
		if !c.at.Position.IsZero() {
			place = c.at.Position.Horizon
		}
		since = append(since, publish.Since{Consumer: c.ID(), Place: place})
		c.renew()
		if c.known && (c.outside || c.state == Starting) && s.broken[c.schema] == nil {
			c.well(time.Now())
		}
	}
	s.pending = s.pub.NewPending(oldest.Horizon, asOf, since)
	p.session = s
	return s, oldest, nil
}

// readCursors asks every destination. One that does not answer keeps what was known of it; before
// anything was known, the session cannot begin.
func (p *Producer) readCursors(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	asked := map[*Destination]bool{}
	for _, c := range p.consumers {
		if asked[c.dest] {
			continue
		}
		asked[c.dest] = true
		cursors, err := c.dest.cursors(ctx)
		if err != nil && p.unread(c.dest) {
			return err
		}
		if err == nil {
			p.found(c.dest, cursors, true)
		}
	}
	return nil
}

func (p *Producer) unread(d *Destination) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.consumers {
		if c.dest == d && c.moved.IsZero() {
			return true
		}
	}
	return false
}

// span gives the smallest and the largest cursor, zero where there is none.
func (p *Producer) span() (oldest, newest rejot.Position, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.consumers {
		at := c.at.Position
		if at.IsZero() {
			continue
		}
		if oldest.IsZero() {
			oldest, newest = at, at
			continue
		}
		low, err1 := at.Compare(oldest)
		high, err2 := at.Compare(newest)
		if err := errors.Join(err1, err2); err != nil {
			return oldest, newest, err
		}
		if low < 0 {
			oldest = at
		}
		if high > 0 {
			newest = at
		}
	}
	return oldest, newest, nil
}

// resolve makes the views of all schemas. One that cannot be resolved makes its own consumers stand still. What the
// log says of the tables' form before asOf is known to the views.
func (s *session) resolve(ctx context.Context) (views []*contract.View, asOf rejot.Place, err error) {
	known := s.producer.views
	s.producer.views = nil
	if known == nil {
		if asOf, err = s.now(ctx); err != nil {
			return nil, asOf, err
		}
	}
	done := map[*contract.PublicSchema]bool{}
	for _, c := range s.producer.consumers {
		if done[c.schema] {
			continue
		}
		done[c.schema] = true
		vs, err := known[c.schema], error(nil)
		if vs == nil {
			vs, err = s.producer.src.Resolve(ctx, c.schema)
		}
		switch {
		case err == nil:
			views = append(views, vs...)
		case rejot.CodeOf(err) == rejot.Transient || ctx.Err() != nil:
			return nil, asOf, err
		default:
			s.breakSchema(c.schema, err)
		}
	}
	return views, asOf, nil
}

// now is a place of the log that was not passed before it was asked for.
func (s *session) now(ctx context.Context) (rejot.Place, error) {
	snap, err := s.producer.src.Snapshot(ctx)
	if err != nil {
		return rejot.Place{}, err
	}
	return snap.Through(), snap.Close()
}

// breakSchema makes the consumers of a schema stand still.
func (s *session) breakSchema(schema *contract.PublicSchema, err error) {
	s.broken[schema] = err
	p := s.producer
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.consumers {
		if c.schema == schema && c.state != Stopped {
			c.fail(err, time.Now())
		}
	}
}
