package derivetest

import (
	"fmt"
	"slices"
	"strings"
)

// A template is a query near the border of one rule. In it, «base» is the base's table, «key» its
// condition, «t» a random table, «n» a random numeric column that every table has, «m» one that is the
// same throughout, «v» a value of such a column; «w» a random column of words, which is text or citext,
// and «u» one that is the same throughout. A query that groups by citext does not show which of the
// equal words it has.
type template struct{ name, sql string }

func templates() []template {
	return []template{
		{"left join's left side", `SELECT a.id, l.«n» AS c1, r.«n» AS c2 FROM «base» a CROSS JOIN «t» l LEFT JOIN «t» r ON r.«n» = a.«n» AND l.«n» = a.«n» WHERE «key»`},
		{"right join's right side", `SELECT a.id, l.«n» AS c1, r.«n» AS c2 FROM «t» r RIGHT JOIN («base» a CROSS JOIN «t» l) ON r.«n» = a.«n» AND l.«n» = a.«n» WHERE «key»`},
		{"is null", `SELECT a.id, l.«n» AS c1 FROM «base» a CROSS JOIN «t» l LEFT JOIN «t» r ON r.«n» = a.«n» AND l.«n» = a.«n» WHERE «key» AND r.«n» IS NULL`},
		{"is not null", `SELECT a.id, l.«n» AS c1 FROM «base» a CROSS JOIN «t» l LEFT JOIN «t» r ON r.«n» = a.«n» AND l.«n» = a.«n» WHERE «key» AND r.«n» IS NOT NULL`},
		{"distinct on", `SELECT a.id, q.* FROM «base» a JOIN (SELECT DISTINCT ON (e.«m») e.«m» AS x, e.«n» AS y FROM «t» e ORDER BY e.«m», 1, 2) q ON q.y = a.«n» WHERE «key»`},
		{"distinct", `SELECT a.id, q.* FROM «base» a JOIN (SELECT DISTINCT e.«n» AS x, e.«n» AS y FROM «t» e) q ON q.y = a.«n» WHERE «key»`},
		{"expression in a branch", `SELECT a.id, e.«n» AS c1 FROM «base» a JOIN (SELECT l.«n» AS x, l.b AS y FROM «t» l UNION ALL SELECT r.«n» + 0, r.b FROM «t» r) q ON q.y = a.b JOIN «t» e ON e.«n» = q.x WHERE «key»`},
		{"branches of two ranks", `SELECT a.id, e.«n» AS c1 FROM «base» a JOIN (SELECT l.c AS x, l.b AS y FROM «t» l UNION ALL SELECT m.c, n.b FROM «t» m JOIN «t» n ON n.«n» = m.«n») q ON q.y = a.b JOIN «t» e ON e.«n» = q.x WHERE «key»`},
		{"not in", `SELECT a.id, a.«n» AS c1 FROM «base» a WHERE «key» AND a.«n» NOT IN (SELECT e.«n» FROM «t» e)`},
		{"in of an output", `SELECT a.id, a.«n» IN (SELECT e.«n» FROM «t» e) AS c1 FROM «base» a WHERE «key»`},
		{"in", `SELECT a.id, a.«n» AS c1 FROM «base» a WHERE «key» AND a.«n» IN (SELECT e.«n» FROM «t» e)`},
		{"in of a left join", `SELECT a.id, l.«n» AS c1 FROM «base» a LEFT JOIN «t» l ON l.«n» IN (SELECT e.«n» FROM «t» e) AND l.«n» = a.«n» WHERE «key»`},
		{"recursion", `SELECT a.id, q.c1 FROM «base» a JOIN (WITH RECURSIVE w(c0, c1) AS (SELECT e.c, e.b FROM «t» e WHERE e.«n» = «v» UNION SELECT n.c, n.b FROM «t» n JOIN w ON n.«n» = w.c1) SELECT * FROM w) q ON q.c0 = a.c WHERE «key»`},
		{"limit", `SELECT a.id, q.* FROM «base» a JOIN (SELECT e.«n» AS x, e.«n» AS y FROM «t» e ORDER BY 1, 2 LIMIT 2) q ON q.x = a.«n» WHERE «key»`},
		{"window", `SELECT a.id, q.* FROM «base» a JOIN (SELECT e.«n» AS x, count(*) OVER (PARTITION BY e.«n») AS y FROM «t» e) q ON q.x = a.«n» WHERE «key»`},
		{"two windows", `SELECT a.id, q.* FROM «base» a JOIN (SELECT e.b AS x, count(*) OVER (PARTITION BY e.b) AS y, count(*) OVER (PARTITION BY e.«n», e.b) AS z FROM «t» e) q ON q.x = a.«n» WHERE «key»`},
		{"group", `SELECT a.id, q.* FROM «base» a LEFT JOIN (SELECT e.«m» AS x, count(*) AS y FROM «t» e GROUP BY e.«m») q ON q.x = a.«n» WHERE «key»`},
		{"grouped by its key", `SELECT a.id, q.* FROM «base» a LEFT JOIN (SELECT e.b AS x, e.«m» AS z, count(*) AS y FROM «t» e GROUP BY e.b, e.«m») q ON q.x = a.«n» AND q.z = «v» WHERE «key»`},
		{"grouped by a table's key", `SELECT a.id, q.* FROM «base» a JOIN (SELECT e.id AS x, e.k AS y, e.b, e.c AS z, count(*) AS n FROM «t» e JOIN «t» f ON f.«n» = e.«n» GROUP BY e.id, e.k, e.b, e.c) q ON q.z = a.«n» WHERE «key»`},
		{"grouped by part of a table's key", `SELECT a.id, q.* FROM «base» a JOIN (SELECT e.id AS x, max(e.«n») AS z, count(*) AS n FROM «t» e LEFT JOIN «t» f ON f.«n» = e.«n» GROUP BY e.id) q ON q.z = a.«n» WHERE «key»`},
		{"key of a grouped table", `SELECT a.id, q.* FROM «base» a JOIN (SELECT e.id AS x, e.a AS z, count(*) AS n, max(f.«n») AS m FROM «t» e LEFT JOIN «t» f ON f.«n» = e.«n» GROUP BY e.id) q ON q.z = a.«n» WHERE «key»`},
		{"base by way of another", `SELECT a.id, e.«n» AS c1, f.«n» AS c2 FROM «t» e JOIN «base» a ON a.id = e.«m» LEFT JOIN «t» f ON f.«n» = e.«m» WHERE e.«m» = {0} AND a.k = a.k`},
		{"base by way of a nullable one", `SELECT a.id, e.«n» AS c1, f.«n» AS c2 FROM «base» a LEFT JOIN «t» e ON a.id = e.«m» AND e.«m» = {0} LEFT JOIN «t» f ON f.«n» = e.«m»`},
		{"or", `SELECT a.id, e.«n» AS c1 FROM «base» a CROSS JOIN «t» e WHERE «key» AND (e.«n» = a.«n» OR e.«n» = a.«n»)`},
		{"not", `SELECT a.id, e.«n» AS c1 FROM «base» a CROSS JOIN «t» e WHERE «key» AND NOT (e.«n» = a.«n»)`},
		{"coalesce", `SELECT a.id, e.«n» AS c1 FROM «base» a CROSS JOIN «t» e WHERE «key» AND coalesce(e.«n» = a.«n», true)`},
		{"case", `SELECT a.id, e.«n» AS c1 FROM «base» a CROSS JOIN «t» e WHERE «key» AND CASE WHEN e.«n» = a.«n» THEN e.«n» = «v» ELSE true END`},
		{"filter", `SELECT a.id, (SELECT count(*) FILTER (WHERE e.«n» = a.«n») + count(*) FROM «t» e) AS c1 FROM «base» a WHERE «key»`},
		{"full join", `SELECT a.id, q.* FROM «base» a CROSS JOIN LATERAL (SELECT l.«n» AS x, z.y FROM (SELECT r.b AS x, r.c AS y FROM «t» r WHERE r.«n» = a.«n») z FULL JOIN «t» l ON l.«n» = z.x) q WHERE «key»`},
		{"full join of single rows", `SELECT a.id, q.* FROM «base» a CROSS JOIN LATERAL (SELECT l.n AS x, r.n AS y FROM (SELECT count(*) AS n FROM «t» e WHERE e.«n» = a.«n») l FULL JOIN (SELECT count(*) AS n FROM «t» f WHERE f.«n» = a.«n») r ON l.n = r.n) q WHERE «key»`},
		{"full join reduced", `SELECT a.id, q.* FROM «base» a JOIN (SELECT r.b AS x, l.c AS y FROM «t» r FULL JOIN «t» l ON l.«n» = r.«n») q ON q.x = a.«n» WHERE «key»`},
		{"nullable base", `SELECT l.«n» AS c0, a.id AS c1 FROM «t» l LEFT JOIN «base» a ON «key» WHERE l.«n» = {0}`},
		{"base below a set operation", `SELECT z.x FROM (SELECT a.id AS x FROM «base» a WHERE «key» UNION ALL SELECT e.«n» FROM «t» e WHERE e.«n» = {0}) z`},
		{"aggregate of the base", `SELECT count(*) AS c0, max(e.«n») AS c1 FROM «base» a JOIN «t» e ON e.«n» = a.«n» WHERE «key»`},
		{"grouped base", `SELECT a.id, count(*) AS c0, max(e.«n») AS c1 FROM «base» a JOIN «t» e ON e.«n» = a.«n» WHERE «key» GROUP BY a.id`},
		{"fixed by each other", `SELECT a.id, p.id AS c1, q.id AS c2 FROM «base» a JOIN «t» p ON p.b = a.«n» JOIN «t» q ON q.id = p.«n» AND p.id = q.«n» AND p.k = q.k WHERE «key»`},
		{"fixed one after the other", `SELECT a.id, p.id AS c1, q.id AS c2 FROM «base» a LEFT JOIN «t» p ON p.id = a.«n» AND p.k = a.k LEFT JOIN «t» q ON q.id = p.«n» AND q.k = p.k WHERE «key»`},
		{"fixed by ON of a left join", `SELECT a.id, p.id AS c1, q.b AS c2 FROM «base» a JOIN «t» p ON p.b = a.«n» LEFT JOIN «t» q ON q.id = a.«n» AND q.k = a.k AND p.id = a.«n» AND p.k = a.k WHERE «key»`},
		{"grouped by a nullable side", `SELECT r.c AS c0, count(*) AS c1 FROM «base» a JOIN «t» e ON e.«n» = a.«n» LEFT JOIN «t» r ON r.id = a.b AND r.k = a.k AND e.«n» = «v» WHERE «key» GROUP BY r.c`},
		{"series", `SELECT a.id, generate_series(0, a.«n» % 2) AS c1 FROM «base» a WHERE «key»`},
		{"using", `SELECT a.id, b AS c1, e.«n» AS c2, f.x FROM «base» a LEFT JOIN «t» e USING (b) JOIN (SELECT g.«n» AS x FROM «t» g) f ON f.x = b WHERE «key»`},
		{"full using", `SELECT z.id, z.c1, f.«n» AS c2 FROM (SELECT a.id, b AS c1, a.k FROM «base» a FULL JOIN «t» e USING (b)) z JOIN «t» f ON f.«n» = z.c1 WHERE z.id = {0}`},
		{"exists of a nullable row", `SELECT a.id, e.«n» AS c1, EXISTS (SELECT FROM «t» f WHERE f.«n» = e.«n») AS c2 FROM «base» a LEFT JOIN «t» e ON e.«n» = a.«n» WHERE «key»`},
		{"not exists", `SELECT a.id FROM «base» a WHERE «key» AND NOT EXISTS (SELECT FROM «t» f JOIN «t» g ON g.«n» = f.«n» WHERE f.«n» = a.«n»)`},
		{"except", `SELECT a.id, q.x FROM «base» a JOIN (SELECT e.«n» AS x FROM «t» e EXCEPT SELECT f.«n» FROM «t» f) q ON q.x = a.«n» WHERE «key»`},
		{"except of two columns", `SELECT a.id, q.x, q.y FROM «base» a JOIN (SELECT e.«n» AS x, e.b AS y FROM «t» e EXCEPT SELECT f.«n», f.c FROM «t» f) q ON q.y = a.«n» WHERE «key»`},
		{"nested outer joins", `SELECT a.id, p.«n» AS c1, q.«n» AS c2 FROM «base» a LEFT JOIN («t» p LEFT JOIN «t» q ON q.«n» = p.«n») ON q.«n» = a.«n» WHERE «key»`},
		{"nested outer joins, not reduced", `SELECT a.id, p.«n» AS c1, q.«n» AS c2 FROM «base» a LEFT JOIN («t» p LEFT JOIN «t» q ON q.«n» = p.«n») ON coalesce(q.«n», 0) = a.«n» WHERE «key»`},
		{"self join", `SELECT a.id, s.«n» AS c1 FROM «base» a JOIN «base» s ON s.«n» = a.«n» WHERE «key»`},
		{"cycle", `SELECT a.id, p.«n» AS c1, q.«n» AS c2 FROM «base» a JOIN «t» p ON p.«n» = a.«n» JOIN «t» q ON q.«n» = p.«n» AND q.«n» = a.«n» WHERE «key»`},
		{"placeholder again", `SELECT a.id, e.«n» AS c1, f.«n» AS c2 FROM «base» a JOIN «t» e ON e.«n» = {0} LEFT JOIN «t» f ON f.«n» = e.«n» WHERE «key»`},
		{"two columns to one row", `SELECT a.id, e.«n» AS c1, (SELECT count(*) FROM «t» f WHERE f.b = e.b AND f.c = e.c) AS c2 FROM «base» a JOIN «t» e ON e.«n» = a.«n» WHERE «key»`},
		{"words", `SELECT a.id, e.«w» AS c1 FROM «base» a JOIN «t» f ON f.«w» = a.«w» LEFT JOIN «t» e ON e.«w» = f.«w» AND e.c = f.«n» WHERE «key»`},
		{"window by words", `SELECT a.id, q.* FROM «base» a JOIN (SELECT e.«u» AS x, count(*) OVER (PARTITION BY e.«u») AS y FROM «t» e) q ON q.x = a.«w» WHERE «key»`},
		{"group by words", `SELECT a.id, q.y FROM «base» a LEFT JOIN (SELECT e.«u» AS x, count(*) AS y FROM «t» e GROUP BY e.«u») q ON q.x = a.«w» WHERE «key»`},
		{"group by words, in two steps", `SELECT a.id, q.y FROM «base» a JOIN «t» f ON f.«w» = a.«w» JOIN (SELECT e.«u» AS x, count(*) AS y FROM «t» e GROUP BY e.«u») q ON q.x = f.«w» WHERE «key»`},
		{"distinct words", `SELECT a.id, q.y FROM «base» a JOIN (SELECT DISTINCT e.«w» AS x, e.«n» AS y FROM «t» e) q ON q.x = a.«w» WHERE «key»`},
		{"distinct on words", `SELECT a.id, q.* FROM «base» a JOIN (SELECT DISTINCT ON (e.«u») e.«u» AS x, e.«n» AS y FROM «t» e ORDER BY e.«u», e.«u»::text, 2) q ON q.x = a.«w» WHERE «key»`},
		{"except words", `SELECT a.id FROM «base» a JOIN (SELECT e.«w» AS x FROM «t» e EXCEPT SELECT f.«w» FROM «t» f) q ON q.x = a.«w» WHERE «key»`},
	}
}

// near lists the templates to choose from: those that are named, or all.
func (g *generator) near() []template {
	all := templates()
	named := slices.DeleteFunc(slices.Clone(all), func(t template) bool { return !slices.Contains(g.Near, t.name) })
	if len(named) == 0 {
		return all
	}
	return named
}

// border makes a query from a random template.
func (g *generator) border(base *table) (name, sql string) {
	t := pick(g.Case, g.near())
	key := make([]string, 0, len(base.key))
	for i, k := range base.key {
		key = append(key, fmt.Sprintf("a.%s = {%d}", k, i))
	}
	numbers := []string{"id", "k", "a", "b", "c"}
	same := pick(g.Case, numbers)
	words := []string{"s", "f"}
	sameWords := pick(g.Case, words)
	replace := map[string]func() string{
		"«base»": func() string { return base.name },
		"«key»":  func() string { return strings.Join(key, " AND ") },
		"«t»":    func() string { return pick(g.Case, g.tables).name },
		"«n»":    func() string { return pick(g.Case, numbers) },
		"«m»":    func() string { return same },
		"«v»":    func() string { return fmt.Sprint(g.r.IntN(domain)) },
		"«w»":    func() string { return pick(g.Case, words) },
		"«u»":    func() string { return sameWords },
	}
	sql = t.sql
	for {
		at := strings.Index(sql, "«")
		if at < 0 {
			return t.name, sql
		}
		end := at + strings.Index(sql[at:], "»") + len("»")
		sql = sql[:at] + replace[sql[at:end]]() + sql[end:]
	}
}
