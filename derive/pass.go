package derive

import "slices"

// A colref is a column of a leaf.
type colref struct {
	leaf *Rel
	col  int
}

// identity tells whether what e calls equal is the same, to the last letter of its text.
func (e Equality) identity() bool {
	return e.Op != nil && e.Op.Builtin && e.Left.ID == e.Right.ID && e.Left.Identity &&
		(e.Collation == nil || e.Collation.Deterministic)
}

// finer tells whether values that e calls equal are equal for o too.
func (e Equality) finer(o Equality) bool { return e.identity() || e.related(o) }

// related tells whether both are of one operator family and collation.
func (e Equality) related(o Equality) bool {
	if e.Op == nil || o.Op == nil || !sameCollation(e.Collation, o.Collation) {
		return false
	}
	if (e.Op.General || o.Op.General) && (!e.of(e.Left.ID) || !o.of(e.Left.ID)) {
		return false
	}
	return slices.ContainsFunc(e.Op.Families, func(f uint32) bool { return slices.Contains(o.Op.Families, f) })
}

// of tells whether both operands are of a type.
func (e Equality) of(typ uint32) bool { return typ != 0 && e.Left.ID == typ && e.Right.ID == typ }

func sameCollation(a, b *Collation) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ID == b.ID
}

// resolve follows column col of r down to the leaves that it may come from, through the barriers that
// pass it under the equality eq. whole tells whether every alternative passed.
// bound asks for the rows that a fact binds, which must not come from a nullable side.
func (p *prover) resolve(r *Rel, col int, eq Equality, bound bool) (leaves []colref, whole bool) {
	if r.Sample || col < 1 || r.Recursive && !p.is(RecursionPasses) {
		return nil, false
	}
	if r.Relation != nil {
		return []colref{{r, col}}, true
	}
	q := r.Query
	if q == nil || col > len(q.Outputs) || q.Limit && !p.is(LimitPasses) || q.Locks {
		return nil, false
	}
	if q.Set != nil {
		return p.resolveSet(q.Set, col, eq, bound)
	}
	e := q.Outputs[col-1].Expr
	l := p.level(q)
	if e.Op != ColumnOf || e.Col < 1 || !l.own[e.Rel] || bound && l.nullable[e.Rel] || !p.passes(q, e, eq) {
		return nil, false
	}
	return p.resolve(e.Rel, e.Col, eq, bound)
}

// resolveSet follows a column through a set operation. Its casts are not in the tree, so a branch
// passes only where its type is the result's.
func (p *prover) resolveSet(s *SetOp, col int, eq Equality, bound bool) ([]colref, bool) {
	if s.Branch != nil {
		return p.resolve(s.Branch, col, eq, bound)
	}
	if s.Compares && (col > len(s.By) || !p.barrier(s.By[col-1], eq)) {
		return nil, false
	}
	var all []colref
	whole := true
	for _, side := range []*SetOp{s.Left, s.Right} {
		if !typed(side, col, s.Types) {
			whole = false
			continue
		}
		leaves, ok := p.resolveSet(side, col, eq, bound)
		all = append(all, leaves...)
		whole = whole && ok
	}
	return all, whole
}

func typed(side *SetOp, col int, want []Type) bool {
	if col > len(want) {
		return false
	}
	have := side.Types
	if side.Branch != nil {
		q := side.Branch.Query
		return q != nil && col <= len(q.Outputs) && q.Outputs[col-1].Type.ID == want[col-1].ID
	}
	return col <= len(have) && have[col-1].ID == want[col-1].ID
}

// barrier tells whether a barrier that compares by its own equality lets a fact's column through:
// what the barrier puts together must be equal for the fact.
func (p *prover) barrier(own, fact Equality) bool { return own.finer(fact) || p.is(AnyEquality) }

// passes tells whether the grouping, windows and DISTINCT of q let its column e through.
func (p *prover) passes(q *Query, e *Expr, eq Equality) bool {
	if q.GroupSets || q.Aggregates && len(q.Group) == 0 {
		return false
	}
	if len(q.Group) > 0 && !p.among(q.Group, e, eq) && !determined(q.Group, e.Rel) {
		return false
	}
	for _, w := range q.Windows {
		if !p.is(WindowPasses) && !p.among(w, e, eq) {
			return false
		}
	}
	if len(q.Distinct) == 0 || q.DistinctOn && p.is(DistinctOnPasses) {
		return true
	}
	return p.among(q.Distinct, e, eq)
}

// among finds e in a list, by expression: of two equal output columns only one is marked.
func (p *prover) among(list []Grouping, e *Expr, eq Equality) bool {
	return slices.ContainsFunc(list, func(g Grouping) bool { return sameColumn(g.Expr, e) && p.barrier(g.By, eq) })
}

func sameColumn(a, b *Expr) bool {
	return a.Op == ColumnOf && b.Op == ColumnOf && a.Col > 0 && a.Rel == b.Rel && a.Col == b.Col
}

// determined tells whether a level is grouped by a unique, non-null key of table r, by equalities that are
// as fine as the key's: then a group has one row of r, and any of its columns is one with the group.
func determined(group []Grouping, r *Rel) bool {
	if r.Relation == nil {
		return false
	}
	return slices.ContainsFunc(r.Relation.Keys, func(u Unique) bool {
		for i, number := range u.Columns {
			key := r.Relation.Columns[number]
			if key == nil || !key.NotNull || !slices.ContainsFunc(group, func(g Grouping) bool {
				return isColumn(g.Expr, r, number) && (g.By.identity() || u.serves(i, g.By))
			}) {
				return false
			}
		}
		return true
	})
}
