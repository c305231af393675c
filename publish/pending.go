package publish

import (
	"context"
	"errors"
	"sync"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// Pending takes a source's log and keeps, of the transactions that no batch has included yet, the
// keys that they affect. It is a rejot.Receiver for the reading goroutine. Settle and Crowded may be used from
// another one; the other methods are for the goroutine that makes batches.
type Pending struct {
	pub   *Publisher
	since []Since

	wake  chan struct{} // has room for one; a signal says that something below has changed
	crowd chan struct{} // has room for one; a signal says that many transactions wait

	mu      sync.Mutex
	open    map[rejot.TxID]map[rejot.TxID]*Keys
	waiting []committed                  // in log order: not known to be seen by a snapshot
	sees    func(rejot.Transaction) bool // by the snapshot that is being read towards; nil where none is
	cut     *Cut                         // what it sees, as far as it is read, and is not handed out
	later   *Cut                         // while one is read towards: what it does not see, and a later one does
	parts   bool                         // of the cut one was handed out
	reached rejot.Place
	fresh   bool // a transaction has come to waiting since the last cut
	columns map[contract.TableName]*layout
	broken  map[int]error
	asOf    rejot.Place         // up to here a table's other form is known to the views
	unlike  map[rejot.TxID]bool // transactions in which a table has another form than before
	changed bool
}

// Since says that a consumer has everything up to a place already.
type Since struct {
	Consumer string
	Place    rejot.Place
}

type committed struct {
	rejot.Transaction
	keys *Keys
	prev rejot.Place // how far the log was read before its commit
	at   time.Time   // when it was received
}

// layout is where a table's columns stand in its changes.
type layout struct {
	table  *rejot.Table
	routes []routeColumns
}

type routeColumns struct {
	route
	index []int
}

// Close gives back what the cut holds.
func (c *Cut) Close() error {
	err := c.Keys.Close()
	for _, k := range c.For {
		if e := k.Close(); err == nil {
			err = e
		}
	}
	return err
}

// A Cut is a set of whole transactions: exactly those that one snapshot sees, or a part of them.
type Cut struct {
	Keys    *Keys            // what they affect, for every consumer
	For     map[string]*Keys // what those before the furthest consumer affect, for the consumers that lack them
	Horizon rejot.Place      // everything up to here is included; zero in a part, of which it is not known
	More    bool             // the log is not yet read to the snapshot: Pending.More gives what has come since
	// Oldest is when the oldest transaction was received that the snapshot does not see though it
	// has been read; zero where there is none.
	Oldest time.Time
}

// NewPending begins to take the log after start. The views are of a time when the log had come to asOf. Consumers that
// are ahead of start stand in since, and are spared what they have.
func (p *Publisher) NewPending(start, asOf rejot.Place, since []Since) *Pending {
	return &Pending{
		pub: p, since: since, asOf: asOf, unlike: map[rejot.TxID]bool{}, wake: make(chan struct{}, 1), crowd: make(chan struct{}, 1), open: map[rejot.TxID]map[rejot.TxID]*Keys{},
		reached: start, columns: map[contract.TableName]*layout{}, broken: map[int]error{}, cut: p.newCut(), later: p.newCut(),
	}
}

func (p *Publisher) newCut() *Cut { return &Cut{Keys: p.NewKeys(), For: map[string]*Keys{}} }

// Change takes the tuples of one change, from the new image and from the old one.
func (p *Pending) Change(c *rejot.Change) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.layout(c.Table, c.Tx)
	if len(l.routes) == 0 {
		return nil
	}
	subs := p.open[c.Tx]
	if subs == nil {
		subs = map[rejot.TxID]*Keys{}
		p.open[c.Tx] = subs
	}
	keys := subs[c.Sub]
	if keys == nil {
		keys = p.pub.NewKeys()
		subs[c.Sub] = keys
	}
	for i := range l.routes {
		if err := p.take(keys, &l.routes[i], c); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pending) take(keys *Keys, r *routeColumns, c *rejot.Change) error {
	switch {
	case c.Op == rejot.Truncate && r.Base:
		keys.addGone(r.view)
		return nil
	case c.Op == rejot.Truncate || r.All:
		keys.addAll(r.view)
		return nil
	}
	for _, image := range [2][]rejot.Value{c.New, c.Old} {
		if image == nil {
			continue
		}
		var room [8]rejot.Value
		tuple := room[:0]
		for i, at := range r.index {
			if image[at].Kind() == rejot.Unknown {
				p.breakView(r, i)
				return nil
			}
			tuple = append(tuple, image[at])
		}
		var bytes [64]byte
		if err := keys.add(r.slot, appendValues(bytes[:0], tuple)); err != nil {
			return err
		}
	}
	return nil
}

// breakView notes that the log lacks a column that a view needs: from here on nothing can be said of it.
func (p *Pending) breakView(r *routeColumns, column int) {
	if p.broken[r.view] != nil {
		return
	}
	name := r.Columns[column]
	err := rejot.Errorf(rejot.Unsupported, "%s: the log of table %s lacks column %s, which leads to the key", p.pub.views[r.view].Schema, r.Table, name)
	p.broken[r.view] = rejot.WithMend(err, "give the table a replica identity that has the column (ALTER TABLE %s REPLICA IDENTITY FULL), then: rejot backfill", r.Table)
}

// layout finds where the routes' columns stand, anew whenever the table's description is another one.
func (p *Pending) layout(t *rejot.Table, tx rejot.TxID) *layout {
	name := contract.TableName{Schema: t.Schema, Name: t.Name}
	l := p.columns[name]
	if l != nil && l.table == t {
		return l
	}
	if l != nil && !sameColumns(l.table, t) {
		p.unlike[tx] = true
	}
	l = &layout{table: t}
	p.columns[name] = l
	for _, r := range p.pub.tables[name] {
		rc := routeColumns{route: r}
		for i, want := range r.Columns {
			at := columnIndex(t, want)
			if at < 0 {
				p.breakView(&rc, i)
				break
			}
			rc.index = append(rc.index, at)
		}
		if len(rc.index) == len(r.Columns) {
			l.routes = append(l.routes, rc)
		}
	}
	return l
}

func columnIndex(t *rejot.Table, name string) int {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

func sameColumns(a, b *rejot.Table) bool {
	if len(a.Columns) != len(b.Columns) {
		return false
	}
	for i := range a.Columns {
		if a.Columns[i].Name != b.Columns[i].Name || a.Columns[i].Type.Name != b.Columns[i].Type.Name {
			return false
		}
	}
	return true
}

// Commit ends a transaction: into the batch that is being cut, where its snapshot sees it, else it waits.
func (p *Pending) Commit(tx rejot.Transaction) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	prev := p.reached
	p.reached = tx.End
	if p.unlike[tx.ID] {
		delete(p.unlike, tx.ID)
		p.changed = p.changed || p.asOf.Less(tx.End)
	}
	p.signal()
	keys, err := p.gather(tx.ID)
	if err != nil || keys == nil {
		return err
	}
	c := committed{Transaction: tx, keys: keys, prev: prev, at: time.Now()}
	if p.sees != nil && p.sees(tx) {
		return p.merge(p.cut, &c)
	}
	p.waiting = append(p.waiting, c)
	p.fresh = true
	if len(p.waiting)%crowd == 0 {
		signal(p.crowd)
	}
	return nil
}

// gather takes the keys of a transaction and all its subtransactions; nil where it has none.
func (p *Pending) gather(tx rejot.TxID) (*Keys, error) {
	var keys *Keys
	for _, k := range p.open[tx] {
		if keys == nil {
			keys = k
			continue
		}
		if err := keys.take(k); err != nil {
			return nil, err
		}
	}
	delete(p.open, tx)
	return keys, nil
}

// merge adds a transaction to a cut.
func (p *Pending) merge(cut *Cut, c *committed) error {
	everyone := true
	for _, s := range p.since {
		everyone = everyone && s.Place.Less(c.End)
	}
	if everyone {
		return cut.Keys.take(c.keys)
	}
	for _, s := range p.since {
		if !s.Place.Less(c.End) {
			continue
		}
		if cut.For[s.Consumer] == nil {
			cut.For[s.Consumer] = p.pub.NewKeys()
		}
		if err := cut.For[s.Consumer].Merge(c.keys, nil); err != nil {
			return err
		}
	}
	return c.keys.Close()
}

// Abort drops what a transaction or a part of it has affected.
func (p *Pending) Abort(tx, sub rejot.TxID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	subs := p.open[tx]
	for id, k := range subs {
		if id != sub && tx != sub {
			continue
		}
		delete(subs, id)
		if err := k.Close(); err != nil {
			return err
		}
	}
	if len(subs) == 0 {
		delete(p.open, tx)
	}
	if tx == sub && p.unlike[tx] { // the form may be that of others which have committed, and is known from here on
		p.changed = p.changed || p.asOf.Less(p.reached)
		delete(p.unlike, tx)
	}
	return nil
}

// Close gives back what it holds. The reading goroutine has ended.
func (p *Pending) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := errors.Join(p.cut.Close(), p.later.Close())
	for i := range p.waiting {
		err = errors.Join(err, p.waiting[i].keys.Close())
	}
	for _, subs := range p.open {
		for _, k := range subs {
			err = errors.Join(err, k.Close())
		}
	}
	p.waiting, p.open = nil, nil
	return err
}

// Reached notes how far the log is read.
func (p *Pending) Reached(place rejot.Place) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reached.Less(place) {
		p.reached = place
		p.signal()
	}
	return nil
}

func (p *Pending) signal() { signal(p.wake) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// crowd is how many transactions may wait in a list before Settle is asked for.
const crowd = 8_192

// Crowded is received from when so many transactions wait that they should be settled.
func (p *Pending) Crowded() <-chan struct{} { return p.crowd }

// Woken is received from when something may have changed: a commit, or how far the log is read.
func (p *Pending) Woken() <-chan struct{} { return p.wake }

// State tells how far the log is read, whether something waits for a batch, and whether some of it
// has come since the last cut.
func (p *Pending) State() (reached rejot.Place, waiting, fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reached, len(p.waiting) > 0 || !p.cut.Keys.Empty(nil) || len(p.cut.For) > 0, p.fresh
}

// Broken gives the views of which nothing can be said any more, each with the reason, and whether a
// table of a view has another form than before, so that the views have to be resolved again.
func (p *Pending) Broken() (views map[int]error, changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	views = make(map[int]error, len(p.broken))
	for v, err := range p.broken {
		views[v] = err
	}
	return views, p.changed
}

// Settle merges the transactions that snap sees, so that they need no list: every later snapshot
// sees them too.
func (p *Pending) Settle(snap rejot.Snapshot) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sees != nil {
		return p.settle(p.later, snap.Sees)
	}
	return p.settle(p.cut, snap.Sees)
}

func (p *Pending) settle(cut *Cut, sees func(rejot.Transaction) bool) error {
	rest := p.waiting[:0]
	for i := range p.waiting {
		c := &p.waiting[i]
		if !sees(c.Transaction) {
			rest = append(rest, *c)
			continue
		}
		if err := p.merge(cut, c); err != nil {
			return err
		}
	}
	clear(p.waiting[len(rest):])
	p.waiting = rest
	return nil
}

// Cut waits until the log is read to snap's place and gives the transactions that snap sees; the
// others wait for the next one. Where many tuples have come before that, at least enough of them, it gives a part:
// what comes of the same snapshot is then taken with More until that is all, or given up with Leave. 0 is never enough.
func (p *Pending) Cut(ctx context.Context, snap rejot.Snapshot, enough int) (*Cut, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.settle(p.cut, snap.Sees); err != nil {
		return nil, err
	}
	p.sees = snap.Sees
	return p.part(ctx, snap, enough)
}

// More waits for the next part of a cut, or its end.
func (p *Pending) More(ctx context.Context, snap rejot.Snapshot, enough int) (*Cut, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.part(ctx, snap, enough)
}

// Leave gives up a cut that is not whole. What was not handed out of it comes with the next one.
func (p *Pending) Leave() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sees == nil {
		return nil
	}
	p.sees, p.parts, p.fresh = nil, false, true
	later := p.later
	p.later = p.pub.newCut()
	err := p.cut.Keys.take(later.Keys)
	for name, keys := range later.For {
		if p.cut.For[name] == nil {
			p.cut.For[name] = p.pub.NewKeys()
		}
		err = errors.Join(err, p.cut.For[name].take(keys))
	}
	return err
}

func (p *Pending) part(ctx context.Context, snap rejot.Snapshot, enough int) (*Cut, error) {
	for p.reached.Less(snap.Through()) {
		// What only some lack comes before what everybody lacks, and is not cut: its place is behind that of the others.
		if enough > 0 && p.cut.Keys.Len() >= enough && len(p.cut.For) == 0 {
			part := p.cut
			part.More = true
			p.cut, p.parts = p.pub.newCut(), true
			return part, nil
		}
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			p.mu.Lock()
			p.sees = nil
			return nil, ctx.Err()
		case <-p.wake:
			p.mu.Lock()
		}
	}
	cut, parts := p.cut, p.parts
	p.cut, p.later, p.parts, p.sees, p.fresh = p.later, p.pub.newCut(), false, nil, false
	if parts {
		return cut, nil // what was settled meanwhile may come before its end
	}
	cut.Horizon = snap.Through()
	if len(p.waiting) > 0 {
		first := &p.waiting[0]
		if !cut.Horizon.Less(first.End) {
			cut.Horizon, cut.Oldest = first.prev, first.at
		}
	}
	return cut, nil
}
