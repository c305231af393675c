package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
)

// base is a manifest without faults; the cases put one or several into it.
const base = `{
  "slug": "acme",
  "manifestVersion": 0,
  "connections": [
    {"slug": "db", "config": {"connectionType": "postgres", "host": "localhost", "port": 5432, "user": "u", "password": "p", "database": "d"}},
    {"slug": "shop", "config": {"connectionType": "mysql", "host": "localhost", "port": 3306, "user": "u", "password": "p", "database": "d"}}
  ],
  "dataStores": [
    {"connectionSlug": "db", "config": {"connectionType": "postgres", "slotName": "s", "publicationName": "p"}},
    {"connectionSlug": "shop"}
  ],
  "eventStores": [{"connectionSlug": "db"}],
  "publicSchemas": [
    {
      "name": "account", "source": {"dataStoreSlug": "db"}, "outputSchema": {"type": "object"},
      "version": {"major": 1, "minor": 0}, "definitionFile": "a.ts",
      "config": {"publicSchemaType": "postgres", "transformations": [
        {"operation": "insert", "table": "account", "sql": "SELECT id FROM account WHERE id = :id"}
      ]}
    }
  ],
  "consumerSchemas": [
    {
      "name": "to-shop", "sourceManifestSlug": "acme", "publicSchema": {"name": "account", "majorVersion": 1},
      "config": {"consumerSchemaType": "mysql", "destinationDataStoreSlug": "shop",
        "sql": "INSERT INTO a VALUES (:id)",
        "deleteSql": "DELETE FROM a WHERE id = :id"}
    }
  ]
}
`

// A fault is what is replaced in base, and what the errors are.
type fault struct {
	name     string
	old, new string
	want     []string
}

// form has faults that one file tells by itself.
func formFaults() []fault {
	return []fault{
		{"no JSON", `"slug": "acme",`, `"slug": "acme"`, []string{`m.json:3: $: this is not JSON: invalid character '"' after object key:value pair`}},
		{"cut off", base, `{"slug":`, []string{`m.json:1: $: this is not JSON: unexpected end of JSON input`}},
		{"no UTF-8", `"a.ts"`, "\"\xff\"", []string{`m.json:16: $: this is not UTF-8`}},
		{"too deep", `"outputSchema": {"type": "object"}`, `"outputSchema": {"x": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, []string{`m.json:15: $: lists and objects stand in one another more than 100 deep`}},
		{"a list", base, `[]`, []string{`m.json:1: $: has to be an object, and is a list`}},
		{"nothing in it", base, `{}`, []string{`m.json:1: $: slug is missing`, `m.json:1: $: manifestVersion is missing`}},
		{"version", `"manifestVersion": 0`, `"manifestVersion": 1`, []string{`m.json:3: $.manifestVersion: is 1, and this program reads version 0`}},
		{"version as text", `"manifestVersion": 0`, `"manifestVersion": "0"`, []string{`m.json:3: $.manifestVersion: has to be a number, and is a text`}},
		{"version with a fraction", `"manifestVersion": 0`, `"manifestVersion": 0.5`, []string{`m.json:3: $.manifestVersion: has to be a whole number, and is 0.5`}},
		{"slug", `"slug": "acme"`, `"slug": "@evil.example/x"`, []string{`m.json:2: $.slug: "@evil.example/x" has to be a slug: a to z, 0 to 9 and -, or @owner/name`}},
		{"empty slug", `"slug": "acme"`, `"slug": ""`, []string{`m.json:2: $.slug: is empty`}},
		{"unknown fields", `"slug": "acme",`, `"slug": "acme", "a b": 1, "Slug": "x",`, []string{
			`m.json:2: $["a b"]: is not known here; known are $schema, slug, manifestVersion, connections, dataStores, eventStores, publicSchemas, consumerSchemas, workspaces, hub, resolver, checks`,
			`m.json:2: $.Slug: is not known here; known are $schema, slug, manifestVersion, connections, dataStores, eventStores, publicSchemas, consumerSchemas, workspaces, hub, resolver, checks`,
		}},
		{"unknown field inside", `"slotName": "s"`, `"slotname": "s"`, []string{
			`m.json:9: $.dataStores[0].config.slotname: is not known here; known are connectionType, slotName, publicationName, tables, allTables, maxRetainedLog`,
			`m.json:9: $.dataStores[0].config: slotName is missing, which a postgres data store that is a source needs`,
		}},
		{"field twice", `"slug": "acme",`, `"slug": "acme", "slug": "other",`, []string{`m.json:2: $.slug: stands here twice`}},
		{"null", `"eventStores": [{"connectionSlug": "db"}]`, `"eventStores": null`, []string{`m.json:12: $.eventStores: has to be a list, and is null`}},
		{"connection slug", `{"slug": "db", `, `{"slug": "d_b", `, []string{`m.json:5: $.connections[0].slug: "d_b" has to be a slug: a to z, 0 to 9 and -, or @owner/name`}},
		{"connection twice", `{"slug": "shop", `, `{"slug": "db", `, []string{`m.json:6: $.connections[1].slug: DUPLICATE_CONNECTION: db stands at line 5 already, as $.connections[0].slug`}},
		{"connection type", `"connectionType": "mysql", "host"`, `"connectionType": "oracle", "host"`, []string{`m.json:6: $.connections[1].config.connectionType: "oracle" is not one of postgres, mysql, in-memory, disk and nats`}},
		{"connection without a host", `"mysql", "host": "localhost", `, `"mysql", `, []string{`m.json:6: $.connections[1].config: host is missing, which a mysql connection needs`}},
		{"field of another type", `"mysql", "host"`, `"mysql", "stream": "x", "host"`, []string{`m.json:6: $.connections[1].config.stream: a mysql connection has no such field`}},
		{"host with a user", `"mysql", "host": "localhost"`, `"mysql", "host": "u@evil"`, []string{`m.json:6: $.connections[1].config.host: "u@evil" is no name, address or folder of a socket`}},
		{"port", `"port": 3306`, `"port": 70000`, []string{`m.json:6: $.connections[1].config.port: has to be a port's number (1 to 65535), or a reference like "${env:NAME}"`}},
		{"password is not shown", `"port": 3306, "user": "u", "password": "p"`, `"port": 3306, "user": "u", "password": 4711`, []string{`m.json:6: $.connections[1].config.password: has to be a text, and is a number`}},
		{"tls", `"port": 3306,`, `"port": 3306, "tls": {"mode": "prefer"},`, []string{`m.json:6: $.connections[1].config.tls.mode: "prefer" is not one of verify-full, verify-ca, require and disable`}},
		{"role", `"port": 3306,`, `"port": 3306, "roles": {"apply": {}, "read": {"user": "r"}},`, []string{
			`m.json:6: $.connections[1].config.roles.apply: user is missing`,
			`m.json:6: $.connections[1].config.roles.read: is not known here; known are capture, evaluate, store, apply`,
		}},
		{"nats", `{"slug": "shop", "config": {"connectionType": "mysql", "host": "localhost", "port": 3306, "user": "u", "password": "p", "database": "d"}}`, `{"slug": "shop", "config": {"connectionType": "nats", "url": "http://x", "stream": "s", "replicas": 0}}`, []string{
			`m.json:6: $.connections[1].config.replicas: is 0, and has to be 1 to 5`,
			`m.json:6: $.connections[1].config.url: has to be a URL that begins with nats:// or tls://`,
		}},
		{"data store twice", `{"connectionSlug": "shop"}`, `{"connectionSlug": "db"}`, []string{`m.json:10: $.dataStores[1].connectionSlug: DUPLICATE_DATA_STORE: db stands at line 9 already, as $.dataStores[0].connectionSlug`}},
		{"slot", `"slotName": "s"`, `"slotName": "my-slot"`, []string{`m.json:9: $.dataStores[0].config.slotName: "my-slot" has to consist of a to z, 0 to 9 and _, and be 63 long at most`}},
		{"publication missing", `, "publicationName": "p"`, ``, []string{`m.json:9: $.dataStores[0].config: publicationName is missing, which a postgres data store that is a source needs`}},
		{"size", `"slotName": "s"`, `"slotName": "s", "maxRetainedLog": "much"`, []string{`m.json:9: $.dataStores[0].config.maxRetainedLog: has to be a number of bytes, or a text like "10GB"`}},
		{"event store twice", `[{"connectionSlug": "db"}]`, `[{"connectionSlug": "db"}, {"connectionSlug": "db"}]`, []string{`m.json:12: $.eventStores[1].connectionSlug: DUPLICATE_EVENT_STORE: db stands at line 12 already, as $.eventStores[0].connectionSlug`}},
		{"output schema", `"outputSchema": {"type": "object"}`, `"outputSchema": true`, []string{`m.json:15: $.publicSchemas[0].outputSchema: has to be an object, and is true or false`}},
		{"version below zero", `"major": 1, "minor": 0`, `"major": 1, "minor": -1`, []string{`m.json:16: $.publicSchemas[0].version.minor: is -1, and has to be 0 or more`}},
		{"no transformation", `[
        {"operation": "insert", "table": "account", "sql": "SELECT id FROM account WHERE id = :id"}
      ]`, `[]`, []string{`m.json:17: $.publicSchemas[0].config.transformations: is empty, and a public schema needs a transformation`}},
		{"operation", `"operation": "insert"`, `"operation": "upsert"`, []string{`m.json:18: $.publicSchemas[0].config.transformations[0].operation: "upsert" is not one of insert, update and delete`}},
		{"rows", `"table": "account"`, `"table": "account", "rows": "many"`, []string{`m.json:18: $.publicSchemas[0].config.transformations[0].rows: "many" is not one of one`}},
		{"params", `"table": "account"`, `"table": "account", "params": {"ID": "id"}`, []string{`m.json:18: $.publicSchemas[0].config.transformations[0].params.ID: the sql has no placeholder :ID`}},
		{"params and keys", `"table": "account"`, `"table": "account", "params": {"id": "id"}, "keys": "all"`, []string{`m.json:18: $.publicSchemas[0].config.transformations[0].keys: stands beside params; only one of them says which rows a change affects`}},
		{"placeholders of both kinds", `account WHERE id = :id"`, `account WHERE id = :id AND x = $1"`, nil},
		{"optional words", `"definitionFile": "a.ts"`, `"definitionFile": "", "validate": "maybe", "freshness": "soon"`, []string{
			`m.json:16: $.publicSchemas[0].definitionFile: is empty`,
			`m.json:16: $.publicSchemas[0].validate: "maybe" is not one of off, warn and stop`,
			`m.json:16: $.publicSchemas[0].freshness: has to be a time like "30s" or "5m"`,
		}},
		{"upcast", `"definitionFile": "a.ts"`, `"upcast": [{"from": 1, "sql": "SELECT 1"}]`, []string{`m.json:16: $.publicSchemas[0].upcast[0].from: is 1, and has to be a major version before 1`}},
		{"source manifest", `"sourceManifestSlug": "acme"`, `"sourceManifestSlug": "Acme"`, []string{`m.json:24: $.consumerSchemas[0].sourceManifestSlug: "Acme" has to be a slug: a to z, 0 to 9 and -, or @owner/name`}},
		{"onError", `"consumerSchemaType": "mysql",`, `"consumerSchemaType": "mysql", "onError": "skip",`, []string{`m.json:25: $.consumerSchemas[0].config.onError: "skip" is not one of pause and quarantine`}},
		{"name", `"name": "to-shop"`, `"name": "to\nshop"`, []string{`m.json:24: $.consumerSchemas[0].name: has to be 200 bytes at most and without control characters`}},
		{"hub, resolver, checks", `"slug": "acme",`, `"slug": "acme", "hub": {"url": "ftp://x"}, "resolver": {"@evil.example/x": "h:1", "b": "http://h"}, "checks": {"X": {"severity": "loud"}},`, []string{
			`m.json:2: $.checks.X: reason is missing`,
			`m.json:2: $.hub.url: has to be a URL that begins with https:// or http://`,
			`m.json:2: $.resolver["@evil.example/x"]: "@evil.example/x" has to be a slug: a to z, 0 to 9 and -, or @owner/name`,
			`m.json:2: $.resolver.b: has to be host:port`,
			`m.json:2: $.checks.X.severity: "loud" is not one of off, info, warning and error`,
		}},
		{"all at once", `{"connectionSlug": "shop"}
  ],
  "eventStores"`, `{"connectionSlug": 1}
  ],
  "eventstores"`, []string{
			`m.json:10: $.dataStores[1].connectionSlug: has to be a text, and is a number`,
			`m.json:12: $.eventstores: is not known here; known are $schema, slug, manifestVersion, connections, dataStores, eventStores, publicSchemas, consumerSchemas, workspaces, hub, resolver, checks`,
		}},
	}
}

// referenceFaults are faults in what refers to what.
func referenceFaults() []fault {
	return []fault{
		{"connection of a data store", `{"connectionSlug": "shop"}`, `{"connectionSlug": "shop"}, {"connectionSlug": "nix"}`, []string{`m.json:10: $.dataStores[2].connectionSlug: CONNECTION_NOT_FOUND: there is no connection nix`}},
		{"connection of an event store", `[{"connectionSlug": "db"}]`, `[{"connectionSlug": "nix"}]`, []string{`m.json:12: $.eventStores[0].connectionSlug: CONNECTION_NOT_FOUND: there is no connection nix`}},
		{"event store in MySQL", `[{"connectionSlug": "db"}]`, `[{"connectionSlug": "shop"}]`, []string{`m.json:12: $.eventStores[0].connectionSlug: CONNECTION_TYPE_MISMATCH: connection shop is of type mysql, which cannot be an event store`}},
		{"data store's type", `{"connectionSlug": "shop"}`, `{"connectionSlug": "shop", "config": {"connectionType": "in-memory"}}`, []string{`m.json:10: $.dataStores[1].config.connectionType: CONNECTION_TYPE_MISMATCH: is in-memory, and connection shop is of type mysql`}},
		{"data store of a public schema", `"dataStoreSlug": "db"`, `"dataStoreSlug": "nix"`, []string{`m.json:15: $.publicSchemas[0].source.dataStoreSlug: DATA_STORE_NOT_FOUND: there is no data store nix`}},
		{"data store without config", `"dataStoreSlug": "db"`, `"dataStoreSlug": "shop"`, []string{`m.json:15: $.publicSchemas[0].source.dataStoreSlug: DATA_STORE_MISSING_CONFIG: data store shop has no config, so it is a destination only`}},
		{"public schema's type", `"publicSchemaType": "postgres"`, `"publicSchemaType": "mysql"`, []string{`m.json:17: $.publicSchemas[0].config.publicSchemaType: CONNECTION_TYPE_MISMATCH: is mysql, and data store db is of type postgres`}},
		{"destination", `"destinationDataStoreSlug": "shop"`, `"destinationDataStoreSlug": "nix"`, []string{`m.json:25: $.consumerSchemas[0].config.destinationDataStoreSlug: DATA_STORE_NOT_FOUND: there is no data store nix`}},
		{"consumer schema's type", `"consumerSchemaType": "mysql"`, `"consumerSchemaType": "postgres"`, []string{`m.json:25: $.consumerSchemas[0].config.consumerSchemaType: CONNECTION_TYPE_MISMATCH: is postgres, and data store shop is of type mysql`}},
		{"public schema", `"publicSchema": {"name": "account"`, `"publicSchema": {"name": "accounts"`, []string{`m.json:24: $.consumerSchemas[0].publicSchema.name: PUBLIC_SCHEMA_NOT_FOUND: manifest acme has no public schema accounts`}},
		{"major version", `"majorVersion": 1`, `"majorVersion": 2`, []string{`m.json:24: $.consumerSchemas[0].publicSchema.majorVersion: VERSION_MISMATCH: manifest acme has no major version 2 of public schema account; it has 1`}},
		{"public schema twice", `  "publicSchemas": [
`, `  "publicSchemas": [
    {"name": "account", "source": {"dataStoreSlug": "db"}, "outputSchema": {}, "version": {"major": 1, "minor": 1},
     "config": {"publicSchemaType": "postgres", "transformations": [{"operation": "update", "table": "a", "sql": "SELECT 1"}]}},
`, []string{`m.json:17: $.publicSchemas[1].name: DUPLICATE_PUBLIC_SCHEMA: account@1 stands at line 14 already, as $.publicSchemas[0].name`}},
		{"consumer schema twice", `  "consumerSchemas": [
`, `  "consumerSchemas": [
    {"name": "to-shop", "sourceManifestSlug": "other", "publicSchema": {"name": "account", "majorVersion": 1},
     "config": {"consumerSchemaType": "mysql", "destinationDataStoreSlug": "shop", "sql": "SELECT 1"}},
`, []string{`m.json:26: $.consumerSchemas[1].name: DUPLICATE_CONSUMER_SCHEMA: to-shop stands at line 23 already, as $.consumerSchemas[0].name`}},
		{"another manifest is external", `"sourceManifestSlug": "acme"`, `"sourceManifestSlug": "other"`, []string{}},
	}
}

func (f fault) apply(t *testing.T) string {
	t.Helper()
	if strings.Count(base, f.old) != 1 {
		t.Fatalf("%q stands %d times in base", f.old, strings.Count(base, f.old))
	}
	return strings.Replace(base, f.old, f.new, 1)
}

// compare holds an error to what is wanted: every line, and the code of each.
func compare(t *testing.T, err error, want []string) {
	t.Helper()
	var got []string
	if err != nil {
		got = strings.Split(err.Error(), "\n")
	}
	if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
		t.Error(diff)
	}
	if err != nil && rejot.CodeOf(err) != rejot.Invalid {
		t.Errorf("got code %s, want invalid", rejot.CodeOf(err))
	}
}

func TestEveryFaultOfTheFormIsTold(t *testing.T) {
	for _, f := range formFaults() {
		t.Run(f.name, func(t *testing.T) {
			_, err := Parse("m.json", []byte(f.apply(t)))
			if f.want == nil { // the words are sqltext's
				const place = "m.json:18: $.publicSchemas[0].config.transformations[0].sql: "
				if err == nil || !strings.HasPrefix(err.Error(), place) {
					t.Errorf("got %v, want an error that begins with %s", err, place)
				}
				return
			}
			compare(t, err, f.want)
		})
	}
}

func TestEveryFaultOfAReferenceIsTold(t *testing.T) {
	for _, f := range referenceFaults() {
		t.Run(f.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			write(t, "m.json", f.apply(t))
			_, err := Load("m.json")
			compare(t, err, f.want)
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
