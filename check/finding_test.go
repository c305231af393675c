package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rejot.dev/rejot/manifest"
)

func TestManifestChangesSeverityWithAReason(t *testing.T) {
	for _, c := range []struct {
		name, id, severity, reason string
		want                       Severity // of FIELD_REMOVED; empty: dropped
	}{
		{"lower", "FIELD_REMOVED", "warning", "no reader uses it", Warning},
		{"off", "FIELD_REMOVED", "off", "no reader uses it", ""},
		{"another rule", "FIELD_RENAMED", "off", "no reader uses it", Error},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := before()
			checks(c.id, c.severity, c.reason)(m)
			now := copyOf(m)
			delete(fieldsIn(now), "name")
			version(now, 1, 1)
			manifests := []*manifest.Manifest{parsed(t, "now.json", now)}
			report, err := Compare(t.Context(), []*manifest.Manifest{parsed(t, "old.json", m)}, manifests, Options{})
			if err != nil {
				t.Fatal(err)
			}
			report.Finish(manifests)
			var got Severity
			for _, f := range report.Findings {
				if f.Rule == "FIELD_REMOVED" {
					got = f.Severity
				}
			}
			if got != c.want || report.Failed() != (c.want == Error) {
				t.Errorf("got %q, failed %t, want %q", got, report.Failed(), c.want)
			}
		})
	}
}

func TestRaisedRuleDoesNotUndoAProof(t *testing.T) {
	m := before()
	checks("FIELD_REMOVED", "error", "we are strict")(m)
	now := copyOf(m)
	delete(fieldsIn(now), "tags") // which no consumer uses
	version(now, 1, 1)
	manifests := []*manifest.Manifest{parsed(t, "now.json", now)}
	report, err := Compare(t.Context(), []*manifest.Manifest{parsed(t, "old.json", m)}, manifests, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Finish(manifests); report.Failed() {
		t.Errorf("it failed:\n%s", lines(report))
	}
}

func TestCompareLooksAtManifestsOfOneSlug(t *testing.T) {
	old := before()
	old["slug"] = "another"
	manifests := []*manifest.Manifest{parsed(t, "now.json", before())}
	report, err := Compare(t.Context(), []*manifest.Manifest{parsed(t, "old.json", old)}, manifests, Options{})
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Rule != "MANIFEST_NOTE" {
		t.Errorf("got %v and\n%s", err, lines(report))
	}
}

func TestSARIFHasWhatTheStandardRequires(t *testing.T) {
	m := before()
	password(m, "x")
	delete(consumer0(m)["config"].(object), "deleteSql")
	manifests, problems := inspectedManifest(t, m)
	report := Lint(manifests, problems, true)
	report.Finish(manifests)
	text, err := report.SARIF("1.0")
	if err != nil {
		t.Fatal(err)
	}
	var log struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct {
						ID      string
						HelpURI string
					}
				}
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(text, &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || log.Schema == "" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" {
		t.Fatalf("got version %q, schema %q, %d runs", log.Version, log.Schema, len(log.Runs))
	}
	run := log.Runs[0]
	if len(run.Results) != len(report.Findings) || len(run.Results) == 0 {
		t.Errorf("%d results of %d findings", len(run.Results), len(report.Findings))
	}
	for _, r := range run.Results {
		if r.RuleIndex >= len(run.Tool.Driver.Rules) || run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("rule %s has index %d", r.RuleID, r.RuleIndex)
		}
		if !slices.Contains([]string{"none", "note", "warning", "error"}, r.Level) || r.Message.Text == "" {
			t.Errorf("%s: level %q, text %q", r.RuleID, r.Level, r.Message.Text)
		}
		if len(r.Locations) != 1 || r.Locations[0].PhysicalLocation.ArtifactLocation.URI == "" || r.Locations[0].PhysicalLocation.Region.StartLine < 1 {
			t.Errorf("%s: locations %v", r.RuleID, r.Locations)
		}
	}
	if empty, err := (&Report{}).SARIF(""); err != nil || !strings.Contains(string(empty), `"results": []`) {
		t.Errorf("without findings: %v %s", err, empty)
	}
}

func TestPlacesBecomeReferences(t *testing.T) {
	for path, want := range map[string]string{
		"rejot-manifest.json": "rejot-manifest.json", "./a b/x.ts": "a%20b/x.ts", "": "rejot-manifest.json", "a/../b.ts": "b.ts",
	} {
		if got := uri(path); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}

// TestEveryRuleHasAPage keeps docs/rules.md and the rules together.
func TestEveryRuleHasAPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	var written []string
	for _, m := range regexp.MustCompile(`(?m)^## ([A-Z_]+)$`).FindAllStringSubmatch(string(text), -1) {
		written = append(written, m[1])
	}
	var have []string
	for _, r := range Rules() {
		have = append(have, r.ID)
	}
	for _, part := range []struct {
		what       string
		some, rest []string
	}{{"has no section in docs/rules.md", have, written}, {"is in docs/rules.md and no rule", written, have}} {
		for _, id := range without(part.some, part.rest) {
			t.Errorf("%s %s", id, part.what)
		}
	}
	sections := regexp.MustCompile(`(?m)^## `).Split(string(text), -1)[1:]
	for _, s := range sections {
		id, body, _ := strings.Cut(s, "\n")
		for _, part := range []string{"**What.**", "**Why.**", "**Example.**", "**Mend.**"} {
			if !strings.Contains(body, part) {
				t.Errorf("the section of %s has no %s", id, part)
			}
		}
	}
}

func TestCollationOfAKeyIsItsType(t *testing.T) {
	facts := func(typ string) *Description { return &Description{Base: "tag", Key: []Column{{Name: "a", Type: typ}}} }
	for now, want := range map[string]string{"text": "", `text COLLATE "C"`: "KEY_TYPE"} {
		c := &changes{}
		(&difference{oldFacts: facts("text"), nowFacts: facts(now)}).keyFacts(c)
		got := ""
		for _, ch := range c.list {
			got += ch.rule
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", now, got, want)
		}
	}
}
