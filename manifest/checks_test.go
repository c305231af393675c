package manifest_test

import (
	"os"
	"path/filepath"
	"testing"

	"rejot.dev/rejot/manifest"
)

const unresolved = `{
  "slug": "shop",
  "manifestVersion": 0,
  "more": 1,
  "connections": [
    { "slug": "db", "config": { "connectionType": "postgres", "host": "h", "port": "${env:NOT_SET}", "user": "u", "password": "${env:NOT_SET}", "database": "d" } },
    { "slug": "alone", "config": { "connectionType": "in-memory" } }
  ],
  "dataStores": [ { "connectionSlug": "db" }, { "connectionSlug": "nothing" } ]
}`

func TestInspectGivesProblemsAndResolvesNoReference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd: 3: name.json")
	if err := os.WriteFile(path, []byte(unresolved), 0o600); err != nil {
		t.Fatal(err)
	}
	all, problems, err := manifest.Inspect(path)
	if err != nil || len(all) != 1 {
		t.Fatalf("got %d manifests, %v", len(all), err)
	}
	want := []manifest.Problem{
		{File: path, Line: 4, Path: "$.more"},
		{File: path, Line: 9, Path: "$.dataStores[1].connectionSlug", Mend: "some"},
		{File: path, Line: 7, Path: "$.connections[1]", Note: true},
	}
	if len(problems) != len(want) {
		t.Fatalf("got %+v", problems)
	}
	for i, p := range problems {
		w := want[i]
		if p.File != w.File || p.Line != w.Line || p.Path != w.Path || p.Note != w.Note || (p.Mend == "") != (w.Mend == "") || p.Text == "" {
			t.Errorf("got %+v, want %+v", p, w)
		}
	}
	if line := all[0].LineOf("connections", 1, "slug"); line != 7 {
		t.Errorf("got line %d, want 7", line)
	}
	if got := all[0].DefinitionPath("schemas/a.ts"); got != filepath.ToSlash(filepath.Join(filepath.Dir(path), "schemas/a.ts")) {
		t.Errorf("got %s", got)
	}
}

func TestInspectRefusesWhatIsNoManifest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := manifest.Inspect(path); err == nil {
		t.Error("it was taken")
	}
	if _, _, err := manifest.Inspect(filepath.Join(t.TempDir(), "nothing.json")); err == nil {
		t.Error("a file that is not there was taken")
	}
}
