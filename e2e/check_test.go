package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rejot.dev/rejot/internal/dbtest"
)

// A found is one finding as --json tells it.
type found struct {
	Rule, Severity, Verdict, Contract, Field, Text, Detail, Mend string
	Place                                                        struct{ File string }
}

// runCheck types rejot check and gives its findings and exit code.
func runCheck(t *testing.T, dir string, args ...string) (list []found, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), append([]string{"check", "--json"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil {
		if !asExit(err, &exit) {
			t.Fatal(err)
		}
		code = exit.ExitCode()
	}
	var report struct{ Findings []found }
	if code <= 1 {
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
	} else {
		t.Logf("exit code %d: %s", code, exit.Stderr)
	}
	return report.Findings, code
}

func asExit(err error, target **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError) //nolint:errorlint // of one call
	*target = e
	return ok
}

// find gives the findings of a rule.
func find(list []found, rule string) []found {
	return slices.DeleteFunc(slices.Clone(list), func(f found) bool { return f.Rule != rule })
}

func rulesOf(list []found) string {
	var names []string
	for _, f := range list {
		names = append(names, f.Severity+" "+f.Rule+": "+f.Contract+": "+f.Text)
	}
	return strings.Join(names, "\n")
}

const (
	orderTables = `
		CREATE TABLE customer (id bigint PRIMARY KEY, name text NOT NULL, code varchar(20), note text);
		CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customer, amount numeric(10,2) NOT NULL);
		CREATE TABLE item (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, name text NOT NULL);
		CREATE TABLE setting (id int PRIMARY KEY, value text NOT NULL);
		CREATE INDEX ON orders (customer_id);
		ALTER TABLE orders REPLICA IDENTITY FULL; ALTER TABLE item REPLICA IDENTITY FULL;
		INSERT INTO customer SELECT i, 'c' || i, 'x', NULL FROM generate_series(1, 20) i;
		INSERT INTO orders SELECT i, 1 + i % 20, i FROM generate_series(1, 200) i;
		INSERT INTO item SELECT i, 1 + i % 200, 'i' FROM generate_series(1, 1000) i`
	orderQuery = `SELECT c.id, c.name, c.code, (SELECT count(*) FROM orders o JOIN item i ON i.order_id = o.id WHERE o.customer_id = c.id) AS items FROM customer c WHERE c.id = :id`
	copyTable  = `CREATE TABLE copy (id bigint PRIMARY KEY, name text NOT NULL, code varchar(20), items bigint)`
	copyUpsert = `INSERT INTO copy (id, name, code, items) VALUES (:id, :name, :code, :items)
		ON CONFLICT (id) DO UPDATE SET name = :name, code = :code, items = :items`
	copyDelete = `DELETE FROM copy WHERE id = :id`
)

func orderSchema() object {
	return object{
		"type": "object", "required": []any{"id", "name", "items"},
		"properties": object{"id": object{"type": "integer"}, "name": object{"type": "string"}, "code": object{"type": []any{"string", "null"}}, "items": object{"type": "integer"}},
	}
}

// checkManifest has one public schema over orderTables and one consumer.
func checkManifest(from, to *dbtest.Database) object {
	schema := publicSchema("customer", "customer", orderQuery)
	schema["outputSchema"] = orderSchema()
	return object{
		"slug": "test", "manifestVersion": 0,
		"connections":     []object{connection("source", from, ""), connection("to", to, "")},
		"dataStores":      []object{sourceStore(), {"connectionSlug": "to"}},
		"publicSchemas":   []object{schema},
		"consumerSchemas": []object{consumerSchema("copy", "customer", "to", "postgres", copyUpsert, copyDelete)},
	}
}

// caseWords are the names of tables, views, types and contracts of which each case has its own.
var caseWords = regexp.MustCompile(`\b(customer|orders|item|setting|copy|lucky|aged|loud|word|tag)(\b|_pkey\b)`)

// numbered gives the names in a text a number, so that many cases fit into one database and one run.
func numbered(n int, text string) string {
	return caseWords.ReplaceAllString(text, fmt.Sprintf("${1}_%d${2}", n))
}

// numberedObjects is numbered for parts of a manifest.
func numberedObjects(t *testing.T, n int, list any) []object {
	t.Helper()
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	var out []object
	if err := json.Unmarshal([]byte(numbered(n, string(text))), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// together makes one manifest of those of all cases.
func together(t *testing.T, all []object) string {
	t.Helper()
	m := object{"connections": all[0]["connections"], "dataStores": all[0]["dataStores"]}
	for _, list := range []string{"publicSchemas", "consumerSchemas"} {
		var parts []object
		for n, one := range all {
			parts = append(parts, numberedObjects(t, n, one[list])...)
		}
		m[list] = parts
	}
	return writeManifest(t, m)
}

// of gives the findings about the contracts of one case.
func of(n int, list []found) []found {
	number := regexp.MustCompile(fmt.Sprintf(`_%d( |$)`, n))
	return slices.DeleteFunc(slices.Clone(list), func(f found) bool { return !number.MatchString(f.Contract) })
}

// A checked situation is one that check --connect finds, or does not.
type checked struct {
	name   string
	rule   string
	setup  string // of the source's tables
	end    string // of the destination's
	change func(m object)
	want   string   // severity; empty: the rule finds nothing
	says   []string // parts of text, detail and mend
}

func query(sql string) func(object)  { return func(m object) { transformation(m)["sql"] = sql } }
func upsert(sql string) func(object) { return func(m object) { consumerConfig(m)["sql"] = sql } }

func declared(change func(properties object)) func(object) {
	return func(m object) { change(part0(m, "publicSchemas")["outputSchema"].(object)["properties"].(object)) }
}

var connected = []checked{
	{name: "nothing is wrong", rule: "SQL_REFUSED"},
	{name: "a column that does not exist", rule: "SQL_REFUSED", change: query(`SELECT id, nothing FROM customer WHERE id = :id`), want: "error", says: []string{"nothing", "does not exist"}},
	{name: "a target that does not exist", rule: "SQL_REFUSED", end: `DROP TABLE copy`, want: "error", says: []string{"its sql", "copy"}},
	{name: "a key that is proved", rule: "NOT_KEYED"},
	{name: "a query that is not bound to a key", rule: "NOT_KEYED", change: query(`SELECT id, name, code, 1::bigint AS items FROM customer WHERE name = :name`), want: "error", says: []string{"customer"}},
	{name: "a table that nothing leads from", rule: "UNLISTENED_TABLE", change: query(`SELECT c.id, (SELECT max(value) FROM setting) AS name FROM customer c WHERE c.id = :id`), want: "error", says: []string{"setting", "params"}},
	{
		name: "a table that is declared", rule: "UNLISTENED_TABLE", change: func(m object) {
			query(`SELECT c.id, (SELECT max(value) FROM setting) AS name FROM customer c WHERE c.id = :id`)(m)
			config := part0(m, "publicSchemas")["config"].(object)
			config["transformations"] = append(config["transformations"].([]object), object{"operation": "insert", "table": "setting", "sql": "SELECT 1", "keys": "all"})
		},
	},
	{name: "old rows that have the column", rule: "IDENTITY_LOST"},
	{name: "old rows that lack the column", rule: "IDENTITY_LOST", setup: `ALTER TABLE orders REPLICA IDENTITY DEFAULT`, want: "error", says: []string{"customer_id", "ALTER TABLE public.orders REPLICA IDENTITY"}},
	{name: "a volatile function behind a view", rule: "NONDETERMINISTIC", setup: `CREATE VIEW lucky AS SELECT id, random() AS r FROM customer`, change: query(`SELECT c.id, l.r AS name FROM customer c JOIN lucky l ON l.id = c.id WHERE c.id = :id`), want: "error", says: []string{"random"}},
	{name: "the clock behind a view", rule: "NONDETERMINISTIC", setup: `CREATE VIEW aged AS SELECT id, now() AS t FROM customer`, change: query(`SELECT c.id, l.t AS name FROM customer c JOIN aged l ON l.id = c.id WHERE c.id = :id`), want: "error", says: []string{"now()"}},
	{name: "CURRENT_DATE behind a view", rule: "NONDETERMINISTIC", setup: `CREATE VIEW aged AS SELECT id, CURRENT_DATE AS t FROM customer`, change: query(`SELECT c.id, l.t AS name FROM customer c JOIN aged l ON l.id = c.id WHERE c.id = :id`), want: "error"},
	{name: "a function that is immutable", rule: "NONDETERMINISTIC", setup: `CREATE VIEW loud AS SELECT id, upper(name) AS t FROM customer`, change: query(`SELECT c.id, l.t AS name FROM customer c JOIN loud l ON l.id = c.id WHERE c.id = :id`)},
	{name: "a column of another type", rule: "OUTPUT_MISMATCH", change: declared(func(p object) { p["name"] = object{"type": "integer"} }), want: "error", says: []string{"name", "text"}},
	{name: "a column that is missing", rule: "OUTPUT_MISMATCH", change: declared(func(p object) { p["more"] = object{"type": "integer"} }), want: "error", says: []string{"more"}},
	{name: "a column that may be NULL", rule: "OUTPUT_MISMATCH", change: declared(func(p object) { p["name"] = object{"type": "string"} }), setup: `ALTER TABLE customer ALTER name DROP NOT NULL`, want: "warning", says: []string{"name", "NULL"}},
	{name: "columns as they are declared", rule: "OUTPUT_MISMATCH"},
	{name: "a target that is NOT NULL", rule: "DESTINATION_CONSTRAINT", end: `ALTER TABLE copy ALTER code SET NOT NULL`, want: "warning", says: []string{"code", "NOT NULL"}},
	{name: "a target that is smaller", rule: "DESTINATION_CONSTRAINT", end: `ALTER TABLE copy ALTER code TYPE varchar(10)`, want: "warning", says: []string{"code", "varying(20)"}},
	{name: "a column that nobody writes", rule: "DESTINATION_CONSTRAINT", end: `ALTER TABLE copy ADD more text NOT NULL`, want: "error", says: []string{"more"}},
	{name: "a target that fits", rule: "DESTINATION_CONSTRAINT"},
	{name: "a target of another type", rule: "CONSUMER_FIELD_UNKNOWN", end: `ALTER TABLE copy ALTER items TYPE date USING NULL`, want: "error", says: []string{"items", "date"}},
	{name: "a target of the same family", rule: "CONSUMER_FIELD_UNKNOWN", end: `ALTER TABLE copy ALTER items TYPE int`},
	{name: "a plain INSERT", rule: "NOT_IDEMPOTENT", change: upsert(`INSERT INTO copy (id, name) VALUES (:id, :name)`), want: "warning"},
	{name: "an upsert", rule: "NOT_IDEMPOTENT"},
	{name: "several rows a key without deleteSql", rule: "DELETES_IGNORED", change: func(m object) {
		query(`SELECT c.id, o.id AS items, c.name, c.code FROM customer c JOIN orders o ON o.customer_id = c.id WHERE c.id = :id`)(m)
		delete(consumerConfig(m), "deleteSql")
	}, want: "error"},
}

func TestCheckConnectAsksTheDatabases(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	manifests := make([]object, len(connected))
	for n, c := range connected {
		db.Exec(t, numbered(n, orderTables+";"+copyTable+";"+c.setup+";"+c.end))
		manifests[n] = checkManifest(db, db)
		if c.change != nil {
			c.change(manifests[n])
		}
	}
	all, code := runCheck(t, "", "--connect", together(t, manifests))
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	for n, c := range connected {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			list := of(n, all)
			severity, text := "", ""
			for _, f := range find(list, c.rule) {
				if severity != "error" {
					severity = f.Severity
				}
				text += f.Text + "\n" + f.Detail + "\n" + f.Mend + "\n"
			}
			if severity != c.want {
				t.Errorf("got severity %q, want %q", severity, c.want)
			}
			for _, part := range c.says {
				if !strings.Contains(text, numbered(n, part)) {
					t.Errorf("it does not say %q", part)
				}
			}
			if t.Failed() {
				t.Logf("findings:\n%s", rulesOf(list))
			}
		})
	}
	if made := db.Query(t, `SELECT count(*) FROM pg_namespace WHERE nspname = 'rejot'`); made[0][0] != "0" {
		t.Error("check has written into the destination")
	}
}

func TestCheckConnectDrawsTheWayFromEachTableToTheKey(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, orderTables, copyTable, `ANALYZE`)
	list, _ := runCheck(t, "", "--connect", writeManifest(t, checkManifest(db, db)))
	want := strings.TrimSpace(`
customer (id) is the key; one row a key
+- orders (o in a sub-query) -- orders.customer_id = customer.id --> key                             1 change ~ 1 key
'- item (i in a sub-query) -- item.order_id = orders.id -- orders.customer_id = customer.id --> key  1 change ~ 1 key`)
	drawn := find(list, "DERIVED")
	if len(drawn) != 1 || drawn[0].Detail != want {
		t.Errorf("got %v, want\n%s", drawn, want)
	}
}

func TestCheckNeedsNoDatabaseWithoutConnect(t *testing.T) {
	from := dbtest.Postgres(t).NewDatabase(t)
	m := checkManifest(from, from)
	for _, c := range m["connections"].([]object) {
		c["config"].(object)["password"] = "${env:NOT_SET_ANYWHERE}"
		c["config"].(object)["port"] = 1
	}
	if list, code := runCheck(t, "", writeManifest(t, m)); code != 0 {
		t.Errorf("exit code %d:\n%s", code, rulesOf(list))
	}
}

func TestCheckConnectSaysThatADatabaseCannotBeReached(t *testing.T) {
	from := dbtest.Postgres(t).NewDatabase(t)
	m := checkManifest(from, from)
	m["connections"].([]object)[0]["config"].(object)["port"] = 1
	if _, code := runCheck(t, "", "--connect", writeManifest(t, m)); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
}

func TestCheckConnectNamesMissingPrivileges(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, orderTables, copyTable)
	m := checkManifest(db, db)
	from, to := login(t, m, 0, db, "NOINHERIT"), "other_"+db.Name
	db.Exec(t, `CREATE ROLE `+to+` LOGIN PASSWORD 'x'`, `GRANT SELECT ON customer, orders TO `+from, `GRANT INSERT ON copy TO `+to)
	config := m["connections"].([]object)[1]["config"].(object)
	config["user"], config["password"] = to, "x"
	list, code := runCheck(t, "", "--connect", writeManifest(t, m))
	text := rulesOf(find(list, "SQL_REFUSED"))
	for _, part := range []string{
		"permission denied for table item", "its sql: the server does not accept it: permission denied for table copy",
		"its deleteSql: the server does not accept it: permission denied for table copy", "may not make the schema rejot",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("it does not say %q", part)
		}
	}
	if code != 1 || t.Failed() {
		t.Errorf("exit code %d:\n%s", code, text)
	}
}
