package pgapply

import (
	"slices"

	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/internal/pgtree"
)

// newRow is the place of NEW in a rule's range table.
const newRow = 2

// Command types of a query.
const (
	insertCommand = 3
	deleteCommand = 4
)

// A proof reads a rule's tree: whether running it for many rows of NEW at once is the same as one after the other.
type proof struct {
	consumer *consumer
	kind     apply.Kind
	replaced bool // EXCLUDED stands for parameters

	target    uint32
	functions []uint32
	operators []uint32
}

// expressions are the nodes that have no effect and see nothing but their arguments. A node that is not here is not proved.
// Names are those of versions 13 to 17.
var expressions = []string{
	"TARGETENTRY", "VAR", "CONST", "FUNCEXPR", "OPEXPR", "RELABELTYPE", "COERCEVIAIO", "ARRAYCOERCEEXPR", "COERCETODOMAIN",
	"COALESCE", "COALESCEEXPR", "CASE", "CASEEXPR", "WHEN", "CASEWHEN", "CASETESTEXPR", "BOOLEXPR", "NULLTEST", "BOOLEANTEST",
	"SCALARARRAYOPEXPR", "ARRAY", "ARRAYEXPR", "ROW", "ROWEXPR", "DISTINCTEXPR", "NULLIFEXPR", "MINMAX", "MINMAXEXPR", "SQLVALUEFUNCTION",
	"COLLATE", "COLLATEEXPR", "INFERENCEELEM", "ONCONFLICTEXPR", "FROMEXPR", "RANGETBLREF", "SUBSCRIPTINGREF",
}

// check is the whole of it, but for what only the catalogue knows.
func (p *proof) check(q *pgtree.Value) error {
	command := map[apply.Kind]int{apply.Upsert: insertCommand, apply.Delete: deleteCommand}[p.kind]
	if !q.Is("QUERY") || q.Int("commandType") != command {
		return unproved("it is not one INSERT of a row, or one DELETE")
	}
	for _, flag := range []string{"hasAggs", "hasWindowFuncs", "hasTargetSRFs", "hasSubLinks", "hasRecursive", "hasModifyingCTE"} {
		if !q.Has(flag) || q.Bool(flag) {
			return unproved("it has " + flag)
		}
	}
	for _, part := range []string{"cteList", "returningList", "setOperations", "groupClause", "limitCount", "rowMarks"} {
		if !q.Get(part).IsNull() {
			return unproved("it has a " + part)
		}
	}
	if err := p.tables(q); err != nil {
		return err
	}
	for _, part := range []string{"targetList", "jointree", "onConflict"} {
		if err := p.expression(q.Get(part)); err != nil {
			return err
		}
	}
	return p.excluded(q)
}

// tables are the target and what a rule brings along.
func (p *proof) tables(q *pgtree.Value) error {
	result, excluded := q.Int("resultRelation"), q.Get("onConflict").Int("exclRelIndex")
	for i, rte := range q.List("rtable") {
		if !rte.Is("RANGETBLENTRY") && !rte.Is("RTE") || rte.Int("rtekind") != 0 {
			return unproved("it reads something else than its table")
		}
		switch at := i + 1; {
		case at <= newRow:
		case at == result:
			p.target = rte.OID("relid")
		case at == excluded:
		default:
			return unproved("it reads a further table")
		}
	}
	from := q.Get("jointree").List("fromlist")
	if p.kind == apply.Upsert && len(from) > 0 || p.kind == apply.Delete && (len(from) != 1 || from[0].Int("rtindex") != result) || p.target == 0 {
		return unproved("it is not of one row of values, or of one table")
	}
	return nil
}

func (p *proof) expression(v *pgtree.Value) error {
	var unknown string
	v.Walk(func(n *pgtree.Value) bool {
		if n.Name() == "" {
			return true
		}
		if !slices.Contains(expressions, n.Name()) {
			unknown = n.Name()
			return false
		}
		for _, field := range []string{"funcid", "opfuncid"} {
			if f := n.OID(field); f != 0 {
				p.functions = append(p.functions, f)
			}
		}
		if o := n.OID("opno"); o != 0 {
			p.operators = append(p.operators, o)
		}
		return true
	})
	if unknown != "" {
		return unproved("it has a node " + unknown)
	}
	return nil
}

// excluded checks every use of EXCLUDED where some stand for placeholders: its column is given just a
// parameter, of the same type, and either nothing was cut off on the way into the column or it goes
// into that very column. That it is the parameter of the same placeholder is how it was chosen.
func (p *proof) excluded(q *pgtree.Value) error {
	if !p.replaced {
		return nil
	}
	params := p.consumer.params[apply.Upsert]
	given := map[int]int{} // column of the target → parameter
	for _, entry := range q.List("targetList") {
		if i, ok := parameterIn(entry); ok {
			given[entry.Int("resno")] = i
		}
	}
	conflict := q.Get("onConflict")
	index := conflict.Int("exclRelIndex")
	var failed error
	use := func(v *pgtree.Value, into int) {
		column := v.Int("varattno")
		param, ok := given[column]
		switch {
		case failed != nil || !v.Is("VAR") || v.Int("varno") != index:
		case !ok || param >= len(params) || params[param] != v.OID("vartype"):
			failed = unproved("EXCLUDED is not just a parameter")
		case v.Int("vartypmod") != -1 && into != column:
			failed = unproved("a value is cut to its column, and used elsewhere")
		}
	}
	for _, entry := range conflict.List("onConflictSet") {
		if v := entry.Get("expr"); v.Is("VAR") {
			use(v, entry.Int("resno"))
			continue
		}
		entry.Walk(func(v *pgtree.Value) bool { use(v, 0); return true })
	}
	conflict.Get("onConflictWhere").Walk(func(v *pgtree.Value) bool { use(v, 0); return true })
	return failed
}

// parameterIn gives the parameter that a column is given just as it is, but for being cut or padded to
// the column's length: an implicit cast to the type that it has already.
func parameterIn(entry *pgtree.Value) (int, bool) {
	const implicit = 2 // COERCE_IMPLICIT_CAST
	v := entry.Get("expr")
	if args := v.List("args"); v.Is("FUNCEXPR") && v.Int("funcformat") == implicit && len(args) > 0 && args[0].OID("vartype") == v.OID("funcresulttype") {
		v = args[0]
	}
	if !v.Is("VAR") || v.Int("varno") != newRow || v.Int("varattno") < 1 {
		return 0, false
	}
	return v.Int("varattno") - 1, true
}
