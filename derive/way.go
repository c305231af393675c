package derive

import "slices"

// A Path is one alternative from a changed row to keys.
type Path struct {
	From  *Relation
	Steps []Step

	// Key are the columns of the last row before the base that are the key, in the order of
	// Plan.Key; nil where the base has to be joined for it.
	Key []*Column
}

// A Step joins the rows of the next leaf on equalities.
type Step struct {
	To *Relation
	On []Pair
}

// A Pair is one equality of a step, between a column of the row before and one of the row joined.
type Pair struct {
	From, To         *Column
	FromType, ToType Type // what the operator is given: the column's type or its implicit relabelling
	Op               *Operator
	Flipped          bool // To stands on the left
	Collation        *Collation
}

// hop is a leaf's one step towards the base, to leaves of lower rank.
type hop struct {
	rank    int
	facts   []fact // all with the same targets
	targets []*Rel
}

// maxPaths of one leaf: alternatives multiply.
const maxPaths = 64

// rank gives every leaf that has a way its hop, outward from the base. A leaf gets a rank when every
// alternative of one of its facts ends in leaves that have one.
func (p *prover) rank() {
	p.ways[p.base.leaf] = &hop{}
	for r := 1; ; r++ {
		found := map[*Rel]*hop{}
		for _, leaf := range p.leaves {
			if p.ways[leaf] != nil {
				continue
			}
			if h := p.hop(leaf, r); h != nil {
				found[leaf] = h
			}
		}
		if len(found) == 0 {
			return
		}
		for leaf, h := range found {
			p.ways[leaf] = h
		}
	}
}

// hop chooses among the steps of leaf that end in ranked leaves. All facts with the same targets
// are one step, as they speak of the same rows.
func (p *prover) hop(leaf *Rel, rank int) *hop {
	var best *hop
	bestScore := -1
	for _, f := range p.facts {
		if f.bound.leaf != leaf {
			continue
		}
		targets := p.targets(f)
		if targets == nil {
			continue
		}
		h := &hop{rank: rank, targets: targets}
		for _, g := range p.facts {
			if g.bound.leaf == leaf && slices.Equal(p.targets(g), targets) {
				h.facts = append(h.facts, g)
			}
		}
		if score := p.score(h); score > bestScore {
			best, bestScore = h, score
		}
	}
	return best
}

// targets gives the leaves in which a fact ends, or nil where one of them has no rank yet.
func (p *prover) targets(f fact) []*Rel {
	if len(f.targets) == 0 {
		if f.bound.leaf == p.base.leaf || p.keyPair(f) == nil {
			return nil
		}
		return []*Rel{p.base.leaf}
	}
	var leaves []*Rel
	for _, t := range f.targets {
		if p.ways[t.leaf] == nil {
			if p.is(AnyPath) {
				continue
			}
			return nil
		}
		leaves = append(leaves, t.leaf)
	}
	return leaves
}

// score prefers steps that find one row by a unique key, then those with fewer alternatives.
func (p *prover) score(h *hop) int {
	score := 0
	if p.uniqueTarget(h) {
		score = 1000
	}
	return score + 100 - min(99, len(h.targets))
}

func (p *prover) uniqueTarget(h *hop) bool {
	if len(h.targets) != 1 {
		return false
	}
	return slices.ContainsFunc(h.targets[0].Relation.Keys, func(u Unique) bool {
		for _, number := range u.Columns {
			if !slices.ContainsFunc(h.facts, func(f fact) bool { return p.targetColumn(f, 0) == number }) {
				return false
			}
		}
		return true
	})
}

// targetColumn is the column of alternative i of a fact's targets.
func (p *prover) targetColumn(f fact, i int) int {
	if len(f.targets) == 0 {
		return p.base.columns[p.keyOf(f)].column.Number
	}
	return f.targets[i].col
}

func (p *prover) keyOf(f fact) int {
	return slices.IndexFunc(p.base.columns, func(c baseColumn) bool { return c.param == f.param })
}

// keyPair turns a fact "X.c = :id" into X.c = base.key, where both operators are of one family and
// collation and the family has an equality for the two types.
func (p *prover) keyPair(f fact) *Pair {
	i := p.keyOf(f)
	if i < 0 {
		return nil
	}
	key := p.base.columns[i]
	if !f.by.related(key.by) {
		return nil
	}
	column := f.bound.leaf.Relation.Columns[f.bound.col]
	for _, family := range f.by.Op.Families {
		if !slices.Contains(key.by.Op.Families, family) {
			continue
		}
		if op := p.in.Equal(family, f.operand(), key.operand); op != nil {
			return &Pair{From: column, To: key.column, FromType: f.side(), ToType: key.side, Op: op, Collation: f.by.Collation}
		}
	}
	return nil
}

// operand is the operator's own type on the bound side, which is general for enums, arrays and ranges.
func (f fact) operand() uint32 {
	if f.flipped {
		return f.by.Op.Right
	}
	return f.by.Op.Left
}

// pair writes a fact as an equality with the alternative of its targets that is in leaf.
func (p *prover) pair(f fact, leaf *Rel) *Pair {
	if len(f.targets) == 0 {
		return p.keyPair(f)
	}
	i := slices.IndexFunc(f.targets, func(c colref) bool { return c.leaf == leaf })
	if i < 0 {
		return nil
	}
	return &Pair{
		From: f.bound.leaf.Relation.Columns[f.bound.col], To: leaf.Relation.Columns[f.targets[i].col],
		FromType: f.side(), ToType: f.far(), Op: f.by.Op, Flipped: f.flipped, Collation: f.by.Collation,
	}
}

// identity tells whether the pair's two columns have the same text wherever they are equal.
func (o Pair) identity() bool {
	by := Equality{Op: o.Op, Left: o.FromType, Right: o.ToType, Collation: o.Collation}
	return by.identity() && o.From.Type.ID == o.To.Type.ID && o.From.Type.Identity
}

// paths gives the ways of leaf, or nil where there are too many.
func (p *prover) paths(leaf *Rel) []Path {
	h := p.ways[leaf]
	var all []Path
	for _, target := range h.targets {
		step := Step{To: target.Relation}
		for _, f := range h.facts {
			if pair := p.pair(f, target); pair != nil {
				step.On = append(step.On, *pair)
			}
		}
		if target == p.base.leaf {
			all = append(all, Path{From: leaf.Relation, Steps: []Step{step}, Key: p.carried(step)})
			continue
		}
		for _, rest := range p.paths(target) {
			steps := append([]Step{step}, rest.Steps...)
			all = append(all, Path{From: leaf.Relation, Steps: steps, Key: rest.Key})
		}
		if len(all) > maxPaths {
			return nil
		}
	}
	return all
}

// carried gives the columns of the row before the base that are its key, or nil.
func (p *prover) carried(last Step) []*Column {
	var key []*Column
	for _, k := range p.base.columns {
		i := slices.IndexFunc(last.On, func(o Pair) bool { return o.To.Number == k.column.Number && o.identity() })
		if i < 0 {
			return nil
		}
		key = append(key, last.On[i].From)
	}
	return key
}

// routes fills plan with a route for each leaf and a refusal for each that has none.
func (p *prover) routes(plan *Plan) {
	for _, leaf := range p.leaves {
		table := leaf.Relation.Table
		switch {
		case leaf == p.base.leaf:
			r := Route{Table: table, Leaf: leaf.Where, Direct: true, Way: []string{leaf.Where}}
			for _, k := range p.base.columns {
				r.Columns, r.Types = append(r.Columns, k.column.Name), append(r.Types, k.column.Type.Text)
			}
			plan.AddRoute(r)
		case p.in.Declared[table.ID]:
			// The developer said how; the source adds the route.
		case p.ways[leaf] == nil:
			plan.Refused = append(plan.Refused, Refusal{
				Code: "not-derived", Table: table, Where: leaf.Where,
				Reason: "no equality between two columns, in a place where it must hold, leads from its rows to the key",
				Mend:   "say which keys a change of it affects with params, keys or \"all\", or join it by a plain equality of columns",
			})
		default:
			p.route(plan, leaf)
		}
	}
}

func (p *prover) route(plan *Plan, leaf *Rel) {
	table := leaf.Relation.Table
	paths := p.paths(leaf)
	if len(paths) == 0 {
		plan.Refused = append(plan.Refused, Refusal{
			Code: "not-derived", Table: table, Where: leaf.Where,
			Reason: "there are too many alternative ways to the key", Mend: "say which keys a change of it affects with params or keys",
		})
		return
	}
	r := Route{Table: table, Leaf: leaf.Where, Paths: paths, Way: p.way(leaf)}
	columns := firstColumns(paths)
	if len(paths) == 1 && len(paths[0].Steps) == 1 && paths[0].Key != nil {
		r.Direct, columns = true, paths[0].Key
	}
	for _, c := range columns {
		r.Columns, r.Types = append(r.Columns, c.Name), append(r.Types, c.Type.Text)
	}
	plan.AddRoute(r)
}

// firstColumns are the changed table's columns that the paths use, once each.
func firstColumns(paths []Path) []*Column {
	var columns []*Column
	for _, path := range paths {
		for _, o := range path.Steps[0].On {
			if !slices.Contains(columns, o.From) {
				columns = append(columns, o.From)
			}
		}
		if len(path.Steps) == 1 {
			for _, c := range path.Key {
				if !slices.Contains(columns, c) {
					columns = append(columns, c)
				}
			}
		}
	}
	return columns
}

// way names the places from leaf to the base, following the first alternative.
func (p *prover) way(leaf *Rel) []string {
	way := []string{leaf.Where}
	for leaf != p.base.leaf {
		leaf = p.ways[leaf].targets[0]
		way = append(way, leaf.Where)
	}
	return way
}
