package publish_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/spill"
	"rejot.dev/rejot/publish"
)

// asked is a state that was asked ahead, and notes for which tuples it is asked again.
type asked struct {
	state
	answers [][]rejot.Answer
	again   *[]string
}

func (a asked) Ahead() [][]rejot.Answer { return a.answers }

func (a asked) Query(ctx context.Context, q *rejot.Query, tuples iter.Seq2[[]rejot.Value, error], yield func(rejot.Answer) error) error {
	return a.state.Query(ctx, q, func(ask func([]rejot.Value, error) bool) {
		for t, err := range tuples {
			*a.again = append(*a.again, q.Name+fmt.Sprint(t))
			if !ask(t, err) {
				return
			}
		}
	}, yield)
}

// ask answers questions as a source does with its snapshot; those that skip approves it leaves.
func ask(t *rapid.T, s state, asks []rejot.Ask, skip func() bool) asked {
	a := asked{state: s, again: &[]string{}}
	for _, q := range asks {
		if skip() {
			a.answers = append(a.answers, nil)
			continue
		}
		answers := []rejot.Answer{}
		err := s.Query(context.Background(), q.Query, func(yield func([]rejot.Value, error) bool) {
			for _, tuple := range q.Tuples {
				if !yield(tuple, nil) {
					return
				}
			}
		}, func(x rejot.Answer) error {
			x.Row = slices.Clone(x.Row)
			answers = append(answers, x)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		a.answers = append(a.answers, answers)
	}
	return a
}

// TestWhatIsAskedAheadChangesNothing evaluates the same cuts with and without what was asked before the
// snapshot's transactions were known.
func TestWhatIsAskedAheadChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := publish.New("db", []*contract.View{keyed()}, spill.NewPool("", 1<<20))
		pending := p.NewPending(rejot.Place{}, rejot.Place{}, nil)
		snap := state{sees: map[rejot.TxID]bool{}, rows: map[string]string{}}
		read := func(from, to int) {
			for i := from; i < to; i++ {
				id := rejot.TxID(i + 1) //nolint:gosec // small
				snap.through = rejot.Place{Offset: uint64(id)}
				snap.sees[id] = rapid.Bool().Draw(t, "visible")
				key := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "key"))
				if rapid.Bool().Draw(t, "exists") {
					snap.rows[key] = "row of " + key
				}
				c := insert(id, key)
				if rapid.Bool().Draw(t, "part") {
					c = &rejot.Change{Tx: id, Sub: id, Table: part, Op: rejot.Insert, New: []rejot.Value{rejot.TextValue(key)}}
				}
				if err := pending.Change(c); err != nil {
					t.Fatal(err)
				}
				if err := pending.Commit(rejot.Transaction{ID: id, End: snap.through}); err != nil {
					t.Fatal(err)
				}
			}
		}
		early, late := rapid.IntRange(1, 20).Draw(t, "before"), rapid.IntRange(0, 5).Draw(t, "after")
		read(0, early)
		asks := pending.Ahead()
		read(early, early+late)
		with := ask(t, snap, asks, func() bool { return rapid.Bool().Draw(t, "not answered") })
		cut, err := pending.Cut(context.Background(), snap, 0)
		if err != nil {
			t.Fatal(err)
		}
		want := evaluate(t, p, snap, publish.Work{Keys: cut.Keys})
		got := evaluate(t, p, publish.Answered(with, asks), publish.Work{Keys: cut.Keys})
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
		for _, g := range got { // a key too many is a true row too
			var key string
			if _, err := fmt.Sscanf(g, "delete %s", &key); err == nil && snap.rows[key] != "" {
				t.Fatalf("%s, and there is a row", g)
			}
		}
	})
}

// TestASmallCutIsAnsweredWithItsSnapshot counts what is asked again.
func TestASmallCutIsAnsweredWithItsSnapshot(t *testing.T) {
	p := publish.New("db", []*contract.View{keyed()}, spill.NewPool("", 1<<20))
	pending := p.NewPending(rejot.Place{}, rejot.Place{}, nil)
	if err := pending.Change(insert(1, "7")); err != nil {
		t.Fatal(err)
	}
	commit(t, pending, 1, 10)
	snap := state{through: rejot.Place{Offset: 10}, sees: map[rejot.TxID]bool{1: true}, rows: map[string]string{"7": "seven"}}
	asks := pending.Ahead()
	again := []string{}
	with := asked{state: snap, again: &again, answers: [][]rejot.Answer{{{Tuple: 0, Row: []rejot.Value{rejot.TextValue("seven")}}}}}
	cut, err := pending.Cut(t.Context(), snap, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := evaluate(t, p, publish.Answered(with, asks), publish.Work{Keys: cut.Keys})
	if !slices.Equal(got, []string{"upsert 7=seven"}) || len(again) != 0 {
		t.Errorf("events %v, asked again for %v", got, again)
	}
}
