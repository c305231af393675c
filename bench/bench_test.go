package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// TestJobsMeasureBothSides runs a job of each kind on few rows: that it measures, not what.
func TestJobsMeasureBothSides(t *testing.T) {
	o := options{rounds: 1, rows: 3000, updates: 300, seconds: 1, only: []string{"backfill", "hundred", "latency-200"}, retry: 100 * time.Millisecond}
	w, err := openWorld(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		dir, home := w.dir, w.source.server.Dir()
		if err := w.close(t.Context()); err != nil {
			t.Error(err)
		}
		for _, left := range []string{dir, home} {
			if _, err := os.Stat(left); !os.IsNotExist(err) {
				t.Errorf("%s is left: %v", filepath.Base(left), err)
			}
		}
	}()
	r, err := w.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Jobs) != 3 {
		t.Fatalf("got %d jobs, want 3", len(r.Jobs))
	}
	linux := runtime.GOOS == "linux" // elsewhere nothing tells what a process takes
	for _, tally := range r.Jobs {
		for _, round := range tally.Rounds {
			for _, side := range []string{nativeName, programName} {
				got := round.Samples[side]
				if linux && (got.Peak <= 0 || got.Servers <= 0) || got.Seconds <= 0 || got.Rows == 0 && got.P50 <= 0 {
					t.Errorf("%s: %s: got %+v, want it measured", tally.Name, side, got)
				}
			}
		}
	}
	t.Log(r.text())
	wrongRowIsFound(t, w)
}

// wrongRowIsFound changes one row of a destination behind everybody's back.
func wrongRowIsFound(t *testing.T, w *world) {
	for side, sql := range map[int]string{0: `UPDATE account SET last_name = 'x' WHERE id = 7`, 1: `UPDATE account_destination SET email = NULL WHERE id = 7`} {
		s := w.sides[side]
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		marker, err := w.mark(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.await(t.Context(), marker); err != nil {
			t.Fatal(err)
		}
		if err := s.verify(t.Context(), w); err != nil {
			t.Error(err)
		}
		if err := s.db.exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		if err := s.verify(t.Context(), w); rejot.CodeOf(err) != rejot.Corrupt {
			t.Errorf("%s: got %v, want the difference found", s.name, err)
		}
	}
}

func TestWrongUse(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("no markers\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"-only catch", 2, "there are backfill, catchup"},
		{"-rounds 0", 2, "at least 1 round"},
		{"now", 2, `unknown argument "now"`},
		{"-only latency -rows 1000", 2, "latency-200 changes 4400 rows"},
		{"-out " + page, 1, "has no lines <!-- bench: begin -->"},
		{"-help", 0, "how often each job is measured"},
	} {
		var stdout, stderr strings.Builder
		if code := run(t.Context(), strings.Fields(c.args), &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%s: got code %d and %q, want %d and %q", c.args, code, stderr.String(), c.code, c.says)
		}
	}
}

func TestJobsAreChosenByNameOrFirstPart(t *testing.T) {
	jobs, err := choose([]string{"latency", "catchup"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, j := range jobs {
		got = append(got, j.name)
	}
	if diff := cmp.Diff([]string{"catchup", "latency-200", "latency-2000"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestContractIsTheExamplesOwn(t *testing.T) {
	text, err := os.ReadFile("../examples/accounts/rejot-manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := withoutShop(text)
	if err != nil {
		t.Fatal(err)
	}
	var before, after map[string][]map[string]any
	for text, into := range map[string]*map[string][]map[string]any{string(text): &before, string(kept): &after} {
		_ = json.Unmarshal([]byte(text), into) // fails on slug and version, which are no lists
	}
	for _, list := range []struct {
		name string
		want int
	}{{"connections", 2}, {"dataStores", 2}, {"publicSchemas", 1}, {"consumerSchemas", 1}} {
		if len(after[list.name]) != list.want {
			t.Errorf("got %d %s, want %d", len(after[list.name]), list.name, list.want)
		} else if diff := cmp.Diff(before[list.name][:list.want], after[list.name]); diff != "" {
			t.Errorf("%s: %s", list.name, diff)
		}
	}
}

func TestMedianAndPercentiles(t *testing.T) {
	for _, c := range []struct {
		all  []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.all); got != c.want {
			t.Errorf("median of %v: got %v, want %v", c.all, got, c.want)
		}
	}
	hundred := make([]int64, 100)
	for i := range hundred {
		hundred[i] = int64(i+1) * int64(time.Millisecond)
	}
	for share, want := range map[int]float64{1: 1, 50: 50, 99: 99, 100: 100} {
		if got := percentile(hundred, share); got != want {
			t.Errorf("percentile %d: got %v, want %v", share, got, want)
		}
	}
	if got := percentile(hundred[:1], 50); got != 1 {
		t.Errorf("percentile of one: got %v, want 1", got)
	}
}

// figures is a report as a run would give it.
func figures() *report {
	r := &report{Postgres: "15.1", Processors: 2, Platform: "linux/amd64", Rows: 1_000_000, Updates: 200_000, Seconds: 20, Rounds: 1, Minutes: 3}
	for _, j := range jobs() {
		switch j.name {
		case "backfill":
			r.add(j, 0).Samples = map[string]sample{nativeName: {Seconds: 3, Rows: 1_000_000, Peak: 20 << 20}, programName: {Seconds: 6, Rows: 1_000_000, Peak: 90 << 20}}
			r.Jobs[0].Rounds[0].Both = 7
		case "hot":
			r.add(j, 0).Samples = map[string]sample{
				nativeName:  {Seconds: 6, Start: 0.01, Rows: 200_000, CPU: 5, Servers: 6, Peak: 100 << 20},
				programName: {Seconds: 2, Start: 0.25, Rows: 200_000, CPU: 1, Servers: 4, Peak: 80 << 20, Others: 2, Stages: map[string]float64{"apply": 0.5, "decode": 1, "other": 0.1}},
			}
		case "latency-200":
			r.add(j, 0).Samples = map[string]sample{nativeName: {P50: 1.5, P95: 2, P99: 4, Rate: 200}, programName: {P50: 3, P95: 4, P99: 5, Rate: 150}}
		}
	}
	return r
}

func TestTables(t *testing.T) {
	golden(t, "tables.txt", figures().text())
	golden(t, "tables.md", figures().markdown())
}

func TestTablesReplaceWhatIsBetweenTheMarkers(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	before, after := "# Title\n"+beginMarker, endMarker+"\nEnd\n"
	if err := os.WriteFile(page, []byte(before+"\nold\n"+after), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing
		if err := rewrite(page, "new\n"); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if want := before + "\n\nnew\n\n" + after; string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
