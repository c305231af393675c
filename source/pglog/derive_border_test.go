package pglog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rejot.dev/rejot/derive"
)

const borderSchema = `
	CREATE TABLE account (id bigint PRIMARY KEY, code text UNIQUE, team int, name text NOT NULL, parent bigint);
	CREATE TABLE emails (id bigint PRIMARY KEY, account_id bigint, email varchar(40), kind text, team int, UNIQUE (account_id, kind));
	CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, total numeric);
	CREATE TABLE items (order_id bigint, line int, product_id bigint, PRIMARY KEY (order_id, line));
	CREATE TABLE products (id bigint PRIMARY KEY, label text, price numeric);
	CREATE VIEW active AS SELECT id, code, team FROM account WHERE name <> '';
	CREATE VIEW mails AS SELECT account_id, array_agg(email ORDER BY email) AS all_of FROM emails GROUP BY account_id;
	DO $$ DECLARE t text; BEGIN FOREACH t IN ARRAY ARRAY['account', 'emails', 'orders', 'items', 'products'] LOOP
		EXECUTE 'ALTER TABLE ' || t || ' REPLICA IDENTITY FULL'; END LOOP; END $$;`

// planSummary says in one line what was proved: "one" or "many", or what is refused.
func planSummary(p *derive.Plan) string {
	if len(p.Refused) > 0 {
		var codes []string
		for _, r := range p.Refused {
			if s := r.Code + " " + r.Table.Name; !slices.Contains(codes, s) {
				codes = append(codes, s)
			}
		}
		return strings.Join(codes, ", ")
	}
	if p.Many {
		return "many"
	}
	return "one"
}

type borderCase struct{ name, from, want string }

func runBorders(t *testing.T, cases []borderCase) {
	t.Helper()
	conn := deriveConn(t, borderSchema)
	for _, c := range cases {
		sql := c.from
		if !strings.HasPrefix(sql, "SELECT") && !strings.HasPrefix(sql, "WITH") {
			sql = "SELECT a.id FROM account a " + sql
		}
		plan := deriveFor(t, conn, "account", sql)
		if got := planSummary(plan); got != c.want {
			t.Errorf("%s: got %q, want %q\nquery %s\nplan %s", c.name, got, c.want, sql, planText(plan))
		}
	}
}

func TestWhereAConjunctBinds(t *testing.T) {
	runBorders(t, []borderCase{
		{"WHERE", `, emails e WHERE a.id = :id AND e.account_id = a.id`, "many"},
		{"WHERE, other side first", `, emails e WHERE :id = a.id AND a.id = e.account_id`, "many"},
		{"no condition", `, emails e WHERE a.id = :id`, "not-derived emails"},
		{"inner ON", `JOIN emails e ON e.account_id = a.id WHERE a.id = :id`, "many"},
		{"left ON binds the right side", `LEFT JOIN emails e ON e.account_id = a.id WHERE a.id = :id`, "many"},
		{"left ON does not bind the left side", `CROSS JOIN orders o LEFT JOIN emails e ON e.account_id = a.id AND o.customer_id = a.id WHERE a.id = :id`, "not-derived orders"},
		{"left reduced by a strict condition", `CROSS JOIN orders o LEFT JOIN emails e ON e.account_id = a.id AND o.customer_id = a.id WHERE a.id = :id AND e.kind = 'x'`, "many"},
		{"left not reduced by IS NULL", `CROSS JOIN orders o LEFT JOIN emails e ON e.account_id = a.id AND o.customer_id = a.id WHERE a.id = :id AND e.kind IS NULL`, "not-derived orders"},
		{"left reduced by IS NOT NULL", `CROSS JOIN orders o LEFT JOIN emails e ON e.account_id = a.id AND o.customer_id = a.id WHERE a.id = :id AND e.kind IS NOT NULL`, "many"},
		{"right join mirrored", `SELECT a.id FROM emails e RIGHT JOIN account a ON e.account_id = a.id WHERE a.id = :id`, "many"},
		{"full join", `SELECT q.x FROM account a CROSS JOIN LATERAL (SELECT e.kind AS x FROM (SELECT o.id FROM orders o WHERE o.customer_id = a.id) z FULL JOIN emails e ON e.id = z.id) q WHERE a.id = :id`, "not-derived emails"},
		{"full join that a condition reduces", `JOIN (orders o FULL JOIN emails e ON e.id = o.id) ON o.customer_id = a.id WHERE a.id = :id`, "many"},
		{"EXISTS", `WHERE a.id = :id AND EXISTS (SELECT FROM emails e WHERE e.account_id = a.id)`, "one"},
		{"NOT EXISTS", `WHERE a.id = :id AND NOT EXISTS (SELECT FROM emails e WHERE e.account_id = a.id)`, "one"},
		{"EXISTS without link", `WHERE a.id = :id AND EXISTS (SELECT FROM emails e)`, "not-derived emails"},
		{"scalar sub-query", `SELECT a.id, (SELECT max(e.email) FROM emails e WHERE e.account_id = a.id) FROM account a WHERE a.id = :id`, "one"},
		{"LATERAL", `LEFT JOIN LATERAL (SELECT e.email FROM emails e WHERE e.account_id = a.id ORDER BY e.id LIMIT 1) q ON true WHERE a.id = :id`, "one"},
		{"IN", `WHERE a.id = :id AND a.team IN (SELECT e.team FROM emails e)`, "one"},
		{"= ANY", `WHERE a.id = :id AND a.team = ANY (SELECT e.team FROM emails e)`, "one"},
		{"IN of two columns", `WHERE a.id = :id AND (a.id, a.team) IN (SELECT e.account_id, e.team FROM emails e)`, "one"},
		{"IN in ON of a left join", `LEFT JOIN orders o ON o.customer_id = a.id AND o.id IN (SELECT i.order_id FROM items i) WHERE a.id = :id`, "many"},
		{"NOT IN", `WHERE a.id = :id AND a.team NOT IN (SELECT e.team FROM emails e)`, "not-derived emails"},
		{"IN as an output", `SELECT a.id, a.team IN (SELECT e.team FROM emails e) FROM account a WHERE a.id = :id`, "not-derived emails"},
		{"> ANY", `WHERE a.id = :id AND a.team > ANY (SELECT e.team FROM emails e)`, "not-derived emails"},
		{"OR", `, emails e WHERE a.id = :id AND (e.account_id = a.id OR e.team = a.team)`, "not-derived emails"},
		{"NOT", `, emails e WHERE a.id = :id AND NOT e.account_id = a.id`, "not-derived emails"},
		{"CASE", `, emails e WHERE a.id = :id AND CASE WHEN e.account_id = a.id THEN true END`, "not-derived emails"},
		{"coalesce", `, emails e WHERE a.id = :id AND coalesce(e.account_id = a.id, false)`, "not-derived emails"},
		{"FILTER", `SELECT a.id, (SELECT count(*) FILTER (WHERE e.account_id = a.id) FROM emails e) FROM account a WHERE a.id = :id`, "not-derived emails"},
		{"HAVING", `SELECT a.id, e.account_id FROM account a, emails e WHERE a.id = :id GROUP BY a.id, e.account_id HAVING e.account_id = a.id`, "not-derived emails"},
		{"IS NOT DISTINCT FROM", `, emails e WHERE a.id = :id AND e.account_id IS NOT DISTINCT FROM a.id`, "not-derived emails"},
		{"a function", `, emails e WHERE a.id = :id AND abs(e.account_id) = a.id`, "not-derived emails"},
		{"a cast of the user's", `, emails e WHERE a.id = :id AND e.email::text = a.code`, "not-derived emails"},
		{"an implicit relabelling", `, emails e WHERE a.id = :id AND e.email = a.code`, "many"},
		{"COLLATE", `, emails e WHERE a.id = :id AND e.kind COLLATE "C" = a.code`, "not-derived emails"},
		{"a whole row", `, emails e WHERE a.id = :id AND e.* = a.*::text::emails`, "not-derived emails"},
		{"USING", `JOIN emails e USING (team) WHERE a.id = :id`, "many"},
		{"placeholder elsewhere", `, emails e WHERE a.id = :id AND e.account_id = :id`, "many"},
		{"a cycle without the base", `, orders o, items i WHERE a.id = :id AND o.id = i.order_id`, "not-derived orders, not-derived items"},
		{"three joins away", `, orders o, items i, products p WHERE a.id = :id AND o.customer_id = a.id AND i.order_id = o.id AND p.id = i.product_id`, "many"},
	})
}

func TestWhatABarrierPasses(t *testing.T) {
	runBorders(t, []borderCase{
		{"GROUP BY the column", `JOIN (SELECT e.account_id, count(*) AS n FROM emails e GROUP BY e.account_id) q ON q.account_id = a.id WHERE a.id = :id`, "one"},
		{"GROUP BY, an aggregate compared", `JOIN (SELECT e.team, max(e.account_id) AS m FROM emails e GROUP BY e.team) q ON q.m = a.id WHERE a.id = :id`, "not-derived emails"},
		{"GROUP BY of two equal outputs", `JOIN (SELECT e.account_id AS x, e.account_id AS y, count(*) AS n FROM emails e GROUP BY e.account_id) q ON q.x = a.id AND q.y = a.parent WHERE a.id = :id`, "one"},
		{"grouping sets", `JOIN (SELECT e.account_id, count(*) AS n FROM emails e GROUP BY ROLLUP (e.account_id)) q ON q.account_id = a.id WHERE a.id = :id`, "not-derived emails"},
		{"aggregate without GROUP BY", `JOIN (SELECT max(e.account_id) AS m FROM emails e) q ON q.m = a.id WHERE a.id = :id`, "not-derived emails"},
		{"DISTINCT", `JOIN (SELECT DISTINCT e.account_id FROM emails e) q ON q.account_id = a.id WHERE a.id = :id`, "one"},
		{"DISTINCT ON the column", `JOIN (SELECT DISTINCT ON (e.account_id) e.account_id, e.email FROM emails e ORDER BY e.account_id, e.id) q ON q.account_id = a.id WHERE a.id = :id`, "one"},
		{"DISTINCT ON another", `JOIN (SELECT DISTINCT ON (e.team) e.account_id FROM emails e ORDER BY e.team, e.id) q ON q.account_id = a.id WHERE a.id = :id`, "not-derived emails"},
		{"window partitioned by it", `JOIN (SELECT e.account_id, rank() OVER (PARTITION BY e.account_id ORDER BY e.id) AS r FROM emails e) q ON q.account_id = a.id WHERE a.id = :id`, "many"},
		{"window partitioned otherwise", `JOIN (SELECT e.account_id, rank() OVER (PARTITION BY e.team ORDER BY e.id) AS r FROM emails e) q ON q.account_id = a.id WHERE a.id = :id`, "not-derived emails"},
		{"one of two windows otherwise", `JOIN (SELECT e.account_id, rank() OVER (PARTITION BY e.account_id ORDER BY e.id) AS r, count(*) OVER () AS n FROM emails e) q ON q.account_id = a.id WHERE a.id = :id`, "not-derived emails"},
		{"LIMIT", `JOIN (SELECT e.account_id FROM emails e ORDER BY 1 LIMIT 3) q ON q.account_id = a.id WHERE a.id = :id`, "not-derived emails"},
		{"OFFSET", `JOIN (SELECT e.account_id FROM emails e ORDER BY 1 OFFSET 3) q ON q.account_id = a.id WHERE a.id = :id`, "not-derived emails"},
		{"ORDER BY alone", `JOIN (SELECT e.account_id FROM emails e ORDER BY 1) q ON q.account_id = a.id WHERE a.id = :id`, "many"},
		{"recursive CTE", `JOIN (WITH RECURSIVE w(c) AS (SELECT e.account_id FROM emails e UNION SELECT o.customer_id FROM orders o JOIN w ON o.id = w.c) SELECT c FROM w) q ON q.c = a.id WHERE a.id = :id`, "not-derived emails, not-derived orders"},
		{"recursive CTE that is bound inside", `SELECT a.id, (WITH RECURSIVE w(c) AS (SELECT e.id FROM emails e WHERE e.account_id = a.id UNION SELECT o.id FROM orders o JOIN w ON o.id = w.c WHERE o.customer_id = a.id) SELECT count(*) FROM w) FROM account a WHERE a.id = :id`, "one"},
		{"CTE", `WITH q AS (SELECT e.account_id FROM emails e) SELECT a.id FROM account a JOIN q ON q.account_id = a.id WHERE a.id = :id`, "many"},
		{"CTE that is not read", `WITH q AS (SELECT e.account_id FROM emails e) SELECT a.id FROM account a WHERE a.id = :id`, "one"},
		{"CTE that is read twice, once unbound", `WITH q AS (SELECT e.account_id FROM emails e) SELECT a.id FROM account a JOIN q ON q.account_id = a.id, q r WHERE a.id = :id`, "not-derived emails"},
		{"VALUES", `JOIN (VALUES (1), (2)) q(x) ON q.x = a.id WHERE a.id = :id`, "many"},
		{"to a column of VALUES", `JOIN (VALUES (1), (2)) q(x) ON q.x = a.id JOIN emails e ON e.account_id = q.x WHERE a.id = :id`, "not-derived emails"},
		{"TABLESAMPLE", `JOIN emails e TABLESAMPLE BERNOULLI (50) REPEATABLE (1) ON e.account_id = a.id WHERE a.id = :id`, "not-derived emails"},
		{"UNION ALL", `JOIN (SELECT e.account_id AS x FROM emails e UNION ALL SELECT o.customer_id FROM orders o) q ON q.x = a.id WHERE a.id = :id`, "many"},
		{"UNION ALL, one branch not bare", `JOIN (SELECT e.account_id AS x FROM emails e UNION ALL SELECT o.customer_id + 0 FROM orders o) q ON q.x = a.id WHERE a.id = :id`, "not-derived orders"},
		{"UNION ALL as a target, one branch not bare", `JOIN (SELECT e.id AS x, e.account_id AS y FROM emails e UNION ALL SELECT o.id + 0, o.customer_id FROM orders o) q ON q.y = a.id JOIN items i ON i.order_id = q.x WHERE a.id = :id`, "not-derived items"},
		{"UNION ALL as a target", `JOIN (SELECT e.id AS x, e.account_id AS y FROM emails e UNION ALL SELECT o.id, o.customer_id FROM orders o) q ON q.y = a.id JOIN items i ON i.order_id = q.x WHERE a.id = :id`, "many"},
		{"UNION of other types", `JOIN (SELECT e.account_id AS x FROM emails e UNION SELECT e.team FROM emails e) q ON q.x = a.id WHERE a.id = :id`, "not-derived emails"},
		{"EXCEPT", `JOIN (SELECT e.account_id AS x FROM emails e EXCEPT SELECT o.customer_id FROM orders o) q ON q.x = a.id WHERE a.id = :id`, "many"},
		{"INTERSECT", `JOIN (SELECT e.account_id AS x FROM emails e INTERSECT SELECT o.customer_id FROM orders o) q ON q.x = a.id WHERE a.id = :id`, "many"},
		{"view", `JOIN mails m ON m.account_id = a.id WHERE a.id = :id`, "one"},
		{"outer reference as an output", `CROSS JOIN LATERAL (SELECT a.id AS x, e.kind FROM emails e) q JOIN orders o ON o.customer_id = q.x WHERE a.id = :id`, "not-derived emails, not-derived orders"},
	})
}

func TestWhatIsKeyed(t *testing.T) {
	runBorders(t, []borderCase{
		{"primary key", `WHERE a.id = :id`, "one"},
		{"a nullable unique column", `WHERE a.code = :code`, "not-keyed account"},
		{"not the key", `WHERE a.team = :team`, "not-keyed account"},
		{"more than the key", `WHERE a.id = :id AND a.team > :team`, "not-keyed account"},
		{"under OR", `WHERE a.id = :id OR a.parent = :id`, "not-keyed account"},
		{"greater", `WHERE a.id > :id`, "not-keyed account"},
		{"a cast of the column", `WHERE a.id::text = :id`, "not-keyed account"},
		{"a cast of the placeholder", `WHERE a.id = :id::int::bigint`, "not-keyed account"},
		{"the placeholder's type given", `WHERE a.id = :id::bigint`, "one"},
		{"another integer", `WHERE a.id = :id::int`, "one"},
		{"in a derived table", `SELECT q.id FROM (SELECT * FROM account) q WHERE q.id = :id`, "one"},
		{"bound inside a derived table", `SELECT q.id FROM (SELECT * FROM account WHERE id = :id) q`, "one"},
		{"in a view", `SELECT id FROM active WHERE id = :id`, "one"},
		{"in a CTE", `WITH q AS MATERIALIZED (SELECT * FROM account) SELECT id FROM q WHERE id = :id`, "one"},
		{"below a LIMIT", `SELECT q.id FROM (SELECT * FROM account ORDER BY id LIMIT 5) q WHERE q.id = :id`, "not-keyed account"},
		{"nullable", `SELECT a.id FROM orders o LEFT JOIN account a ON a.id = :id WHERE o.id = :id`, "not-keyed account"},
		{"in EXISTS", `SELECT o.id FROM orders o WHERE o.id = :id AND EXISTS (SELECT FROM account a WHERE a.id = :id)`, "not-keyed account"},
		{"below UNION", `SELECT a.id FROM account a WHERE a.id = :id UNION ALL SELECT o.id FROM orders o WHERE o.id = :id`, "not-keyed account"},
		{"aggregate without GROUP BY", `SELECT count(*) FROM account a WHERE a.id = :id`, "not-keyed account"},
		{"aggregate with GROUP BY", `SELECT count(*) FROM account a WHERE a.id = :id GROUP BY a.id`, "one"},
		{"bare HAVING", `SELECT 1 FROM account a WHERE a.id = :id HAVING true`, "not-keyed account"},
		{"empty grouping set", `SELECT 1 FROM account a WHERE a.id = :id GROUP BY ()`, "not-keyed account"},
		{"a join that is grouped", `SELECT a.id, count(*) FROM account a JOIN emails e ON e.account_id = a.id WHERE a.id = :id GROUP BY a.id`, "one"},
		{"not the transformation's table", `SELECT o.id FROM orders o WHERE o.id = :id`, "not-keyed account"},
		{"self join", `JOIN account b ON b.parent = a.id WHERE a.id = :id`, "many"},
	})
}

func TestOneRowAKey(t *testing.T) {
	runBorders(t, []borderCase{
		{"to one by its key", `LEFT JOIN account p ON p.id = a.parent WHERE a.id = :id`, "one"},
		{"to many", `LEFT JOIN account p ON p.parent = a.id WHERE a.id = :id`, "many"},
		{"by a part of a key", `LEFT JOIN emails e ON e.account_id = a.id WHERE a.id = :id`, "many"},
		{"by a key and a constant", `LEFT JOIN emails e ON e.account_id = a.id AND e.kind = 'main' WHERE a.id = :id`, "one"},
		{"one after the other", `LEFT JOIN emails e ON e.account_id = a.id AND e.kind = a.code LEFT JOIN orders o ON o.id = e.id WHERE a.id = :id`, "one"},
		{"by each other", `JOIN orders o ON o.total = a.team JOIN products p ON p.id = o.id AND o.id = p.id AND p.price = a.team WHERE a.id = :id`, "not-derived orders, not-derived products"},
		{"right join", `SELECT a.id FROM emails e RIGHT JOIN account a ON e.id = a.parent WHERE a.id = :id`, "one"},
		{"LIMIT 1", `JOIN emails e ON e.account_id = a.id WHERE a.id = :id ORDER BY e.id LIMIT 1`, "one"},
		{"LIMIT 2", `JOIN emails e ON e.account_id = a.id WHERE a.id = :id ORDER BY e.id LIMIT 2`, "many"},
		{"FETCH FIRST WITH TIES", `JOIN emails e ON e.account_id = a.id WHERE a.id = :id ORDER BY e.team FETCH FIRST 1 ROW WITH TIES`, "many"},
		{"grouped by a nullable side", `SELECT p.name FROM account a JOIN emails e ON e.account_id = a.id LEFT JOIN account p ON p.id = a.parent AND e.team = 1 WHERE a.id = :id GROUP BY p.name`, "many"},
		{"grouped LATERAL", `LEFT JOIN LATERAL (SELECT e.account_id, count(*) AS n FROM emails e WHERE e.account_id = a.id GROUP BY e.account_id) q ON true WHERE a.id = :id`, "one"},
		{"aggregate LATERAL", `CROSS JOIN LATERAL (SELECT count(*) AS n FROM emails e WHERE e.account_id = a.id) q WHERE a.id = :id`, "one"},
		{"a view by its table's key", `LEFT JOIN active p ON p.id = a.parent WHERE a.id = :id`, "one"},
		{"full join of single rows", `CROSS JOIN LATERAL (SELECT l.n FROM (SELECT count(*) AS n FROM emails e WHERE e.account_id = a.id) l FULL JOIN (SELECT count(*) AS n FROM orders o WHERE o.customer_id = a.id) r ON l.n = r.n) q WHERE a.id = :id`, "many"},
		{"set-returning output", `SELECT a.id, generate_series(1, 2) FROM account a WHERE a.id = :id`, "many"},
		{"DISTINCT of fixed columns", `SELECT DISTINCT a.id, a.name FROM account a JOIN emails e ON e.account_id = a.id WHERE a.id = :id`, "one"},
		{"DISTINCT of others", `SELECT DISTINCT a.id, e.kind FROM account a JOIN emails e ON e.account_id = a.id WHERE a.id = :id`, "many"},
	})
}

func TestWayOverThreeJoins(t *testing.T) {
	conn := deriveConn(t, borderSchema)
	plan := deriveFor(t, conn, "account", `SELECT a.id, p.label FROM account a, orders o, items i, products p
		WHERE a.id = :id AND o.customer_id = a.id AND i.order_id = o.id AND p.id = i.product_id`)
	byTable := map[string]derive.Route{}
	for _, r := range plan.Routes {
		byTable[r.Table.Name] = r
	}
	if r := byTable["orders"]; !r.Direct || fmt.Sprint(r.Columns) != "[customer_id]" {
		t.Errorf("orders: %+v", r)
	}
	r := byTable["products"]
	if fmt.Sprint(r.Way) != "[p i o a]" || fmt.Sprint(r.Columns) != "[id]" {
		t.Errorf("products: way %v, columns %v", r.Way, r.Columns)
	}
	want := `SELECT DISTINCT t2."customer_id"::text
FROM (SELECT u.c0::bigint AS c0 FROM ROWS FROM (pg_catalog.unnest($1::text[])) AS u(c0)) t0
JOIN public.items t1 ON t0.c0 OPERATOR(pg_catalog.=) t1."product_id"
JOIN public.orders t2 ON t1."order_id" OPERATOR(pg_catalog.=) t2."id"
WHERE t2."customer_id" IS NOT NULL`
	if r.SQL != want {
		t.Errorf("got %s\nwant %s", r.SQL, want)
	}
}

func TestWhatFollowsFromFacts(t *testing.T) {
	runBorders(t, []borderCase{
		{"base by way of another", `SELECT a.id FROM emails e JOIN account a ON a.id = e.account_id WHERE e.account_id = :id`, "many"},
		{"base by way of a nullable one", `SELECT a.id FROM account a LEFT JOIN emails e ON a.id = e.account_id AND e.account_id = :id`, "not-keyed account"},
		{"GROUP BY the key of a table", `JOIN (SELECT o.id, o.customer_id, count(*) AS n FROM orders o JOIN items i ON i.order_id = o.id GROUP BY o.id) q ON q.customer_id = a.id WHERE a.id = :id`, "many"},
		{"grouped rows and one of them by its key", `JOIN (SELECT o.id, o.customer_id, count(*) AS n FROM orders o JOIN items i ON i.order_id = o.id GROUP BY o.id) q ON q.id = a.id WHERE a.id = :id`, "one"},
	})
}
