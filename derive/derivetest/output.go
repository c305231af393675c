package derivetest

import (
	"fmt"
	"slices"
	"strings"
)

// output writes the outputs and a barrier over a body. Everything that depends on order is ordered by
// all that it could depend on, so that a result is one of data alone.
func (g *generator) output(depth int, body string, seen, all []visible) level {
	n := g.r.IntN(100)
	plain := sharp(seen)
	if len(plain) == 0 {
		return finish("SELECT ", g.outputs(depth, seen, all), body, "")
	}
	switch {
	case n < 14:
		return g.groupBy(body, seen, plain)
	case n < 18:
		x := pick(g.Case, plain)
		return finish("SELECT ", []visible{{"count(*)", "bigint"}, {"max(" + x.ref + ")", x.typ}}, body, "")
	}
	from := seen
	if n < 35 { // these choose among rows
		from = plain
	}
	outs := g.outputs(depth, from, all)
	switch {
	case n < 25:
		return finish("SELECT DISTINCT ", outs, body, "")
	case n < 30:
		on := outs[0].ref
		if g.chance(30) {
			on = pick(g.Case, seen).ref
		}
		return finish("SELECT DISTINCT ON ("+on+") ", outs, body, " ORDER BY "+on+", "+positions(len(outs)))
	case n < 35:
		limit := fmt.Sprintf(" LIMIT %d", 1+g.r.IntN(2))
		if g.chance(30) {
			limit += " OFFSET 1"
		}
		return finish("SELECT ", outs, body, " ORDER BY "+positions(len(outs))+limit)
	case n < 42:
		part := pick(g.Case, seen)
		if g.chance(60) {
			part = outs[0]
		}
		outs = append(outs, visible{"count(*) OVER (PARTITION BY " + part.ref + ")", "bigint"})
		if g.chance(30) {
			outs = append(outs, visible{"rank() OVER (PARTITION BY " + pick(g.Case, seen).ref + " ORDER BY " + pick(g.Case, seen).ref + ")", "bigint"})
		}
		return finish("SELECT ", outs, body, "")
	case n < 44:
		outs = append(outs, visible{"generate_series(0, 1)", "int"})
	}
	return finish("SELECT ", outs, body, "")
}

func positions(n int) string {
	var p []string
	for i := range n {
		p = append(p, fmt.Sprint(i+1))
	}
	return strings.Join(p, ", ")
}

func finish(head string, outs []visible, body, tail string) level {
	var l level
	var list []string
	for i, o := range outs {
		name := fmt.Sprintf("c%d", i)
		list = append(list, o.ref+" AS "+name)
		l.columns = append(l.columns, column{name, o.typ})
	}
	l.sql = head + strings.Join(list, ", ") + body + tail
	return l
}

// outputs are one to four columns and expressions.
func (g *generator) outputs(depth int, seen, all []visible) []visible {
	outs := []visible{pick(g.Case, seen)}
	for range g.r.IntN(3) {
		outs = append(outs, pick(g.Case, seen))
	}
	if depth < 2 && g.chance(30) {
		l := g.level(2, all, nil)
		outs = append(outs, visible{"(SELECT count(*) FROM (" + l.sql + ") y)", "bigint"})
	}
	if g.chance(10) {
		x := pick(g.Case, seen)
		outs = append(outs, visible{"coalesce(" + x.ref + ", " + pickTyped(g.Case, all, x.typ).ref + ")", x.typ})
	}
	if depth < 2 && g.chance(8) {
		x := pick(g.Case, seen)
		outs = append(outs, visible{"(" + x.ref + " IN (" + g.sameShape([]column{{"c0", x.typ}}, 2, all) + "))::text", "text"})
	}
	return outs
}

// groupBy groups by any columns, and shows those that are plain.
func (g *generator) groupBy(body string, seen, plain []visible) level {
	by := []visible{pick(g.Case, seen)}
	if g.chance(40) {
		by = append(by, pick(g.Case, seen))
	}
	shown := sharp(by)
	outs := slices.Clone(shown)
	x, y := pick(g.Case, plain), pick(g.Case, plain)
	switch g.r.IntN(3) {
	case 0:
		outs = append(outs, visible{"count(*) FILTER (WHERE " + g.equality(seen, seen) + ")", "bigint"})
	case 1:
		outs = append(outs, visible{"string_agg(" + x.ref + "::text, ',' ORDER BY " + x.ref + ")", "text"})
	default:
		outs = append(outs, visible{"count(" + y.ref + ")", "bigint"}, visible{"max(" + x.ref + ")", x.typ})
	}
	var refs []string
	for _, b := range by {
		refs = append(refs, b.ref)
	}
	list := strings.Join(refs, ", ")
	if g.chance(8) {
		list = pick(g.Case, []string{"ROLLUP (", "CUBE ("}) + list + ")"
	}
	if g.chance(8) {
		list += ", coalesce(" + by[0].ref + ", NULL)"
	}
	tail := " GROUP BY " + list
	if g.chance(15) {
		tail += " HAVING count(*) " + pick(g.Case, []string{"> 1", "= 1", "> 0"})
		if g.chance(40) {
			tail += " AND EXISTS (" + g.level(2, shown, nil).sql + ")"
		}
	}
	return finish("SELECT ", outs, body+tail, "")
}
