package check

import (
	"strings"
	"testing"

	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/manifest"
)

func TestMigrationThatLosesTheKeyNamesATableOnlyWhereThereIsOne(t *testing.T) {
	m := parsed(t, "now.json", before())
	key := schemaKey("shop", "account", 1)
	snapshot := func(refused ...derive.Refusal) *Snapshot {
		return &Snapshot{public: map[string]described{key: {facts: &Description{Refused: refused}}}}
	}
	after := snapshot(derive.Refusal{Code: "not-keyed", Reason: "no key is bound"})
	report := Migrated(t.Context(), []*manifest.Manifest{m}, snapshot(), after, Options{}, "migrations")
	if len(report.Findings) != 1 || !strings.HasSuffix(report.Findings[0].Text, "(NOT_KEYED): no key is bound") {
		t.Errorf("got\n%s", lines(report))
	}
}

func TestEnumerationOfMySQLMayGrow(t *testing.T) {
	target := func(values ...string) Target {
		return Target{Field: "status", Enum: values, Column: &Column{Name: "status", Type: "enum('" + strings.Join(values, "','") + "')"}}
	}
	for _, c := range []struct {
		name    string
		is, was Target
		want    int
	}{
		{"a value is new", target("a", "b", "c"), target("a", "b"), 0},
		{"a value is gone", target("a"), target("a", "b"), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := migration{comparison: &comparison{report: &Report{}}}
			if m.target(about{}, c.is, c.was); len(m.report.Findings) != c.want {
				t.Errorf("got\n%s", lines(m.report))
			}
		})
	}
}

func TestRowsThatDifferAreToldWhereTheTextDoesNot(t *testing.T) {
	for _, c := range []struct {
		counted Difference
		want    string
	}{
		{Difference{Changed: 3}, "EXPRESSION_CHANGED"}, {Difference{Left: 1}, "FILTER_NARROWED"}, {Difference{Entered: 1}, "FILTER_WIDENED"}, {Difference{}, ""},
	} {
		got := ""
		for _, ch := range (&difference{counted: &c.counted}).content() {
			got += ch.rule
		}
		if got != c.want {
			t.Errorf("%+v: got %q, want %q", c.counted, got, c.want)
		}
	}
}
