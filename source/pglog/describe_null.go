package pglog

import (
	"slices"

	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/internal/pgtree"
)

// describeDeepest is how many levels of sub-queries a column is followed down.
const describeDeepest = 20

// describeNull tells whether output i of a query may be NULL, as far as its tree says: a bare column that may
// be, or one of an outer join's nullable side. Of most expressions it says neither.
func describeNull(q *derive.Query, i, depth int) (may, never bool) {
	if depth > describeDeepest || q.Set == nil && i >= len(q.Outputs) {
		return false, false
	}
	if q.Set != nil {
		return describeSet(q.Set, i, depth)
	}
	l := describeLevel{q: q, nullable: map[*derive.Rel]bool{}, own: map[*derive.Rel]bool{}, depth: depth}
	l.walk(q.From, false)
	l.conditions(q.Where)
	return l.expr(q.Outputs[i].Expr)
}

func describeSet(s *derive.SetOp, i, depth int) (may, never bool) {
	if s.Branch != nil {
		if s.Branch.Query == nil {
			return false, false
		}
		return describeNull(s.Branch.Query, i, depth+1)
	}
	leftMay, leftNever := describeSet(s.Left, i, depth+1)
	rightMay, rightNever := describeSet(s.Right, i, depth+1)
	return leftMay || rightMay, leftNever && rightNever
}

// describeLevel is one SELECT.
type describeLevel struct {
	q        *derive.Query
	own      map[*derive.Rel]bool
	nullable map[*derive.Rel]bool
	present  []*derive.Expr // columns that a condition keeps from being NULL
	depth    int
}

func (l *describeLevel) walk(f *derive.From, nullable bool) {
	if f == nil {
		return
	}
	if f.Rel != nil {
		l.own[f.Rel], l.nullable[f.Rel] = true, nullable
		return
	}
	l.walk(f.L, nullable || f.Kind == derive.Right || f.Kind == derive.Full)
	l.walk(f.R, nullable || f.Kind == derive.Left || f.Kind == derive.Full)
	if f.Kind == derive.Inner && !nullable {
		l.conditions(f.On)
	}
}

// conditions notes the columns that a strict condition names: where they are NULL, there is no row.
func (l *describeLevel) conditions(e *derive.Expr) {
	switch {
	case e == nil:
	case e.Op == derive.And:
		for _, a := range e.Args {
			l.conditions(a)
		}
	case e.Op == derive.IsNotNull, e.Op == derive.Equal && e.Strict, e.Op == derive.Other && e.Strict:
		for _, a := range e.Args {
			l.strict(a)
		}
	}
}

func (l *describeLevel) strict(e *derive.Expr) {
	switch {
	case e.Op == derive.ColumnOf:
		l.present = append(l.present, e)
		l.nullable[e.Rel] = false // the join is as good as an inner one
	case e.Strict:
		for _, a := range e.Args {
			l.strict(a)
		}
	}
}

func (l *describeLevel) expr(e *derive.Expr) (may, never bool) {
	switch e.Op {
	case derive.Param, derive.IsNull, derive.IsNotNull:
		return false, true
	case derive.ColumnOf:
		return l.column(e)
	case derive.Coalesce:
		may = true
		for _, a := range e.Args {
			argMay, argNever := l.expr(a)
			may, never = may && argMay, never || argNever
		}
		return may, never
	default:
		if e.Strict && slices.ContainsFunc(e.Args, func(a *derive.Expr) bool { may, _ := l.expr(a); return may }) {
			return true, false
		}
		return false, false
	}
}

func (l *describeLevel) column(e *derive.Expr) (may, never bool) {
	switch {
	case !l.own[e.Rel] || e.Col < 1 || e.Rel.Recursive:
		return false, false
	case l.q.GroupSets || l.nullable[e.Rel]:
		return true, false
	case slices.ContainsFunc(l.present, func(p *derive.Expr) bool { return p.Rel == e.Rel && p.Col == e.Col }):
		return false, true
	case e.Rel.Relation != nil:
		c := e.Rel.Relation.Columns[e.Col]
		if c == nil {
			return false, false
		}
		return !c.NotNull, c.NotNull
	case e.Rel.Query != nil:
		return describeNull(e.Rel.Query, e.Col-1, l.depth+1)
	default:
		return false, false
	}
}

// describeClock finds CURRENT_TIMESTAMP and its like, which are no functions in a tree.
func describeClock(tree *pgtree.Value) []string {
	var found []string
	tree.Walk(func(v *pgtree.Value) bool {
		if v.Name() == "SQLVALUEFUNCTION" {
			found = append(found, "current_timestamp, current_user or the like")
		}
		return true
	})
	return found
}
