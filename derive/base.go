package derive

import "slices"

// base is the leaf whose unique key the placeholders bind.
type base struct {
	leaf    *Rel
	columns []baseColumn // in the order of the index
}

type baseColumn struct {
	column  *Column
	param   int
	by      Equality // between the column and the placeholder
	side    Type     // what it is given on the column's side
	operand uint32   // the operator's own type there
}

func (b *base) index(col int) int {
	return slices.IndexFunc(b.columns, func(c baseColumn) bool { return c.column.Number == col })
}

// findBase looks for the base among the leaves without whose row there is no result.
func (p *prover) findBase() (*base, Refusal) {
	refusal := Refusal{Code: "not-keyed", Table: p.in.Base}
	var spine []*Rel
	why := p.spine(p.in.Query, &spine)
	for _, leaf := range spine {
		if leaf.Relation.Table.ID != p.in.Base.ID || leaf.Sample {
			continue
		}
		for _, key := range leaf.Relation.Keys {
			if b := p.bindKey(leaf, key); b != nil {
				return b, refusal
			}
		}
		refusal.Where = leaf.Where
		why = "its placeholders are not, one for one, the columns of a unique key that is NOT NULL"
	}
	if why == "" {
		why = "the query does not read it where its absence would leave no row"
	}
	refusal.Reason = why
	refusal.Mend = "bind a whole unique key of " + p.in.Base.String() + " to placeholders by =, in a place that every row of the result passes"
	if p.aggregated(p.in.Query) {
		refusal.Mend = "an aggregate without GROUP BY gives a row where there is no base row: add GROUP BY and the key of " + p.in.Base.String()
	}
	return nil, refusal
}

func (p *prover) aggregated(q *Query) bool { return q.Aggregates && len(q.Group) == 0 || q.GroupSets }

// spine lists the leaves without whose row q has no result, and says what stands in the way.
func (p *prover) spine(q *Query, leaves *[]*Rel) string {
	if q.Set != nil {
		if p.is(SetBase) {
			p.spineSet(q.Set, leaves)
		}
		return "a set operation stands above it"
	}
	if p.aggregated(q) && !p.is(AggregateBase) {
		return "an aggregate without GROUP BY, or grouping sets, stand above it"
	}
	l := p.level(q)
	why := ""
	for _, r := range l.rels {
		if l.nullable[r] && !p.is(NullableBase) {
			continue
		}
		switch {
		case r.Relation != nil:
			*leaves = append(*leaves, r)
		case r.Query != nil && !r.Recursive:
			if w := p.spine(r.Query, leaves); why == "" {
				why = w
			}
		}
	}
	return why
}

func (p *prover) spineSet(s *SetOp, leaves *[]*Rel) {
	if s.Branch != nil {
		p.spine(s.Branch.Query, leaves)
		return
	}
	p.spineSet(s.Left, leaves)
	p.spineSet(s.Right, leaves)
}

// bindKey gives the base if the placeholders are key's columns, one for one.
func (p *prover) bindKey(leaf *Rel, key Unique) *base {
	b := &base{leaf: leaf}
	used := make([]bool, len(p.in.Names))
	for i, number := range key.Columns {
		column := leaf.Relation.Columns[number]
		if column == nil || column.Generated || !column.NotNull {
			return nil
		}
		index := slices.IndexFunc(p.facts, func(f fact) bool {
			return len(f.targets) == 0 && f.bound == colref{leaf, number} && !used[f.param] && key.serves(i, f.by)
		})
		if index < 0 {
			return nil
		}
		f := p.facts[index]
		used[f.param] = true
		b.columns = append(b.columns, baseColumn{column: column, param: f.param, by: f.by, side: f.side(), operand: f.operand()})
	}
	if slices.Contains(used, false) || len(used) == 0 {
		return nil
	}
	return b
}

// side is the type that the equality is given on the bound side.
func (f fact) side() Type {
	if f.flipped {
		return f.by.Right
	}
	return f.by.Left
}

// far is the type that the equality is given on the other side.
func (f fact) far() Type {
	if f.flipped {
		return f.by.Left
	}
	return f.by.Right
}

// serves tells whether by is at least as fine as the equality of the index's column i.
func (u Unique) serves(i int, by Equality) bool {
	if by.Op == nil || !slices.Contains(by.Op.Families, u.Families[i]) || by.Op.General && !by.of(u.Types[i]) {
		return false
	}
	if sameCollation(by.Collation, u.Collations[i]) {
		return true
	}
	return by.Collation != nil && u.Collations[i] != nil && by.Collation.Deterministic && u.Collations[i].Deterministic
}
