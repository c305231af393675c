package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A shape is a JSON Schema, as far as a reader of values can tell one from another.
type shape struct {
	kinds  []string // sorted; null is apart; none: anything
	null   bool
	format string
	zone   string // x-timezone and x-unit
	enum   []string
	isEnum bool
	bounds map[string]*big.Rat
	rest   string // other keywords, in one form
	among  []alternative

	items *shape
	tuple []*shape

	fields   map[string]*shape
	optional map[string]bool // fields that may be absent
	object   bool

	sensitivity string
}

// An alternative is one of several schemas of a value, with its text.
type alternative struct {
	text string
	*shape
}

// names gives an object's fields in the order of their names.
func (s *shape) names() []string {
	var names []string
	for n := range s.fields {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// field gives a field, whose absence counts as NULL.
func (s *shape) field(name string) *shape {
	f := s.fields[name]
	if f == nil || !s.optional[name] || f.null {
		return f
	}
	out := *f
	out.null = true
	return &out
}

// deepest is how far a schema is followed.
const deepest = 20

// parseShape reads a JSON Schema of an object. It says what is wrong with it, as far as the standard says so.
func parseShape(raw json.RawMessage) (*shape, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource("outputSchema.json", doc); err != nil {
		return nil, err
	}
	if _, err := compiler.Compile("outputSchema.json"); err != nil {
		return nil, err
	}
	root, ok := doc.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("it is no object")
	}
	r := reader{root: root, open: map[string]bool{}}
	s := r.shape(root, 0)
	if len(s.kinds) > 0 && !slices.Contains(s.kinds, "object") {
		return nil, fmt.Errorf("its type is %s, and a row is an object", strings.Join(s.kinds, ", "))
	}
	return s, nil
}

// noLoader keeps a schema from reading files or the network.
type noLoader struct{}

// Load refuses.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s, which is not read: put what it needs under $defs", url)
}

// A reader turns a document into shapes.
type reader struct {
	root map[string]any
	open map[string]bool // references that are being followed
}

// annotations say nothing about values.
var annotations = []string{
	"$schema", "$id", "$comment", "$defs", "definitions", "$anchor", "$ref", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
	"type", "format", "enum", "const", "items", "prefixItems", "additionalItems", "properties", "required", "additionalProperties", "unevaluatedProperties",
	"anyOf", "oneOf", "allOf", "x-sensitivity", "x-timezone", "x-unit", "nullable",
}

// boundWords are keywords that limit a value by a number. With true a larger number admits more.
var boundWords = map[string]bool{
	"maxLength": true, "maximum": true, "exclusiveMaximum": true, "maxItems": true, "maxProperties": true,
	"minLength": false, "minimum": false, "exclusiveMinimum": false, "minItems": false, "minProperties": false, "multipleOf": false,
}

func (r reader) shape(doc any, depth int) *shape {
	s := &shape{bounds: map[string]*big.Rat{}, fields: map[string]*shape{}, optional: map[string]bool{}}
	m, ok := doc.(map[string]any)
	if !ok || depth > deepest {
		return s // true, or too deep: anything
	}
	if ref, ok := m["$ref"].(string); ok && !r.open[ref] { // in a circle it is anything
		if target := r.find(ref); target != nil {
			r.open[ref] = true
			s = r.shape(target, depth+1)
			delete(r.open, ref)
		}
	}
	r.scalar(s, m)
	r.parts(s, m, depth)
	for _, word := range []string{"anyOf", "oneOf"} {
		if list, ok := m[word].([]any); ok {
			r.alternatives(s, list, depth)
		}
	}
	if list, ok := m["allOf"].([]any); ok {
		for _, part := range list {
			s.join(r.shape(part, depth+1))
		}
	}
	slices.Sort(s.kinds)
	s.kinds = slices.Compact(s.kinds)
	slices.Sort(s.enum)
	return s
}

// find follows a reference inside the document.
func (r reader) find(ref string) any {
	var at any = r.root
	rest, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	for _, part := range strings.Split(strings.TrimPrefix(rest, "/"), "/") {
		if part == "" {
			continue
		}
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return at
}

func (r reader) scalar(s *shape, m map[string]any) {
	switch t := m["type"].(type) {
	case string:
		s.kind(t)
	case []any:
		for _, one := range t {
			if k, ok := one.(string); ok {
				s.kind(k)
			}
		}
	}
	if m["nullable"] == true {
		s.null = true
	}
	if f, ok := m["format"].(string); ok {
		s.format = f
	}
	for _, word := range []string{"x-timezone", "x-unit"} {
		if v, ok := m[word].(string); ok {
			s.zone += word + "=" + v + " "
		}
	}
	if v, ok := m["x-sensitivity"].(string); ok {
		s.sensitivity = v
	}
	values, isEnum := m["enum"].([]any)
	if c, ok := m["const"]; ok {
		values, isEnum = []any{c}, true
	}
	for _, v := range values {
		if v == nil {
			s.null = true
			continue
		}
		s.enum = append(s.enum, encode(v))
	}
	s.isEnum = s.isEnum || isEnum && len(s.enum) > 0
	other := map[string]any{}
	for word, v := range m {
		if n, ok := v.(json.Number); ok {
			if _, known := boundWords[word]; known {
				if rat, ok := new(big.Rat).SetString(n.String()); ok {
					s.bounds[word] = rat
				}
				continue
			}
		}
		if !slices.Contains(annotations, word) {
			other[word] = v
		}
	}
	if len(other) > 0 {
		s.rest = encode(other)
	}
}

func (s *shape) kind(k string) {
	if k == "null" {
		s.null = true
		return
	}
	s.kinds = append(s.kinds, k)
	s.object = s.object || k == "object"
}

func (r reader) parts(s *shape, m map[string]any, depth int) {
	if list, ok := m["prefixItems"].([]any); ok {
		s.tuple = r.list(list, depth)
	}
	switch items := m["items"].(type) {
	case []any:
		s.tuple = r.list(items, depth)
	case map[string]any, bool:
		s.items = r.shape(items, depth+1)
	}
	props, _ := m["properties"].(map[string]any)
	required, _ := m["required"].([]any)
	for name, p := range props {
		s.fields[name] = r.shape(p, depth+1)
		s.optional[name] = !slices.Contains(required, any(name))
	}
}

func (r reader) list(docs []any, depth int) []*shape {
	out := make([]*shape, len(docs))
	for i, d := range docs {
		out[i] = r.shape(d, depth+1)
	}
	return out
}

// alternatives of which one is null make a value nullable; several others are united, as far as their
// kinds go, and kept beside that.
func (r reader) alternatives(s *shape, list []any, depth int) {
	var others []alternative
	for _, d := range list {
		one := r.shape(d, depth+1)
		if one.null && len(one.kinds) == 0 && !one.isEnum {
			s.null = true
			continue
		}
		others = append(others, alternative{encode(d), one})
	}
	if len(others) == 1 {
		s.join(others[0].shape)
		return
	}
	allEnums := true
	for _, o := range others {
		s.kinds = append(s.kinds, o.kinds...)
		s.null = s.null || o.null
		allEnums = allEnums && o.isEnum
	}
	if allEnums {
		for _, o := range others {
			s.enum, s.isEnum = append(s.enum, o.enum...), true
		}
		return
	}
	s.among = append(s.among, others...)
}

// join adds what another schema says of the same value.
func (s *shape) join(o *shape) {
	s.kinds, s.null, s.object = append(s.kinds, o.kinds...), s.null || o.null, s.object || o.object
	if s.format == "" {
		s.format = o.format
	}
	if s.sensitivity == "" {
		s.sensitivity = o.sensitivity
	}
	s.zone += o.zone
	s.enum, s.isEnum = append(s.enum, o.enum...), s.isEnum || o.isEnum
	for k, v := range o.bounds {
		s.bounds[k] = v
	}
	for k, v := range o.fields {
		s.fields[k], s.optional[k] = v, o.optional[k]
	}
	if s.items == nil {
		s.items = o.items
	}
	if s.tuple == nil {
		s.tuple = o.tuple
	}
	s.rest += o.rest
	s.among = append(s.among, o.among...)
}

// encode writes a value in one form; the encoder sorts the names of fields.
func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v) // it was JSON before
	}
	return string(text)
}

// String names a shape's type for people.
func (s *shape) String() string {
	if s == nil {
		return "anything"
	}
	t := strings.Join(s.kinds, " or ")
	if t == "" {
		t = "anything"
	}
	if s.format != "" {
		t += " (" + s.format + ")"
	}
	if slices.Equal(s.kinds, []string{"array"}) && s.items != nil {
		t = "array of " + s.items.String()
	}
	return t
}
