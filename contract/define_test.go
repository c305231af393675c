package contract_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot/contract"
)

// An emitted line is what `rejot collect` reads.
type emitted struct {
	Number  int
	Schemas []struct {
		File   string
		Line   int
		Schema json.RawMessage
	}
	Error *struct {
		Text, File string
		Line       int
	}
}

func emit(t *testing.T, values ...any) emitted {
	t.Helper()
	var b bytes.Buffer
	if err := contract.Emit(&b, 7, values...); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), "\n") {
		t.Error("what the package printed before it, without an end of its line, would be in the line")
	}
	var e emitted
	if err := json.Unmarshal(b.Bytes(), &e); err != nil || strings.Count(strings.TrimPrefix(b.String(), "\n"), "\n") != 1 {
		t.Fatalf("no line of JSON: %s, %v", b.String(), err)
	}
	return e
}

type defined struct {
	ID int64 `json:"id"`
}

func TestADefinitionIsTheEntryOfAManifest(t *testing.T) {
	public := contract.Public("a", contract.Version{Major: 2, Minor: 1}, contract.PublicOptions{
		Source: "db", Output: contract.SchemaOf[defined](), Owner: "me", Description: "<what>", Validate: "warn", Freshness: "30s",
		Transformations: []contract.Transformation{contract.OnChange("t", "SELECT id < 1"), {Operations: []string{"insert"}, Table: "u", SQL: "SELECT 1", Params: map[string]string{"id": "t_id"}, Rows: "one"}},
		Upcasts:         []contract.Upcast{{From: 1, SQL: "SELECT :id"}},
	})
	consumer := contract.Consume("c", contract.ConsumerOptions{
		Reads: contract.Reads{Manifest: "m", Schema: "a", Major: 2}, Destination: "d", Database: "mysql", SQL: "S", DeleteSQL: "D", TruncateSQL: "T", OnError: "quarantine",
	})
	e := emit(t, public, 5, "text", []contract.Definition{consumer}, (*contract.Definition)(nil), &consumer)
	if len(e.Schemas) != 3 || e.Number != 7 || e.Error != nil {
		t.Fatalf("got %+v", e)
	}
	want := []string{
		`{"name":"a","source":{"dataStoreSlug":"db"},"outputSchema":{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"],"additionalProperties":false,"$schema":"http://json-schema.org/draft-07/schema#"},` +
			`"version":{"major":2,"minor":1},"config":{"publicSchemaType":"postgres","transformations":[{"operation":"insert","table":"t","sql":"SELECT id < 1"},{"operation":"update","table":"t","sql":"SELECT id < 1"},` +
			`{"operation":"delete","table":"t","sql":"SELECT id < 1"},{"operation":"insert","table":"u","sql":"SELECT 1","params":{"id":"t_id"},"rows":"one"}]},"owner":"me","description":"<what>","validate":"warn","freshness":"30s","upcast":[{"from":1,"sql":"SELECT :id"}]}`,
		`{"name":"c","sourceManifestSlug":"m","publicSchema":{"name":"a","majorVersion":2},"config":{"consumerSchemaType":"mysql","destinationDataStoreSlug":"d","sql":"S","deleteSql":"D","truncateSql":"T","onError":"quarantine"}}`,
	}
	for i, w := range want {
		if diff := cmp.Diff(w, string(e.Schemas[i].Schema)); diff != "" {
			t.Error(diff)
		}
	}
	if s := e.Schemas[0]; filepath.Base(s.File) != "define_test.go" || s.Line != 52 {
		t.Errorf("got %s:%d", s.File, s.Line)
	}
}

func TestAnOutputSchemaThatIsNoneIsTheDefinitionsError(t *testing.T) {
	for name, c := range map[string]struct {
		output contract.Schema
		want   string
	}{
		"no JSON": {contract.JSONSchema("{"), "public schema a: its output schema is no JSON"},
		"no type": {contract.SchemaOf[func()](), "public schema a: JSON Schema has nothing for the Go type func()"},
		"itself":  {contract.SchemaOf[list](), "public schema a: the Go type contract_test.list contains itself"},
	} {
		e := emit(t, contract.Public("a", contract.Version{Major: 1}, contract.PublicOptions{Output: c.output}))
		if e.Error == nil || e.Error.Text != c.want || e.Error.Line == 0 || e.Schemas != nil {
			t.Errorf("%s: got %+v", name, e.Error)
		}
	}
}

type list struct{ Next *list }

type embedded struct {
	Inner string
}

type everything struct {
	embedded
	S       string          `json:"s" description:"a \"text\""`
	N       *int            `json:"n"`
	F       float32         `json:"f,omitempty"`
	B       bool            `json:"b,omitzero"`
	Price   string          `json:"price" format:"decimal"`
	At      *time.Time      `json:"at"`
	Addr    netip.Addr      `json:"addr"`
	Raw     json.RawMessage `json:"raw" description:"anything"`
	Any     any             `json:"any"`
	Bytes   []byte          `json:"bytes"`
	List    []*int16        `json:"list"`
	Map     map[string]bool `json:"map"`
	Object  struct{ X int } `json:"object"`
	Skipped string          `json:"-"`
	hidden  int
	Plain   uint8
}

func TestSchemaOfAType(t *testing.T) {
	_ = everything{hidden: 1}
	e := emit(t, contract.Public("a", contract.Version{}, contract.PublicOptions{Output: contract.SchemaOf[everything]()}))
	var got struct {
		OutputSchema struct {
			Properties json.RawMessage
			Required   []string
		}
	}
	if err := json.Unmarshal(e.Schemas[0].Schema, &got); err != nil {
		t.Fatal(err)
	}
	want := `{"Inner":{"type":"string"},"s":{"type":"string","description":"a \"text\""},"n":{"type":["integer","null"]},"f":{"type":"number"},"b":{"type":"boolean"},` +
		`"price":{"type":"string","format":"decimal"},"at":{"type":["string","null"],"format":"date-time"},"addr":{"type":"string"},"raw":{"description":"anything"},"any":{},` +
		`"bytes":{"type":"string","contentEncoding":"base64"},"list":{"type":"array","items":{"type":["integer","null"]}},"map":{"type":"object","additionalProperties":{"type":"boolean"}},` +
		`"object":{"type":"object","properties":{"X":{"type":"integer"}},"required":["X"],"additionalProperties":false},"Plain":{"type":"integer"}}`
	if diff := cmp.Diff(want, string(got.OutputSchema.Properties)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Inner", "s", "n", "price", "at", "addr", "raw", "any", "bytes", "list", "map", "object", "Plain"}, got.OutputSchema.Required); diff != "" {
		t.Error(diff)
	}
}
