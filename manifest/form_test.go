package manifest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files")

func TestCanonicalBytesStayAsTheyAre(t *testing.T) {
	want, err := os.ReadFile("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Read("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

// TestFullManifestHasEveryField keeps full.json full, so that the test above says something of every field.
func TestFullManifestHasEveryField(t *testing.T) {
	m, err := Read("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	missing := fieldsOf(reflect.TypeFor[Manifest]())
	fieldsIn(reflect.ValueOf(*m), missing)
	for name := range missing {
		t.Errorf("testdata/full.json has no %s", name)
	}
}

// fieldsOf lists the fields of a type and of those inside it, as Type.Field.
func fieldsOf(t reflect.Type) map[string]bool {
	out := map[string]bool{}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return fieldsOf(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if f.IsExported() && f.Tag.Get("json") != "" {
				out[t.Name()+"."+f.Name] = true
				for name := range fieldsOf(f.Type) {
					out[name] = true
				}
			}
		}
	default:
	}
	return out
}

// fieldsIn takes from missing what a value has.
func fieldsIn(v reflect.Value, missing map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fieldsIn(v.Elem(), missing)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fieldsIn(v.Index(i), missing)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			fieldsIn(v.MapIndex(k), missing)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() || v.Field(i).IsZero() && f.Tag.Get("need") == "" {
				continue
			}
			delete(missing, v.Type().Name()+"."+f.Name)
			fieldsIn(v.Field(i), missing)
		}
	default:
	}
}

func TestWrittenFormIsCanonical(t *testing.T) {
	for _, name := range []string{"loose", "example"} {
		t.Run(name, func(t *testing.T) {
			from := filepath.Join("testdata", name+".json")
			if name == "example" {
				from = filepath.FromSlash("../examples/accounts/rejot-manifest.json")
			}
			m, err := Read(from)
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.Encode()
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".golden.json")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("run the test with -update where this is right:\n%s", diff)
			}
		})
	}
}

func TestNoPrinterShowsAPassword(t *testing.T) {
	text := strings.NewReplacer("${env:DB_PASSWORD}", "Gehe1m", "${env:HUB_TOKEN}", "Gehe1m", "plain", "Gehe1m", "nats://bus", "nats://u:Gehe1m@bus").Replace(full(t))
	m, err := Parse("m.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	for _, c := range m.Connections {
		fmt.Fprintf(&printed, "%v %+v %#v %s\n", c.Config, c.Config, c.Config, c)
	}
	fmt.Fprintf(&printed, "%v %+v %s\n", *m.Hub, m.Hub, m.Connections[0].Config.Roles.Apply)
	for _, got := range []string{string(encoded), printed.String()} {
		if strings.Contains(got, "Gehe1m") {
			t.Errorf("a secret is shown: %s", got)
		}
	}
	if got := *r.Connections[0].Config.Roles.Capture.Password; got != "file:secrets/capture" {
		t.Errorf("a reference is no secret, got %q", got)
	}
	if got := *m.Connections[0].Config.Password; got != "Gehe1m" {
		t.Errorf("the manifest itself was changed to %q", got)
	}
}

func full(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]uint64{"1": 1, "7B": 7, "3kB": 3 << 10, "10GB": 10 << 30, "2 TB": 2 << 40, "GB": 0, "1PB": 0, "1kMB": 0, "-1": 0, "0": 0, "99999999999TB": 0, "": 0} {
		if got, ok := parseSize(text, false); got != want || ok != (want > 0) {
			t.Errorf("%q: got %d, %t, want %d", text, got, ok, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full(f)))
	f.Add([]byte(`{"slug":"a","manifestVersion":0,"connections":[{"slug":"a","slug":"b","config":null}]}`))
	f.Add([]byte("{\"slug\":\"\xff\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse("m.json", data)
		if err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				if line == "" {
					t.Errorf("an error has an empty line: %q", err)
				}
			}
			return
		}
		first, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("m.json", first)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, first)
		}
		second, err := again.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if string(first) != string(second) {
			t.Errorf("written twice:\n%s\n%s", first, second)
		}
	})
}
