package pglog

import (
	"slices"
	"testing"

	"rejot.dev/rejot"
)

// TestWhatIsAskedWithTheSnapshotIsAnsweredByIt asks once by Query, which prepares, and then ahead.
func TestWhatIsAskedWithTheSnapshotIsAnsweredByIt(t *testing.T) {
	s, db := openSource(t, `CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'one'), (2, NULL), (4, '{"')`)
	v := resolveOne(t, s, "t", `SELECT t.name FROM t WHERE t.id = :id`)
	ahead := func() (rejot.Snapshot, [][]rejot.Answer) {
		snap, err := s.Snapshot(t.Context(), rejot.Ask{Query: v.Rows, Tuples: [][]rejot.Value{valuesOf("4"), valuesOf("3"), valuesOf("1"), valuesOf("2")}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = snap.Close() })
		return snap, snap.Ahead()
	}
	first, answers := ahead()
	if len(answers) != 1 || answers[0] != nil {
		t.Fatalf("what is not prepared is answered with %v", answers)
	}
	want := askIn(t, first, v.Rows, []string{"4"}, []string{"3"}, []string{"1"}, []string{"2"})
	_ = first.Close()
	second, answers := ahead()
	var got []string
	for _, a := range answers[0] {
		got = append(got, answerText(a))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || len(got) != 3 {
		t.Errorf("got %q, want %q", got, want)
	}
	db.Exec(t, `UPDATE t SET name = 'later'`)
	if after := askIn(t, second, v.Rows, []string{"4"}, []string{"3"}, []string{"1"}, []string{"2"}); !slices.Equal(after, want) {
		t.Errorf("the snapshot is another one afterwards: %q", after)
	}
	_ = second.Close()
	db.Exec(t, `ALTER TABLE t ALTER name TYPE varchar(50)`)
	if _, answers := ahead(); len(answers) > 0 {
		t.Errorf("a plan that no longer fits is answered with %v", answers)
	}
}
