package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rejot.dev/rejot/internal/dbtest"
)

// connectionString is where a database is, for --source and --sink.
func connectionString(db *dbtest.Database) string {
	kind := "postgresql"
	if !strings.HasPrefix(db.URL, "postgres") {
		kind = "mysql"
	}
	return fmt.Sprintf("%s://%s:%s@%s:%d/%s", kind, db.User, db.Password, db.Host, db.Port, db.Name)
}

// put writes files into a folder.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// pointFiles are the files that docs/point-to-point.md shows.
func pointFiles(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../docs/point-to-point.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, part := range strings.Split(string(page), "```sql\n")[1:] {
		text, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, text)
	}
	if len(blocks) != 2 {
		t.Fatalf("the page shows %d statements, want 2", len(blocks))
	}
	return map[string]string{"item.sql": blocks[0], "items.sql": blocks[1]}
}

// arguments cuts a command as a shell does, with single quotes.
func arguments(command string) []string {
	var all []string
	quoted, word := false, strings.Builder{}
	for _, r := range command + " " {
		switch {
		case r == '\'':
			quoted = !quoted
		case r == ' ' && !quoted:
			all = append(all, word.String())
			word.Reset()
		default:
			word.WriteRune(r)
		}
	}
	return all
}

// An output is what a program prints, line by line.
type output struct {
	mu    sync.Mutex
	lines []string
}

func (o *output) take(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, line)
}

func (o *output) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.lines...)
}

// launchPrinting runs the program with lines of JSON on its standard output. stop ends it and gives its exit code.
func launchPrinting(t *testing.T, dir string, args, env []string) (printed *output, stop func() int) {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	printed = &output{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			printed.take(lines.Text())
		}
		_ = cmd.Wait() // the exit code is looked at
	}()
	stop = func() int {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-ended
		return cmd.ProcessState.ExitCode()
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // likewise
		<-ended
		if t.Failed() {
			t.Logf("the program said:\n%s", log.String())
		}
	})
	return printed, stop
}

// replayed gives the rows that lines of events leave, by their key.
func replayed(t *testing.T, lines []string) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for _, line := range lines {
		var ev struct {
			Op       string
			Row, Key map[string]*string
		}
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		switch ev.Op {
		case "upsert":
			name := "NULL"
			if v := ev.Row["name"]; v != nil {
				name = *v
			}
			rows[*ev.Row["id"]] = name
		case "delete":
			delete(rows, *ev.Key["id"])
		case "truncate":
			clear(rows)
		default:
			t.Fatalf("unknown line %s", line)
		}
	}
	return rows
}

// replays waits until lines leave the rows that a query gives.
func replays(t *testing.T, from *dbtest.Database, query string, lines func() []string) {
	t.Helper()
	dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
		want := map[string]string{}
		for _, row := range from.Query(t, query) {
			want[row[0]] = row[1]
		}
		got := replayed(t, lines())
		return fmt.Sprint(want) == fmt.Sprint(got), fmt.Sprintf("want %v, got %v", want, got)
	})
}

// fileLines gives the whole lines of a file.
func fileLines(t *testing.T, path string) func() []string {
	return func() []string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		whole := string(text[:bytes.LastIndexByte(text, '\n')+1])
		return strings.Split(strings.TrimSuffix(whole, "\n"), "\n")
	}
}

// TestTheDocumentedPointToPointCommandsWork types the commands of docs/point-to-point.md.
func TestTheDocumentedPointToPointCommandsWork(t *testing.T) {
	r := &reader{dir: t.TempDir(), from: dbtest.Postgres(t).NewDatabase(t), to: dbtest.Postgres(t).NewDatabase(t)}
	r.from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 200) i`)
	r.to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
	put(t, r.dir, pointFiles(t))
	const all = `SELECT id, name FROM item ORDER BY id`
	change := func() {
		r.from.Exec(t, `UPDATE item SET name = NULL WHERE id % 7 = 0; DELETE FROM item WHERE id % 11 = 0; INSERT INTO item VALUES (1001, '<ä"\')`,
			`UPDATE item SET id = 1002 WHERE id = 1001`)
	}
	commands := documented(t, "docs/point-to-point.md")
	if len(commands) != 3 {
		t.Fatalf("the page shows %d commands, want 3", len(commands))
	}
	args := func(i int) []string { return append(arguments(r.typed(t, commands[i]))[1:], "--api-port", "0") }
	t.Run("into a database", func(t *testing.T) {
		p := launchIn(t, r.dir, args(0), r.env()...)
		if !p.running() {
			t.Fatal("it has ended")
		}
		p.caughtUp(t)
		change()
		sameRows(t, r.from, all, r.to, all)
		if code := p.stop(); code != 0 {
			t.Errorf("it ended with %d", code)
		}
		r.from.Exec(t, `UPDATE item SET name = 'while it was stopped' WHERE id = 1`)
		launchIn(t, r.dir, args(0), r.env()...)
		sameRows(t, r.from, all, r.to, all)
	})
	t.Run("into a file", func(t *testing.T) {
		path := filepath.Join(r.dir, "item.jsonl")
		p := launchIn(t, r.dir, args(1), r.env()...)
		p.caughtUp(t)
		r.from.Exec(t, `DELETE FROM item WHERE id = 1002`)
		change()
		replays(t, r.from, all, fileLines(t, path))
		p.kill()
		before := len(fileLines(t, path)())
		r.from.Exec(t, `TRUNCATE item; INSERT INTO item SELECT i, 'again' FROM generate_series(1, 150) i`)
		p = launchIn(t, r.dir, args(1), r.env()...)
		replays(t, r.from, all, fileLines(t, path))
		p.stop()
		if lines := fileLines(t, path)(); len(lines) > before+400 || lines[before] != `{"op":"truncate"}` {
			t.Errorf("it did not go on where it was: %d lines, then %d, the next one is %s", before, len(lines), lines[before])
		}
	})
	t.Run("to standard output", func(t *testing.T) {
		out, stop := launchPrinting(t, r.dir, args(2), r.env())
		const part = `SELECT id, name FROM item WHERE id > 100 ORDER BY id`
		replays(t, r.from, part, out.all)
		if n := len(out.all()); n != 50 {
			t.Errorf("%d lines, want those of the 50 rows that the condition is for", n)
		}
		r.from.Exec(t, `UPDATE item SET name = 'changed' WHERE id IN (7, 120)`)
		replays(t, r.from, `SELECT id, name FROM item WHERE id > 100 OR id = 7 ORDER BY id`, out.all)
		if code := stop(); code != 0 {
			t.Errorf("it ended with %d", code)
		}
		if slots := r.from.Query(t, `SELECT slot_name FROM pg_replication_slots WHERE database = current_database() AND slot_name LIKE '%stdout'`); len(slots) > 0 {
			t.Errorf("the slot is still there: %v", slots)
		}
	})
}

// TestPointToPointFileSurvivesKills kills the program at steps of its way while rows change, and looks at the lines.
func TestPointToPointFileSurvivesKills(t *testing.T) {
	from, dir := dbtest.Postgres(t).NewDatabase(t), t.TempDir()
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 3000) i`)
	put(t, dir, map[string]string{"item.sql": "SELECT i.id, i.name FROM item i WHERE i.id = :id;\n"})
	args := []string{"sync", "--source", connectionString(from), "--sink", "file://" + filepath.Join(dir, "out.jsonl"), "--public-schema", "item.sql", "--api-port", "0"}
	n := 3000
	for i, step := range []string{"apply.before=kill@1", "apply.after=kill@1", "apply.after=kill@3", "confirm.before=kill@2"} {
		p := launchIn(t, dir, args, append(os.Environ(), "REJOT_FP="+step)...)
		dbtest.Eventually(t, 30*time.Second, func() (bool, string) {
			n++
			from.Exec(t, fmt.Sprintf(`INSERT INTO item VALUES (%d, 'new'); UPDATE item SET name = name || '!' WHERE id %% 100 = %d; DELETE FROM item WHERE id = %d`, n, n%100, n-1500))
			return !p.running(), "the step was never reached"
		})
		// As a crash between two writes leaves it.
		f, err := os.OpenFile(filepath.Join(dir, "out.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(f, `{"op":"upsert","row":{"id":"unfinished %d`, i)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	launchIn(t, dir, args, os.Environ()...)
	replays(t, from, `SELECT id, name FROM item ORDER BY id`, fileLines(t, filepath.Join(dir, "out.jsonl")))
}

func TestPointToPointIntoMariaDBWithTheOriginalsPlaceholders(t *testing.T) {
	from, to, dir := dbtest.Postgres(t).NewDatabase(t), dbtest.MariaDB(t).NewDatabase(t), t.TempDir()
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `INSERT INTO item VALUES (1, 'a'), (2, NULL)`)
	to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
	put(t, dir, map[string]string{
		"item.sql":  "SELECT id, name FROM item WHERE id = $1",
		"items.sql": "INSERT INTO item VALUES (:id, :name) ON DUPLICATE KEY UPDATE name = :name;\n\n-- delete:\nDELETE FROM item WHERE id = :id;\n",
	})
	launchIn(t, dir, []string{
		"sync", "--source", connectionString(from), "--sink", connectionString(to), "--public-schema", "item.sql", "--consumer-schema", "items.sql",
		"--pg-create-publication", "--api-port", "0",
	}, os.Environ()...)
	const all = `SELECT id, name FROM item ORDER BY id`
	sameRows(t, from, all, to, all)
	from.Exec(t, `DELETE FROM item WHERE id = 1; INSERT INTO item VALUES (3, 'c')`)
	sameRows(t, from, all, to, all)
}

func TestPointToPointRefusals(t *testing.T) {
	from, dir := dbtest.Postgres(t).NewDatabase(t), t.TempDir()
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `CREATE VIEW shown AS SELECT id, name FROM item`)
	put(t, dir, map[string]string{
		"item.sql": "SELECT id, name FROM item WHERE id = :id", "upper.sql": "SELECT upper(name) AS name, id FROM item WHERE id = :id",
		"shown.sql": "SELECT id FROM shown WHERE id = :id", "gone.sql": "SELECT id FROM gone WHERE id = :id", "mine.txt": "mine\n",
		"named.sql": "-- table: item\nSELECT upper(name) AS name, id FROM item WHERE id = :id",
	})
	point := []string{"sync", "--source", connectionString(from), "--api-port", "0"}
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"an expression does not name the table":  {[]string{"--public-schema", "upper.sql"}, 2, []string{"upper.sql: the first column of its result is no table's column", "-- table: NAME"}},
		"a view is no base table":                {[]string{"--public-schema", "shown.sql"}, 2, []string{"shown.sql: the first column of its result is of no table", "-- table: NAME"}},
		"a query that the server refuses":        {[]string{"--public-schema", "gone.sql"}, 3, []string{"gone.sql: ", "gone"}},
		"a publication that is not there":        {[]string{"--public-schema", "item.sql", "--sink", "x.jsonl", "--no-pg-create-publication"}, 3, []string{"has no publication rejot_publication", `CREATE PUBLICATION "rejot_publication"`}},
		"a key that is none":                     {[]string{"--public-schema", "item.sql", "--backfill-from", "id > 1", "--backfill-primary-key", "item.name"}, 2, []string{"--backfill-primary-key names name, and the key of public.item is id"}},
		"a condition that the server refuses":    {[]string{"--public-schema", "item.sql", "--backfill-from", "nix > 1", "--backfill-primary-key", "id"}, 3, []string{"public schema item 1.0", "nix"}},
		"a file that holds something of another": {[]string{"--public-schema", "item.sql", "--sink", "mine.txt"}, 3, []string{"mine.txt holds something already", "choose another file"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := launchIn(t, dir, append(point[:5:5], c.args...), os.Environ()...)
			if p.running() {
				t.Fatal("it runs")
			}
			for _, want := range c.says {
				if !strings.Contains(p.output(), want) {
					t.Errorf("it does not say %q", want)
				}
			}
			if p.exitCode() != c.code {
				t.Errorf("it ended with %d, want %d", p.exitCode(), c.code)
			}
			if strings.Contains(p.output(), "postgresql://") {
				t.Error("it shows the connection string")
			}
		})
	}
	t.Run("the header names the table", func(t *testing.T) {
		out, _ := launchPrinting(t, dir, append(point[:5:5], "--public-schema", "named.sql"), os.Environ())
		from.Exec(t, `INSERT INTO item VALUES (1, 'cup')`)
		replays(t, from, `SELECT id, upper(name) FROM item`, out.all)
	})
}
