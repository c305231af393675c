package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rejot.dev/rejot/manifest"
)

// A linted situation is near the border of a rule that needs no database.
type linted struct {
	rule   string
	name   string
	change func(m object)
	strict bool
	want   Severity // empty: the rule finds nothing
	says   string
}

func password(m object, s any) {
	m["connections"].([]any)[0].(object)["config"].(object)["password"] = s
}

func consumerSQL(field, sql string) func(m object) {
	return func(m object) { consumer0(m)["config"].(object)[field] = sql }
}

func sourceSQL(sql string) func(m object) {
	return func(m object) { query0(m)["sql"] = sql }
}

var lints = []linted{
	{rule: "MANIFEST_INVALID", name: "an unknown field", change: func(m object) { m["more"] = 1 }, want: Error, says: "$.more"},
	{rule: "MANIFEST_INVALID", name: "two statements", change: consumerSQL("sql", "SELECT 1; SELECT 2"), want: Error, says: "a second statement"},
	{rule: "MANIFEST_INVALID", name: "a data store that does not exist", change: func(m object) { public(m)["source"].(object)["dataStoreSlug"] = "nothing" }, want: Error, says: "DATA_STORE_NOT_FOUND"},
	{rule: "MANIFEST_INVALID", name: "a check without a reason", change: func(m object) { m["checks"] = object{"FIELD_REMOVED": object{"severity": "off"}} }, want: Error, says: "reason"},
	{rule: "MANIFEST_INVALID", name: "nothing is wrong"},
	{rule: "MANIFEST_NOTE", name: "a connection that nobody uses", change: func(m object) {
		m["connections"] = append(m["connections"].([]any), object{"slug": "alone", "config": object{"connectionType": "in-memory"}})
	}, want: Info, says: "UNUSED_CONNECTION"},
	{rule: "MANIFEST_NOTE", name: "connections that are used"},

	{rule: "CHECK_UNKNOWN", name: "no rule's name", change: checks("FIELD_REMOVE", "off", "we know"), want: Error, says: "did you mean FIELD_REMOVED"},
	{rule: "CHECK_UNKNOWN", name: "a rule that cannot be changed", change: checks("MANIFEST_INVALID", "off", "we know"), want: Error},
	{rule: "CHECK_UNKNOWN", name: "blanks as a reason", change: checks("FIELD_REMOVED", "off", "  "), want: Error},
	{rule: "CHECK_UNKNOWN", name: "a rule's name and a reason", change: checks("FIELD_REMOVED", "off", "nobody reads it yet")},

	{rule: "PLAIN_PASSWORD", name: "a password", change: func(m object) { password(m, "secret") }, want: Warning, says: "${env:DB_PASSWORD}"},
	{rule: "PLAIN_PASSWORD", name: "a password, strictly", change: func(m object) { password(m, "secret") }, strict: true, want: Error},
	{rule: "PLAIN_PASSWORD", name: "a reference", change: func(m object) { password(m, "file:secret") }, strict: true},
	{rule: "PLAIN_PASSWORD", name: "no password", change: func(m object) { password(m, "") }, strict: true},
	{rule: "PLAIN_PASSWORD", name: "a role's password", change: func(m object) {
		m["connections"].([]any)[0].(object)["config"].(object)["roles"] = object{"apply": object{"user": "a", "password": "secret"}}
	}, want: Warning, says: "role apply"},
	{rule: "PLAIN_PASSWORD", name: "a hub's token", change: func(m object) { m["hub"] = object{"url": "https://hub.example", "token": "secret"} }, want: Warning, says: "hub"},

	{rule: "OUTPUT_SCHEMA_INVALID", name: "a type that there is not", change: func(m object) { field(m, "name")["type"] = "text" }, want: Error},
	{rule: "OUTPUT_SCHEMA_INVALID", name: "a list", change: func(m object) { public(m)["outputSchema"] = object{"type": "array"} }, want: Error, says: "a row is an object"},
	{rule: "OUTPUT_SCHEMA_INVALID", name: "a reference to elsewhere", change: func(m object) { field(m, "name")["$ref"] = "https://example.com/x.json" }, want: Error, says: "$defs"},
	{rule: "OUTPUT_SCHEMA_INVALID", name: "a reference inside", change: func(m object) {
		public(m)["outputSchema"].(object)["$defs"] = object{"n": object{"type": "string"}}
		fieldsIn(m)["name"] = object{"$ref": "#/$defs/n"}
	}},
	{rule: "OUTPUT_SCHEMA_INVALID", name: "a schema that names itself", change: func(m object) { fieldsIn(m)["tags"] = object{"$ref": "#"} }},
	{rule: "OUTPUT_SCHEMA_OPEN", name: "no fields", change: func(m object) { public(m)["outputSchema"] = object{"type": "object"} }, want: Info},
	{rule: "OUTPUT_SCHEMA_OPEN", name: "fields"},

	{rule: "NOT_KEYED", name: "no placeholder", change: func(m object) {
		c := public(m)["config"].(object)
		c["transformations"] = []any{object{"operation": "insert", "table": "account", "sql": "SELECT id FROM account"}}
	}, want: Error},
	{rule: "NOT_KEYED", name: "a placeholder"},

	{rule: "DELETES_IGNORED", name: "no deleteSql", change: func(m object) { delete(consumer0(m)["config"].(object), "deleteSql") }, want: Warning},
	{rule: "DELETES_IGNORED", name: "a deleteSql"},

	{rule: "PUBLIC_SCHEMA_EXTERNAL", name: "another manifest's", change: func(m object) { consumer0(m)["sourceManifestSlug"] = "other" }, want: Info},
	{rule: "PUBLIC_SCHEMA_EXTERNAL", name: "this manifest's"},

	{rule: "DEFINITION_MISSING", name: "a file that is gone", change: func(m object) { public(m)["definitionFile"] = "schemas/gone.ts" }, want: Warning, says: "schemas/gone.ts"},
	{rule: "DEFINITION_MISSING", name: "a file that is there", change: func(m object) { public(m)["definitionFile"] = "here.ts" }},

	{rule: "CONSUMER_FIELD_UNKNOWN", name: "a field that does not exist", change: consumerSQL("sql", "INSERT INTO copy (id) VALUES (:nothing)"), want: Error, says: ":nothing"},
	{rule: "CONSUMER_FIELD_UNKNOWN", name: "fields that exist"},
	{rule: "CONSUMER_FIELD_UNKNOWN", name: "in deleteSql", change: consumerSQL("deleteSql", "DELETE FROM copy WHERE id = :nothing"), want: Error, says: "deleteSql"},
	{rule: "CONSUMER_FIELD_UNKNOWN", name: "the key's column, which is no field", change: func(m object) {
		replaceSQL(m, "a.id = :id", "a.number = :account")
		consumerSQL("deleteSql", "DELETE FROM copy WHERE id = :number")(m)
	}},
	{rule: "CONSUMER_FIELD_UNKNOWN", name: "one number too many", change: positional("INSERT INTO copy VALUES ($1, $8)"), want: Error, says: "$8"},
	{rule: "CONSUMER_FIELD_UNKNOWN", name: "numbers of fields", change: positional("INSERT INTO copy VALUES ($1, $7)")},
	{rule: "CONSUMER_FIELD_UNKNOWN", name: "a colon in a string, a cast and a comment", change: consumerSQL("sql", "INSERT INTO copy (id, at) VALUES (:id, ':no'::text) -- :neither")},

	{rule: "NONDETERMINISTIC", name: "the clock", change: sourceSQL("SELECT a.id FROM account a WHERE a.id = :id AND a.born < now()"), want: Error, says: "now"},
	{rule: "NONDETERMINISTIC", name: "the clock without brackets", change: sourceSQL("SELECT a.id, CURRENT_TIMESTAMP AS t FROM account a WHERE a.id = :id"), want: Error},
	{rule: "NONDETERMINISTIC", name: "a random number", change: sourceSQL("SELECT a.id, random() AS r FROM account a WHERE a.id = :id"), want: Error},
	{rule: "NONDETERMINISTIC", name: "a column of that name", change: sourceSQL("SELECT a.id, a.now, a.current_date, 'random()' AS r FROM account a WHERE a.id = :id -- now()")},
	{rule: "NONDETERMINISTIC", name: "an alias of that name", change: sourceSQL("SELECT a.id, a.x AS current_date FROM account a WHERE a.id = :id")},
	{rule: "AGGREGATE_ORDER", name: "no order", change: sourceSQL("SELECT a.id, (SELECT array_agg(e.x) FROM e WHERE e.a = a.id) AS x FROM account a WHERE a.id = :id"), want: Warning, says: "array_agg(x ORDER BY x)"},
	{rule: "AGGREGATE_ORDER", name: "an order inside an argument", change: sourceSQL("SELECT a.id, json_agg((SELECT x FROM y ORDER BY x LIMIT 1)) AS x FROM account a WHERE a.id = :id GROUP BY a.id"), want: Warning},
	{rule: "AGGREGATE_ORDER", name: "an order", change: sourceSQL("SELECT a.id, (SELECT ARRAY_AGG(e.x ORDER BY e.x) FROM e WHERE e.a = a.id) AS x FROM account a WHERE a.id = :id")},
	{rule: "AGGREGATE_ORDER", name: "an aggregate that needs none", change: sourceSQL("SELECT a.id, (SELECT max(e.x) FROM e WHERE e.a = a.id) AS x FROM account a WHERE a.id = :id")},
}

func checks(id, severity, reason string) func(m object) {
	return func(m object) { m["checks"] = object{id: object{"severity": severity, "reason": reason}} }
}

func positional(sql string) func(m object) {
	return func(m object) {
		consumerSQL("sql", sql)(m)
		consumerSQL("deleteSql", "DELETE FROM copy WHERE id = $1")(m)
	}
}

// inspected writes a manifest into a folder and reads it as the command does.
func inspectedManifest(t *testing.T, m object) ([]*manifest.Manifest, []manifest.Problem) {
	t.Helper()
	dir := t.TempDir()
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{manifest.FileName: text, "here.ts": []byte("// a\nexport default createPublicSchema(\"account\", {})\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, problems, err := manifest.Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all, problems
}

func TestLintFindsItsSideOfTheBorder(t *testing.T) {
	for _, c := range lints {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			m := before()
			if c.change != nil {
				c.change(m)
			}
			manifests, problems := inspectedManifest(t, m)
			report := Lint(manifests, problems, c.strict)
			report.Finish(manifests)
			var got Severity
			text := ""
			for _, f := range report.Findings {
				if f.Rule == c.rule {
					got = f.Severity
					text += f.Text + " " + f.Mend + "\n"
				}
			}
			if got != c.want || !strings.Contains(text, c.says) {
				t.Errorf("got severity %q, want %q; it says %q, want %q; all findings:\n%s", got, c.want, text, c.says, lines(report))
			}
		})
	}
}

func TestFindingStandsWhereTheContractIsDefined(t *testing.T) {
	m := before()
	public(m)["definitionFile"] = "here.ts"
	public(m)["outputSchema"] = object{"type": "object"}
	manifests, problems := inspectedManifest(t, m)
	found := 0
	for _, f := range Lint(manifests, problems, false).Findings {
		if f.Rule != "OUTPUT_SCHEMA_OPEN" {
			continue
		}
		if found++; filepath.Base(f.Place.File) != "here.ts" || f.Place.Line != 2 {
			t.Errorf("got %s, want here.ts:2", f.Place)
		}
	}
	if found == 0 {
		t.Error("the rule finds nothing")
	}
}

func TestARuleThatIsNotThereIsComparedByItsLetters(t *testing.T) {
	for id, want := range map[string]string{"FıELD_": "FIELD_ADDED", "field_remov": "FIELD_REMOVED", "ſſ": ""} {
		if got := nearest(id); got != want {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
}

// A schema that names itself many times would have more shapes than there is memory.
func TestASchemaThatNamesItselfOftenIsRead(t *testing.T) {
	self := object{"$ref": "#/$defs/node"}
	fields := object{}
	for _, name := range strings.Split("and or not left right some all none", " ") {
		fields[name] = self
	}
	raw, err := json.Marshal(object{"type": "object", "properties": object{"filter": self}, "$defs": object{"node": object{"type": "object", "properties": fields}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseShape(raw)
	if err != nil || len(s.fields["filter"].fields) != 8 {
		t.Errorf("got %v, error %v", s, err)
	}
}

func TestS1SecretInAManifestIsAFindingThatDoesNotShowIt(t *testing.T) {
	m := before()
	password(m, "s3cr3t-canary")
	m["hub"] = object{"url": "https://u:s3cr3t-canary@hub.example", "token": "s3cr3t-canary"}
	manifests, problems := inspectedManifest(t, m)
	report := Lint(manifests, problems, false)
	if !report.Has("PLAIN_PASSWORD") {
		t.Error("it is not found")
	}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	if sarif, err := report.SARIF(""); err != nil || strings.Contains(string(text)+string(sarif), "canary") {
		t.Errorf("a secret is shown, or %v", err)
	}
}

func TestAColumnWithACheckIsNotProvedToTakeNull(t *testing.T) {
	for _, c := range []struct {
		target  Target
		refuses bool
	}{
		{Target{Column: &Column{Name: "a", Type: "text", Nullable: true}}, false},
		{Target{Column: &Column{Name: "a", Type: "text", Nullable: true}, Check: true}, true},
		{Target{Column: &Column{Name: "a", Type: "text"}}, true},
	} {
		if got := c.target.refuses(change{rule: "NOT_NULL_TO_NULLABLE"}, "text"); (got != "") != c.refuses {
			t.Errorf("%+v: %q", c.target, got)
		}
	}
}
