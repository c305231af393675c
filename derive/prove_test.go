package derive

import (
	"fmt"
	"strings"
	"testing"
)

// integers is a family with one type.
const integers = 1

func testEquality() Equality {
	t := Type{ID: 20, Text: "bigint", Identity: true}
	return Equality{Op: &Operator{ID: 410, Text: "=", Families: []uint32{integers}, Left: 20, Right: 20, Builtin: true}, Left: t, Right: t}
}

// testTable has columns 1 to 3, named a, b and c, and a unique key on a.
func testTable(id uint32, name string) *Rel {
	r := &Relation{Table: Table{Name: name, ID: id}, Columns: map[int]*Column{}}
	for i, n := range []string{"a", "b", "c"} {
		r.Columns[i+1] = &Column{Number: i + 1, Name: n, Type: testEquality().Left, NotNull: true}
	}
	r.Keys = []Unique{{Primary: true, Columns: []int{1}, Types: []uint32{20}, Families: []uint32{integers}, Collations: []*Collation{nil}}}
	return &Rel{Name: name, Where: name, Relation: r}
}

func testColumn(r *Rel, col int) *Expr {
	return &Expr{Op: ColumnOf, Rel: r, Col: col, Type: testEquality().Left}
}

func testEqual(x, y *Expr) *Expr { return &Expr{Op: Equal, Args: []*Expr{x, y}, By: testEquality()} }

func testJoin(rels ...*Rel) *From {
	f := &From{Rel: rels[0]}
	for _, r := range rels[1:] {
		f = &From{Kind: Inner, L: f, R: &From{Rel: r}}
	}
	return f
}

func testInput(q *Query, base *Rel) *Input {
	op := testEquality().Op
	return &Input{Query: q, Names: []string{"id"}, Base: base.Relation.Table, Equal: func(_, _, _ uint32) *Operator { return op }}
}

func TestWayFollowsRanks(t *testing.T) {
	base, near, far := testTable(1, "base"), testTable(2, "near"), testTable(3, "far")
	q := &Query{
		From: testJoin(far, near, base), Outputs: []*Target{{Name: "x", Expr: testColumn(base, 1)}},
		Where: &Expr{Op: And, Args: []*Expr{
			testEqual(testColumn(base, 1), &Expr{Op: Param}),
			testEqual(testColumn(near, 2), testColumn(base, 1)),
			testEqual(testColumn(far, 3), testColumn(near, 2)),
		}},
	}
	plan := Prove(testInput(q, base))
	if len(plan.Refused) > 0 || plan.Outputs[0].Key != 0 || !plan.Many {
		t.Fatalf("%+v", plan)
	}
	var ways []string
	for _, r := range plan.Routes {
		ways = append(ways, fmt.Sprintf("%s %v", strings.Join(r.Way, ">"), r.Direct))
	}
	// far.c is near.b, which is the key: it follows that far.c is the key.
	if got := strings.Join(ways, ", "); got != "far>base true, near>base true, base true" {
		t.Errorf("got %s", got)
	}
}

func TestTooManyAlternativesAreRefused(t *testing.T) {
	base, last := testTable(1, "base"), testTable(99, "last")
	from := []*Rel{base}
	conds := []*Expr{testEqual(testColumn(base, 1), &Expr{Op: Param})}
	previous := testColumn(base, 2)
	for i := range 7 { // each doubles the ways
		left, right := testTable(uint32(10+2*i), "l"), testTable(uint32(11+2*i), "r")
		branch := func(r *Rel) *Rel {
			return &Rel{Query: &Query{From: testJoin(r), Outputs: []*Target{
				{Expr: testColumn(r, 2), Type: testEquality().Left}, {Expr: testColumn(r, 3), Type: testEquality().Left},
			}}}
		}
		union := &Rel{Name: "u", Query: &Query{
			Set:     &SetOp{Left: &SetOp{Branch: branch(left)}, Right: &SetOp{Branch: branch(right)}, Types: []Type{testEquality().Left, testEquality().Left}},
			Outputs: []*Target{{Type: testEquality().Left}, {Type: testEquality().Left}},
		}}
		from = append(from, union)
		conds = append(conds, testEqual(testColumn(union, 1), previous))
		previous = testColumn(union, 2)
	}
	from = append(from, last)
	conds = append(conds, testEqual(testColumn(last, 2), previous))
	q := &Query{From: testJoin(from...), Where: &Expr{Op: And, Args: conds}, Outputs: []*Target{{Expr: testColumn(base, 1)}}}
	plan := Prove(testInput(q, base))
	if len(plan.Refused) != 1 || plan.Refused[0].Table.Name != "last" {
		t.Errorf("refused %v", plan.Refused)
	}
}

func TestRefusalNamesThePlaceAndTheWayOut(t *testing.T) {
	base, loose := testTable(1, "base"), testTable(2, "loose")
	q := &Query{
		From: testJoin(base, loose), Where: testEqual(testColumn(base, 1), &Expr{Op: Param}),
		Outputs: []*Target{{Expr: testColumn(base, 2)}},
	}
	plan := Prove(testInput(q, base))
	if len(plan.Refused) != 1 {
		t.Fatalf("refused %v", plan.Refused)
	}
	got := plan.Refused[0].String()
	for _, want := range []string{"not-derived: loose (loose)", "params", "keys"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	in := testInput(q, base)
	in.Declared = map[uint32]bool{2: true}
	if plan := Prove(in); len(plan.Refused) > 0 || plan.Outputs[0].Key != -1 {
		t.Errorf("declared: %+v", plan)
	}
}

func TestWithoutABaseNothingIsRouted(t *testing.T) {
	base := testTable(1, "base")
	q := &Query{From: testJoin(base), Where: testEqual(testColumn(base, 2), &Expr{Op: Param}), Outputs: []*Target{{Expr: testColumn(base, 1)}}}
	plan := Prove(testInput(q, base))
	if len(plan.Routes) > 0 || len(plan.Refused) != 1 || plan.Refused[0].Code != "not-keyed" || !plan.Many {
		t.Errorf("%+v", plan)
	}
}
