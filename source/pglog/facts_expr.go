package pglog

import (
	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/internal/pgtree"
)

// Kinds of sub-queries, as primnodes.h numbers them.
const (
	sublinkExists = 0
	sublinkAny    = 2
	sublinkExpr   = 4
)

// expr turns an expression into what the rules know of it.
func (t *factsTree) expr(v *pgtree.Value, s *factsScope) *derive.Expr {
	switch v.Name() {
	case "VAR":
		return t.column(v, s)
	case "CONST":
		return &derive.Expr{Op: derive.Const, Type: t.facts.types[v.OID("consttype")]}
	case "RELABELTYPE", "COERCEVIAIO":
		return t.cast(v, s)
	case "FUNCEXPR":
		if i, ok := t.placeholder(v); ok {
			return &derive.Expr{Op: derive.Param, Num: i, Type: t.facts.types[v.OID("funcresulttype")]}
		}
		return t.strictly(v, s, t.facts.strict[v.OID("funcid")] && !v.Bool("funcretset"))
	case "OPEXPR":
		return t.operator(v, s)
	case "BOOLEXPR":
		return t.boolean(v, s)
	case "NULLTEST":
		return t.nullTest(v, s)
	case "COALESCE", "COALESCEEXPR":
		return &derive.Expr{Op: derive.Coalesce, Args: t.all(v.List("args"), s)}
	case "CASE", "CASEEXPR":
		return &derive.Expr{Op: derive.Case, Args: t.arms(v, s)}
	case "SUBLINK":
		return t.sublink(v, s)
	case "PARAM":
		return t.param(v, s)
	case "AGGREF", "WINDOWFUNC":
		return t.aggregate(v, s)
	case "QUERY":
		t.fail("a query stands where the rules know none")
	}
	return t.other(v, s)
}

func (t *factsTree) all(vs []*pgtree.Value, s *factsScope) []*derive.Expr {
	es := make([]*derive.Expr, 0, len(vs))
	for _, v := range vs {
		es = append(es, t.expr(v, s))
	}
	return es
}

// other is an expression of which only its parts matter.
func (t *factsTree) other(v *pgtree.Value, s *factsScope) *derive.Expr {
	return &derive.Expr{Op: derive.Other, Args: t.below(v, s)}
}

func (t *factsTree) strictly(v *pgtree.Value, s *factsScope, strict bool) *derive.Expr {
	return &derive.Expr{Op: derive.Other, Args: t.all(v.List("args"), s), Strict: strict}
}

// below reads every node in v, whatever field it stands in.
func (t *factsTree) below(v *pgtree.Value, s *factsScope) []*derive.Expr {
	var es []*derive.Expr
	for _, c := range v.Children() {
		switch {
		case c.IsNull():
		case c.Kind == pgtree.Node:
			es = append(es, t.expr(c, s))
		case c.Kind == pgtree.List:
			es = append(es, t.below(c, s)...)
		}
	}
	return es
}

// arms are the conditions and results of a CASE.
func (t *factsTree) arms(v *pgtree.Value, s *factsScope) []*derive.Expr {
	var es []*derive.Expr
	for _, when := range v.List("args") {
		es = append(es, t.below(when, s)...)
	}
	for _, name := range []string{"arg", "defresult"} {
		if e := t.maybe(v.Get(name), s); e != nil {
			es = append(es, e)
		}
	}
	return es
}

// column finds what a VAR stands for: a column of a relation, or an expression of a join or grouping.
func (t *factsTree) column(v *pgtree.Value, s *factsScope) *derive.Expr {
	home := s
	for range v.Int("varlevelsup") {
		if home = home.up; home == nil {
			t.fail("a column refers to a level that is not there")
			return &derive.Expr{}
		}
	}
	index, number := v.Int("varno"), v.Int("varattno")
	if index < 1 || index > len(home.entries) {
		t.fail("a column refers to range entry %d, which is not there", index)
		return &derive.Expr{}
	}
	e := home.entries[index-1]
	if e.rel != nil {
		return &derive.Expr{Op: derive.ColumnOf, Rel: e.rel, Col: max(number, 0), Type: t.facts.types[v.OID("vartype")]}
	}
	if number < 1 { // a whole row of a join
		whole := &derive.Expr{Op: derive.Other}
		for i := range e.exprs {
			whole.Args = append(whole.Args, t.alias(e, i, home))
		}
		return whole
	}
	if number > len(e.exprs) {
		t.fail("a column refers to column %d of a join, which is not there", number)
		return &derive.Expr{}
	}
	return t.alias(e, number-1, home)
}

// alias reads an expression of a join or grouping once, so that a sub-query in it has its leaves once.
func (t *factsTree) alias(e *factsEntry, i int, home *factsScope) *derive.Expr {
	if e.cached[i] == nil {
		if e.exprs[i].IsNull() { // of a column that was dropped
			e.cached[i] = &derive.Expr{Op: derive.Other}
		} else {
			e.cached[i] = t.expr(e.exprs[i], home)
		}
	}
	return e.cached[i]
}

// placeholder tells which placeholder a call of current_setting stands for.
func (t *factsTree) placeholder(v *pgtree.Value) (int, bool) {
	if !v.Is("FUNCEXPR") || v.OID("funcid") != currentSetting || len(v.List("args")) != 1 {
		return 0, false
	}
	c := v.List("args")[0]
	b := c.Get("constvalue")
	if !c.Is("CONST") || b == nil || len(b.Bytes) < 4 {
		return 0, false
	}
	i, ok := t.params[string(b.Bytes[4:])] // after the length word of a text
	return i, ok
}

// cast reads a relabelling or a cast through text. One of the server's own making leaves a column
// bare; one that the user wrote does not. A placeholder has exactly one of its own.
func (t *factsTree) cast(v *pgtree.Value, s *factsScope) *derive.Expr {
	arg, typ := v.Get("arg"), t.facts.types[v.OID("resulttype")]
	if i, ok := t.placeholder(arg); ok {
		return &derive.Expr{Op: derive.Param, Num: i, Type: typ}
	}
	const implicit = 2
	if v.Is("RELABELTYPE") {
		e := t.expr(arg, s)
		if v.Int("relabelformat") == implicit && (e.Op == derive.ColumnOf && e.Col > 0 || e.Op == derive.Param || e.Op == derive.Const) {
			bare := *e
			bare.Type = typ
			return &bare
		}
		return &derive.Expr{Op: derive.Other, Args: []*derive.Expr{e}, Strict: true}
	}
	return t.other(v, s)
}

func (t *factsTree) operator(v *pgtree.Value, s *factsScope) *derive.Expr {
	number := v.OID("opno")
	e := t.strictly(v, s, t.facts.strict[t.facts.code[number]] && !v.Bool("opretset"))
	op := t.facts.operators[number]
	if op == nil || len(e.Args) != 2 {
		return e
	}
	e.Op = derive.Equal
	e.By = derive.Equality{Op: op, Left: e.Args[0].Type, Right: e.Args[1].Type, Collation: t.collation(v.OID("inputcollid"))}
	return e
}

func (t *factsTree) boolean(v *pgtree.Value, s *factsScope) *derive.Expr {
	e := &derive.Expr{Args: t.all(v.List("args"), s)}
	switch op := v.Str("boolop"); op {
	case "and":
		e.Op = derive.And
	case "or":
		e.Op = derive.Or
	case "not":
		e.Op = derive.Not
	default:
		t.fail("boolean operator %q is not known", op)
	}
	return e
}

func (t *factsTree) nullTest(v *pgtree.Value, s *factsScope) *derive.Expr {
	e := &derive.Expr{Args: []*derive.Expr{t.expr(v.Get("arg"), s)}}
	switch {
	case v.Bool("argisrow"):
		e.Op = derive.Other
	case v.Int("nulltesttype") == 0:
		e.Op = derive.IsNull
	default:
		e.Op = derive.IsNotNull
	}
	return e
}

// aggregate keeps FILTER apart from the arguments: it binds no row.
func (t *factsTree) aggregate(v *pgtree.Value, s *factsScope) *derive.Expr {
	e := &derive.Expr{Op: derive.Other}
	filter := v.Get("aggfilter")
	for _, c := range v.Children() {
		if c == filter || c.IsNull() {
			continue
		}
		switch c.Kind {
		case pgtree.Node:
			e.Args = append(e.Args, t.expr(c, s))
		case pgtree.List:
			e.Args = append(e.Args, t.below(c, s)...)
		case pgtree.Null, pgtree.Atom:
		}
	}
	if !filter.IsNull() {
		e.Args = append(e.Args, &derive.Expr{Op: derive.Filter, Args: []*derive.Expr{t.expr(filter, s)}})
	}
	return e
}

func (t *factsTree) sublink(v *pgtree.Value, s *factsScope) *derive.Expr {
	kind := v.Int("subLinkType")
	where := " in a sub-query"
	switch kind {
	case sublinkExists:
		where = " in EXISTS"
	case sublinkAny:
		where = " in IN"
	case sublinkExpr:
	}
	if t.rels++; t.rels > maxRels {
		t.fail("the query holds more than %d sub-queries, counting each use of a CTE", maxRels)
		return &derive.Expr{}
	}
	rel := &derive.Rel{Where: where}
	rel.Query = t.query(v.Get("subselect"), s, where+s.where)
	e := &derive.Expr{Op: derive.Sub, Rel: rel}
	test := v.Get("testexpr")
	if test.IsNull() {
		return e
	}
	outer := s.sub
	s.sub = rel
	e.Args = []*derive.Expr{t.expr(test, s)}
	s.sub = outer
	if kind == sublinkAny && factsEqualities(e.Args[0]) {
		e.Op = derive.In
	}
	return e
}

// equalities tells whether e is one equality or an AND of them.
func factsEqualities(e *derive.Expr) bool {
	if e.Op == derive.Equal {
		return true
	}
	if e.Op != derive.And {
		return false
	}
	for _, a := range e.Args {
		if !factsEqualities(a) {
			return false
		}
	}
	return true
}

// param is a column of the sub-query in whose test it stands.
func (t *factsTree) param(v *pgtree.Value, s *factsScope) *derive.Expr {
	const paramSublink = 2
	if v.Int("paramkind") != paramSublink || s.sub == nil {
		t.fail("a parameter of kind %d stands in the tree", v.Int("paramkind"))
		return &derive.Expr{}
	}
	return &derive.Expr{Op: derive.ColumnOf, Rel: s.sub, Col: v.Int("paramid"), Type: t.facts.types[v.OID("paramtype")]}
}
