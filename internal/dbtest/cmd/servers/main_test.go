package main

import (
	"os"
	"strings"
	"testing"

	"rejot.dev/rejot/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func typed(t *testing.T, line string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), strings.Split(line, "|"), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestCommandIsToldItsServersAndGivesTheCode(t *testing.T) {
	code, stdout, stderr := typed(t, `postgres|mariadb|--|sh|-c|echo "$POSTGRES1_URL $MARIADB1_HOST"; test -d "$POSTGRES1_DIR"; echo $? $POSTGRES1_DIR; exit 7`)
	if code != 7 || stderr != "" {
		t.Fatalf("got code %d and %q, want 7", code, stderr)
	}
	lines := strings.Fields(stdout)
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "postgres://postgres:") || lines[1] != "127.0.0.1" || lines[2] != "0" {
		t.Fatalf("got %q", stdout)
	}
	if _, err := os.Stat(lines[3]); !os.IsNotExist(err) {
		t.Errorf("got %v, want the server's folder removed", err)
	}
}

func TestWrongUse(t *testing.T) {
	for line, want := range map[string]string{
		"--|true":      "no server named",
		"oracle":       `unknown server "oracle"`,
		"mariadb:10":   `unknown server "mariadb:10"`,
		"postgres:new": `version of "postgres:new" is no number`,
	} {
		if code, _, stderr := typed(t, line); code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: got code %d and %q, want 2 and %q", line, code, stderr, want)
		}
	}
}
