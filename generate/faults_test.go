package generate

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

func one(schema string) []Schema {
	return []Schema{{&contract.PublicSchema{Ref: rejot.Ref{Manifest: "shop", Name: "order", Major: 1}, OutputSchema: json.RawMessage(schema), DefinitionFile: "order.ts"}, []string{"id"}}}
}

func TestSchemasThatAreNoRowsAreRefused(t *testing.T) {
	for schema, want := range map[string]string{
		`{"type": "string"}`:           "public schema order 1.0: its outputSchema is not of an object, and a row is one",
		`{"type": ["object", "null"]}`: "public schema order 1.0: its outputSchema is not of an object, and a row is one",
		`{"$ref": "#"}`:                `public schema order 1.0: its outputSchema refers to "#", which is not inside it`,
		`{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}`:        `public schema order 1.0: its outputSchema refers to "#/$defs/a", which is not inside it`,
		`{"type": "object", "properties": {"a": {"$ref": "#/$defs/gone"}}}`:                               `public schema order 1.0: its outputSchema refers to "#/$defs/gone", which is not inside it`,
		`{"type": "object", "properties": {"a": {"$ref": "https://example.com/a.json"}}}`:                 `public schema order 1.0: its outputSchema refers to "https://example.com/a.json", which is not inside it`,
		`{"allOf": [{"$ref": "#/$defs/gone"}, {"type": "object", "properties": {"b": {}}}]}`:              `public schema order 1.0: its outputSchema refers to "#/$defs/gone", which is not inside it`,
		`{"type": "object", "properties": {"a": {"type": "array", "items": {"$ref": "#/properties/b"}}}}`: `public schema order 1.0: its outputSchema refers to "#/properties/b", which is not inside it`,
	} {
		for _, l := range languages {
			_, err := l.make(one(schema))
			if err == nil || err.Error() != want || rejot.MendOf(err) == "" {
				t.Errorf("%s: %s: got %v, mend %q", l.ext, schema, err, rejot.MendOf(err))
			}
		}
	}
}

func TestReferencesThatGoRoundEnd(t *testing.T) {
	for _, schema := range []string{
		`{"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"type": "array", "items": {"$ref": "#/properties/b"}}}}`,
		`{"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}, {"$ref": "#"}]}}}`,
		`{"allOf": [{"$ref": "#"}, {"properties": {"x": {"type": "string"}}}]}`,
		`{"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"anyOf": [{"$ref": "#/$defs/x"}]}}}`,
	} {
		for _, l := range languages {
			if _, err := l.make(one(schema)); err != nil {
				t.Errorf("%s: %s: %v", l.ext, schema, err)
			}
		}
	}
}

func TestGoRefusesWhatItsTagsCannotName(t *testing.T) {
	for name, ok := range map[string]bool{"a,b": false, "": false, `a\"b`: false, "a`b": false, "-": true, "a/b c": true} {
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Go(one(`{"type": "object", "properties": {`+string(quoted)+`: {"type": "string"}}}`), "rows")
		if ok != (err == nil) {
			t.Errorf("%q: got %v", name, err)
		}
		if err != nil && (rejot.CodeOf(err) != rejot.Unsupported || rejot.MendOf(err) == "") {
			t.Errorf("%q: got code %s, mend %q", name, rejot.CodeOf(err), rejot.MendOf(err))
		}
	}
}

func TestGoRefusesWhatIsNoPackage(t *testing.T) {
	for _, name := range []string{"", "_", "func", "a-b", "1", "a b"} {
		if _, err := Go(one(`{"type": "object"}`), name); rejot.CodeOf(err) != rejot.Invalid {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

// TestAnyNamesAndTextsGiveCode would fail in Go's formatter, or in the comments that a text leaves.
func TestAnyNamesAndTextsGiveCode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		properties := map[string]any{}
		for range rapid.IntRange(0, 5).Draw(t, "fields") {
			inner := map[string]any{"type": rapid.SampledFrom([]string{"string", "integer", "object"}).Draw(t, "type"), "description": rapid.String().Draw(t, "description")}
			if rapid.Bool().Draw(t, "enum") {
				inner = map[string]any{"enum": []any{rapid.String().Draw(t, "value"), rapid.String().Draw(t, "value")}}
			}
			properties[rapid.StringMatching(`[^,"\x60\\\x00-\x1f\x7f-\x{10ffff}][a-z_ -]{0,4}`).Draw(t, "name")] = inner
		}
		raw, err := json.Marshal(map[string]any{"type": "object", "description": rapid.String().Draw(t, "description"), "properties": properties})
		if err != nil {
			t.Fatal(err)
		}
		schemas := one(string(raw))
		schemas[0].Ref.Name = rapid.String().Draw(t, "schema")
		for _, l := range languages {
			code, err := l.make(schemas)
			if err != nil && rejot.CodeOf(err) != rejot.Unsupported {
				t.Fatalf("%s: %v", l.ext, err)
			}
			if strings.ContainsAny(string(code), "\r\x00\u2028") {
				t.Fatalf("%s: a control character is left:\n%s", l.ext, code)
			}
		}
	})
}
