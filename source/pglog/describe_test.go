package pglog

import (
	"fmt"
	"strings"
	"testing"

	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/internal/postgres"
)

const describeTables = `
	CREATE TABLE customer (id bigint PRIMARY KEY, name text NOT NULL, note text);
	CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customer, amount int NOT NULL, remark text);
	CREATE TABLE product (id bigint PRIMARY KEY, name text NOT NULL);
	CREATE TABLE item (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, product_id bigint NOT NULL REFERENCES product);
	ALTER TABLE orders REPLICA IDENTITY FULL; ALTER TABLE item REPLICA IDENTITY FULL;
	CREATE VIEW clock AS SELECT id, now() AS at FROM customer;
	INSERT INTO customer SELECT i, 'c' || i FROM generate_series(1, 10) i;
	INSERT INTO orders SELECT i, 1 + i % 10, i FROM generate_series(1, 100) i;
	INSERT INTO product SELECT i, 'p' || i FROM generate_series(1, 5) i;
	INSERT INTO item SELECT i, 1 + i % 100, 1 + i % 5 FROM generate_series(1, 1000) i;
	ANALYZE`

func described(t *testing.T, s *Source, table, sql string) (plan *derive.Plan, d *postgres.Described) {
	t.Helper()
	err := s.Describe(t.Context(), schemaOf(table, sql), func(p *derive.Plan, about *postgres.Described) { plan, d = p, about })
	if err != nil {
		t.Fatal(err)
	}
	return plan, d
}

func schemaOf(table, sql string) *contract.PublicSchema {
	return &contract.PublicSchema{Transformations: []contract.Transformation{{Operations: []string{"insert"}, Table: table, SQL: sql}}}
}

func TestDescribeTellsWhichColumnsMayBeNull(t *testing.T) {
	s, _ := openSource(t, describeTables)
	for name, c := range map[string]struct{ sql, want string }{
		"columns":       {`SELECT id, name, note FROM customer WHERE id = :id`, "id never, name never, note may"},
		"a left join":   {`SELECT c.id, o.amount FROM customer c LEFT JOIN orders o ON o.id = c.id WHERE c.id = :id`, "id never, amount may"},
		"an inner join": {`SELECT c.id, o.amount FROM customer c JOIN orders o ON o.id = c.id WHERE c.id = :id`, "id never, amount never"},
		"a left join that a condition makes inner": {`SELECT c.id, o.amount FROM customer c LEFT JOIN orders o ON o.id = c.id WHERE c.id = :id AND o.amount > 3`, "id never, amount never"},
		"a condition":            {`SELECT id, note FROM customer WHERE id = :id AND note IS NOT NULL`, "id never, note never"},
		"a sub-query in FROM":    {`SELECT c.id, x.remark, x.amount FROM customer c JOIN (SELECT * FROM orders) x ON x.id = c.id WHERE c.id = :id`, "id never, remark may, amount never"},
		"an expression":          {`SELECT id, upper(note) AS u, upper(name) AS n, coalesce(note, name) AS c, 1 AS one FROM customer WHERE id = :id`, "id never, u may, n ?, c never, one ?"},
		"a set operation's rows": {`SELECT c.id, x.v FROM customer c JOIN LATERAL (SELECT o.remark AS v FROM orders o WHERE o.customer_id = c.id UNION SELECT p.name FROM orders p2 JOIN product p ON p.id = p2.amount WHERE p2.customer_id = c.id) x ON true WHERE c.id = :id`, "id never, v may"},
	} {
		t.Run(name, func(t *testing.T) {
			_, d := described(t, s, "customer", c.sql)
			var got []string
			for i, col := range d.Columns {
				word := "?"
				if d.May[i] {
					word = "may"
				}
				if d.Never[i] {
					word = "never"
				}
				got = append(got, col.Name+" "+word)
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}

func TestDescribeEstimatesTheKeysOfAChange(t *testing.T) {
	s, _ := openSource(t, describeTables)
	plan, d := described(t, s, "customer", `SELECT c.id, (SELECT count(*) FROM orders o JOIN item i ON i.order_id = o.id JOIN product p ON p.id = i.product_id WHERE o.customer_id = c.id) AS n FROM customer c WHERE c.id = :id`)
	got := map[string]string{}
	for i, r := range plan.Routes {
		got[r.Table.Name] = fmt.Sprintf("%.0f", d.FanOut[i])
	}
	// A product stands in 1000/5 items; each leads to one order and so to one customer.
	if want := map[string]string{"customer": "1", "orders": "1", "item": "1", "product": "200"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDescribeFindsFunctionsThatGiveAnotherResultEachTime(t *testing.T) {
	s, _ := openSource(t, describeTables)
	for sql, want := range map[string]string{
		`SELECT c.id, k.at FROM customer c JOIN clock k ON k.id = c.id WHERE c.id = :id`:    "[now()]",
		`SELECT c.id, CURRENT_DATE AS d, upper(c.name) AS u FROM customer c WHERE id = :id`: "[current_timestamp, current_user or the like]",
		`SELECT c.id, pg_backend_pid() AS p FROM customer c WHERE id = :id`:                 "[pg_backend_pid()]",
		`SELECT c.id, statement_timestamp() AS p FROM customer c WHERE id = :id`:            "[statement_timestamp()]",
		`SELECT c.id, upper(c.name) AS u FROM customer c WHERE id = :id`:                    "[]",
	} {
		if _, d := described(t, s, "customer", sql); fmt.Sprint(d.Changing) != want {
			t.Errorf("%s: got %v, want %s", sql, d.Changing, want)
		}
	}
}

func TestDifferencesCountsKeysWhoseRowsDiffer(t *testing.T) {
	s, _ := openSource(t, describeTables)
	old := schemaOf("customer", `SELECT c.id, c.name FROM customer c WHERE c.id = :id AND c.id <= 8`)
	for name, c := range map[string]struct {
		sql                    string
		left, entered, changed int64
	}{
		"the same":           {`SELECT c.id, c.name FROM customer c WHERE c.id = :key AND c.id < 9`, 0, 0, 0},
		"some leave":         {`SELECT c.id, c.name FROM customer c WHERE c.id = :id AND c.id <= 5`, 3, 0, 0},
		"some enter":         {`SELECT c.id, c.name FROM customer c WHERE c.id = :id`, 0, 2, 0},
		"some differ":        {`SELECT c.id, CASE WHEN c.id < 3 THEN '' ELSE c.name END AS name FROM customer c WHERE c.id = :id AND c.id <= 8`, 0, 0, 2},
		"several rows a key": {`SELECT c.id, c.name FROM customer c JOIN orders o ON o.customer_id = c.id WHERE c.id = :id AND c.id <= 8`, 0, 0, 8},
	} {
		t.Run(name, func(t *testing.T) {
			left, entered, changed, err := s.Differences(t.Context(), old, schemaOf("customer", c.sql), []string{"id", "name"})
			if err != nil || left != c.left || entered != c.entered || changed != c.changed {
				t.Errorf("got %d left, %d entered, %d changed, %v; want %d, %d, %d", left, entered, changed, err, c.left, c.entered, c.changed)
			}
		})
	}
	if _, _, _, err := s.Differences(t.Context(), old, schemaOf("orders", `SELECT o.id, o.remark AS name FROM orders o WHERE o.id = :id`), []string{"id"}); err == nil {
		t.Error("two queries of different keys were compared")
	}
}

func TestDescribeNamesTheCollationOfAKey(t *testing.T) {
	s, _ := openSource(t, `CREATE TABLE tag (a text COLLATE "C" PRIMARY KEY, b text NOT NULL UNIQUE)`)
	for column, want := range map[string]string{"a": `pg_catalog."C"`, "b": ""} {
		_, d := described(t, s, "tag", `SELECT a, b FROM tag WHERE `+column+` = :k`)
		if len(d.Collations) != 1 || d.Collations[0] != want {
			t.Errorf("%s: got %q, want %q", column, d.Collations, want)
		}
	}
}
