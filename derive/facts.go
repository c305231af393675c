package derive

import "slices"

// A fact says: a row of bound.leaf influences the result only together with rows of its targets
// where the columns are equal, or with the keys that have its value at placeholder param.
type fact struct {
	bound   colref
	by      Equality
	flipped bool // the bound column is the operator's right operand
	targets []colref
	param   int // where targets is empty
}

// collect finds the leaves and facts of q and of everything in it.
func (p *prover) collect(q *Query) {
	l := p.level(q)
	p.factsOf(l)
	for _, r := range l.rels {
		p.enter(r)
	}
	p.enterSet(q.Set)
	if q.From != nil {
		p.walkJoins(q.From)
	}
	p.walk(q.Where)
	for _, t := range q.Outputs {
		p.walk(t.Expr)
	}
	for _, g := range q.Group {
		p.walk(g.Expr)
	}
	for _, w := range q.Windows {
		for _, g := range w {
			p.walk(g.Expr)
		}
	}
	for _, g := range q.Distinct {
		p.walk(g.Expr)
	}
	for _, e := range q.Exprs {
		p.walk(e)
	}
}

// factsOf reads each equality of a level from both sides.
func (p *prover) factsOf(l *level) {
	for _, c := range l.conjuncts {
		p.fact(c, false)
		p.fact(c, true)
	}
}

func (p *prover) enter(r *Rel) {
	if p.seen[r] {
		return
	}
	p.seen[r] = true
	if r.Relation != nil {
		p.leaves = append(p.leaves, r)
	}
	if r.Query != nil {
		p.collect(r.Query)
	}
	for _, e := range r.Exprs {
		p.walk(e)
	}
}

func (p *prover) enterSet(s *SetOp) {
	if s == nil {
		return
	}
	if s.Branch != nil {
		p.enter(s.Branch)
		return
	}
	p.enterSet(s.Left)
	p.enterSet(s.Right)
}

func (p *prover) walkJoins(f *From) {
	if f.Rel != nil {
		return
	}
	p.walkJoins(f.L)
	p.walkJoins(f.R)
	p.walk(f.On)
}

// walk enters the sub-queries of an expression.
func (p *prover) walk(e *Expr) {
	if e == nil || p.seen[e] {
		return
	}
	p.seen[e] = true
	if (e.Op == Sub || e.Op == In) && e.Rel != nil {
		p.enter(e.Rel)
	}
	if e.Op == In && p.is(InCountsAnywhere) {
		l := &level{}
		p.conjunct(l, e, nil)
		p.factsOf(l)
	}
	if e.Op == Filter && p.is(FilterCounts) {
		p.filterMutant(e)
	}
	for _, a := range e.Args {
		p.walk(a)
	}
}

// filterMutant takes the condition of an aggregate's FILTER for one that binds rows.
func (p *prover) filterMutant(e *Expr) {
	l := &level{}
	for _, a := range e.Args {
		bound := relset{}
		columns(a, func(c *Expr) { bound[c.Rel] = true })
		p.conjunct(l, a, bound)
	}
	p.factsOf(l)
}

func columns(e *Expr, f func(*Expr)) {
	if e.Op == ColumnOf {
		f(e)
	}
	for _, a := range e.Args {
		columns(a, f)
	}
}

// fact reads one side of an equality as the bound one.
func (p *prover) fact(c conjunct, flipped bool) {
	x, y := c.eq.Args[0], c.eq.Args[1]
	if flipped {
		x, y = y, x
	}
	if c.eq.By.Op == nil || x.Op != ColumnOf || x.Col < 1 || !c.bound[x.Rel] {
		return
	}
	f := fact{by: c.eq.By, flipped: flipped}
	switch {
	case y.Op == Param:
		f.param = y.Num
	case y.Op == ColumnOf && y.Col > 0:
		targets, whole := p.resolve(y.Rel, y.Col, c.eq.By, false)
		if len(targets) == 0 || !whole && !p.is(OneAlternative) {
			return
		}
		f.targets = targets
	default:
		return
	}
	leaves, _ := p.resolve(x.Rel, x.Col, c.eq.By, true)
	for _, leaf := range leaves {
		f.bound = leaf
		column := leaf.leaf.Relation.Columns[leaf.col]
		if column != nil && !column.Generated && !reaches(f.targets, leaf.leaf) {
			p.facts = append(p.facts, f)
		}
	}
}

func reaches(targets []colref, leaf *Rel) bool {
	for _, t := range targets {
		if t.leaf == leaf {
			return true
		}
	}
	return false
}

// inferParams adds what follows: where X.c = Y.d binds X in all its alternatives, and each Y.d = :id binds
// Y, X matters only where X.c = :id. So "i.order_id = :id AND o.id = i.order_id" makes o the base.
func (p *prover) inferParams() {
	for again := true; again; {
		again = false
		for _, f := range p.facts {
			for _, inferred := range p.infer(f) {
				if !p.hasParam(inferred) {
					p.facts = append(p.facts, inferred)
					again = true
				}
			}
		}
	}
}

func (p *prover) hasParam(f fact) bool {
	return slices.ContainsFunc(p.facts, func(g fact) bool {
		return len(g.targets) == 0 && g.bound == f.bound && g.param == f.param
	})
}

// infer gives the placeholders that f's targets are bound to, all to the same one.
func (p *prover) infer(f fact) []fact {
	if len(f.targets) == 0 {
		return nil
	}
	var inferred []fact
	for param := range p.in.Names {
		families := f.by.Op.Families
		for _, t := range f.targets {
			families = p.paramFamilies(t, param, f.by, families)
		}
		if len(families) == 0 {
			continue
		}
		op := *f.by.Op
		op.Families = families
		by := f.by
		by.Op = &op
		inferred = append(inferred, fact{bound: f.bound, by: by, flipped: f.flipped, param: param})
	}
	return inferred
}

// paramFamilies keeps those families in which column c is bound to a placeholder too.
func (p *prover) paramFamilies(c colref, param int, by Equality, families []uint32) []uint32 {
	for _, g := range p.facts {
		if len(g.targets) > 0 || g.bound != c || g.param != param || !sameCollation(g.by.Collation, by.Collation) {
			continue
		}
		return slices.DeleteFunc(slices.Clone(families), func(f uint32) bool { return !slices.Contains(g.by.Op.Families, f) })
	}
	return nil
}
