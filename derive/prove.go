package derive

// Prove derives what can be proved of in.
func Prove(in *Input) *Plan {
	p := &prover{in: in, levels: map[*Query]*level{}, seen: map[any]bool{}, ways: map[*Rel]*hop{}}
	plan := &Plan{Base: in.Base, Members: map[uint32][]uint32{}}
	p.collect(in.Query)
	p.inferParams()
	plan.Tables = p.tables()
	base, refusal := p.findBase()
	if base == nil {
		plan.Many = true
		plan.Refused = append(plan.Refused, refusal)
		plan.Outputs = p.outputs(nil)
		return plan
	}
	p.base = base
	for _, k := range base.columns {
		plan.Key = append(plan.Key, KeyColumn{Placeholder: in.Names[k.param], Column: k.column.Name, Type: k.column.Type.Text})
	}
	plan.Outputs = p.outputs(base)
	plan.Many = !p.one(in.Query, map[*Rel]bool{}, nil)
	p.rank()
	p.routes(plan)
	return plan
}

// prover holds what is known while one query is proved.
type prover struct {
	in     *Input
	levels map[*Query]*level
	seen   map[any]bool // expressions and relations that were walked
	leaves []*Rel       // tables, in the order of the text
	facts  []fact
	base   *base
	ways   map[*Rel]*hop
}

func (p *prover) is(m Mutant) bool { return p.in.Mutant == m }

// tables gives every table that is read, once.
func (p *prover) tables() []Table {
	var all []Table
	seen := map[uint32]bool{}
	for _, leaf := range p.leaves {
		if t := leaf.Relation.Table; !seen[t.ID] {
			seen[t.ID] = true
			all = append(all, t)
		}
	}
	return all
}

// outputs finds which result columns are the base's bare key columns.
func (p *prover) outputs(b *base) []Output {
	var outs []Output
	for i, t := range p.in.Query.Outputs {
		o := Output{Name: t.Name, Key: -1}
		if b != nil {
			if c, ok := p.origin(p.in.Query, i); ok && c.leaf == b.leaf {
				o.Key = b.index(c.col)
			}
		}
		outs = append(outs, o)
	}
	return outs
}

// origin follows a bare output column down to its table, whatever barriers stand between: the base
// has one row a key, so a barrier cannot put another row's value in its place.
func (p *prover) origin(q *Query, i int) (colref, bool) {
	for q.Set == nil && i < len(q.Outputs) {
		e := q.Outputs[i].Expr
		if e.Op != ColumnOf || e.Col < 1 || !p.level(q).own[e.Rel] {
			return colref{}, false
		}
		if e.Rel.Relation != nil {
			return colref{e.Rel, e.Col}, true
		}
		if e.Rel.Query == nil || e.Rel.Recursive {
			return colref{}, false
		}
		q, i = e.Rel.Query, e.Col-1
	}
	return colref{}, false
}
