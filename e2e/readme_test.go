package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rejot.dev/rejot/internal/dbtest"
)

// documented gives the commands of the program that a page shows in blocks of their own, in its order.
func documented(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", page))
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if trimmed := strings.TrimLeft(line, " "); len(line)-len(trimmed) >= 4 && strings.HasPrefix(trimmed, "bin/rejot ") {
			commands = append(commands, trimmed)
		}
	}
	if len(commands) == 0 {
		t.Fatalf("%s shows no command", page)
	}
	return commands
}

// A reader types what the pages show, in a folder of their own, with their own databases.
type reader struct {
	dir     string
	from    *dbtest.Database
	to      *dbtest.Database
	program *program
	port    string
}

// typed fits a command to the test's databases, program and port, and changes nothing else.
func (r *reader) typed(t *testing.T, command string) string {
	t.Helper()
	for _, db := range []struct {
		user, name string
		is         *dbtest.Database
	}{{"shop", "shop", r.from}, {"reports", "reports", r.to}} {
		command = strings.ReplaceAll(command, "//"+db.user+":", "//"+db.is.User+":")
		command = strings.ReplaceAll(command, "localhost:5432/"+db.name, fmt.Sprintf("%s:%d/%s", db.is.Host, db.is.Port, db.is.Name))
	}
	if rest, is := strings.CutPrefix(command, "bin/rejot status"); is && r.port != "" {
		command = "bin/rejot status --api-port " + r.port + rest
	}
	if strings.HasPrefix(command, "bin/rejot down") || strings.HasPrefix(command, "bin/rejot backfill") {
		command += " --yes" // nobody is there to be asked
	}
	command = strings.ReplaceAll(command, " NAME", " item-to-reports-db")
	return strings.Replace(command, "bin/rejot", binary(t), 1)
}

func (r *reader) env() []string {
	return append(os.Environ(), "SHOP_PASSWORD="+r.from.Password, "REPORTS_PASSWORD="+r.to.Password)
}

func (r *reader) types(t *testing.T, command string) {
	t.Helper()
	if strings.HasPrefix(command, "bin/rejot sync ") {
		r.program = launchIn(t, r.dir, append(strings.Fields(command)[1:], "--api-port", "0"), r.env()...)
		if !r.program.running() {
			t.Fatalf("%s ended with %d", command, r.program.exitCode())
		}
		r.port = r.program.api[strings.LastIndex(r.program.api, ":")+1:]
		r.program.caughtUp(t)
		return
	}
	if strings.HasPrefix(command, "bin/rejot backfill") || command == "bin/rejot down" {
		r.program.stop()
	}
	cmd := exec.Command("sh", "-c", r.typed(t, command))
	cmd.Dir, cmd.Env = r.dir, r.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	if _, table, found := strings.Cut(string(out), "CREATE TABLE"); found {
		end := strings.Index(table, ");")
		r.to.Exec(t, "CREATE TABLE"+table[:end+1]) // as the reader is told
	}
}

// TestTheDocumentedCommandsWork types README's tour and then the commands of docs/operations.md, in
// the order in which a reader meets them.
func TestTheDocumentedCommandsWork(t *testing.T) {
	r := &reader{dir: t.TempDir(), from: dbtest.Postgres(t).NewDatabase(t), to: dbtest.Postgres(t).NewDatabase(t)}
	r.from.Exec(t, itemTable, itemRows)
	for _, command := range documented(t, "README.md") {
		r.types(t, command)
	}
	r.from.Exec(t, `UPDATE item SET name = 'changed' WHERE id = 1`)
	sameRows(t, r.from, itemSource, r.to, itemSource)
	r.program.stop()
	for _, command := range documented(t, "docs/operations.md") {
		r.types(t, command)
	}
}
