package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// A flow prints changes for a developer: what the source wrote, what rows it became, what wrote them. It may be
// used from several goroutines.
type flow struct {
	colors bool
	mask   bool

	mu  sync.Mutex
	out io.Writer
}

func newFlow(a *app, mask bool) *flow { return &flow{colors: a.terminal, mask: mask, out: a.stdout} }

// shownRows is how many changes of a transaction and rows of a batch are printed.
const shownRows = 8

func (f *flow) line(color text.Color, what, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what = fmt.Sprintf("%-10s", what)
	if f.colors {
		what = color.Sprint(what)
	}
	_, _ = fmt.Fprintf(f.out, "%s %s %s\n", time.Now().Format("15:04:05.000"), what, fmt.Sprintf(format, args...)) // nobody is there to be told
}

func (f *flow) print(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, _ = io.WriteString(f.out, text)
}

func (f *flow) say(format string, args ...any) { f.line(text.FgHiBlack, "rejot", format, args...) }

func (f *flow) value(v rejot.Value) string {
	const most = 60
	s, ok := v.Text()
	switch {
	case v.Kind() == rejot.Unknown:
		return "(unchanged)"
	case !ok:
		return "NULL"
	case f.mask:
		return masked(v)
	}
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}

// row prints columns with their values.
func (f *flow) row(columns []rejot.Column, values []rejot.Value) string {
	var all []string
	for i, v := range values {
		if i < len(columns) {
			all = append(all, columns[i].Name+"="+f.value(v))
		}
	}
	return strings.Join(all, " ")
}

// tap makes the program show what flows through it.
func (p *program) tap(f *flow, log *slog.Logger) {
	for slug, s := range p.sources {
		p.sources[slug] = shownSource{s, slug, f}
	}
	for slug, d := range p.destinations {
		p.destinations[slug] = &shownDestination{d, slug, f, p.pairs}
	}
	p.wire(p.pairs, log)
}

// A shownSource is a source whose transactions are printed as they are read.
type shownSource struct {
	source
	slug string
	flow *flow
}

// Read hands the log to r, and prints it.
func (s shownSource) Read(ctx context.Context, pos rejot.Position, r rejot.Receiver) error {
	return s.source.Read(ctx, pos, &shownLog{Receiver: r, slug: s.slug, flow: s.flow, open: map[rejot.TxID]*shownTx{}})
}

type shownLog struct {
	rejot.Receiver
	slug string
	flow *flow
	open map[rejot.TxID]*shownTx
}

// A shownTx is what is printed of a transaction.
type shownTx struct {
	lines   []string
	subs    []rejot.TxID // whose each line is
	changes int
}

// Change notes one change.
func (l *shownLog) Change(c *rejot.Change) error {
	tx := l.open[c.Tx]
	if tx == nil {
		tx = &shownTx{}
		l.open[c.Tx] = tx
	}
	if tx.changes++; len(tx.lines) < shownRows {
		image := c.New
		if image == nil {
			image = c.Old
		}
		tx.lines = append(tx.lines, fmt.Sprintf("%s.%s %s %s", l.slug, c.Table.Name, opName(c.Op), l.flow.row(c.Table.Columns, image)))
		tx.subs = append(tx.subs, c.Sub)
	}
	return l.Receiver.Change(c)
}

func opName(op rejot.Op) string {
	switch op {
	case rejot.Insert:
		return "INSERT"
	case rejot.Update:
		return "UPDATE"
	case rejot.Delete:
		return "DELETE"
	case rejot.Truncate:
		return "TRUNCATE"
	default:
		return fmt.Sprintf("operation %d", op)
	}
}

// Commit prints the transaction.
func (l *shownLog) Commit(tx rejot.Transaction) error {
	if shown := l.open[tx.ID]; shown != nil {
		for _, line := range shown.lines {
			l.flow.line(text.FgYellow, "source", "%s", line)
		}
		if more := shown.changes - len(shown.lines); more > 0 {
			l.flow.line(text.FgYellow, "source", "and %d more changes of this transaction", more)
		}
		delete(l.open, tx.ID)
	}
	return l.Receiver.Commit(tx)
}

// Abort forgets what is rolled back.
func (l *shownLog) Abort(tx, sub rejot.TxID) error {
	if shown := l.open[tx]; shown != nil && tx != sub {
		kept := &shownTx{}
		for i, line := range shown.lines {
			if shown.subs[i] != sub {
				kept.lines, kept.subs = append(kept.lines, line), append(kept.subs, shown.subs[i])
			}
		}
		kept.changes = shown.changes - (len(shown.lines) - len(kept.lines))
		l.open[tx] = kept
	} else {
		delete(l.open, tx)
	}
	return l.Receiver.Abort(tx, sub)
}

// A shownDestination is a destination whose batches are printed when they are committed.
type shownDestination struct {
	destination
	slug  string
	flow  *flow
	pairs []pairing
}

// Durable is the destination's own, where its commits may be late.
func (d *shownDestination) Durable(ctx context.Context) ([]rejot.Cursor, error) {
	if lazy, ok := d.destination.(rejot.LazyApplier); ok {
		return lazy.Durable(ctx)
	}
	return d.Cursors(ctx)
}

// Apply applies a batch and prints it.
func (d *shownDestination) Apply(ctx context.Context, moves []rejot.Move, b *rejot.Batch) ([]rejot.Outcome, error) {
	began := time.Now()
	outcomes, err := d.destination.Apply(ctx, moves, b)
	if err != nil {
		d.flow.line(text.FgRed, "failed", "%s: %s", d.slug, err)
		return outcomes, err
	}
	took := time.Since(began).Round(100 * time.Microsecond)
	d.rows(b)
	for _, o := range outcomes {
		c := d.consumer(o.Consumer)
		switch {
		case o.Err != nil:
			d.flow.line(text.FgRed, "refused", "%s: %s", o.Consumer, o.Err)
		case c != nil && o.Upserts > 0:
			d.flow.line(text.FgGreen, "written", "%s, %d rows in %s: %s", o.Consumer, o.Upserts, took, oneLine(c.SQL))
		}
		if o.Err == nil && c != nil && o.Deletes > 0 {
			d.flow.line(text.FgGreen, "written", "%s, %d keys in %s: %s", o.Consumer, o.Deletes, took, oneLine(c.DeleteSQL))
		}
	}
	return outcomes, nil
}

// rows prints the events of a batch that these consumers read.
func (d *shownDestination) rows(b *rejot.Batch) {
	n := 0
	for ev, err := range b.Events {
		if err != nil {
			return // it was told already
		}
		if !d.reads(ev) {
			continue
		}
		if n++; n > shownRows {
			continue
		}
		name := fmt.Sprintf("%s %d.%d", ev.Shape.Schema.Name, ev.Shape.Schema.Major, ev.Shape.Schema.Minor)
		switch ev.Op {
		case rejot.UpsertRow:
			d.flow.line(text.FgCyan, "row", "%s %s", name, d.flow.row(ev.Shape.Row, ev.Row))
		case rejot.DeleteKey:
			d.flow.line(text.FgCyan, "no row", "%s %s", name, d.flow.row(ev.Shape.Key, ev.Key))
		case rejot.Clear:
			d.flow.line(text.FgCyan, "no rows", "%s", name)
		}
	}
	if n > shownRows {
		d.flow.line(text.FgCyan, "row", "and %d more", n-shownRows)
	}
}

func (d *shownDestination) reads(ev *rejot.Event) bool {
	for _, pr := range d.pairs {
		if pr.consumer.Destination == d.slug && pr.consumer.Reads(ev.Shape.Schema) && (ev.For == "" || ev.For == pr.consumer.ID()) {
			return true
		}
	}
	return false
}

func (d *shownDestination) consumer(id string) *contract.Consumer {
	for _, pr := range d.pairs {
		if pr.consumer.ID() == id {
			return pr.consumer
		}
	}
	return nil
}

func oneLine(sql string) string { return strings.Join(strings.Fields(sql), " ") }
