package apply

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// family is a parent's and a child's consumer and shape; the child's rank is higher.
type family struct {
	targets       map[string]*Target
	moves         []rejot.Move
	parent, child *rejot.Shape
}

func newFamily() *family {
	f := &family{targets: map[string]*Target{}}
	f.parent, f.child = f.add("parent", 0), f.add("child", 1)
	return f
}

func (f *family) add(name string, rank int) *rejot.Shape {
	c := &contract.Consumer{Manifest: "m", Name: name, SourceManifest: "p", Schema: name, Major: 1}
	st := func(names ...string) *Statement { return &Statement{Names: names, Rank: rank} }
	f.targets[c.ID()] = &Target{Consumer: c, Statements: [Kinds]*Statement{Upsert: st("id", "name"), Delete: st("id"), Truncate: st()}}
	f.moves = append(f.moves, rejot.Move{To: rejot.Cursor{Consumer: c.ID()}})
	row := []rejot.Column{{Name: "id"}, {Name: "name"}}
	return &rejot.Shape{Schema: rejot.Ref{Manifest: "p", Name: name, Major: 1}, Key: row[:1], Row: row}
}

// orderAll makes every consumer begin with an order.
func (f *family) orderAll(o Order) {
	for _, t := range f.targets {
		t.order = o
	}
}

func up(s *rejot.Shape, id string) *rejot.Event {
	return &rejot.Event{Shape: s, Op: rejot.UpsertRow, Key: texts(id), Row: texts(id, "n")}
}

func del(s *rejot.Shape, id string) *rejot.Event {
	return &rejot.Event{Shape: s, Op: rejot.DeleteKey, Key: texts(id)}
}

func texts(ss ...string) []rejot.Value {
	var vs []rejot.Value
	for _, s := range ss {
		vs = append(vs, rejot.TextValue(s))
	}
	return vs
}

func (f *family) run(t *testing.T, events ...*rejot.Event) *Run {
	t.Helper()
	r, err := NewRun(f.targets, f.moves, &rejot.Batch{Events: func(yield func(*rejot.Event, error) bool) {
		for _, ev := range events {
			if !yield(ev, nil) {
				return
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// played writes the operations of an attempt as text: child-1 is a delete, child+1 an upsert, child! a truncate.
func played(t *testing.T, r *Run) string {
	t.Helper()
	var out []string
	last := false
	for c, err := range r.Chunks() {
		if err != nil {
			t.Fatal(err)
		}
		if last {
			t.Error("a chunk after the last")
		}
		last = c.Last
		for _, op := range c.Ops {
			sign := map[Kind]string{Upsert: "+", Delete: "-", Truncate: "!"}[op.Kind]
			id := ""
			if len(op.Params) > 0 {
				id, _ = op.Params[0].Text()
			}
			out = append(out, op.Target.Consumer.Name+sign+id)
		}
	}
	if !last {
		t.Error("no last chunk")
	}
	return strings.Join(out, " ")
}

func TestOrders(t *testing.T) {
	f := newFamily()
	events := []*rejot.Event{
		up(f.child, "1"), del(f.child, "2"), {Shape: f.parent, Op: rejot.Clear}, up(f.parent, "3"), del(f.parent, "4"), {Shape: f.child, Op: rejot.Clear}, up(f.child, "5"),
	}
	for order, want := range map[Order]string{
		DeletesFirst: "child! parent! child-2 parent-4 parent+3 child+1 child+5",
		UpsertsFirst: "child! parent! parent+3 child+1 child+5 child-2 parent-4",
		Swap:         "child! parent! child-1 child-2 child-5 parent-3 parent-4 parent+3 child+1 child+5",
	} {
		for _, whole := range []bool{false, true} {
			f.orderAll(order)
			r := f.run(t, events...)
			r.whole = whole
			if diff := cmp.Diff(want, played(t, r)); diff != "" {
				t.Errorf("order %d, as one: %v (-want +got):\n%s", order, whole, diff)
			}
		}
	}
}

func TestReplacementIsDeletedBeforeItsRowsInEveryOrder(t *testing.T) {
	f := newFamily()
	f.child.Many = true
	events := []*rejot.Event{del(f.child, "1"), up(f.child, "1"), up(f.child, "1"), del(f.child, "2"), del(f.child, "3"), up(f.child, "3"), del(f.parent, "9"), del(f.child, "4")}
	for order, want := range map[Order]string{
		DeletesFirst: "child-1 child-2 child-3 child-4 parent-9 child+1 child+1 child+3",
		UpsertsFirst: "child-1 child+1 child+1 child-3 child+3 child-2 child-4 parent-9",
		Swap:         "child-1 child-2 child-3 child-4 parent-9 child+1 child+1 child+3",
	} {
		for _, whole := range []bool{false, true} {
			f.orderAll(order)
			r := f.run(t, events...)
			r.whole = whole
			if diff := cmp.Diff(want, played(t, r)); diff != "" {
				t.Errorf("order %d, as one: %v (-want +got):\n%s", order, whole, diff)
			}
		}
	}
}

func TestDeleteThatWaitedWhenAnAttemptEndedIsForgotten(t *testing.T) {
	f := newFamily()
	f.parent.Many = true
	other := f.targets["m/child"]
	other.Consumer.Schema, other.Statements[Delete].Names = "parent", []string{"nowhere"} // refused after the first has taken the event
	for _, whole := range []bool{false, true} {
		f.orderAll(UpsertsFirst)
		other.order = DeletesFirst
		r := f.run(t, del(f.parent, "1"), up(f.parent, "1"))
		r.whole = whole
		var refused error
		for _, err := range r.Chunks() {
			refused = err
		}
		if err := r.Again(refused); refused == nil || err != nil || len(r.Moves()) != 1 {
			t.Fatalf("refused with %v, then %v, and %d consumers are left", refused, err, len(r.Moves()))
		}
		if diff := cmp.Diff("parent-1 parent+1", played(t, r)); diff != "" {
			t.Errorf("as one: %v (-want +got):\n%s", whole, diff)
		}
	}
}

func TestLargeBatchIsOrderedByChunkAndThenAsOne(t *testing.T) {
	f := newFamily()
	var events []*rejot.Event
	for i := range chunkOps + 1 {
		events = append(events, up(f.parent, fmt.Sprint(i)))
	}
	events = append(events, del(f.parent, "x"))
	r := f.run(t, events...)
	if got := played(t, r); strings.HasPrefix(got, "parent-x") {
		t.Error("the first attempt is not by chunk")
	}
	refused := &Failure{Consumer: "m/parent", Err: rejot.Errorf(rejot.Rejected, "no"), Reorder: true}
	if err := r.Again(refused); err != nil {
		t.Fatal(err)
	}
	if got := played(t, r); !strings.HasPrefix(got, "parent-x parent+0") {
		t.Error("the second attempt is not as one")
	}
	if err := r.Again(refused); err != nil {
		t.Fatal(err)
	}
	if got := played(t, r); !strings.HasSuffix(got, " parent-x") {
		t.Error("the third attempt is not upserts first")
	}
	if out := r.Outcomes(); out[0].Upserts != chunkOps+1 || out[0].Deletes != 1 || out[0].Err != nil {
		t.Errorf("outcome %+v", out[0])
	}
	if f.targets["m/parent"].order != UpsertsFirst {
		t.Error("what worked is not remembered")
	}
}

func TestRefusedInEveryOrderLeavesTheRunWithTheFirstError(t *testing.T) {
	f := newFamily()
	r := f.run(t, up(f.parent, "1"), up(f.child, "1"))
	first := rejot.Errorf(rejot.Rejected, "first")
	for i := range orders {
		played(t, r)
		err := first
		if i > 0 {
			err = rejot.Errorf(rejot.Rejected, "later")
		}
		if len(r.Moves()) != 2 {
			t.Fatalf("%d moves in attempt %d", len(r.Moves()), i)
		}
		if err := r.Again(&Failure{Consumer: "m/parent", Err: err, Reorder: true}); err != nil {
			t.Fatal(err)
		}
	}
	if got := played(t, r); got != "child+1" {
		t.Errorf("left is %s", got)
	}
	out := r.Outcomes()
	if out[0].Err != first || out[0].Upserts != 0 || out[1].Err != nil || out[1].Upserts != 1 { //nolint:errorlint // this very error
		t.Errorf("outcomes %+v", out)
	}
}

func TestUnknownBlameIsSearched(t *testing.T) {
	f := newFamily()
	r := f.run(t, up(f.parent, "1"), up(f.child, "1"))
	nameless := &Failure{Err: rejot.Errorf(rejot.Rejected, "somebody")}
	var trail []string
	for len(r.Moves()) > 0 {
		got := played(t, r)
		trail = append(trail, fmt.Sprint(r.Probe(), " ", got))
		var err error
		if strings.Contains(got, "child") {
			err = nameless
		}
		if err == nil && !r.Probe() {
			break
		}
		if err := r.Again(err); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"false parent+1 child+1", "true parent+1", "true child+1", "false parent+1"}
	if diff := cmp.Diff(want, trail); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	if out := r.Outcomes(); out[0].Err != nil || out[1].Err == nil {
		t.Errorf("outcomes %+v", out)
	}
}

func TestUnknownBlameThatNobodyHasAloneIsEverybodys(t *testing.T) {
	f := newFamily()
	r := f.run(t, up(f.parent, "1"), up(f.child, "1"))
	for i := 0; len(r.Moves()) > 0; i++ {
		if i > 4 {
			t.Fatal("no end")
		}
		var err error
		if got := played(t, r); got == "parent+1 child+1" {
			err = &Failure{Err: rejot.Errorf(rejot.Rejected, "somebody")}
		}
		if err := r.Again(err); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range r.Outcomes() {
		if o.Err == nil {
			t.Errorf("%s has no error", o.Consumer)
		}
	}
}

func TestAnotherErrorEndsTheRun(t *testing.T) {
	f := newFamily()
	r := f.run(t)
	lost := errors.New("connection lost")
	if err := r.Again(lost); !errors.Is(err, lost) {
		t.Errorf("Again gave %v", err)
	}
}

func TestCheckNamesWhatIsNotAField(t *testing.T) {
	f := newFamily()
	target := f.targets["m/child"]
	target.Statements[Upsert].Names = []string{"id", "nmae", "2"}
	target.Statements[Delete].Names = []string{"name"}
	err := target.Check(f.child)
	for _, want := range []string{":nmae", ":name"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
	if rejot.CodeOf(err) != rejot.Invalid || rejot.MendOf(err) != "use one of :id, :name" {
		t.Errorf("code %s, mend %q", rejot.CodeOf(err), rejot.MendOf(err))
	}
	target.Statements[Upsert].Names, target.Statements[Delete] = nil, nil
	f.child.Many = true
	if err := target.Check(f.child); rejot.CodeOf(err) != rejot.Invalid {
		t.Errorf("several rows without a deleteSql: %v", err)
	}
	if err := target.Check(f.parent); err != nil {
		t.Errorf("a schema that it does not read: %v", err)
	}
}

func TestValuesOutliveTheEvent(t *testing.T) {
	f := newFamily()
	ev := &rejot.Event{Shape: f.parent, Op: rejot.UpsertRow, Key: texts("1"), Row: texts("1", "n")}
	r, err := NewRun(f.targets, f.moves, &rejot.Batch{Events: func(yield func(*rejot.Event, error) bool) {
		yield(ev, nil)
		clear(ev.Key)
		clear(ev.Row)
	}})
	if err != nil {
		t.Fatal(err)
	}
	for c, err := range r.Chunks() {
		if err != nil {
			t.Fatal(err)
		}
		if op := c.Ops[0]; !slices.Equal(op.Params, texts("1", "n")) || !slices.Equal(op.Key, texts("1")) {
			t.Errorf("operation %+v", op)
		}
	}
}
