package myapply

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rejot.dev/rejot"
)

// quoteArray writes an element as array_out does.
func quoteArray(s *string) string {
	if s == nil {
		return "NULL"
	}
	if *s != "" && !strings.EqualFold(*s, "NULL") && !strings.ContainsAny(*s, "{}\",\\ \t\n\r\v\f") {
		return *s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(*s) + `"`
}

// quoteField writes a field as record_out does.
func quoteField(s *string) string {
	if s == nil {
		return ""
	}
	if *s != "" && !strings.ContainsAny(*s, "()\",\\ \t\n\r\v\f") {
		return *s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `""`).Replace(*s) + `"`
}

func quoteHstore(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func anyText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("a,\"\\{}() ;=>'\nNULé😀"))), rapid.SampledFrom([]string{"", "NULL", "null", `\`, `"`}))
}

func maybeText() *rapid.Generator[*string] { return rapid.Ptr(anyText(), true) }

func convertJSON(t *rapid.T, typ rejot.Type, text string, into any) {
	b, err := writerOf(&typ)(nil, text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%q became %s: %v", text, b, err)
	}
}

func TestArraysOfAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.SliceOfN(maybeText(), 1, 4), 1, 4).Draw(t, "array")
		rows := make([]string, len(want))
		for i, row := range want {
			quoted := make([]string, len(row))
			for j, s := range row {
				quoted[j] = quoteArray(s)
			}
			rows[i] = "{" + strings.Join(quoted, ",") + "}"
		}
		var got [][]*string
		convertJSON(t, arrayOf(scalarType("text")), "{"+strings.Join(rows, ",")+"}", &got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestCompositesOfAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.SliceOfN(maybeText(), 1, 5).Draw(t, "fields")
		typ := composite()
		want, quoted := map[string]*string{}, []string{}
		for i, s := range fields {
			name := fmt.Sprint("f", i)
			typ.Fields = append(typ.Fields, rejot.Column{Name: name, Type: scalarType("text")})
			want[name] = s
			quoted = append(quoted, quoteField(s))
		}
		text := "(" + strings.Join(quoted, ",") + ")"
		var got map[string]*string
		convertJSON(t, typ, text, &got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		var nested []map[string]*string // as an element of an array, quoted once more
		convertJSON(t, arrayOf(typ), "{"+quoteArray(&text)+"}", &nested)
		if diff := cmp.Diff([]map[string]*string{want}, nested); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestHstoreOfAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOf(anyText(), maybeText()).Draw(t, "hstore")
		var pairs []string
		for k, v := range want {
			value := "NULL"
			if v != nil {
				value = quoteHstore(*v)
			}
			pairs = append(pairs, quoteHstore(k)+"=>"+value)
		}
		got := map[string]*string{}
		convertJSON(t, scalarType("hstore"), strings.Join(pairs, ", "), &got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzNested looks for texts that panic, or that become something that is not JSON.
func FuzzNested(f *testing.F) {
	for _, seed := range []string{`{a,"b"}`, `[0:1]={1,2}`, `{{1},{2}}`, `(a,"b ""c""",,)`, `"a"=>"b", "c"=>NULL`, `{"(1,\"x\")"}`, `{`, `(`, `"\`} {
		f.Add(seed)
	}
	item := composite(rejot.Column{Name: "a", Type: scalarType("text")}, rejot.Column{Name: "b", Type: arrayOf(scalarType("numeric"))})
	types := []rejot.Type{arrayOf(scalarType("text")), arrayOf(scalarType("double precision")), arrayOf(item), item, scalarType("hstore"), arrayOf(scalarType("json"))}
	f.Fuzz(func(t *testing.T, text string) {
		for _, typ := range types {
			b, err := writerOf(&typ)(nil, text)
			if err == nil && !json.Valid(b) {
				t.Errorf("%s %q became %s", typ.Name, text, b)
			}
		}
	})
}
