package applytest

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

const (
	manifest = "producer"
	source   = "source-db"
	history  = rejot.Incarnation("history-1")
)

// consumer makes a consumer schema of the public schema of the same name.
func consumer(name, sql, deleteSQL string) *contract.Consumer {
	return &contract.Consumer{
		Manifest: "reader", Name: name, SourceManifest: manifest, Schema: name, Major: 1, Destination: "dest",
		SQL: sql, DeleteSQL: deleteSQL,
	}
}

// shape makes a public schema's shape. The first column is its key; all are text but those in types.
func shape(name string, columns ...string) *rejot.Shape {
	s := &rejot.Shape{Schema: rejot.Ref{Manifest: manifest, Name: name, Major: 1}}
	for _, c := range columns {
		s.Row = append(s.Row, rejot.Column{Name: c, Type: rejot.Type{Name: typeOf(c)}})
	}
	s.Key = s.Row[:1]
	return s
}

// typeOf says what a column of these tests is at the source.
func typeOf(column string) string {
	switch column {
	case "id", "parent_id", "n":
		return "bigint"
	default:
		return "text"
	}
}

func values(texts []string) []rejot.Value {
	vs := make([]rejot.Value, len(texts))
	for i, s := range texts {
		vs[i] = rejot.TextValue(s)
	}
	return vs
}

func upsert(s *rejot.Shape, row ...string) *rejot.Event {
	vs := values(row)
	return &rejot.Event{Shape: s, Op: rejot.UpsertRow, Key: vs[:len(s.Key)], Row: vs}
}

func remove(s *rejot.Shape, key ...string) *rejot.Event {
	return &rejot.Event{Shape: s, Op: rejot.DeleteKey, Key: values(key)}
}

func to(id string, ev *rejot.Event) *rejot.Event {
	ev.For = id
	return ev
}

// at is a position that is n batches behind the beginning.
func at(n int) rejot.Position {
	return rejot.Position{Incarnation: history, Horizon: rejot.Place{Offset: uint64(n) * 0x1_0000_0001}, Ordinal: uint32(n)} //nolint:gosec // small and positive
}

// A driver applies batches one after the other and keeps the cursors.
type driver struct {
	*Fixture
	rejot.Applier
	ids     []string
	cursors map[string]rejot.Cursor
	n       int
}

func (f *Fixture) start(t *testing.T, consumers ...*contract.Consumer) *driver {
	t.Helper()
	a, err := f.Open(t, consumers...)
	if err != nil {
		t.Fatalf("open: %v (%s)", err, rejot.MendOf(err))
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	d := &driver{Fixture: f, Applier: a, cursors: map[string]rejot.Cursor{}}
	for _, c := range consumers {
		d.ids = append(d.ids, c.ID())
		d.cursors[c.ID()] = rejot.Cursor{Consumer: c.ID(), Source: source}
	}
	return d
}

// moves are the moves of all consumers to the next position.
func (d *driver) moves() []rejot.Move {
	d.n++
	var ms []rejot.Move
	for _, id := range d.ids {
		from := d.cursors[id]
		next := from
		next.Source, next.Position, next.Contract = source, at(d.n), "contract-1"
		ms = append(ms, rejot.Move{From: from, To: next})
	}
	return ms
}

// run applies a batch for all consumers.
func (d *driver) run(t *testing.T, events ...*rejot.Event) map[string]rejot.Outcome {
	t.Helper()
	ms := d.moves()
	outcomes, err := d.Apply(t.Context(), ms, batch(at(d.n), events))
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	if len(outcomes) != len(ms) {
		t.Fatalf("%d outcomes for %d moves", len(outcomes), len(ms))
	}
	by := map[string]rejot.Outcome{}
	for i, o := range outcomes {
		if o.Consumer != ms[i].To.Consumer {
			t.Errorf("outcome %d is of %s, want %s", i, o.Consumer, ms[i].To.Consumer)
		}
		by[o.Consumer] = o
		if o.Err == nil {
			d.cursors[o.Consumer] = ms[i].To
		}
	}
	d.checkCursors(t)
	return by
}

// must is run where every consumer has to move.
func (d *driver) must(t *testing.T, events ...*rejot.Event) {
	t.Helper()
	for id, o := range d.run(t, events...) {
		if o.Err != nil {
			t.Fatalf("%s was left behind: %v", id, o.Err)
		}
	}
}

// checkCursors compares the destination's cursors with what they must be by now.
func (d *driver) checkCursors(t *testing.T) {
	t.Helper()
	var want []rejot.Cursor
	for _, id := range d.ids {
		if c := d.cursors[id]; !c.Position.IsZero() {
			want = append(want, c)
		}
	}
	got, err := d.Cursors(t.Context())
	if err != nil {
		t.Fatalf("cursors: %v", err)
	}
	byID := func(a, b rejot.Cursor) int { return slices.Compare([]byte(a.Consumer), []byte(b.Consumer)) }
	slices.SortFunc(got, byID)
	slices.SortFunc(want, byID)
	if len(want) == 0 && len(got) == 0 {
		return
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(rejot.Value{})); diff != "" {
		t.Errorf("cursors (-want +got):\n%s", diff)
	}
}

// rows compares the rows of a query.
func (f *Fixture) rows(t *testing.T, sql string, want ...[]string) {
	t.Helper()
	got := f.Query(t, sql)
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", sql, diff)
	}
}

// batch makes a batch of events in memory.
func batch(pos rejot.Position, events []*rejot.Event) *rejot.Batch {
	return batchOf(pos, func(yield func(*rejot.Event, error) bool) {
		for _, ev := range events {
			own := *ev // an event belongs to the ranger until the next one is asked for
			own.Key, own.Row = slices.Clone(ev.Key), slices.Clone(ev.Row)
			if !yield(&own, nil) {
				return
			}
			clear(own.Key)
			clear(own.Row)
		}
	})
}

func batchOf(pos rejot.Position, events iter.Seq2[*rejot.Event, error]) *rejot.Batch {
	return &rejot.Batch{Source: source, Position: pos, Events: events}
}

func wantCode(t *testing.T, err error, want rejot.Code) {
	t.Helper()
	var e *rejot.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v has no code, want %s", err, want)
	}
	if e.Code != want {
		t.Fatalf("error %v has code %s, want %s", err, e.Code, want)
	}
}

func numbered(format string, n int) string { return fmt.Sprintf(format, n) }
