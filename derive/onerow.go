package derive

import "slices"

// one tells whether q has at most one row while the relations in fixed have one each and output i
// equals, by given[i], something of which there is one.
//
// Relations are fixed one after the other: one is fixed when its unique key equals what is known
// already, or when it yields one row by itself. Two that fix each other fix nothing.
func (p *prover) one(q *Query, fixed relset, given map[int]Equality) bool {
	if q.LimitOne {
		return true
	}
	if q.Set != nil || q.GroupSets || q.Series && !p.is(SeriesIsOne) {
		return false
	}
	if q.Aggregates && len(q.Group) == 0 {
		return true
	}
	w := &oneRow{p: p, q: q, l: p.level(q), fixed: union(fixed), given: given}
	if p.is(FixedByUnfixed) {
		w.fixed = union(fixed, w.l.own)
	}
	w.fixAll()
	if len(q.Group) > 0 && w.single(q.Group) || len(q.Distinct) > 0 && w.single(q.Distinct) {
		return true
	}
	if w.l.full && !p.is(FullIsOne) {
		return false
	}
	for _, r := range w.l.rels {
		if !w.fixed[r] || p.is(FixedByUnfixed) && !w.fix(r) {
			return false
		}
	}
	return true
}

// oneRow is the state of fixing the relations of one level.
type oneRow struct {
	p     *prover
	q     *Query
	l     *level
	fixed relset
	given map[int]Equality
}

func (w *oneRow) fixAll() {
	for again := true; again; {
		again = false
		for _, r := range w.l.rels {
			if !w.fixed[r] && w.fix(r) {
				w.fixed[r] = true
				again = true
			}
		}
	}
}

func (w *oneRow) fix(r *Rel) bool {
	if r.Relation != nil {
		return slices.ContainsFunc(r.Relation.Keys, func(u Unique) bool {
			for i, number := range u.Columns {
				if !w.pinned(r, number, func(by Equality) bool { return by.identity() || u.serves(i, by) }) {
					return false
				}
			}
			return true
		})
	}
	if r.Query == nil || r.Recursive {
		return false
	}
	given := map[int]Equality{}
	for i := range r.Query.Outputs {
		w.pinned(r, i+1, func(by Equality) bool {
			old, ok := given[i]
			if !ok || by.identity() && !old.identity() {
				given[i] = by
			}
			return false
		})
	}
	return w.p.one(r.Query, w.fixed, given)
}

// pinned tells whether column col of r equals something known by an equality that is good enough:
// by a conjunct that binds r, or because it is an output that is given.
func (w *oneRow) pinned(r *Rel, col int, good func(Equality) bool) bool {
	for _, c := range w.l.conjuncts {
		x, y := c.eq.Args[0], c.eq.Args[1]
		if !c.bound[r] && !w.p.is(FixedWhereUnbound) {
			continue
		}
		if isColumn(x, r, col) && w.known(y) && good(c.eq.By) || isColumn(y, r, col) && w.known(x) && good(c.eq.By) {
			return true
		}
	}
	for i, t := range w.q.Outputs {
		if by, ok := w.given[i]; ok && isColumn(t.Expr, r, col) && good(by) {
			return true
		}
	}
	return false
}

func isColumn(e *Expr, r *Rel, col int) bool {
	return e.Op == ColumnOf && e.Rel == r && e.Col == col && col > 0
}

func (w *oneRow) known(e *Expr) bool {
	switch e.Op {
	case Param, Const:
		return true
	case ColumnOf:
		return w.fixed[e.Rel]
	case Other, Equal, And, Or, Not, Coalesce, Case, Filter, IsNull, IsNotNull, In, Sub:
		return false
	}
	return false
}

// single tells whether a list of GROUP BY or DISTINCT has one value. A fixed relation on a nullable
// side may still be there or not, as rows that are not fixed decide.
func (w *oneRow) single(list []Grouping) bool {
	for i, g := range list {
		e := g.Expr
		if e.Op == Const || e.Op == Param {
			continue
		}
		if e.Op != ColumnOf {
			if !w.givenOutput(e, g.By) {
				return false
			}
			continue
		}
		solid := !w.l.own[e.Rel] || !w.l.nullable[e.Rel] || w.p.is(GroupByNullable)
		pinned := func() bool { return w.pinned(e.Rel, e.Col, func(by Equality) bool { return by.finer(list[i].By) }) }
		if solid && (w.fixed[e.Rel] || pinned()) || w.givenOutput(e, g.By) {
			continue
		}
		return false
	}
	return true
}

// givenOutput tells whether e is an output that is given.
func (w *oneRow) givenOutput(e *Expr, by Equality) bool {
	for i, t := range w.q.Outputs {
		if have, ok := w.given[i]; ok && have.finer(by) && (t.Expr == e || sameColumn(t.Expr, e)) {
			return true
		}
	}
	return false
}
