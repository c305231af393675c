package pglog

import (
	"fmt"
	"slices"
	"strings"

	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/internal/pgtree"
)

// Kinds of range entries, as parsenodes.h numbers them from Postgres 12 on.
const (
	rteRelation  = 0
	rteSubquery  = 1
	rteJoin      = 2
	rteFunction  = 3
	rteTableFunc = 4
	rteValues    = 5
	rteCTE       = 6
	rteResult    = 8
	rteGroup     = 9
)

// maxRels bounds what CTEs that are read many times multiply to.
const maxRels = 5000

// factsTree turns a node tree into derive's levels. A table that is read at two places, also by
// way of a view or a CTE that is read twice, becomes two relations.
type factsTree struct {
	facts  *facts
	params map[string]int // setting to placeholder
	rels   int
	err    error // the first thing that is not known: it must not be passed over
}

// scope is one SELECT while it is read. Columns of outer levels are found through up.
type factsScope struct {
	up      *factsScope
	where   string // suffix of places: " in EXISTS"
	entries []*factsEntry
	ctes    map[string]*pgtree.Value
	sub     *derive.Rel // the sub-query whose test is read
}

// entry is a range entry: a relation, or a list of expressions that its columns stand for.
type factsEntry struct {
	node   *pgtree.Value
	rel    *derive.Rel
	exprs  []*pgtree.Value // of a join or a grouping
	cached []*derive.Expr
	filled bool
}

func (t *factsTree) fail(format string, args ...any) {
	if t.err == nil {
		t.err = fmt.Errorf(format, args...)
	}
}

func (t *factsTree) query(v *pgtree.Value, up *factsScope, where string) *derive.Query {
	q := &derive.Query{}
	if !v.Is("QUERY") || v.Int("commandType") != 1 {
		t.fail("a query's tree holds %s where a SELECT is expected", v.Name())
		return q
	}
	s := &factsScope{up: up, where: where, ctes: map[string]*pgtree.Value{}}
	for _, c := range v.List("cteList") {
		s.ctes[c.Str("ctename")] = c
	}
	for _, rte := range v.List("rtable") {
		s.entries = append(s.entries, t.entry(rte, where))
	}
	if set := v.Get("setOperations"); !set.IsNull() {
		q.Set = t.set(set, s)
	}
	q.From, q.Where = t.from(v.Get("jointree"), s)
	targets := t.targets(v, q, s)
	t.barriers(v, q, s, targets)
	return q
}

// entry makes a range entry without what is in it, as siblings may refer to each other.
func (t *factsTree) entry(rte *pgtree.Value, where string) *factsEntry {
	e := &factsEntry{node: rte}
	name := rte.Get("eref").Str("aliasname")
	switch kind := rte.Int("rtekind"); kind {
	case rteJoin:
		e.exprs = rte.List("joinaliasvars")
	case rteGroup:
		e.exprs = rte.List("groupexprs")
	case rteRelation, rteSubquery, rteFunction, rteTableFunc, rteValues, rteCTE, rteResult:
		e.rel = &derive.Rel{Name: name, Where: name + where}
	default:
		t.fail("range entry of kind %d is not known", kind)
		e.rel = &derive.Rel{Name: name, Where: name + where}
	}
	e.cached = make([]*derive.Expr, len(e.exprs))
	return e
}

// use fills a range entry that FROM or a set operation names.
func (t *factsTree) use(s *factsScope, index int) *derive.Rel {
	if index < 1 || index > len(s.entries) || s.entries[index-1].rel == nil {
		t.fail("range entry %d is not there", index)
		return &derive.Rel{}
	}
	e := s.entries[index-1]
	if e.filled {
		return e.rel
	}
	e.filled = true
	if t.rels++; t.rels > maxRels {
		t.fail("the query reads more than %d relations, counting each use of a CTE", maxRels)
		return e.rel
	}
	rte := e.node
	if sample := rte.Get("tablesample"); !sample.IsNull() {
		e.rel.Sample = true
		e.rel.Exprs = append(e.rel.Exprs, t.other(sample, s))
	}
	switch rte.Int("rtekind") {
	case rteRelation:
		t.relation(e, s)
	case rteSubquery:
		e.rel.Query = t.query(rte.Get("subquery"), s, " in "+factsSubject(e.rel.Name)+s.where)
	case rteCTE:
		t.cte(e, s)
	case rteFunction:
		e.rel.Exprs = append(e.rel.Exprs, t.other(rte.Get("functions"), s))
	case rteTableFunc:
		e.rel.Exprs = append(e.rel.Exprs, t.other(rte.Get("tablefunc"), s))
	case rteValues:
		e.rel.Exprs = append(e.rel.Exprs, t.other(rte.Get("values_lists"), s))
	}
	return e.rel
}

// subject names a derived table; the server's own names of branches are made readable.
func factsSubject(name string) string {
	if strings.HasPrefix(name, "*SELECT*") {
		return "branch" + strings.TrimPrefix(name, "*SELECT*")
	}
	return name
}

func (t *factsTree) relation(e *factsEntry, s *factsScope) {
	r := t.facts.relations[e.node.OID("relid")]
	if r == nil {
		t.fail("relation %d is not in the catalogue", e.node.OID("relid"))
		return
	}
	if r.kind == "v" {
		e.rel.Query = t.query(r.view, nil, " in view "+r.table.Name+s.where)
		return
	}
	rel := &derive.Relation{Table: r.table, Only: !e.node.Bool("inh"), Columns: r.columns}
	// The unique indexes of an inheritance parent say nothing of its children's rows.
	if rel.Only || r.kind == "p" || !r.children {
		rel.Keys = r.keys
	}
	if r.kind == "p" && rel.Only {
		rel.Keys = nil // it has no rows at all
	}
	e.rel.Relation = rel
}

// cte copies a CTE to the place where it is read; its outer references are those of where it is defined.
func (t *factsTree) cte(e *factsEntry, s *factsScope) {
	if e.node.Bool("self_reference") {
		return
	}
	name := e.node.Str("ctename")
	home := s
	for range e.node.Int("ctelevelsup") {
		if home = home.up; home == nil {
			t.fail("CTE %q is not in sight", name)
			return
		}
	}
	c := home.ctes[name]
	if c == nil {
		t.fail("CTE %q is not there", name)
		return
	}
	e.rel.Recursive = c.Bool("cterecursive")
	e.rel.Query = t.query(c.Get("ctequery"), home, " in CTE "+name+s.where)
}

func (t *factsTree) set(v *pgtree.Value, s *factsScope) *derive.SetOp {
	if v.Has("rtindex") && !v.Has("larg") {
		return &derive.SetOp{Branch: t.use(s, v.Int("rtindex"))}
	}
	o := &derive.SetOp{Left: t.set(v.Get("larg"), s), Right: t.set(v.Get("rarg"), s)}
	o.Compares = v.Int("op") != 1 || !v.Bool("all")
	groups := v.List("groupClauses")
	collations := v.List("colCollations")
	for i, c := range v.List("colTypes") {
		typ := t.facts.types[uint32(c.Number())] //nolint:gosec // an oid
		o.Types = append(o.Types, typ)
		by := derive.Equality{}
		if i < len(groups) && i < len(collations) {
			by = derive.Equality{
				Op: t.facts.operators[groups[i].OID("eqop")], Left: typ, Right: typ,
				Collation: t.collation(uint32(collations[i].Number())), //nolint:gosec // an oid
			}
		}
		o.By = append(o.By, by)
	}
	return o
}

// collation gives nil for zero: a type that has none.
func (t *factsTree) collation(oid uint32) *derive.Collation {
	if oid == 0 {
		return nil
	}
	if c := t.facts.collations[oid]; c != nil {
		return c
	}
	t.fail("collation %d is not in the catalogue", oid)
	return nil
}

func (t *factsTree) from(v *pgtree.Value, s *factsScope) (*derive.From, *derive.Expr) {
	if v.IsNull() {
		return nil, nil
	}
	var all *derive.From
	for _, item := range v.List("fromlist") {
		f := t.join(item, s)
		if all == nil {
			all = f
		} else {
			all = &derive.From{Kind: derive.Inner, L: all, R: f}
		}
	}
	return all, t.maybe(v.Get("quals"), s)
}

func (t *factsTree) join(v *pgtree.Value, s *factsScope) *derive.From {
	if !v.Has("jointype") {
		return &derive.From{Rel: t.use(s, v.Int("rtindex"))}
	}
	f := &derive.From{L: t.join(v.Get("larg"), s), R: t.join(v.Get("rarg"), s)}
	switch kind := v.Int("jointype"); kind {
	case 0:
		f.Kind = derive.Inner
	case 1:
		f.Kind = derive.Left
	case 2:
		f.Kind = derive.Full
	case 3:
		f.Kind = derive.Right
	default:
		t.fail("join of kind %d is not known", kind)
	}
	f.On = t.maybe(v.Get("quals"), s)
	return f
}

func (t *factsTree) maybe(v *pgtree.Value, s *factsScope) *derive.Expr {
	if v.IsNull() {
		return nil
	}
	return t.expr(v, s)
}

// grouped is a target by which something may be grouped.
type factsGrouped struct {
	expr *derive.Expr
	node *pgtree.Value
}

// targets reads the output columns, and the junk that is only sorted or grouped by.
func (t *factsTree) targets(v *pgtree.Value, q *derive.Query, s *factsScope) map[int]factsGrouped {
	byRef := map[int]factsGrouped{}
	for _, te := range v.List("targetList") {
		node := te.Get("expr")
		e := t.expr(node, s)
		if ref := te.Int("ressortgroupref"); ref != 0 {
			byRef[ref] = factsGrouped{e, node}
		}
		if te.Bool("resjunk") {
			q.Exprs = append(q.Exprs, e)
			continue
		}
		typ, collation := factsType(node)
		q.Outputs = append(q.Outputs, &derive.Target{Name: te.Str("resname"), Expr: e, Type: t.facts.types[typ], Collation: t.collation(collation)})
	}
	return byRef
}

func (t *factsTree) barriers(v *pgtree.Value, q *derive.Query, s *factsScope, targets map[int]factsGrouped) {
	having := v.Get("havingQual")
	q.Aggregates = v.Bool("hasAggs") || !having.IsNull()
	q.GroupSets = len(v.List("groupingSets")) > 0
	q.Series = v.Bool("hasTargetSRFs")
	q.Locks = len(v.List("rowMarks")) > 0
	q.Group = t.groupings(v.List("groupClause"), targets)
	q.Distinct = t.groupings(v.List("distinctClause"), targets)
	q.DistinctOn = v.Bool("hasDistinctOn")
	for _, w := range v.List("windowClause") {
		q.Windows = append(q.Windows, t.groupings(w.List("partitionClause"), targets))
		q.Exprs = append(q.Exprs, t.other(w.Get("startOffset"), s), t.other(w.Get("endOffset"), s))
	}
	count, offset := v.Get("limitCount"), v.Get("limitOffset")
	q.Limit = !count.IsNull() || !offset.IsNull()
	q.LimitOne = factsIsOne(count) && v.Int("limitOption") != 1
	q.Exprs = append(q.Exprs, t.maybe(having, s), t.maybe(count, s), t.maybe(offset, s))
}

func (t *factsTree) groupings(list []*pgtree.Value, targets map[int]factsGrouped) []derive.Grouping {
	var all []derive.Grouping
	for _, g := range list {
		target, ok := targets[g.Int("tleSortGroupRef")]
		if !ok {
			t.fail("a grouping refers to no output")
			return nil
		}
		typ, collation := factsType(target.node)
		by := derive.Equality{Left: t.facts.types[typ], Right: t.facts.types[typ], Collation: t.collation(collation)}
		if typ != 0 {
			by.Op = t.facts.operators[g.OID("eqop")]
		}
		all = append(all, derive.Grouping{Expr: target.expr, By: by})
	}
	return all
}

// factsIsOne tells whether a LIMIT is the constant 1, perhaps widened by int8(int4).
func factsIsOne(v *pgtree.Value) bool {
	const int4ToInt8 = 481
	if v.Is("FUNCEXPR") && v.OID("funcid") == int4ToInt8 && len(v.List("args")) == 1 {
		v = v.List("args")[0]
	}
	if !v.Is("CONST") || v.Bool("constisnull") {
		return false
	}
	b := v.Get("constvalue").Bytes
	return len(b) > 0 && b[0] == 1 && !slices.ContainsFunc(b[1:], func(x byte) bool { return x != 0 })
}

// factsType gives type and collation of an expression, zero where its kind is not known.
func factsType(v *pgtree.Value) (typ, collation uint32) {
	for _, f := range [][2]string{
		{"vartype", "varcollid"},
		{"resulttype", "resultcollid"},
		{"funcresulttype", "funccollid"},
		{"opresulttype", "opcollid"},
		{"consttype", "constcollid"},
		{"paramtype", "paramcollid"},
		{"aggtype", "aggcollid"},
		{"wintype", "wincollid"},
		{"casetype", "casecollid"},
		{"coalescetype", "coalescecollid"},
		{"minmaxtype", "minmaxcollid"},
	} {
		if v.Has(f[0]) && v.Has(f[1]) {
			return v.OID(f[0]), v.OID(f[1])
		}
	}
	return 0, 0
}
