package e2e

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"rejot.dev/rejot/internal/dbtest"
)

// A refusal is a situation that the program does not begin in.
type refusal struct {
	name   string
	setup  []string // at the source, beside the table item
	end    []string // at the destination, beside the table dest
	change func(t *testing.T, m object, from, to *dbtest.Database)
	code   int
	says   []string // parts of what is printed: the thing, the cause, the mend
}

func part0(m object, list string) object { return m[list].([]object)[0] }

func transformation(m object) object {
	return part0(m, "publicSchemas")["config"].(object)["transformations"].([]object)[0]
}

func consumerConfig(m object) object { return part0(m, "consumerSchemas")["config"].(object) }

func setQuery(sql string) func(*testing.T, object, *dbtest.Database, *dbtest.Database) {
	return func(_ *testing.T, m object, _, _ *dbtest.Database) { transformation(m)["sql"] = sql }
}

func setConsumer(field, sql string) func(*testing.T, object, *dbtest.Database, *dbtest.Database) {
	return func(_ *testing.T, m object, _, _ *dbtest.Database) { consumerConfig(m)[field] = sql }
}

// login makes a role without any privilege but to connect, and the connection use it.
func login(t *testing.T, m object, index int, db *dbtest.Database, attributes string) string {
	t.Helper()
	role := "role_" + db.Name
	db.Exec(t, `CREATE ROLE `+role+` LOGIN PASSWORD 'x' `+attributes)
	config := m["connections"].([]object)[index]["config"].(object)
	config["user"], config["password"] = role, "x"
	return role
}

var refusals = []refusal{
	{
		name: "a table that does not exist", change: setQuery(`SELECT id, name FROM nothing WHERE id = :id`), code: 3,
		says: []string{"public schema s", `relation "nothing" does not exist`},
	},
	{
		name: "a column that does not exist", change: setQuery(`SELECT id, nothing FROM item WHERE id = :id`), code: 3,
		says: []string{"public schema s", `column "nothing" does not exist`},
	},
	{name: "SQL that is wrong", change: setQuery(`SELEC id FROM item WHERE id = :id`), code: 2, says: []string{"public schema s", "syntax error"}},
	{name: "a query without a key", change: setQuery(`SELECT id, name FROM item WHERE name = :name`), code: 2, says: []string{"public schema s", "key", "mend"}},
	{
		name: "a replica identity that lacks a column", code: 2,
		setup:  []string{`CREATE TABLE part (id int PRIMARY KEY, item_id int, name text)`},
		change: setQuery(`SELECT i.id, (SELECT min(name) FROM part p WHERE p.item_id = i.id) AS name FROM item i WHERE i.id = :id`),
		says:   []string{"part", "item_id", "ALTER TABLE public.part REPLICA IDENTITY"},
	},
	{
		name: "a table that nothing leads from to the key", code: 2,
		setup:  []string{`CREATE TABLE setting (id int PRIMARY KEY, name text)`},
		change: setQuery(`SELECT i.id, (SELECT max(name) FROM setting) AS name FROM item i WHERE i.id = :id`),
		says:   []string{"setting", "params", "keys", "all"},
	},
	{name: "a placeholder that the public schema does not have", change: setConsumer("sql", `INSERT INTO dest VALUES (:id, :nothing)`), code: 2, says: []string{"consumer schema c", ":nothing", ":name"}},
	{name: "a destination table that does not exist", change: setConsumer("sql", `INSERT INTO nothing VALUES (:id, :name)`), code: 3, says: []string{"consumer schema c", `relation "nothing" does not exist`}},
	{name: "two statements", change: setConsumer("sql", `INSERT INTO dest VALUES (:id, :name); DELETE FROM dest`), code: 2, says: []string{"$.consumerSchemas[0].config.sql", "a second statement"}},
	{
		name: "a role that may not replicate", code: 3,
		change: func(t *testing.T, m object, from, _ *dbtest.Database) {
			role := login(t, m, 0, from, "")
			from.Exec(t, `GRANT SELECT ON item TO `+role)
		},
		says: []string{"replicat", "ALTER ROLE"},
	},
	{
		name: "a role that may not write", code: 3,
		change: func(t *testing.T, m object, _, to *dbtest.Database) {
			role := login(t, m, 1, to, "")
			to.Exec(t, `GRANT CREATE ON DATABASE `+to.Name+` TO `+role)
		},
		says: []string{"permission denied", "GRANT"},
	},
	{
		name: "a password that is wrong", code: 3,
		change: func(t *testing.T, m object, from, _ *dbtest.Database) {
			login(t, m, 0, from, "")
			part0(m, "connections")["config"].(object)["password"] = "wrong"
		},
		says: []string{"source", "password"},
	},
	{
		name: "a server that does not answer", code: 3,
		change: func(t *testing.T, m object, _, to *dbtest.Database) {
			p := dbtest.NewProxy(t, to.Host+":1")
			p.Pause()
			m["connections"].([]object)[1] = connection("to", to, p.Addr())
		},
		says: []string{"to", "127.0.0.1"},
	},
	{
		name: "a destination that is read only", code: 3, end: nil,
		change: func(t *testing.T, _ object, _, to *dbtest.Database) {
			to.Exec(t, `ALTER DATABASE `+to.Name+` SET default_transaction_read_only = on`)
		},
		says: []string{"read-only"},
	},
	{
		name: "a slot of another database", code: 2,
		change: func(t *testing.T, m object, _, to *dbtest.Database) {
			to.Exec(t, `SELECT pg_create_logical_replication_slot('slot_`+to.Name+`', 'pgoutput')`)
			part0(m, "dataStores")["config"].(object)["slotName"] = "slot_" + to.Name
		},
		says: []string{"slot", "database"},
	},
	{
		name: "a manifest with several errors", code: 2,
		change: func(_ *testing.T, m object, _, _ *dbtest.Database) {
			part0(m, "publicSchemas")["version"] = object{"major": "one", "minor": 0}
			part0(m, "consumerSchemas")["unknownField"] = 1
			part0(m, "dataStores")["connectionSlug"] = "Not A Slug"
		},
		says: []string{"rejot-manifest.json:", "version.major", "unknownField", "connectionSlug"},
	},
}

func TestRefused(t *testing.T) {
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
			from.Exec(t, append([]string{itemTable, itemRows}, r.setup...)...)
			to.Exec(t, append([]string{itemDest}, r.end...)...)
			m := object{
				"connections":     []object{connection("source", from, ""), connection("to", to, "")},
				"dataStores":      []object{sourceStore(), {"connectionSlug": "to"}},
				"publicSchemas":   []object{publicSchema("s", "item", itemQuery)},
				"consumerSchemas": []object{consumerSchema("c", "s", "to", "postgres", itemUpsert, itemDelete)},
			}
			part0(m, "dataStores")["config"].(object)["slotName"] = "slot_" + from.Name
			r.change(t, m, from, to)
			refuse(t, writeManifest(t, m), r.code, r.says)
		})
	}
}

// refuse runs the program, which has to end within 10 s with a code and a text.
func refuse(t *testing.T, manifest string, code int, says []string) {
	t.Helper()
	program := binary(t)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "sync", manifest, "--api-port", "0")
	began := time.Now()
	out, _ := cmd.CombinedOutput() // the code is looked at
	text := string(out)
	if took := time.Since(began); took > 11*time.Second {
		t.Errorf("it took %s", took)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	for _, part := range says {
		if !strings.Contains(text, part) {
			t.Errorf("the text does not say %q", part)
		}
	}
	if strings.Contains(text, "goroutine ") || strings.Contains(text, "panic") {
		t.Error("there is a stack trace")
	}
	if t.Failed() {
		t.Logf("the program printed:\n%s", text)
	}
}

func TestASourceWithoutLogicalDecodingIsRefused(t *testing.T) {
	from, to := dbtest.Postgres(t, dbtest.Setting("wal_level", "replica")).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, itemTable)
	to.Exec(t, itemTable)
	refuse(t, itemManifest(t, from, to), 3, []string{"wal_level", "replica", "ALTER SYSTEM SET wal_level = logical"})
}
