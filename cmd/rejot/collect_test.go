package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rejot.dev/rejot/internal/dbtest"
)

// TestColumnsOfASQLFileComeFromItsDatabase types collect as a person does, with the database there, away, and there again.
func TestColumnsOfASQLFileComeFromItsDatabase(t *testing.T) {
	db := dbtest.Postgres(t, dbtest.Private()).NewDatabase(t)
	db.Exec(t, `CREATE TABLE account (id bigint PRIMARY KEY, name text NOT NULL, note text); COMMENT ON COLUMN account.name IS 'what people say'`)
	t.Chdir(t.TempDir())
	t.Setenv("COLLECT_PORT", fmt.Sprint(db.Port))
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rejot-manifest.json", fmt.Sprintf(`{"slug":"accounts","manifestVersion":0,"connections":[{"slug":"db","config":{"connectionType":"postgres","host":%q,"port":"${env:COLLECT_PORT}","user":%q,"password":%q,"database":%q}}]}`,
		db.Host, db.User, db.Password, db.Name))
	const head = "-- rejot: public-schema publish-account 1.0\n-- source: db\n-- table: account\n\n"
	write("account.sql", head+"SELECT id, name FROM account WHERE id = :id;\n")
	collect := func(args ...string) (string, error) {
		t.Helper()
		var out bytes.Buffer
		a := &app{stdout: &out, stderr: &out}
		cmd := newCollectCommand(a)
		cmd.SetArgs(args)
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	if out, err := collect("account.sql", "--write"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile("rejot-manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"description": "what people say"`, `"type": "integer"`, `"port": "${env:COLLECT_PORT}"`, `"sql": "SELECT id, name FROM account WHERE id = :id"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the manifest lacks %s:\n%s", want, text)
		}
	}
	t.Setenv("COLLECT_PORT", "1")
	if out, err := collect("account.sql", "--check"); err != nil {
		t.Errorf("the database is away, and nothing has changed: %v\n%s", err, out)
	}
	write("account.sql", head+"SELECT id, note FROM account WHERE id = :id;\n")
	if _, err := collect("account.sql", "--write"); err == nil || !strings.Contains(err.Error(), "account.sql:5: the columns of this query are not known: data store db cannot be asked: connect to db") {
		t.Errorf("got %v", err)
	}
	if now, _ := os.ReadFile("rejot-manifest.json"); !bytes.Equal(now, text) {
		t.Error("something was written")
	}
	t.Setenv("COLLECT_PORT", fmt.Sprint(db.Port))
	if out, err := collect("account.sql", "--check"); exitCode(err) != exitFound || !strings.Contains(out, `+          "note": {`) {
		t.Errorf("got %v\n%s", err, out)
	}
	write("account.sql", head+"SELECT id, gone FROM account WHERE id = :id;\n")
	if _, err := collect("account.sql", "--check"); exitCode(err) != exitWrong || !strings.Contains(err.Error(), "column \"gone\" does not exist (42703 undefined_column)") {
		t.Errorf("got %v", err)
	}
	if files, _ := filepath.Glob("*"); len(files) != 2 {
		t.Errorf("something is left: %v", files)
	}
}
