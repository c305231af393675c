package publish_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/spill"
	"rejot.dev/rejot/publish"
)

// keyed is a view of one table, keyed by its column id, with a second table that leads to it.
func keyed() *contract.View {
	id := rejot.Column{Name: "id", Type: rejot.Type{Name: "bigint"}}
	schema := &contract.PublicSchema{Ref: rejot.Ref{Manifest: "m", Name: "things", Major: 1}, Source: "db"}
	return &contract.View{
		Schema: schema, Key: []rejot.Column{id}, KeyNames: []int{0},
		Shape: &rejot.Shape{Schema: schema.Ref, Key: []rejot.Column{id}, Row: []rejot.Column{id}},
		Rows:  &rejot.Query{Name: "rows", Ordinal: true}, First: &rejot.Query{Name: "first"}, Next: &rejot.Query{Name: "next"},
		Routes: []contract.Route{
			{Table: contract.TableName{Schema: "public", Name: "thing"}, Columns: []string{"id"}, Direct: true, Base: true},
			{Table: contract.TableName{Schema: "public", Name: "part"}, Columns: []string{"thing_id"}, Keys: &rejot.Query{Name: "keys of part"}},
		},
	}
}

var (
	thing = &rejot.Table{Schema: "public", Name: "thing", Columns: []rejot.Column{{Name: "name"}, {Name: "id"}}}
	part  = &rejot.Table{Schema: "public", Name: "part", Columns: []rejot.Column{{Name: "thing_id"}}}
)

// state is a snapshot whose rows are those of a map, and whose derived statements lead from a value to itself.
type state struct {
	through rejot.Place
	sees    map[rejot.TxID]bool
	rows    map[string]string
}

func (s state) Through() rejot.Place           { return s.through }
func (s state) Sees(tx rejot.Transaction) bool { return s.sees[tx.ID] }
func (s state) Ahead() [][]rejot.Answer        { return nil }
func (s state) Close() error                   { return nil }
func (s state) keysAfter(after string) []string {
	var keys []string
	for k := range s.rows {
		if k > after {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func (s state) Query(_ context.Context, q *rejot.Query, tuples iter.Seq2[[]rejot.Value, error], yield func(rejot.Answer) error) error {
	n := -1
	for t, err := range tuples {
		if err != nil {
			return err
		}
		n++
		first, _ := t[0].Text()
		var rows [][]rejot.Value
		switch q.Name {
		case "rows":
			if row, ok := s.rows[first]; ok {
				rows = [][]rejot.Value{{rejot.TextValue(row)}}
			}
		case "keys of part":
			rows = [][]rejot.Value{{t[0]}}
		case "first", "next":
			last, _ := t[len(t)-1].Text()
			limit, err := strconv.Atoi(last)
			if err != nil {
				return err
			}
			if q.Name == "first" {
				first = ""
			}
			for _, k := range s.keysAfter(first) {
				if len(rows) < limit {
					rows = append(rows, []rejot.Value{rejot.TextValue(k)})
				}
			}
		}
		which := -1
		if q.Ordinal {
			which = n
		}
		for _, row := range rows {
			if err := yield(rejot.Answer{Tuple: which, Row: row}); err != nil {
				return err
			}
		}
	}
	return nil
}

// A tester is what a test and a property have in common.
type tester interface {
	Context() context.Context
	Fatal(...any)
}

// evaluate gives the events of a cut as texts, sorted.
func evaluate(t tester, p *publish.Publisher, s rejot.Snapshot, works ...publish.Work) []string {
	texts := evaluateParts(t, p, s, works)
	slices.Sort(texts)
	return texts
}

// evaluateParts gives the events of a cut's parts as texts, in their order.
func evaluateParts(t tester, p *publish.Publisher, s rejot.Snapshot, parts ...[]publish.Work) []string {
	events := p.NewEvents()
	e := p.Evaluation(s, events)
	var err error
	for i, works := range parts {
		if i == 0 {
			err = e.Clear(works...)
		}
		if err = errors.Join(err, e.Run(t.Context(), works...)); err != nil {
			break
		}
	}
	events.Finish(errors.Join(err, e.Close()))
	var texts []string
	for ev, err := range events.Batch(t.Context(), rejot.Position{}).Events {
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, describe(ev))
	}
	if err := events.Close(); err != nil {
		t.Fatal(err)
	}
	return texts
}

func describe(ev *rejot.Event) string {
	to := ""
	if ev.For != "" {
		to = " for " + ev.For
	}
	switch ev.Op {
	case rejot.UpsertRow:
		key, _ := ev.Key[0].Text()
		row, _ := ev.Row[0].Text()
		return "upsert " + key + "=" + row + to
	case rejot.DeleteKey:
		key, _ := ev.Key[0].Text()
		return "delete " + key + to
	case rejot.Clear:
		return "clear" + to
	default:
		return fmt.Sprint("unknown ", ev.Op)
	}
}

func insert(tx rejot.TxID, id string) *rejot.Change {
	return &rejot.Change{Tx: tx, Sub: tx, Table: thing, Op: rejot.Insert, New: []rejot.Value{{}, rejot.TextValue(id)}}
}

// TestCutsHoldWhatTheirSnapshotsSee makes commits visible in another order than the log has them,
// and checks that each transaction is in the first cut whose snapshot sees it, and that a reader
// who begins at a cut's horizon gets every transaction that no cut has included.
func TestCutsHoldWhatTheirSnapshotsSee(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := spill.NewPool("", 1<<20)
		p := publish.New("db", []*contract.View{keyed()}, pool)
		pending := p.NewPending(rejot.Place{}, rejot.Place{}, nil)
		type tx struct {
			rejot.Transaction
			begin uint64
			cut   bool
		}
		var log []*tx // committed, in log order
		delivered := 0
		end := uint64(100)
		sees := map[rejot.TxID]bool{}
		deliver := func(n int) {
			for ; n > 0 && delivered < len(log); n-- {
				x := log[delivered]
				delivered++
				if err := pending.Change(insert(x.ID, strconv.Itoa(int(x.ID)))); err != nil {
					t.Fatal(err)
				}
				if err := pending.Commit(x.Transaction); err != nil {
					t.Fatal(err)
				}
			}
		}
		last := rejot.Place{}
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) {
				begin := end + uint64(rapid.IntRange(0, 30).Draw(t, "gap"))
				end = begin + uint64(rapid.IntRange(10, 40).Draw(t, "length"))
				id := rejot.TxID(len(log) + 1)
				log = append(log, &tx{Transaction: rejot.Transaction{ID: id, End: rejot.Place{Offset: end}}, begin: begin})
				if rapid.Bool().Draw(t, "visible at once") {
					sees[id] = true
				}
			},
			"becomes visible": func(t *rapid.T) {
				if len(log) > 0 {
					sees[log[rapid.IntRange(0, len(log)-1).Draw(t, "which")].ID] = true
				}
			},
			"deliver": func(t *rapid.T) { deliver(rapid.IntRange(1, 3).Draw(t, "n")) },
			"settle": func(t *rapid.T) {
				now := state{sees: sees}
				if err := pending.Settle(now); err != nil {
					t.Fatal(err)
				}
			},
			"cut": func(t *rapid.T) {
				end += 5
				snap := state{through: rejot.Place{Offset: end}, sees: map[rejot.TxID]bool{}, rows: map[string]string{}}
				for id := range sees {
					snap.sees[id] = true
				}
				var parts [][]publish.Work
				cut, err := &publish.Cut{More: true}, error(nil)
				for handed, take := 0, pending.Cut; cut.More; take = pending.More {
					enough := 0
					if rapid.Bool().Draw(t, "grows") {
						deliver(rapid.IntRange(0, 3).Draw(t, "brought"))
						for _, x := range log[handed:delivered] {
							if snap.sees[x.ID] && !x.cut {
								enough = 1
							}
						}
						handed = delivered
					}
					if enough == 0 {
						deliver(len(log))
						if err := pending.Reached(snap.through); err != nil {
							t.Fatal(err)
						}
					}
					if cut, err = take(context.Background(), snap, enough); err != nil {
						t.Fatal(err)
					}
					if len(log) > 0 && rapid.Bool().Draw(t, "settled meanwhile") {
						sees[log[rapid.IntRange(0, len(log)-1).Draw(t, "became visible")].ID] = true
						if err := pending.Settle(state{sees: sees}); err != nil {
							t.Fatal(err)
						}
					}
					parts = append(parts, []publish.Work{{Keys: cut.Keys, Brief: len(parts) > 0}})
				}
				var want []string
				for _, x := range log {
					if snap.sees[x.ID] && !x.cut {
						want = append(want, "delete "+strconv.Itoa(int(x.ID)))
						x.cut = true
					}
					if !x.cut && x.begin < cut.Horizon.Offset {
						t.Fatalf("transaction %d begins its commit at %d, before horizon %s, and is in no cut", x.ID, x.begin, cut.Horizon)
					}
				}
				slices.Sort(want)
				if got := slices.Sorted(slices.Values(evaluateParts(t, p, snap, parts...))); !slices.Equal(got, want) {
					t.Fatalf("cut has %v, want %v", got, want)
				}
				if len(parts) > 1 {
					return
				}
				if cut.Horizon.Less(last) {
					t.Fatalf("horizon went back from %s to %s", last, cut.Horizon)
				}
				last = cut.Horizon
			},
		})
	})
}

func commit(t *testing.T, p *publish.Pending, id rejot.TxID, end uint64) {
	t.Helper()
	if err := p.Commit(rejot.Transaction{ID: id, End: rejot.Place{Offset: end}}); err != nil {
		t.Fatal(err)
	}
}

func TestChangesBecomeEvents(t *testing.T) {
	text, null := rejot.TextValue, rejot.NullValue()
	old := func(op rejot.Op, was, is string) *rejot.Change {
		c := &rejot.Change{Tx: 1, Sub: 1, Table: thing, Op: op}
		if was != "" {
			c.Old = []rejot.Value{null, text(was)}
		}
		if is != "" {
			c.New = []rejot.Value{null, text(is)}
		}
		return c
	}
	child := func(op rejot.Op, was, is string) *rejot.Change {
		c := old(op, was, is)
		c.Table = part
		if c.Old != nil {
			c.Old = c.Old[1:]
		}
		if c.New != nil {
			c.New = c.New[1:]
		}
		return c
	}
	cases := []struct {
		name    string
		changes []*rejot.Change
		rows    map[string]string
		want    []string
	}{
		{"an inserted row is an upsert", []*rejot.Change{old(rejot.Insert, "", "1")}, map[string]string{"1": "a"}, []string{"upsert 1=a"}},
		{"a row that has left the query is a delete", []*rejot.Change{old(rejot.Update, "", "1")}, nil, []string{"delete 1"}},
		{"a deleted row is a delete", []*rejot.Change{old(rejot.Delete, "1", "")}, nil, []string{"delete 1"}},
		{"a key that changes is a delete and an upsert", []*rejot.Change{old(rejot.Update, "1", "2")}, map[string]string{"2": "a"}, []string{"delete 1", "upsert 2=a"}},
		{"a hot row is one event", []*rejot.Change{old(rejot.Insert, "", "1"), old(rejot.Update, "", "1"), old(rejot.Update, "", "1")}, map[string]string{"1": "c"}, []string{"upsert 1=c"}},
		{"a part that moves affects both its things", []*rejot.Change{child(rejot.Update, "1", "2")}, map[string]string{"1": "a", "2": "b"}, []string{"upsert 1=a", "upsert 2=b"}},
		{"a deleted part affects its thing", []*rejot.Change{child(rejot.Delete, "1", "")}, map[string]string{"1": "a"}, []string{"upsert 1=a"}},
		{"a truncated base clears, and what came after is there", []*rejot.Change{old(rejot.Truncate, "", ""), old(rejot.Insert, "", "7")}, map[string]string{"7": "g"}, []string{"clear", "upsert 7=g"}},
		{"a truncated further table affects all keys", []*rejot.Change{child(rejot.Truncate, "", "")}, map[string]string{"1": "a", "2": "b"}, []string{"upsert 1=a", "upsert 2=b"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := publish.New("db", []*contract.View{keyed()}, spill.NewPool("", 1<<20))
			pending := p.NewPending(rejot.Place{}, rejot.Place{}, nil)
			for _, change := range c.changes {
				if err := pending.Change(change); err != nil {
					t.Fatal(err)
				}
			}
			commit(t, pending, 1, 100)
			s := state{through: rejot.Place{Offset: 100}, sees: map[rejot.TxID]bool{1: true}, rows: c.rows}
			cut, err := pending.Cut(t.Context(), s, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := evaluate(t, p, s, publish.Work{Keys: cut.Keys}); !slices.Equal(got, c.want) {
				t.Errorf("events %v, want %v", got, c.want)
			}
		})
	}
}

func TestAnAbortedPartOfATransactionLeavesNothing(t *testing.T) {
	p := publish.New("db", []*contract.View{keyed()}, spill.NewPool("", 1<<20))
	pending := p.NewPending(rejot.Place{}, rejot.Place{}, nil)
	kept, dropped := insert(1, "1"), insert(1, "2")
	dropped.Sub = 2
	for _, c := range []*rejot.Change{kept, dropped} {
		if err := pending.Change(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := pending.Abort(1, 2); err != nil {
		t.Fatal(err)
	}
	commit(t, pending, 1, 100)
	s := state{through: rejot.Place{Offset: 100}, sees: map[rejot.TxID]bool{1: true}}
	cut, err := pending.Cut(t.Context(), s, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := evaluate(t, p, s, publish.Work{Keys: cut.Keys}); !slices.Equal(got, []string{"delete 1"}) {
		t.Errorf("events %v", got)
	}
}

func TestAColumnThatTheLogLacksBreaksItsViewAndNothingElse(t *testing.T) {
	p := publish.New("db", []*contract.View{keyed()}, spill.NewPool("", 1<<20))
	pending := p.NewPending(rejot.Place{}, rejot.Place{}, nil)
	c := &rejot.Change{Tx: 1, Sub: 1, Table: part, Op: rejot.Delete, Old: []rejot.Value{{}}}
	if err := pending.Change(c); err != nil {
		t.Fatal(err)
	}
	broken, _ := pending.Broken()
	if rejot.CodeOf(broken[0]) != rejot.Unsupported || rejot.MendOf(broken[0]) == "" {
		t.Errorf("broken: %v", broken)
	}
}

func TestAConsumerThatIsAheadIsSparedWhatItHas(t *testing.T) {
	p := publish.New("db", []*contract.View{keyed()}, spill.NewPool("", 1<<20))
	pending := p.NewPending(rejot.Place{}, rejot.Place{}, []publish.Since{{Consumer: "behind", Place: rejot.Place{Offset: 50}}, {Consumer: "ahead", Place: rejot.Place{Offset: 100}}})
	for i, end := range []uint64{100, 200} {
		if err := pending.Change(insert(rejot.TxID(i+1), strconv.Itoa(i+1))); err != nil {
			t.Fatal(err)
		}
		commit(t, pending, rejot.TxID(i+1), end)
	}
	s := state{through: rejot.Place{Offset: 200}, sees: map[rejot.TxID]bool{1: true, 2: true}}
	cut, err := pending.Cut(t.Context(), s, 1) // which is one part: what they get differs
	if err != nil {
		t.Fatal(err)
	}
	got := evaluate(t, p, s, publish.Work{Keys: cut.Keys}, publish.Work{For: "behind", Keys: cut.For["behind"]})
	if want := []string{"delete 1 for behind", "delete 2"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	if cut.For["ahead"] != nil {
		t.Error("the consumer that is ahead gets what it has")
	}
}

func TestAKeyForEveryoneIsNotRepeatedForOne(t *testing.T) {
	p := publish.New("db", []*contract.View{keyed()}, spill.NewPool("", 1<<20))
	everyone, own := p.NewKeys(), p.NewKeys()
	key := func(ids ...string) (keys [][]rejot.Value) {
		for _, id := range ids {
			keys = append(keys, []rejot.Value{rejot.TextValue(id)})
		}
		return keys
	}
	if err := everyone.AddKeys(0, key("1", "22")); err != nil {
		t.Fatal(err)
	}
	if err := own.AddKeys(0, key("1", "2", "22", "333")); err != nil {
		t.Fatal(err)
	}
	got := evaluate(t, p, state{}, publish.Work{Keys: everyone}, publish.Work{For: "c", Keys: own})
	if want := []string{"delete 1", "delete 2 for c", "delete 22", "delete 333 for c"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestAKeyOfAnEarlierPartIsNotRepeated(t *testing.T) {
	p := publish.New("db", []*contract.View{keyed()}, spill.NewPool("", 1<<20))
	part := func(ids ...string) publish.Work {
		keys := p.NewKeys()
		for _, id := range ids {
			if err := keys.AddKeys(0, [][]rejot.Value{{rejot.TextValue(id)}}); err != nil {
				t.Fatal(err)
			}
		}
		return publish.Work{Keys: keys, Brief: true}
	}
	own := part("2", "4", "6")
	own.For = "c"
	parts := [][]publish.Work{{part("1", "3")}, {part("1", "2")}, {part()}, {part("2", "3", "5")}, {own}}
	got := evaluateParts(t, p, state{}, parts...)
	if want := []string{"delete 1", "delete 3", "delete 2", "delete 5", "delete 4 for c", "delete 6 for c"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestATruncationComesBeforeEveryRowWhoeverItIsFor(t *testing.T) {
	p := publish.New("db", []*contract.View{keyed()}, spill.NewPool("", 1<<20))
	pending := p.NewPending(rejot.Place{}, rejot.Place{}, nil)
	if err := pending.Change(&rejot.Change{Tx: 1, Sub: 1, Table: thing, Op: rejot.Truncate}); err != nil {
		t.Fatal(err)
	}
	commit(t, pending, 1, 10)
	s := state{through: rejot.Place{Offset: 10}, sees: map[rejot.TxID]bool{1: true}}
	cut, err := pending.Cut(t.Context(), s, 0)
	if err != nil {
		t.Fatal(err)
	}
	everyone := p.NewKeys()
	if err := everyone.AddKeys(0, [][]rejot.Value{{rejot.TextValue("1")}}); err != nil {
		t.Fatal(err)
	}
	got := evaluateParts(t, p, s, []publish.Work{{Keys: everyone}, {For: "behind", Keys: cut.Keys}})
	if want := []string{"clear for behind", "delete 1"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestAnotherFormOfATableIsNewsOnlyAfterTheViewsWereResolved(t *testing.T) {
	wider := *thing
	wider.Columns = append(slices.Clone(thing.Columns), rejot.Column{Name: "added", Type: rejot.Type{Name: "text"}})
	for _, c := range []struct {
		asOf uint64
		want bool
	}{{199, true}, {200, false}} {
		p := publish.New("db", []*contract.View{keyed()}, spill.NewPool("", 1<<20))
		pending := p.NewPending(rejot.Place{}, rejot.Place{Offset: c.asOf}, nil)
		first, second := insert(1, "1"), insert(2, "2")
		second.Table, second.New = &wider, append(second.New, rejot.NullValue())
		for i, change := range []*rejot.Change{first, second} {
			if err := pending.Change(change); err != nil {
				t.Fatal(err)
			}
			commit(t, pending, change.Tx, uint64(100*(i+1)))
		}
		if _, changed := pending.Broken(); changed != c.want {
			t.Errorf("resolved at %d, a form of 200 is news: %t", c.asOf, changed)
		}
	}
}
