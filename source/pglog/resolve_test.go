package pglog

import (
	"errors"
	"strings"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// problems gives each problem of resolving a schema as "code: text; mend".
func problems(t testing.TB, s *Source, schema *contract.PublicSchema) []string {
	t.Helper()
	views, err := s.Resolve(t.Context(), []*contract.PublicSchema{schema})
	if err == nil {
		t.Fatalf("it resolves, to %d views", len(views))
	}
	var texts []string
	var split func(error)
	split = func(err error) {
		var joined interface{ Unwrap() []error }
		if errors.As(err, &joined) {
			for _, e := range joined.Unwrap() {
				split(e)
			}
			return
		}
		texts = append(texts, rejot.CodeOf(err).String()+": "+err.Error()+"; "+rejot.MendOf(err))
	}
	split(err)
	return texts
}

func shapeText(v *contract.View) string {
	var b strings.Builder
	for i, c := range v.Shape.Key {
		b.WriteString(c.Name + "=" + v.Key[v.KeyNames[i]].Name + " ")
	}
	b.WriteString("→")
	for _, c := range v.Shape.Row {
		b.WriteString(" " + c.Name)
	}
	if v.Shape.Many {
		b.WriteString(" many")
	}
	return b.String()
}

func TestShapesNameTheKey(t *testing.T) {
	s, _ := openSource(t, accountSchema)
	for name, c := range map[string]struct{ sql, want string }{
		"own name":     {`SELECT a.id, a.first_name FROM account a WHERE a.id = :id`, "id=id → id first_name"},
		"renamed":      {`SELECT a.id AS account_id FROM account a WHERE a.id = :id`, "id=id account_id=id → account_id"},
		"twice":        {`SELECT a.id, a.id AS "accountId" FROM account a WHERE a.id = :x`, "id=id accountId=id → id accountId"},
		"not selected": {`SELECT a.first_name FROM account a WHERE a.id = :id`, "id=id → first_name"},
		"taken":        {`SELECT md5(a.first_name) AS id, a.id AS key FROM account a WHERE a.id = :id`, "key=id → id key"},
		"many":         {`SELECT a.id, e.email FROM account a JOIN account_emails e ON e.account_id = a.id WHERE a.id = :id`, "id=id → id email many"},
		"positional":   {`SELECT a.id FROM account a WHERE a.id = $1;`, "id=id → id"},
		"alias k, q":   {`SELECT k.id, q.email FROM account k LEFT JOIN account_emails q ON q.account_id = k.id AND q.id = k.id WHERE k.id = :id -- the end`, "id=id → id email"},
		"a CTE":        {`WITH a AS (SELECT * FROM account WHERE id = :id) SELECT a.id FROM a`, "id=id → id"},
	} {
		v := resolveOne(t, s, "account", c.sql)
		if got := shapeText(v); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	one := publicSchema(contract.Transformation{Table: "account", SQL: `SELECT a.id, e.email FROM account a JOIN account_emails e ON e.account_id = a.id WHERE a.id = :id`, Rows: "one"})
	wantSame(t, shapeText(resolveView(t, s, one)), "id=id → id email")
}

func TestNamesNeedQuotesAndKeysHaveManyColumns(t *testing.T) {
	s, _ := openSource(t, `CREATE SCHEMA "Shop s"; CREATE TABLE "Shop s"."Order ""Line" ("Order" int, line varchar(5), "Pro;duct" text, note text, PRIMARY KEY (line, "Order"));
		INSERT INTO "Shop s"."Order ""Line" VALUES (1, 'a', 'p', 'x'), (1, 'b', 'p', NULL), (2, 'a', 'q', 'y')`)
	v := resolveOne(t, s, `"Shop s"."Order ""Line"`, `SELECT l.*, l."Order" AS n FROM "Shop s"."Order ""Line" l WHERE l."Order" = :order AND l.line = :line`)
	wantSame(t, shapeText(v), `line=line Order=Order n=Order → Order line Pro;duct note n`)
	wantSame(t, v.Key[0], rejot.Column{Name: "line", Type: rejot.Type{Name: "character varying(5)"}})
	wantSame(t, ask(t, s, v.Rows, []string{"a", "2"}, []string{"c", "1"}, []string{"b", "1"}), []string{"0: 2|a|q|y|2", "2: 1|b|p|NULL|1"})
	wantSame(t, ask(t, s, v.First, []string{"10"}), []string{"a|1", "a|2", "b|1"})
	wantSame(t, ask(t, s, v.Next, []string{"a", "1", "10"}), []string{"a|2", "b|1"})
	wantSame(t, v.Base, contract.TableName{Schema: "Shop s", Name: `Order "Line`})
}

func TestRoutesLeadToKeys(t *testing.T) {
	s, _ := openSource(t, `
		CREATE TABLE customers (id bigint PRIMARY KEY, name text);
		CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint);
		CREATE TABLE items (id bigint PRIMARY KEY, order_id bigint, label text);
		ALTER TABLE items REPLICA IDENTITY FULL; ALTER TABLE orders REPLICA IDENTITY FULL;
		INSERT INTO customers VALUES (1, 'a'), (2, 'b'); INSERT INTO orders VALUES (10, 1), (11, 1), (20, 2)`)
	v := resolveOne(t, s, "customers", `SELECT c.id, (SELECT count(*) FROM orders o JOIN items i ON i.order_id = o.id WHERE o.customer_id = c.id) AS items FROM customers c WHERE c.id = :id`)
	for _, r := range v.Routes {
		if r.Table.Name != "items" {
			continue
		}
		wantSame(t, r.Columns, []string{"order_id"})
		wantSame(t, ask(t, s, r.Keys, []string{"10"}, []string{"NULL"}, []string{"20"}, []string{"11"}, []string{"99"}), []string{"1", "2"})
		return
	}
	t.Error("there is no route from items")
}

func TestPartitionsAreClearedAndEvaluated(t *testing.T) {
	s, _ := openSource(t, `CREATE TABLE part (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);
		CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10); CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (20);
		INSERT INTO part SELECT i, 'x' FROM generate_series(1, 19) i; ANALYZE`)
	v := resolveOne(t, s, "part", `SELECT id, note FROM part WHERE id = :id`)
	wantSame(t, v.Estimate, int64(19))
	var base []bool
	for _, r := range v.Routes {
		base = append(base, r.Base)
	}
	wantSame(t, base, []bool{true, false})
	wantSame(t, ask(t, s, v.Next, []string{"8", "3"}), []string{"10", "11", "9"})
}

const emailsOfAccount = `SELECT a.id, (SELECT ARRAY_AGG(e.email) FROM account_emails e WHERE e.account_id = a.id) AS emails FROM account a WHERE a.id = `

func TestOneTransformationForEachTable(t *testing.T) {
	s, _ := openSource(t, accountSchema)
	one := func(ops, table, sql string) contract.Transformation {
		return contract.Transformation{Operations: strings.Fields(ops), Table: table, SQL: sql}
	}
	for name, schema := range map[string]*contract.PublicSchema{
		"the same for each operation": publicSchema(one("insert", "account", emailsOfAccount+":id"), one("update", "account", emailsOfAccount+":id")),
		"the other table's column": publicSchema(one("insert update", "account", emailsOfAccount+":id"), one("insert update", "account_emails", emailsOfAccount+":account_id"),
			one("delete", "account_emails", emailsOfAccount+":account_id")),
		"the other table first":  publicSchema(one("insert", "account_emails", emailsOfAccount+":account_id"), one("insert", "account", emailsOfAccount+":id")),
		"positional":             publicSchema(one("insert", "account", emailsOfAccount+"$1"), one("insert", "account_emails", emailsOfAccount+"$2")),
		"keyed by the other key": publicSchema(one("insert", "account_emails", `SELECT a.id, array_agg(e2.email) AS emails FROM account a JOIN account_emails e ON e.account_id = a.id LEFT JOIN account_emails e2 ON e2.account_id = a.id WHERE e.id = :id GROUP BY a.id`), one("insert", "account", emailsOfAccount+":id")),
	} {
		v := resolveView(t, s, schema)
		if v.Base.Name != "account" || len(v.Routes) != 2 || !v.Routes[1].Direct || v.Routes[1].Columns[0] != "account_id" {
			t.Errorf("%s: got base %s and routes %v", name, v.Base, v.Routes)
		}
	}
}

func TestWhatIsNotProvedIsDeclared(t *testing.T) {
	s, _ := openSource(t, accountSchema+`CREATE TABLE settings (name text PRIMARY KEY, value text)`)
	sql := `SELECT a.id, (SELECT max(e.email) FROM account_emails e WHERE e.account_id + 0 = a.id) AS email,
		(SELECT value FROM settings WHERE name = 'x') AS x FROM account a WHERE a.id = `
	base := contract.Transformation{Table: "account", SQL: sql + ":id"}
	got := problems(t, s, publicSchema(base))
	if len(got) != 2 || !strings.HasPrefix(got[0], "invalid: public schema publish 1.0: table public.account_emails") || !strings.Contains(got[0], "params") || !strings.Contains(got[1], "public.settings") {
		t.Errorf("got %q", got)
	}
	all := contract.Transformation{Table: "settings", Keys: "all"}
	for name, declared := range map[string]contract.Transformation{
		"params":    {Table: "account_emails", Params: map[string]string{"id": "account_id"}},
		"keys":      {Table: "public.account_emails", Keys: "SELECT :account_id::bigint"},
		"own query": {Table: "account_emails", SQL: sql + ":account_id"},
		"own query with params": {
			Table: "account_emails", SQL: sql + ":acc", Params: map[string]string{"acc": "account_id", "id": "account_id"},
		},
	} {
		v := resolveView(t, s, publicSchema(base, declared, all))
		routes := map[string]contract.Route{}
		for _, r := range v.Routes {
			routes[r.Table.Name] = r
		}
		if !routes["settings"].All || len(routes["account_emails"].Columns) != 1 || routes["account_emails"].Columns[0] != "account_id" {
			t.Errorf("%s: got %v", name, v.Routes)
		}
		if q := routes["account_emails"].Keys; q != nil {
			wantSame(t, ask(t, s, q, []string{"7"}), []string{"7"})
		}
	}
}

func TestProblemsNameSchemaThingAndMend(t *testing.T) {
	s, db := openSource(t, accountSchema+`CREATE TABLE loose (a int, b int); CREATE TABLE part (id int PRIMARY KEY, ref int)`)
	for name, c := range map[string]struct{ table, sql, code, text, mend string }{
		"no table":      {"nothing", `SELECT 1`, "not found", "there is no table nothing", "correct"},
		"no column":     {"account", `SELECT nothing FROM account WHERE id = :id`, "not found", `column "nothing" does not exist`, "correct the query"},
		"syntax":        {"account", `SELEC 1`, "invalid", "syntax error", "correct the query"},
		"two":           {"account", `SELECT 1; SELECT 2`, "invalid", "table public.account", ""},
		"mixed":         {"account", `SELECT id FROM account WHERE id = :id AND id = $1`, "invalid", "table public.account", ""},
		"twice":         {"account", `SELECT id, id FROM account WHERE id = :id`, "invalid", `"id"`, "AS"},
		"no columns":    {"account", `SELECT FROM account WHERE id = :id`, "invalid", "no columns", "select"},
		"a type":        {"account", `SELECT :x AS x, :x + 1 AS y, a.id FROM account a WHERE a.id = :id`, "invalid", "", ""},
		"not keyed":     {"account", `SELECT id FROM account WHERE first_name = :name`, "invalid", "unique key", "bind a whole unique key"},
		"no key at all": {"loose", `SELECT a FROM loose WHERE a = :a`, "invalid", "table public.loose", "unique key"},
		"identity":      {"account", `SELECT a.id, (SELECT count(*) FROM part p WHERE p.ref = a.id) AS n FROM account a WHERE a.id = :id`, "invalid", "table public.part", "REPLICA IDENTITY"},
	} {
		got := problems(t, s, publicSchema(contract.Transformation{Table: c.table, SQL: c.sql}))[0]
		if !strings.HasPrefix(got, c.code+": public schema publish 1.0: ") || !strings.Contains(got, c.text) || !strings.Contains(got[strings.LastIndex(got, ";"):], c.mend) {
			t.Errorf("%s: got %s", name, got)
		}
	}
	wantSame(t, problems(t, s, publicSchema())[0][:43], "invalid: public schema publish 1.0: it has ")
	both := publicSchema(contract.Transformation{Table: "account", SQL: `SELECT id FROM account WHERE id = :id`}, contract.Transformation{Table: "part", SQL: `SELECT ref FROM part WHERE id = :id`})
	if got := problems(t, s, both); len(got) != 1 || !strings.Contains(got[0], "yield other columns") {
		t.Errorf("got %q", got)
	}
	db.Exec(t, `CREATE ROLE little_pglog LOGIN PASSWORD 'little'`)
	store := s.store
	store.Connection.User, store.Connection.Password = "little_pglog", contract.NewSecret("little")
	little, err := Open(t.Context(), Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = little.Close() }()
	got := problems(t, little, publicSchema(contract.Transformation{Table: "account", SQL: accountQuery}))[0]
	if !strings.HasPrefix(got, "denied: ") || !strings.Contains(got, "GRANT SELECT") {
		t.Error(got)
	}
}
