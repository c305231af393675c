package manifest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rejot.dev/rejot"
)

// byHand is a manifest as a person wrote it: another order, fields of others, its own white space.
const byHand = `{
  "slug": "m", "manifestVersion": 0,
  "consumerSchemas": [
    { "name": "mine", "sourceManifestSlug": "x", "publicSchema": {"name": "y", "majorVersion": 1}, "config": {"consumerSchemaType": "postgres", "destinationDataStoreSlug": "d", "sql": "INSERT INTO t VALUES (:a)"} },
    { "name": "reads", "sourceManifestSlug": "x", "publicSchema": {"name": "y", "majorVersion": 1}, "definitionFile": "b.ts", "config": {"consumerSchemaType": "postgres", "destinationDataStoreSlug": "d", "sql": "OLD", "deleteSql": "OLD DELETE", "onError": "quarantine"}, "note": "of a person" }
  ],
  "x-team": {"b": 1, "a": 2.50},
  "publicSchemas": [
    { "name": "kept", "definitionFile": "other.ts", "version": {"major": 1, "minor": 0}, "size": 12345678901234567890 },
    { "name": "gone", "definitionFile": "gone.ts", "version": {"major": 1, "minor": 0} },
    { "name": "a", "source": {"dataStoreSlug": "old"}, "owner": "me", "outputSchema": {}, "version": {"minor": 0, "major": 1}, "definitionFile": "a.ts",
      "config": {"publicSchemaType": "postgres", "transformations": [{"operation": "insert", "table": "t", "sql": "OLD", "rows": "one"}, {"operation": "update", "table": "t", "sql": "OLD"}]} },
    { "name": "left", "definitionFile": "a.ts", "version": {"major": 2, "minor": 0} }
  ],
  "connections": []
}
`

func publicA() PublicSchema {
	return PublicSchema{
		Name: "a", Source: SourceRef{"db"}, OutputSchema: json.RawMessage(`{"type":"object"}`), Version: SchemaVersion{1, 0}, DefinitionFile: "a.ts",
		Config: PublicSchemaConfig{Type: "postgres", Transformations: []Transformation{{Operation: "insert", Table: "t", SQL: "a < b"}}},
	}
}

func consumerReads() ConsumerSchema {
	return ConsumerSchema{
		Name: "reads", SourceManifest: "x", PublicSchema: PublicSchemaRef{"y", 1}, DefinitionFile: "b.ts",
		Config: ConsumerSchemaConfig{Type: "postgres", Destination: "d", SQL: "NEW"},
	}
}

func thereIs(files ...string) func(string) bool {
	return func(name string) bool {
		for _, f := range files {
			if f == name {
				return true
			}
		}
		return false
	}
}

func TestMergingKeepsWhatAPersonWrote(t *testing.T) {
	c := Collected{
		PublicSchemas: []PublicSchema{publicA(), {Name: "new", DefinitionFile: "a.ts", OutputSchema: json.RawMessage(`{}`), Version: SchemaVersion{1, 0}}}, ConsumerSchemas: []ConsumerSchema{consumerReads()},
		Files: []string{"a.ts", "b.ts"}, Exists: thereIs("other.ts"),
	}
	got, err := Merge("m.json", []byte(byHand), c)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "collected.golden.json")
	if *update {
		if err := os.WriteFile(golden, got.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got.Data)); diff != "" {
		t.Errorf("run the test with -update where this is right:\n%s", diff)
	}
	notes := []string{
		"removed public schema gone@1, whose file gone.ts is gone",
		"kept transformation insert rows of public schema a, which its definition does not say",
		"kept owner of public schema a, which its definition does not say",
		"removed public schema left@2, which a.ts no longer defines",
		"kept config.onError of consumer schema reads, which its definition does not say",
	}
	if diff := cmp.Diff(notes, got.Notes); diff != "" {
		t.Error(diff)
	}
	again, err := Merge("m.json", got.Data, c)
	if err != nil || again.Changed || string(again.Data) != string(got.Data) {
		t.Errorf("a second time: changed %t, %v", again.Changed, err)
	}
	c.Prune = true
	pruned, err := Merge("m.json", []byte(byHand), c)
	if err != nil {
		t.Fatal(err)
	}
	for text, stays := range map[string]bool{`"kept"`: false, `"owner"`: false, `"quarantine"`: false, `"mine"`: true, `"of a person"`: true, `"x-team"`: true, `2.50`: true, `OLD`: false} {
		if strings.Contains(string(pruned.Data), text) != stays {
			t.Errorf("with pruning, %s stays: %t, want %t", text, !stays, stays)
		}
	}
}

func TestMergingChangesNothingWhereNothingChanged(t *testing.T) {
	text := `{"slug":"m","manifestVersion":0,
		"publicSchemas":[ {"config":{"transformations":[{"table":"t","sql":"a < b","operation":"insert"}],"publicSchemaType":"postgres"},"definitionFile":"a.ts",
			"version":{"major":1,"minor":0},"outputSchema":{"type":"object"},"source":{"dataStoreSlug":"db"},"name":"a"} ]}`
	got, err := Merge("m.json", []byte(text), Collected{PublicSchemas: []PublicSchema{publicA()}, Files: []string{"a.ts"}})
	if err != nil || got.Changed || string(got.Data) != text || got.Notes != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestASectionThatIsMissingComesWhereTheFormHasIt(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"in between": {`{"slug":"m","connections":[],"workspaces":[]}`, `"connections" "publicSchemas" "workspaces"`},
		"at the end": {`{"slug":"m","connections":[]}`, `"connections" "publicSchemas"`},
		"alone":      {`{}`, `"publicSchemas"`},
	} {
		got, err := Merge("m.json", []byte(c.text), Collected{PublicSchemas: []PublicSchema{publicA()}, Files: []string{"a.ts"}})
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for _, section := range strings.Fields(c.want) {
			next := strings.Index(string(got.Data), section)
			if next < at || next < 0 {
				t.Errorf("%s: %s stands at %d, after %d", name, section, next, at)
			}
			at = next
		}
	}
	got, err := Merge("m.json", []byte(`{"slug":"m"}`), Collected{Files: []string{"a.ts"}})
	if err != nil || got.Changed {
		t.Errorf("nothing collected: got %s, %v", got.Data, err)
	}
}

func TestAnEntryMovesWithItsDefinition(t *testing.T) {
	moved := publicA()
	moved.DefinitionFile = "c.ts"
	text, err := Merge("m.json", []byte(`{"slug":"m","manifestVersion":0}`), Collected{PublicSchemas: []PublicSchema{publicA()}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Merge("m.json", text.Data, Collected{PublicSchemas: []PublicSchema{moved}, Files: []string{"c.ts"}, Exists: thereIs("a.ts")})
	if err != nil || !got.Changed || strings.Contains(string(got.Data), "a.ts") || strings.Join(got.Notes, "") != "public schema a moved from a.ts to c.ts" {
		t.Errorf("got %s, %v, %v", got.Data, got.Notes, err)
	}
}

func TestAnEntryWrittenByHandIsNotTakenOver(t *testing.T) {
	const text = `{"slug":"m","manifestVersion":0,
"publicSchemas":[{"name":"a","source":{"dataStoreSlug":"db"},"outputSchema":{"type":"object"},"version":{"major":1,"minor":0},
"config":{"publicSchemaType":"postgres","transformations":[{"operation":"insert","table":"t","sql":"SQL"}]}}]}`
	c := Collected{PublicSchemas: []PublicSchema{publicA()}, Files: []string{"a.ts"}}
	_, err := Merge("m.json", []byte(text), c)
	if err == nil || err.Error() != "m.json:2: $.publicSchemas[0]: public schema a is written here by hand, and a.ts defines it otherwise" || rejot.CodeOf(err) != rejot.Invalid {
		t.Errorf("got %v", err)
	}
	got, err := Merge("m.json", []byte(strings.Replace(text, `"SQL"`, `"a < b"`, 1)), c)
	if err != nil || !got.Changed || !strings.Contains(string(got.Data), `"definitionFile": "a.ts"`) {
		t.Errorf("the same, but for the file: got %v, %v", got, err)
	}
}

func TestWhatIsNoManifestIsNotMerged(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                                "m.json:1: $: has to be an object, and is a list",
		`{"slug":"m","slug":"n"}`:           "m.json:1: $.slug: stands here twice",
		`{"publicSchemas":{}}`:              "m.json:1: $.publicSchemas: has to be a list, and is an object",
		"{\n":                               "m.json:2: $: this is not JSON: unexpected end of JSON input",
		`{"consumerSchemas":"none at all"}`: "m.json:1: $.consumerSchemas: has to be a list, and is a text",
	} {
		_, err := Merge("m.json", []byte(text), Collected{})
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestAMergedManifestIsWrittenWholeAndOnlyWhereItChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.json")
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Merge(path, []byte("{}"), Collected{PublicSchemas: []PublicSchema{publicA()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Write(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	info, _ := os.Stat(path)
	if err != nil || string(data) != string(got.Data) || info.Mode().Perm() != 0o600 {
		t.Errorf("got %s with mode %s, %v", data, info.Mode(), err)
	}
	if err := (&Merged{Data: []byte("never")}).Write(path); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(path); string(again) != string(data) {
		t.Error("what has not changed was written")
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("something is left: %v", entries)
	}
}

// TestMergingLosesNothing draws manifests with fields of others and says that all of them stay.
func TestMergingLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fields := map[string]any{"slug": "m"}
		for _, name := range rapid.SliceOfDistinct(rapid.StringMatching(`[a-z<&"é]{1,6}`), rapid.ID[string]).Draw(t, "names") {
			fields["x-"+name] = rapid.SampledFrom([]any{nil, true, 1.5, "<a> & \"b\"", []any{1.0, map[string]any{}}, map[string]any{"k": []any{}}}).Draw(t, "value")
		}
		hand := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "entries") {
			hand = append(hand, map[string]any{"name": rapid.StringMatching(`h[0-9]{3}`).Draw(t, "name"), "x": rapid.String().Draw(t, "x")})
		}
		fields["publicSchemas"] = hand
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Merge("m.json", text, Collected{PublicSchemas: []PublicSchema{publicA()}, Files: []string{"a.ts"}})
		if err != nil {
			t.Fatal(err)
		}
		var after map[string]any
		if err := json.Unmarshal(got.Data, &after); err != nil {
			t.Fatal(err)
		}
		list := after["publicSchemas"].([]any)
		after["publicSchemas"] = list[:len(list)-1]
		if diff := cmp.Diff(fields, after); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestEntriesAreReadAsStrictlyAsAManifest(t *testing.T) {
	_, problems := ParsePublicSchema([]byte(`{"name":"a","nmae":1,"source":{"dataStoreSlug":"DB"},"outputSchema":{},"version":{"major":1,"minor":-1},"config":{"publicSchemaType":"postgres","transformations":[]}}`))
	want := []string{
		"nmae: is not known here; known are name, source, outputSchema, version, definitionFile, config, owner, description, validate, freshness, upcast",
		"source.dataStoreSlug: \"DB\" has to be a slug: a to z, 0 to 9 and -, or @owner/name",
		"version.minor: is -1, and has to be 0 or more",
		"config.transformations: is empty, and a public schema needs a transformation",
	}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Error(diff)
	}
	c, problems := ParseConsumerSchema([]byte(`{"name":"a","sourceManifestSlug":"m","publicSchema":{"name":"x","majorVersion":1},"config":{"consumerSchemaType":"postgres","destinationDataStoreSlug":"d","sql":"INSERT INTO t VALUES (:a)"}}`))
	if problems != nil || c.Config.SQL == "" {
		t.Errorf("got %+v, %v", c, problems)
	}
	if _, problems := ParseConsumerSchema([]byte(`5`)); len(problems) != 1 {
		t.Errorf("got %v", problems)
	}
}

func TestOneConnectionIsResolvedWhateverElseIsWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.json")
	text := `{"slug":"m","manifestVersion":0,"unknown":1,"connections":[
		{"slug":"db","config":{"connectionType":"postgres","host":"${env:COLLECTED_HOST}","port":1,"user":"u","database":"d"}},
		{"slug":"other","config":{"connectionType":"postgres","host":"${env:COLLECTED_UNSET}","port":1,"user":"u","database":"d"}}]}`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("COLLECTED_HOST", "h")
	m, _, wrong := Partly(path)
	if m == nil || wrong == nil {
		t.Fatalf("got %v, %v", m, wrong)
	}
	if c, err := m.Resolve("db"); err != nil || c.Host != "h" {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := m.Resolve("other"); rejot.CodeOf(err) != rejot.Invalid {
		t.Errorf("got %v", err)
	}
	if _, err := m.Resolve("none"); rejot.CodeOf(err) != rejot.NotFound {
		t.Errorf("got %v", err)
	}
}
