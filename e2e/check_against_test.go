package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rejot.dev/rejot/internal/dbtest"
)

// A judged change is one of a public schema that check --connect --against judges with the databases' help.
type judged struct {
	name   string
	rule   string
	setup  string // of the source's tables
	end    string // of the destination's
	before func(properties, schema object)
	change func(properties, schema object)
	want   string // verdict; empty: the rule finds nothing
	says   string // part of text and detail
}

func setSQL(sql string) func(_, schema object) {
	return func(_, schema object) {
		schema["config"].(object)["transformations"].([]object)[0]["sql"] = sql
	}
}

func replaced(old, now string) func(_, schema object) {
	return setSQL(strings.Replace(orderQuery, old, now, 1))
}

var againstDatabases = []judged{
	{
		name: "a value may be NULL, and the target takes that", rule: "NOT_NULL_TO_NULLABLE", end: `ALTER TABLE copy ALTER name DROP NOT NULL`,
		change: func(p, _ object) { p["name"] = object{"type": []any{"string", "null"}} }, want: "compatible", says: "proved: consumer schema copy takes it",
	},
	{
		name: "a value may be NULL, and the target does not take that", rule: "NOT_NULL_TO_NULLABLE",
		change: func(p, _ object) { p["name"] = object{"type": []any{"string", "null"}} }, want: "unless", says: "column name (text), which may not be NULL",
	},
	{
		name: "an outer join, and the target takes NULL", rule: "NOT_NULL_TO_NULLABLE", setup: `ALTER TABLE orders ADD note text NOT NULL DEFAULT ''`,
		before: joined("JOIN"), change: joined("LEFT JOIN"), want: "compatible", says: "outer join",
	},
	{
		name: "an outer join, and the target does not take NULL", rule: "NOT_NULL_TO_NULLABLE", setup: `ALTER TABLE orders ADD note text NOT NULL DEFAULT ''`,
		end: `ALTER TABLE copy ALTER code SET NOT NULL`, before: joined("JOIN"), change: joined("LEFT JOIN"), want: "unless", says: "outer join",
	},
	{
		name: "an outer join that a condition makes an inner one", rule: "NOT_NULL_TO_NULLABLE", setup: `ALTER TABLE orders ADD note text NOT NULL DEFAULT ''`,
		before: joined("JOIN"), change: func(_, s object) {
			setSQL(`SELECT c.id, c.name, o.note AS code, 0::bigint AS items FROM customer c LEFT JOIN orders o ON o.id = c.id WHERE c.id = :id AND o.amount > 0`)(nil, s)
		},
	},
	{
		name: "an enumeration grows, and the target is text", rule: "ENUM_VALUE_ADDED",
		before: func(p, _ object) { p["name"] = object{"type": "string", "enum": []any{"a"}} },
		change: func(p, _ object) { p["name"] = object{"type": "string", "enum": []any{"a", "b"}} }, want: "compatible",
	},
	{
		name: "an enumeration grows, and a CHECK speaks of the target", rule: "ENUM_VALUE_ADDED", end: `ALTER TABLE copy ADD CHECK (name IN ('a'))`,
		before: func(p, _ object) { p["name"] = object{"type": "string", "enum": []any{"a"}} },
		change: func(p, _ object) { p["name"] = object{"type": "string", "enum": []any{"a", "b"}} }, want: "unless",
	},
	{
		name: "an enumeration grows, and the target is another one", rule: "ENUM_VALUE_ADDED",
		end:    `CREATE TYPE word AS ENUM ('a'); ALTER TABLE copy ALTER name TYPE word USING 'a'`,
		before: func(p, _ object) { p["name"] = object{"type": "string", "enum": []any{"a"}} },
		change: func(p, _ object) { p["name"] = object{"type": "string", "enum": []any{"a", "b"}} }, want: "unless", says: "an enumeration without b",
	},
	{
		name: "a type is wider, and the target takes it", rule: "TYPE_WIDENED",
		before: replaced("AS items", "::int AS items"), change: replaced("AS items", " AS items"), want: "compatible",
	},
	{
		name: "a type is wider, and the target is smaller", rule: "TYPE_WIDENED", end: `ALTER TABLE copy ALTER items TYPE int`,
		before: replaced("AS items", "::int AS items"), change: replaced("AS items", " AS items"), want: "unless", says: "smaller than bigint",
	},
	{
		name: "a length grows, and the target takes it", rule: "PRECISION",
		before: replaced("c.code", "c.code::varchar(10) AS code"), change: replaced("c.code", "c.code"), want: "compatible",
	},
	{
		name: "a length grows, and the target is smaller", rule: "PRECISION", end: `ALTER TABLE copy ALTER code TYPE varchar(10)`,
		before: replaced("c.code", "c.code::varchar(10) AS code"), change: replaced("c.code", "c.code"), want: "unless",
	},
	{
		name: "a zone is gone", rule: "TIMESTAMP", before: replaced("c.code", "'2020-01-01'::timestamptz AS code"),
		change: replaced("c.code", "'2020-01-01'::timestamp AS code"), want: "breaking",
	},
	{
		name: "rows leave", rule: "FILTER_NARROWED", change: replaced("WHERE c.id = :id", "WHERE c.id = :id AND c.id > 5"), want: "review", says: "5 keys leave",
	},
	{
		name: "a condition that no row fails", rule: "FILTER_NARROWED", change: replaced("WHERE c.id = :id", "WHERE c.id = :id AND c.id > 0"),
	},
	{
		name: "rows enter", rule: "FILTER_WIDENED", before: replaced("WHERE c.id = :id", "WHERE c.id = :id AND c.id > 5"), change: replaced("", ""), want: "review", says: "5 keys enter",
	},
	{
		name: "values differ", rule: "EXPRESSION_CHANGED", change: replaced("c.name,", "CASE WHEN c.id = 7 THEN 'x' ELSE c.name END AS name,"), want: "review", says: "1 key have other values",
	},
	{
		name: "a query that says the same in another way", rule: "FILTER_WIDENED", change: replaced("WHERE c.id = :id", "WHERE :id = c.id AND true"),
	},
	{
		name: "a key may have several rows", rule: "CARDINALITY_MANY",
		change: setSQL(`SELECT c.id, c.name, c.code, o.id AS items FROM customer c JOIN orders o ON o.customer_id = c.id WHERE c.id = :id`), want: "breaking",
	},
	{
		name: "a key is another column", rule: "KEY_CHANGED", setup: `CREATE TABLE tag (a text PRIMARY KEY, b text COLLATE "C" UNIQUE NOT NULL)`,
		before: func(_, s object) { tagged(s, "a") }, change: func(_, s object) { tagged(s, "b") }, want: "breaking",
	},
	{
		name: "the query of another table tells what a change affects", rule: "TRANSFORMATION_REMOVED",
		before: func(_, s object) {
			c := s["config"].(object)
			c["transformations"] = append(c["transformations"].([]object), object{"operation": "insert", "table": "orders", "sql": strings.Replace(orderQuery, "c.id = :id", "c.id = :customer_id", 1)})
		},
		change: func(_, s object) {
			c := s["config"].(object)
			c["transformations"] = c["transformations"].([]object)[:1]
		},
		want: "compatible",
	},
	{
		name: "never NULL is proved", rule: "NULLABLE_TO_NOT_NULL",
		before: func(p, _ object) { p["name"] = object{"type": []any{"string", "null"}} }, change: func(p, _ object) { p["name"] = object{"type": "string"} }, want: "compatible",
	},
	{
		name: "never NULL is not proved", rule: "NULLABLE_TO_NOT_NULL", setup: `ALTER TABLE customer ALTER name DROP NOT NULL`,
		before: func(p, _ object) { p["name"] = object{"type": []any{"string", "null"}} }, change: func(p, _ object) { p["name"] = object{"type": "string"} }, want: "review",
	},
}

func joined(how string) func(_, schema object) {
	return setSQL(`SELECT c.id, c.name, o.note AS code, 0::bigint AS items FROM customer c ` + how + ` orders o ON o.id = c.id WHERE c.id = :id`)
}

func tagged(schema object, key string) {
	t := schema["config"].(object)["transformations"].([]object)[0]
	t["table"], t["sql"] = "tag", fmt.Sprintf("SELECT 1::bigint AS id, t.a AS name, t.b AS code, 1::bigint AS items FROM tag t WHERE t.%s = :%[1]s", key)
}

// state is a manifest with its one public schema changed by steps.
func state(db *dbtest.Database, minor int, steps ...func(properties, schema object)) object {
	m := checkManifest(db, db)
	schema := part0(m, "publicSchemas")
	schema["version"] = object{"major": 1, "minor": minor}
	output := orderSchema()
	schema["outputSchema"] = output
	for _, s := range steps {
		if s != nil {
			s(output["properties"].(object), schema)
		}
	}
	return m
}

func TestCheckAgainstIsProvedByTheDatabases(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	old, now := make([]object, len(againstDatabases)), make([]object, len(againstDatabases))
	for n, c := range againstDatabases {
		db.Exec(t, numbered(n, orderTables+";"+copyTable+";"+c.setup+";"+c.end))
		old[n], now[n] = state(db, 0, c.before), state(db, 1, c.before, c.change)
	}
	all, _ := runCheck(t, "", "--connect", "--against", together(t, old), together(t, now))
	for n, c := range againstDatabases {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			list := of(n, all)
			verdict, text := "", ""
			for _, f := range find(list, c.rule) {
				verdict = f.Verdict
				text += f.Text + "\n" + f.Detail
			}
			if verdict != c.want || !strings.Contains(text, numbered(n, c.says)) {
				t.Errorf("got verdict %q, want %q; it says %q, want %q\n%s", verdict, c.want, text, c.says, rulesOf(list))
			}
		})
	}
}

func runGit(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func saveManifest(t *testing.T, path string, m object) {
	t.Helper()
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// offlineState is a manifest that names no server.
func offlineState(minor int, steps ...func(properties, schema object)) object {
	return state(&dbtest.Database{Host: "db.example", Port: 5432, User: "u", Password: "${env:P}", Name: "d", URL: "postgres://"}, minor, steps...)
}

func TestCheckAgainstAGitRefKnowsWhatNamesMeantBefore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rejot-manifest.json")
	nick := func(expr string) func(p, s object) {
		return func(p, s object) {
			p["nick"] = object{"type": "string"}
			replaced("c.code,", "c.code, "+expr+" AS nick,")(p, s)
		}
	}
	runGit(t, dir, "init", "-q", "-b", "main")
	for i, step := range []func(p, s object){nick("c.nickname"), nil} { // 1.0 has it, 1.1 has it no more
		saveManifest(t, path, offlineState(i, step))
		runGit(t, dir, "add", ".")
		runGit(t, dir, "commit", "-q", "-m", "version")
	}
	saveManifest(t, path, offlineState(2, nick("c.number")))
	list, code := runCheck(t, dir, "--against", "main")
	if got := find(list, "FIELD_NAME_REUSED"); len(got) != 1 || code != 1 {
		t.Errorf("exit code %d, got %v, want one finding\n%s", code, got, rulesOf(list))
	}
	saveManifest(t, path, offlineState(2, nick("c.nickname")))
	list, code = runCheck(t, dir, "--against", "main")
	if got := find(list, "FIELD_NAME_REUSED"); len(got) != 0 || code != 0 {
		t.Errorf("exit code %d, got %v, want none\n%s", code, got, rulesOf(list))
	}
	if list, code = runCheck(t, dir, "--against", "HEAD~1"); len(find(list, "FIELD_REMOVED")) != 0 || code != 0 {
		t.Errorf("exit code %d against HEAD~1\n%s", code, rulesOf(list))
	}
	for _, ref := range []string{"nothing", "--output=x"} {
		if _, code = runCheck(t, dir, "--against="+ref); code != 2 {
			t.Errorf("--against=%s: exit code %d, want 2", ref, code)
		}
	}
}

func TestCheckAgainstAGitRefFollowsTheWorkspacesOfThen(t *testing.T) {
	const file = "rejot-manifest.json"
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir string, root, shop object)
		want   int // SCHEMA_REMOVED
		at     string
	}{
		{"a workspace is taken out", func(t *testing.T, dir string, root, _ object) {
			root["workspaces"] = []any{}
			saveManifest(t, filepath.Join(dir, file), root)
		}, 1, file},
		{"a workspace's folder is gone", func(t *testing.T, dir string, root, _ object) {
			root["workspaces"] = []any{}
			saveManifest(t, filepath.Join(dir, file), root)
			if err := os.RemoveAll(filepath.Join(dir, "shop")); err != nil {
				t.Fatal(err)
			}
		}, 1, file},
		{"a workspace has another slug", func(t *testing.T, dir string, _, shop object) {
			shop["slug"] = "store"
			shop["consumerSchemas"] = []object{}
			saveManifest(t, filepath.Join(dir, "shop", file), shop)
		}, 1, filepath.Join("shop", file)},
		{"a workspace has moved", func(t *testing.T, dir string, root, _ object) {
			if err := os.Rename(filepath.Join(dir, "shop"), filepath.Join(dir, "store")); err != nil {
				t.Fatal(err)
			}
			root["workspaces"] = []any{"store/" + file}
			saveManifest(t, filepath.Join(dir, file), root)
		}, 0, ""},
		{"nothing is changed", func(*testing.T, string, object, object) {}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			shop := offlineState(0)
			shop["slug"] = "shop"
			shop["consumerSchemas"] = []object{}
			root := object{"slug": "root", "manifestVersion": 0, "workspaces": []any{"shop/" + file}}
			dir, path := committed(t, root)
			if err := os.Mkdir(filepath.Join(dir, "shop"), 0o700); err != nil {
				t.Fatal(err)
			}
			saveManifest(t, filepath.Join(dir, "shop", file), shop)
			runGit(t, dir, "add", ".")
			runGit(t, dir, "commit", "-q", "-m", "second")
			c.change(t, dir, root, shop)
			list, _ := runCheck(t, dir, "--against", "main", filepath.Base(path))
			got := find(list, "SCHEMA_REMOVED")
			if len(got) != c.want || c.want > 0 && got[0].Place.File != c.at {
				t.Errorf("got %v, want %d\n%s", got, c.want, rulesOf(list))
			}
		})
	}
}

// withProgram gives an environment in which rejot is the program under test.
func withProgram(t *testing.T) []string {
	t.Helper()
	return append(os.Environ(), "PATH="+filepath.Dir(binary(t))+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// committed makes a repository whose branch origin/main has a manifest.
func committed(t *testing.T, m object) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "rejot-manifest.json")
	runGit(t, dir, "init", "-q", "-b", "main")
	saveManifest(t, path, m)
	runGit(t, dir, "add", ".")
	runGit(t, dir, "commit", "-q", "-m", "first")
	runGit(t, dir, "branch", "origin/main")
	return dir, path
}

func TestExampleHookStopsACommitThatBreaksReaders(t *testing.T) {
	dir, path := committed(t, offlineState(0))
	hook, err := os.ReadFile("../examples/pre-commit/pre-commit")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, ".git", "hooks"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".git", "hooks", "pre-commit"), hook, 0o700); err != nil { //nolint:gosec // git runs it
		t.Fatal(err)
	}
	commit := func() (string, error) {
		runGit(t, dir, "add", ".")
		cmd := exec.CommandContext(t.Context(), "git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "next")
		cmd.Dir, cmd.Env = dir, withProgram(t)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	saveManifest(t, path, offlineState(0, func(p, _ object) { delete(p, "name") }))
	if out, err := commit(); err == nil || !strings.Contains(out, "FIELD_REMOVED") {
		t.Errorf("a commit that removes a field: %v\n%s", err, out)
	}
	saveManifest(t, path, offlineState(1, func(p, _ object) { p["more"] = object{"type": "string"} }))
	if out, err := commit(); err != nil {
		t.Errorf("a commit that adds a field: %v\n%s", err, out)
	}
}

func TestExampleWorkflowWritesSARIF(t *testing.T) {
	dir, path := committed(t, offlineState(0))
	saveManifest(t, path, offlineState(0, func(p, _ object) { delete(p, "name") }))
	workflow, err := os.ReadFile("../examples/github-action/rejot-check.yml")
	if err != nil {
		t.Fatal(err)
	}
	step := regexp.MustCompile(`(?m)^ +- run: (rejot check .*)$`).FindStringSubmatch(string(workflow))
	if step == nil {
		t.Fatal("the workflow runs no rejot check")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", step[1])
	cmd.Dir, cmd.Env = dir, withProgram(t)
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit code 1", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "rejot.sarif"))
	if err != nil || !json.Valid(text) || !strings.Contains(string(text), `"ruleId": "FIELD_REMOVED"`) {
		t.Errorf("%v: %s", err, text)
	}
}

func TestCheckAgainstAURL(t *testing.T) {
	old := offlineState(0)
	mux := http.NewServeMux()
	mux.HandleFunc("/rejot-manifest.json", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(old) // the client tells what did not come
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	now := offlineState(0, func(p, _ object) { maps.Copy(p, object{"more": object{"type": "string"}}) })
	path := writeManifest(t, now)
	list, code := runCheck(t, "", "--against", server.URL+"/rejot-manifest.json", path)
	if code != 1 || len(find(list, "VERSION_STEP")) != 1 {
		t.Errorf("exit code %d\n%s", code, rulesOf(list))
	}
	if _, code := runCheck(t, "", "--against", server.URL+"/nothing", path); code != 3 {
		t.Errorf("exit code %d where there is nothing, want 3", code)
	}
	server.Close()
	if _, code := runCheck(t, "", "--against", server.URL, path); code != 3 {
		t.Errorf("exit code %d where nobody answers, want 3", code)
	}
}
