package fileapply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

var (
	reader  = &contract.Consumer{Manifest: "m", Name: "c", SourceManifest: "shop", Schema: "item", Major: 1}
	columns = []rejot.Column{{Name: "id"}, {Name: `na"me`}}
	shape   = &rejot.Shape{Schema: rejot.Ref{Manifest: "shop", Name: "item", Major: 1}, Key: columns[:1], Row: columns}
)

func texts(all ...string) []rejot.Value {
	var vs []rejot.Value
	for _, s := range all {
		if s == "NULL" {
			vs = append(vs, rejot.NullValue())
		} else {
			vs = append(vs, rejot.TextValue(s))
		}
	}
	return vs
}

func upsert(id, name string) *rejot.Event {
	return &rejot.Event{Shape: shape, Op: rejot.UpsertRow, Key: texts(id), Row: texts(id, name)}
}

func remove(id string) *rejot.Event {
	return &rejot.Event{Shape: shape, Op: rejot.DeleteKey, Key: texts(id)}
}

func at(n int) rejot.Position {
	return rejot.Position{Incarnation: "history", Horizon: rejot.Place{Offset: uint64(n)}} //nolint:gosec // small and positive
}

func batch(n int, fault error, events ...*rejot.Event) *rejot.Batch {
	return &rejot.Batch{Source: "source", Position: at(n), Events: func(yield func(*rejot.Event, error) bool) {
		for _, ev := range events {
			if !yield(ev, nil) {
				return
			}
		}
		if fault != nil {
			yield(nil, fault)
		}
	}}
}

// move is the move of the nth batch, where the one before was the last.
func move(n int) []rejot.Move {
	m := rejot.Move{From: rejot.Cursor{Consumer: "m/c", Source: "source"}, To: rejot.Cursor{Consumer: "m/c", Source: "source", Position: at(n), Contract: "f"}}
	if n > 1 {
		m.From.Position = at(n - 1)
	}
	m.To.Backfill = rejot.Backfill{After: texts("a\"\u2028", "NULL"), View: 1, Rows: int64(n), Estimate: 7}
	m.To.Queries = "[[\"SELECT 1\"]]"
	return []rejot.Move{m}
}

func opened(t *testing.T, path string) *Applier {
	t.Helper()
	a, err := open(Config{Path: path, Consumers: []*contract.Consumer{reader}}, func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() }) // a test may have closed it
	return a
}

func applied(t *testing.T, a rejot.Applier, n int, events ...*rejot.Event) rejot.Outcome {
	t.Helper()
	out, err := a.Apply(t.Context(), move(n), batch(n, nil, events...))
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEventsAreLinesAndTheCursorIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	a := opened(t, path)
	if cs, err := a.Cursors(t.Context()); err != nil || len(cs) != 0 {
		t.Fatalf("a new file has cursors %v, error %v", cs, err)
	}
	elsewhere := &rejot.Shape{Schema: rejot.Ref{Manifest: "shop", Name: "item", Major: 2}, Key: columns[:1], Row: columns}
	mine, others := upsert("3", "mine"), upsert("4", "another's")
	mine.For, others.For = "m/c", "m/d"
	out := applied(t, a, 1, &rejot.Event{Shape: shape, Op: rejot.Clear}, remove("1"), upsert("1", "<é\n\x00>"), upsert("2", "NULL"), mine, others,
		&rejot.Event{Shape: elsewhere, Op: rejot.UpsertRow, Key: texts("5"), Row: texts("5", "other major")})
	if out.Err != nil || out.Upserts != 3 || out.Deletes != 1 {
		t.Errorf("got outcome %+v", out)
	}
	applied(t, a, 2)
	want := `{"op":"truncate"}
{"op":"delete","key":{"id":"1"}}
{"op":"upsert","row":{"id":"1","na\"me":"<é\n\u0000>"}}
{"op":"upsert","row":{"id":"2","na\"me":null}}
{"op":"upsert","row":{"id":"3","na\"me":"mine"}}
`
	if diff := cmp.Diff(want, content(t, path)); diff != "" {
		t.Error(diff)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	cs, err := opened(t, path).Cursors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]rejot.Cursor{move(2)[0].To}, cs, cmp.AllowUnexported(rejot.Value{})); diff != "" {
		t.Error(diff)
	}
}

func TestBatchThatCannotBeMadeLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	a := opened(t, path)
	applied(t, a, 1, upsert("1", "a"))
	before := content(t, path) + content(t, path+suffix)
	many := make([]*rejot.Event, 5000)
	for i := range many {
		many[i] = upsert(fmt.Sprint(i), strings.Repeat("x", 100))
	}
	fault := errors.New("the source has gone")
	if _, err := a.Apply(t.Context(), move(2), batch(2, fault, many...)); !errors.Is(err, fault) {
		t.Fatalf("got %v", err)
	}
	unknown := upsert("1", "a")
	unknown.Row[1] = rejot.Value{}
	for what, ev := range map[string]*rejot.Event{"unknown": unknown, "not UTF-8": upsert("1", "\xff")} {
		out := applied(t, a, 2, append(slices.Clone(many), ev)...)
		if rejot.CodeOf(out.Err) != rejot.Unsupported || !strings.Contains(out.Err.Error(), `na\"me`) || strings.Contains(out.Err.Error(), "\xff") {
			t.Errorf("%s: got %v", what, out.Err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Apply(ctx, move(2), batch(2, nil, many...)); rejot.CodeOf(err) != rejot.Transient {
		t.Errorf("got %v", err)
	}
	if got := content(t, path) + content(t, path+suffix); got != before {
		t.Errorf("something is left:\n%s", got)
	}
	applied(t, a, 2, upsert("2", "b"))
}

func TestCursorThatIsElsewhereIsAConflict(t *testing.T) {
	a := opened(t, filepath.Join(t.TempDir(), "out.jsonl"))
	applied(t, a, 1, upsert("1", "a"))
	for _, n := range []int{1, 3} {
		if _, err := a.Apply(t.Context(), move(n), batch(n, nil)); rejot.CodeOf(err) != rejot.Conflict {
			t.Errorf("batch %d: got %v", n, err)
		}
	}
	applied(t, a, 2)
}

func TestFilesThatAreNotOursAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.jsonl")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what string, want rejot.Code) {
		t.Helper()
		_, err := Open(t.Context(), Config{Path: path, Consumers: []*contract.Consumer{reader}})
		if rejot.CodeOf(err) != want || rejot.MendOf(err) == "" {
			t.Errorf("%s: got %v, code %s, mend %q", what, err, rejot.CodeOf(err), rejot.MendOf(err))
		}
	}
	write("out.jsonl", "mine\n")
	refused("a file without a cursor", rejot.Conflict)
	if got := content(t, path); got != "mine\n" {
		t.Errorf("it has now %q", got)
	}
	write("out.jsonl", "")
	write("out.jsonl.rejot-cursor", "{}")
	refused("a cursor that is none", rejot.Corrupt)
	write("out.jsonl.rejot-cursor", `{"version":1,"length":0,"consumer":"m/c","position":"12"}`)
	refused("a position that is none", rejot.Corrupt)
	write("out.jsonl.rejot-cursor", `{"version":1,"length":5,"consumer":"m/c"}`)
	refused("a file that has become shorter", rejot.Corrupt)
	write("out.jsonl.rejot-cursor", `{"version":1,"length":0,"consumer":"m/d"}`)
	refused("another's cursor", rejot.Conflict)
	if err := errors.Join(os.Remove(path), os.Remove(path+suffix), os.Mkdir(path, 0o755)); err != nil {
		t.Fatal(err)
	}
	refused("a folder", rejot.Invalid)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	opened(t, path)
	refused("a file that another has open", rejot.Conflict)
	if _, err := Open(t.Context(), Config{Path: path}); rejot.CodeOf(err) != rejot.Invalid {
		t.Errorf("no consumer: got %v", err)
	}
}

// clone copies the two files as a crash would leave them; synced is how much of the data file is surely there.
func clone(t *testing.T, from, to string, synced int64) {
	t.Helper()
	for _, name := range []string{"out.jsonl", "out.jsonl" + suffix} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if name == "out.jsonl" && int64(len(data)) > synced && synced >= 0 {
			copy(data[synced:], bytes.Repeat([]byte{0}, len(data))) // the size may be there before the bytes
		}
		if err := os.WriteFile(filepath.Join(to, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCrashLeavesWholeBatches crashes before every step of the first batches, once with all bytes that were written
// and once without those that were not synced, and goes on after it.
func TestCrashLeavesWholeBatches(t *testing.T) {
	lines := func(n int) []*rejot.Event {
		return []*rejot.Event{upsert(fmt.Sprint(n), "a"), remove(fmt.Sprint(n + 100))}
	}
	const batches = 3
	var want strings.Builder
	for n := 1; n <= batches; n++ {
		fmt.Fprintf(&want, "{\"op\":\"upsert\",\"row\":{\"id\":\"%d\",\"na\\\"me\":\"a\"}}\n{\"op\":\"delete\",\"key\":{\"id\":\"%d\"}}\n", n, n+100)
	}
	dir := t.TempDir()
	var crashed []string
	synced := int64(0)
	var a *Applier
	step := func(name string) error {
		if name == "lines.synced" {
			info, err := a.file.Stat()
			if err != nil {
				return err
			}
			synced = info.Size()
		}
		for _, keep := range []int64{-1, synced} {
			to := t.TempDir()
			clone(t, dir, to, keep)
			crashed = append(crashed, to)
		}
		return nil
	}
	var err error
	if a, err = open(Config{Path: filepath.Join(dir, "out.jsonl"), Consumers: []*contract.Consumer{reader}}, step); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= batches; n++ {
		applied(t, a, n, lines(n)...)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if len(crashed) != 2*(2+5*batches) {
		t.Fatalf("%d crashes", len(crashed))
	}
	for i, dir := range crashed {
		path := filepath.Join(dir, "out.jsonl")
		a := opened(t, path)
		cs, err := a.Cursors(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		next := 1
		if len(cs) > 0 {
			next = int(cs[0].Position.Horizon.Offset) + 1 //nolint:gosec // at made it
		}
		if got := content(t, path); got != strings.Join(strings.SplitAfter(want.String(), "\n")[:2*(next-1)], "") {
			t.Errorf("crash %d: the cursor is at %d and there is\n%s", i, next-1, got)
		}
		for n := next; n <= batches; n++ {
			applied(t, a, n, lines(n)...)
		}
		if diff := cmp.Diff(want.String(), content(t, path)); diff != "" {
			t.Errorf("crash %d: %s", i, diff)
		}
	}
}

// TestFailedStepIsTriedAgain lets each step fail once, as a full disk does, without ending the process.
func TestFailedStepIsTriedAgain(t *testing.T) {
	for _, name := range []string{"lines.write", "lines.sync", "lines.synced", "cursor.replace", "cursor.sync"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out.jsonl")
			armed := false
			a, err := open(Config{Path: path, Consumers: []*contract.Consumer{reader}}, func(s string) error {
				if armed && s == name {
					armed = false
					return failed("write", errors.New("the disk is full"))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close() //nolint:errcheck // the test has looked at what matters
			applied(t, a, 1, upsert("1", "a"))
			armed = true
			if _, err := a.Apply(t.Context(), move(2), batch(2, nil, upsert("2", "b"))); rejot.CodeOf(err) != rejot.Transient {
				t.Fatalf("got %v", err)
			}
			cs, err := a.Cursors(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if cs[0].Position == at(1) {
				applied(t, a, 2, upsert("2", "b"))
			}
			applied(t, a, 3)
			if got := strings.Count(content(t, path), "\n"); got != 2 {
				t.Errorf("got %d lines:\n%s", got, content(t, path))
			}
		})
	}
}

func TestDroppedCursorBeginsAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	a := opened(t, path)
	applied(t, a, 1, upsert("1", "a"))
	if err := a.Drop(t.Context(), "m/c"); err != nil {
		t.Fatal(err)
	}
	if cs, err := a.Cursors(t.Context()); err != nil || len(cs) != 0 {
		t.Errorf("got %v, %v", cs, err)
	}
	applied(t, a, 1, upsert("1", "a"))
	if got := strings.Count(content(t, path), "\n"); got != 2 {
		t.Errorf("got %d lines", got)
	}
	if err := a.Drop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + suffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cursor is there: %v", err)
	}
}

// A pipe takes some bytes and then breaks.
type pipe struct {
	bytes.Buffer
	room int
}

func (p *pipe) Write(b []byte) (int, error) {
	if p.Len()+len(b) > p.room {
		return 0, errors.New("broken pipe")
	}
	return p.Buffer.Write(b)
}

func TestStandardOutputHasWholeBatches(t *testing.T) {
	for _, limit := range []int{0, 1000, 4 << 20} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			out := &pipe{room: 1 << 30}
			p := newPrinter(out, reader)
			p.limit = limit
			var many []*rejot.Event
			for i := range 3000 {
				many = append(many, upsert(fmt.Sprint(i), strings.Repeat("x", 50)))
			}
			if _, err := p.Apply(t.Context(), move(1), batch(1, errors.New("fault"), many...)); err == nil || out.Len() > 0 {
				t.Fatalf("error %v, %d bytes printed", err, out.Len())
			}
			applied(t, p, 1, many...)
			if cs, err := p.Cursors(t.Context()); err != nil || len(cs) != 1 || cs[0].Position != at(1) {
				t.Errorf("got %v, %v", cs, err)
			}
			for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
				var v struct{ Row map[string]string }
				if err := json.Unmarshal([]byte(line), &v); err != nil || v.Row["id"] != fmt.Sprint(i) {
					t.Fatalf("line %d: %s, %v", i, line, err)
				}
			}
			if _, err := p.Apply(t.Context(), move(1), batch(1, nil)); rejot.CodeOf(err) != rejot.Conflict {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestBrokenOutputStopsTheConsumer(t *testing.T) {
	out := &pipe{room: 10}
	w, err := Open(t.Context(), Config{Path: Output, Stdout: out, Consumers: []*contract.Consumer{reader}})
	if err != nil {
		t.Fatal(err)
	}
	if got := applied(t, w, 1, upsert("1", "a")); rejot.CodeOf(got.Err) != rejot.Corrupt {
		t.Errorf("got %v", got.Err)
	}
	if cs, err := w.Cursors(t.Context()); err != nil || len(cs) != 0 {
		t.Errorf("got %v, %v", cs, err)
	}
	if w.Check("m/c", shape) != nil || w.Ways("m/c") != nil || w.Drop(t.Context(), "") != nil || w.Close() != nil {
		t.Error("there is nothing to check, to tell, to drop or to close")
	}
}

// A line has the whole row, so that a row whose SQL has changed is written again when any field of it differs.
func TestEveryFieldCounts(t *testing.T) {
	for _, c := range columns {
		if !reader.MayUse(c.Name) {
			t.Errorf("a change of field %s would not be seen", c.Name)
		}
	}
}
