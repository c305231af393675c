package contract

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"rejot.dev/rejot"
)

// A Schema is the JSON Schema (draft-07) of a public schema's rows. The zero Schema is none.
type Schema struct {
	raw json.RawMessage
	err error
}

// Draft is the JSON Schema that all output schemas are of.
const Draft = "http://json-schema.org/draft-07/schema#"

// JSONSchema takes a schema that is written as JSON.
func JSONSchema(text string) Schema {
	if !json.Valid([]byte(text)) {
		return Schema{err: rejot.Errorf(rejot.Invalid, "its output schema is no JSON")}
	}
	return Schema{raw: json.RawMessage(text)}
}

// SchemaOf makes a schema of a struct type: its exported fields under their names of encoding/json, in their order. A pointer
// may be null, a field with omitempty or omitzero may be missing. The tags format and description go into the schema, as in
// `json:"price" format:"decimal"`.
func SchemaOf[T any]() Schema {
	b := schemaBuilder{}
	b.value(reflect.TypeFor[T](), nil)
	if b.err != nil {
		return Schema{err: b.err}
	}
	raw := bytes.TrimSuffix(b.out.Bytes(), []byte("}"))
	return Schema{raw: append(append(raw, `,"$schema":`...), append(quote(Draft), '}')...)}
}

// A schemaBuilder writes JSON Schema in one order of keywords, whoever makes it.
type schemaBuilder struct {
	out    bytes.Buffer
	inside []reflect.Type // structs, to see that one contains itself
	err    error
}

var (
	timeType    = reflect.TypeFor[time.Time]()
	rawType     = reflect.TypeFor[json.RawMessage]()
	textMarshal = reflect.TypeFor[encoding.TextMarshaler]()
	jsonMarshal = reflect.TypeFor[json.Marshaler]()
)

// value writes the schema of a type; keywords are added to it.
func (b *schemaBuilder) value(t reflect.Type, keywords [][2]string) {
	null := false
	for t.Kind() == reflect.Pointer {
		t, null = t.Elem(), true
	}
	name, format := jsonType(t)
	switch {
	case name != "":
	case t == rawType, t.Kind() == reflect.Interface, t.Implements(jsonMarshal):
		b.out.WriteByte('{') // anything, null as well
		b.keywords(keywords, false)
		b.out.WriteByte('}')
		return
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		name, keywords = "string", append([][2]string{{"contentEncoding", "base64"}}, keywords...)
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Array:
		name = "array"
	case t.Kind() == reflect.Map, t.Kind() == reflect.Struct:
		name = "object"
	default:
		b.fail("JSON Schema has nothing for the Go type %s", t)
		return
	}
	if format != "" && !slices.ContainsFunc(keywords, func(k [2]string) bool { return k[0] == "format" }) {
		keywords = append([][2]string{{"format", format}}, keywords...)
	}
	b.out.WriteString(`{"type":`)
	if null {
		b.out.WriteString(`["` + name + `","null"]`)
	} else {
		b.out.WriteString(`"` + name + `"`)
	}
	switch t.Kind() {
	case reflect.Struct:
		if name == "object" {
			b.object(t)
		}
	case reflect.Map:
		b.out.WriteString(`,"additionalProperties":`)
		b.value(t.Elem(), nil)
	case reflect.Slice, reflect.Array:
		if name == "array" {
			b.out.WriteString(`,"items":`)
			b.value(t.Elem(), nil)
		}
	default:
	}
	b.keywords(keywords, true)
	b.out.WriteByte('}')
}

// jsonType gives the type of what is one value in JSON, nothing for others.
func jsonType(t reflect.Type) (name, format string) {
	switch t.Kind() {
	case reflect.Struct, reflect.Slice, reflect.Array, reflect.Map, reflect.String:
		if t == timeType {
			return "string", "date-time"
		}
		if t.Implements(textMarshal) || reflect.PointerTo(t).Implements(textMarshal) || t.Kind() == reflect.String {
			return "string", ""
		}
	case reflect.Bool:
		return "boolean", ""
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer", ""
	case reflect.Float32, reflect.Float64:
		return "number", ""
	default:
	}
	return "", ""
}

func (b *schemaBuilder) object(t reflect.Type) {
	if slices.Contains(b.inside, t) {
		b.fail("the Go type %s contains itself", t)
		return
	}
	b.inside = append(b.inside, t)
	defer func() { b.inside = b.inside[:len(b.inside)-1] }()
	var required [][]byte
	b.out.WriteString(`,"properties":{`)
	first := true
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" && options == "" || f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if !first {
			b.out.WriteByte(',')
		}
		first = false
		b.out.Write(append(quote(name), ':'))
		var keywords [][2]string
		for _, k := range []string{"format", "description"} {
			if text, ok := f.Tag.Lookup(k); ok {
				keywords = append(keywords, [2]string{k, text})
			}
		}
		b.value(f.Type, keywords)
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, quote(name))
		}
	}
	b.out.WriteByte('}')
	if len(required) > 0 {
		b.out.WriteString(`,"required":[`)
		b.out.Write(bytes.Join(required, []byte(",")))
		b.out.WriteByte(']')
	}
	b.out.WriteString(`,"additionalProperties":false`)
}

func (b *schemaBuilder) keywords(list [][2]string, follow bool) {
	for _, k := range list {
		if follow {
			b.out.WriteByte(',')
		}
		follow = true
		b.out.Write(quote(k[0]))
		b.out.WriteByte(':')
		b.out.Write(quote(k[1]))
	}
}

func (b *schemaBuilder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = rejot.Errorf(rejot.Invalid, format, args...)
	}
}

// quote makes a JSON text. A Go string always encodes.
func quote(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a text always encodes
	return bytes.TrimRight(b.Bytes(), "\n")
}
