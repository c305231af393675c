package derivetest

import (
	"fmt"
	"slices"
	"strings"
)

// A Query is a random query over a Case's schema. Placeholder i is written {i}.
type Query struct {
	SQL    string
	Table  string
	Names  []string
	Types  []string
	Border string // the template that it came from; empty for the grammar's
	base   *table
}

// Render writes the query with each placeholder replaced.
func (q Query) Render(repl func(i int) string) string {
	s := q.SQL
	for i := range q.Names {
		s = strings.ReplaceAll(s, fmt.Sprintf("{%d}", i), repl(i))
	}
	return s
}

// generator makes one query.
type generator struct {
	*Case
	aliases int
	ctes    []string
	named   []item // CTEs that can be read
}

// item is something that can stand in FROM.
type item struct {
	sql     string
	columns []column // with their names below the alias
}

// visible is a column that an expression may name.
type visible struct {
	ref string
	typ string
}

// level is one SELECT and its output columns.
type level struct {
	sql     string
	columns []column
}

func isText(typ string) bool { return typ == "text" || typ == "citext" }

// sharp keeps the columns whose equal values are the same. Where a barrier puts together what is not,
// the server shows whichever comes first, and a result would not be one of data alone.
func sharp(list []visible) []visible {
	return slices.DeleteFunc(slices.Clone(list), func(v visible) bool { return v.typ == "citext" })
}

func (g *generator) alias() string {
	g.aliases++
	return fmt.Sprintf("x%d", g.aliases)
}

// Query makes the next random query of the case.
func (c *Case) Query() Query {
	g := &generator{Case: c}
	q := Query{base: pick(c, c.tables)}
	q.Table = q.base.name
	for _, k := range q.base.key {
		q.Names = append(q.Names, k)
		for _, col := range q.base.columns {
			if col.name == k {
				q.Types = append(q.Types, col.typ)
			}
		}
	}
	if c.chance(c.Borders) {
		q.Border, q.SQL = g.border(q.base)
		return q
	}
	for range c.r.IntN(2) {
		g.cte()
	}
	l := g.level(0, nil, q.base)
	if c.chance(4) {
		l.sql = "SELECT * FROM (" + l.sql + ") z UNION ALL " + g.sameShape(l.columns, 1, nil)
	}
	q.SQL = l.sql
	if len(g.ctes) > 0 {
		q.SQL = "WITH RECURSIVE " + strings.Join(g.ctes, ", ") + " " + l.sql
	}
	return q
}

// cte adds a CTE, recursive at times.
func (g *generator) cte() {
	name := "w" + g.alias()
	if g.chance(25) {
		t := pick(g.Case, g.tables)
		a, b := g.number(t), g.number(t)
		g.ctes = append(g.ctes, fmt.Sprintf(`%s(c0, c1) AS (SELECT %s, 0 FROM %s WHERE %s = %d
			UNION SELECT n.%s, 0 FROM %s n JOIN %s p ON n.%s = p.c0)`, name, a, t.name, b, g.r.IntN(domain), a, t.name, name, b))
		g.named = append(g.named, item{name, []column{{"c0", "int"}, {"c1", "int"}}})
		return
	}
	l := g.level(1, nil, nil)
	g.ctes = append(g.ctes, name+" AS ("+l.sql+")")
	g.named = append(g.named, item{name, l.columns})
}

// number is a numeric column of t.
func (g *generator) number(t *table) string {
	for {
		if col := pick(g.Case, t.columns); !isText(col.typ) {
			return col.name
		}
	}
}

// level makes a SELECT. outer are columns of levels above; base, where not nil, is to be bound in it.
func (g *generator) level(depth int, outer []visible, base *table) level {
	var from string
	var seen []visible
	var where []string
	items := 1 + g.r.IntN(3)
	if depth > 1 {
		items = 1 + g.r.IntN(2)
	}
	at := g.r.IntN(items)
	for i := range items {
		var own *table
		if base != nil && i == at {
			own = base
		}
		sql, columns, conds := g.fromItem(depth, append(seen[:len(seen):len(seen)], outer...), own, i > 0)
		where = append(where, conds...)
		if i == 0 {
			from = sql
		} else {
			from = g.join(from, sql, seen, columns, outer, &where)
		}
		seen = append(seen, columns...)
	}
	all := append(seen[:len(seen):len(seen)], outer...)
	if len(outer) > 0 && g.chance(75) {
		where = append(where, g.equality(seen, outer))
	}
	for g.chance(30) {
		where = append(where, g.condition(depth, seen, all))
	}
	g.r.Shuffle(len(where), func(i, j int) { where[i], where[j] = where[j], where[i] })
	body := " FROM " + from
	if len(where) > 0 {
		body += " WHERE " + strings.Join(where, " AND ")
	}
	return g.output(depth, body, seen, all)
}

// fromItem makes a table, or anything that can stand for one. conds bind the base in it.
func (g *generator) fromItem(depth int, before []visible, base *table, lateral bool) (string, []visible, []string) {
	if base == nil && depth < 2 && g.chance(12) {
		sql, columns := g.nested(depth)
		return sql, columns, nil
	}
	alias := g.alias()
	var conds []string
	it, direct := g.item(depth, before, base, lateral)
	columns := make([]visible, 0, len(it.columns))
	for _, c := range it.columns {
		columns = append(columns, visible{alias + "." + c.name, c.typ})
	}
	if direct {
		for i, k := range base.key {
			conds = append(conds, fmt.Sprintf("%s.%s = {%d}", alias, k, i))
		}
		if g.chance(50) {
			g.r.Shuffle(len(conds), func(i, j int) { conds[i], conds[j] = conds[j], conds[i] })
		}
	}
	return it.sql + " " + alias, columns, conds
}

// nested is a join in brackets, which may stand on a nullable side as a whole.
func (g *generator) nested(depth int) (string, []visible) {
	l, left, _ := g.fromItem(2, nil, nil, false)
	r, right, _ := g.fromItem(2, nil, nil, false)
	kind := pick(g.Case, []string{" JOIN ", " LEFT JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " FULL JOIN "})
	on := g.equality(left, right)
	both := append(left[:len(left):len(left)], right...)
	if kind != " FULL JOIN " && g.chance(20) {
		on += " AND " + g.condition(2, both, both)
	}
	if depth == 0 && g.chance(25) {
		m, more, _ := g.fromItem(2, nil, nil, false)
		r, right = "("+r+" LEFT JOIN "+m+" ON "+g.equality(right, more)+")", append(right[:len(right):len(right)], more...)
		both = append(left[:len(left):len(left)], right...)
	}
	return "(" + l + kind + r + " ON " + on + ")", both
}

// item chooses what to read; direct tells that base's key has to be bound above it.
func (g *generator) item(depth int, before []visible, base *table, lateral bool) (it item, direct bool) {
	if base != nil {
		if depth < 2 && g.chance(15) {
			l := g.level(depth+1, nil, base)
			return item{"(" + l.sql + ")", l.columns}, false
		}
		return item{base.name, base.columns}, true
	}
	n := g.r.IntN(100)
	switch {
	case depth >= 2 || n < 60:
		t := pick(g.Case, g.tables)
		if g.chance(3) {
			return item{"ONLY " + t.name, t.columns}, false
		}
		return item{t.name, t.columns}, false
	case n < 72:
		l := g.level(depth+1, nil, nil)
		return item{"(" + l.sql + ")", l.columns}, false
	case n < 78 && lateral:
		l := g.level(depth+1, before, nil)
		return item{"LATERAL (" + l.sql + ")", l.columns}, false
	case n < 85 && len(g.named) > 0:
		return pick(g.Case, g.named), false
	case n < 91 && len(g.views) > 0:
		return pick(g.Case, g.views), false
	case n < 97:
		return g.setOperation(depth), false
	case n < 98:
		return item{"(VALUES (0, 1), (2, NULL))", []column{{"column1", "int"}, {"column2", "int"}}}, false
	case n < 99:
		return item{"(SELECT g AS c0 FROM generate_series(0, 2) g)", []column{{"c0", "int"}}}, false
	}
	t := pick(g.Case, g.tables)
	return item{t.name, t.columns}, false
}

func (g *generator) setOperation(depth int) item {
	l := g.level(depth+1, nil, nil)
	first, second := []string{"UNION", "UNION ALL", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"}, []string{"UNION", "UNION ALL", "EXCEPT"}
	if slices.ContainsFunc(l.columns, func(c column) bool { return c.typ == "citext" }) {
		first, second = []string{"UNION ALL"}, []string{"UNION ALL"} // see sharp
	}
	sql := "(" + l.sql + ") " + pick(g.Case, first) + " (" + g.sameShape(l.columns, depth+1, nil) + ")"
	if g.chance(25) {
		sql = "(" + sql + ") " + pick(g.Case, second) + " (" + g.sameShape(l.columns, depth+1, nil) + ")"
	}
	return item{"(" + sql + ")", l.columns}
}

// sameShape is a SELECT whose columns have the types of columns, bare ones where that is possible.
func (g *generator) sameShape(columns []column, _ int, outer []visible) string {
	t := pick(g.Case, g.tables)
	alias := g.alias()
	seen := make([]visible, 0, len(t.columns))
	for _, c := range t.columns {
		seen = append(seen, visible{alias + "." + c.name, c.typ})
	}
	var outs []string
	for i, want := range columns {
		out := "NULL"
		for range 10 {
			if c := pick(g.Case, seen); isText(c.typ) == isText(want.typ) {
				out = c.ref
				break
			}
		}
		if out == "NULL" && isText(want.typ) {
			out = "NULL::text"
		}
		outs = append(outs, fmt.Sprintf("%s AS c%d", out, i))
	}
	sql := "SELECT " + strings.Join(outs, ", ") + " FROM " + t.name + " " + alias
	if g.chance(30) {
		sql += " WHERE " + g.condition(2, seen, append(seen, outer...))
	}
	return sql
}

// join adds an item to FROM.
func (g *generator) join(from, sql string, seen, columns, outer []visible, where *[]string) string {
	on := []string{g.equality(columns, seen)}
	if g.chance(15) {
		on = append(on, g.equality(columns, seen))
	}
	if g.chance(15) {
		all := append(append(seen[:len(seen):len(seen)], columns...), outer...)
		on = append(on, g.condition(2, columns, all))
	}
	n := g.r.IntN(100)
	if strings.HasPrefix(sql, "LATERAL") {
		n %= 60
	}
	switch {
	case n < 35:
		return from + " JOIN " + sql + " ON " + strings.Join(on, " AND ")
	case n < 60:
		return from + " LEFT JOIN " + sql + " ON " + strings.Join(on, " AND ")
	case n < 68:
		return from + " RIGHT JOIN " + sql + " ON " + strings.Join(on, " AND ")
	case n < 74:
		return from + " FULL JOIN " + sql + " ON " + on[0]
	default:
		if g.chance(85) {
			*where = append(*where, on...)
		}
		return from + " CROSS JOIN " + sql
	}
}

// equality is x = y between columns of one kind, x of the first list.
func (g *generator) equality(xs, ys []visible) string {
	for range 20 {
		x, y := pick(g.Case, xs), pick(g.Case, ys)
		if isText(x.typ) == isText(y.typ) && x.ref != y.ref {
			if g.chance(50) {
				x, y = y, x
			}
			return x.ref + " = " + y.ref
		}
	}
	return "true"
}

// condition is anything that can stand in WHERE. own are columns of the level.
func (g *generator) condition(depth int, own, all []visible) string {
	x := pick(g.Case, own)
	constant := g.literal(x.typ)
	switch n := g.r.IntN(100); {
	case n < 15:
		return g.equality(own, all)
	case n < 25:
		return x.ref + pick(g.Case, []string{" = ", " <> ", " > "}) + constant
	case n < 33:
		return x.ref + pick(g.Case, []string{" IS NULL", " IS NOT NULL"})
	case n < 41:
		return "(" + g.equality(own, all) + " OR " + g.equality(own, all) + ")"
	case n < 47:
		return "NOT (" + g.equality(own, all) + ")"
	case n < 52:
		return "coalesce(" + g.equality(own, all) + ", true)"
	case n < 56:
		return "CASE WHEN " + g.equality(own, all) + " THEN true ELSE " + x.ref + " IS NULL END"
	case n < 60:
		return x.ref + " IS NOT DISTINCT FROM " + pickTyped(g.Case, all, x.typ).ref
	case depth >= 2:
		return g.equality(own, all)
	case n < 64:
		y := pick(g.Case, own)
		sub := g.sameShape([]column{{"c0", x.typ}, {"c1", y.typ}}, 2, all)
		return "(" + x.ref + ", " + y.ref + ")" + pick(g.Case, []string{" IN ", " IN ", " NOT IN "}) + "(" + sub + ")"
	case n < 78:
		l := g.level(2, all, nil)
		return pick(g.Case, []string{"", "", "NOT "}) + "EXISTS (" + l.sql + ")"
	default:
		sub := g.sameShape([]column{{"c0", x.typ}}, 2, all)
		return x.ref + pick(g.Case, []string{" IN ", " IN ", " = ANY ", " NOT IN ", " <> ALL "}) + "(" + sub + ")"
	}
}

func pickTyped(c *Case, list []visible, typ string) visible {
	for range 20 {
		if v := pick(c, list); isText(v.typ) == isText(typ) {
			return v
		}
	}
	return visible{"NULL", typ}
}
