package derive

import "maps"

type relset map[*Rel]bool

func union(sets ...relset) relset {
	u := relset{}
	for _, s := range sets {
		maps.Copy(u, s)
	}
	return u
}

func without(a, b relset) relset {
	d := relset{}
	for r := range a {
		if !b[r] {
			d[r] = true
		}
	}
	return d
}

func intersects(a, b relset) bool {
	for r := range a {
		if b[r] {
			return true
		}
	}
	return false
}

// A conjunct is an equality that must hold for rows of the bound relations to matter.
type conjunct struct {
	eq    *Expr
	bound relset
}

// level is one SELECT after its outer joins were reduced.
type level struct {
	rels      []*Rel
	own       relset // the same as a set
	nullable  relset // may be a row of NULLs above all joins
	full      bool   // a full join is left: one row on each side may give two
	conjuncts []conjunct
}

func (p *prover) level(q *Query) *level {
	if l := p.levels[q]; l != nil {
		return l
	}
	l := &level{own: relset{}, nullable: relset{}}
	p.levels[q] = l
	if q.From != nil {
		kinds := map[*From]JoinKind{}
		p.reduce(q.From, p.nonNull(q.Where, true), kinds)
		l.own, l.nullable = p.joins(l, q.From, kinds)
	}
	p.conjunct(l, q.Where, without(l.own, l.nullable))
	return l
}

func relsOf(f *From) relset {
	if f.Rel != nil {
		return relset{f.Rel: true}
	}
	return union(relsOf(f.L), relsOf(f.R))
}

// reduce finds the joins that are inner because a condition above fails for a row of NULLs.
// strict are the relations of which such a condition exists.
func (p *prover) reduce(f *From, strict relset, kinds map[*From]JoinKind) {
	if f.Rel != nil {
		return
	}
	kind := f.Kind
	l, r := intersects(relsOf(f.L), strict), intersects(relsOf(f.R), strict)
	switch {
	case kind == Left && r, kind == Right && l, kind == Full && l && r:
		kind = Inner
	case kind == Full && l:
		kind = Left
	case kind == Full && r:
		kind = Right
	}
	kinds[f] = kind
	on := p.nonNull(f.On, true)
	switch kind {
	case Inner:
		both := union(strict, on)
		p.reduce(f.L, both, kinds)
		p.reduce(f.R, both, kinds)
	case Left:
		p.reduce(f.L, strict, kinds)
		p.reduce(f.R, on, kinds)
	case Right:
		p.reduce(f.L, on, kinds)
		p.reduce(f.R, strict, kinds)
	case Full:
		p.reduce(f.L, nil, kinds)
		p.reduce(f.R, nil, kinds)
	}
}

// joins gives the relations of f and which of them are nullable above it, and notes what its ON binds.
func (p *prover) joins(l *level, f *From, kinds map[*From]JoinKind) (all, nullable relset) {
	if f.Rel != nil {
		l.rels = append(l.rels, f.Rel)
		return relset{f.Rel: true}, relset{}
	}
	la, ln := p.joins(l, f.L, kinds)
	ra, rn := p.joins(l, f.R, kinds)
	all = union(la, ra)
	var bound relset
	switch kinds[f] {
	case Inner:
		bound, nullable = without(all, union(ln, rn)), union(ln, rn)
	case Left:
		bound, nullable = without(ra, rn), union(ln, ra)
	case Right:
		bound, nullable = without(la, ln), union(la, rn)
	case Full:
		l.full = true
		if p.is(FullBinds) {
			p.conjunct(l, f.On, all)
		}
		return all, all
	}
	if p.is(LeftBindsBoth) {
		bound = all
	}
	p.conjunct(l, f.On, bound)
	return all, nullable
}

// conjunct notes the equalities that stand as positive conjuncts in e.
func (p *prover) conjunct(l *level, e *Expr, bound relset) {
	if e == nil {
		return
	}
	switch e.Op {
	case And:
		p.conjunctAll(l, e.Args, bound)
	case Equal:
		l.conjuncts = append(l.conjuncts, conjunct{e, bound})
	case In:
		p.conjunctAll(l, e.Args, union(bound, relset{e.Rel: true}))
	case Or:
		if p.is(OrCounts) {
			p.conjunctAll(l, e.Args, bound)
		}
	case Not:
		if p.is(NotCounts) || p.is(NotInCounts) && e.Args[0].Op == In {
			p.conjunctAll(l, e.Args, bound)
		}
	case Coalesce:
		if p.is(CoalesceCounts) {
			p.conjunctAll(l, e.Args, bound)
		}
	case Case:
		if p.is(CaseCounts) {
			p.conjunctAll(l, e.Args, bound)
		}
	case Other, ColumnOf, Param, Const, Filter, IsNull, IsNotNull, Sub:
		// Nothing else must hold in the way that an equality does.
	}
}

func (p *prover) conjunctAll(l *level, es []*Expr, bound relset) {
	for _, e := range es {
		p.conjunct(l, e, bound)
	}
}

// nonNull gives the relations of which a row of NULLs makes e not true (at the top), or NULL (below
// a strict operator).
func (p *prover) nonNull(e *Expr, top bool) relset {
	if e == nil {
		return nil
	}
	switch e.Op {
	case ColumnOf:
		if e.Col > 0 {
			return relset{e.Rel: true}
		}
		return nil
	case And:
		if top {
			return p.nonNullAny(e.Args, true)
		}
		return p.nonNullAll(e.Args, false)
	case Or:
		return p.nonNullAll(e.Args, top)
	case Not:
		return p.nonNullAny(e.Args, false)
	case In:
		if top {
			return p.nonNullAny(e.Args, true)
		}
		return nil
	case IsNotNull:
		if top {
			return p.nonNullAny(e.Args, false)
		}
		return nil
	case IsNull:
		if top && p.is(IsNullStrict) {
			return p.nonNullAny(e.Args, false)
		}
		return nil
	case Equal, Other:
		if e.Op == Equal || e.Strict {
			return p.nonNullAny(e.Args, false)
		}
		return nil
	case Param, Const, Coalesce, Case, Filter, Sub:
		return nil
	}
	return nil
}

func (p *prover) nonNullAny(es []*Expr, top bool) relset {
	u := relset{}
	for _, e := range es {
		maps.Copy(u, p.nonNull(e, top))
	}
	return u
}

func (p *prover) nonNullAll(es []*Expr, top bool) relset {
	var s relset
	for i, e := range es {
		n := p.nonNull(e, top)
		if i == 0 {
			s = union(n)
			continue
		}
		for r := range s {
			if !n[r] {
				delete(s, r)
			}
		}
	}
	return s
}
