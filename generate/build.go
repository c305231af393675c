package generate

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"rejot.dev/rejot"
)

// A builder makes types of one JSON Schema. Draft 07 and 2020-12 are read, as far as they say what form
// a value has; what only narrows values (patterns, lengths) is left out.
type builder struct {
	schema  Schema
	root    *node
	row     string // what a row is called
	rowNode *node
	names   *namer
	objects []*object
	known   map[*node]*object
	open    map[*node]bool // schemas that are being read
	read    map[*node]*typ // of known: those that have been
}

// rows gives the type of a row.
func (b *builder) rows() (*typ, error) {
	var seen []*node
	for b.rowNode = b.root; b.rowNode.text("$ref") != ""; {
		seen = append(seen, b.rowNode)
		ref := b.rowNode.text("$ref")
		if b.rowNode = b.root.at(ref); b.rowNode == nil || slices.Contains(seen, b.rowNode) {
			return nil, b.nowhere(ref)
		}
	}
	return b.typ(b.rowNode, b.row)
}

// object makes an object with a name, before its fields are read, which may refer to it.
func (b *builder) object(name string, n *node) *object {
	if n == b.rowNode {
		name = b.row
	} else {
		name = b.names.unique(name)
	}
	o := &object{name: name, what: fmt.Sprintf("a part of %s.", b.row), doc: lines(n.text("description"))}
	b.objects = append(b.objects, o)
	b.known[n] = o
	return o
}

// typ gives the type of a schema. name is what its object would be called.
func (b *builder) typ(n *node, name string) (*typ, error) {
	if !n.isObject() { // true and false
		return &typ{kind: anything}, nil
	}
	if ref := n.text("$ref"); ref != "" {
		to := b.root.at(ref)
		if to == nil {
			return nil, b.nowhere(ref)
		}
		n, name = to, typeName(b.schema.Ref)+pascal(ref[strings.LastIndex(ref, "/")+1:])
	}
	if t := b.read[n]; t != nil {
		own := *t
		own.again = t.kind == record
		return &own, nil
	}
	if o := b.known[n]; o != nil {
		return &typ{kind: record, object: o, null: isNullable(n) || slices.Contains(n.texts("type"), "null"), again: true}, nil
	}
	if b.open[n] { // it contains itself and has no name
		return &typ{kind: anything}, nil
	}
	b.open[n] = true
	defer delete(b.open, n)
	t, err := b.shape(n, name)
	if err != nil {
		return nil, err
	}
	t.null = t.null || isNullable(n)
	if b.known[n] != nil {
		kept := *t // whoever gets t may change it
		b.read[n] = &kept
	}
	return t, nil
}

// isNullable reports whether a schema says nullable, the word of OpenAPI.
func isNullable(n *node) bool {
	f := n.field("nullable")
	return f != nil && f.value == true
}

func (b *builder) shape(n *node, name string) (*typ, error) {
	if value := n.field("const"); value != nil {
		return b.literals([]*node{value}, name), nil
	}
	if values := n.list("enum"); values != nil {
		return b.literals(values, name), nil
	}
	for _, word := range []string{"anyOf", "oneOf"} {
		if branches := n.list(word); branches != nil && n.field("properties") == nil {
			return b.either(branches, name)
		}
	}
	if parts := n.list("allOf"); parts != nil {
		return b.all(n, parts, name)
	}
	var branches []*typ
	null := false
	for _, word := range typesOf(n) {
		if word == "null" {
			null = true
			continue
		}
		t, err := b.one(n, word, name)
		if err != nil {
			return nil, err
		}
		branches = append(branches, t)
	}
	return join(branches, null), nil
}

// typesOf gives the words of a schema's type, or what its other words make of it.
func typesOf(n *node) []string {
	if words := n.texts("type"); words != nil {
		return words
	}
	switch {
	case n.field("properties") != nil:
		return []string{"object"}
	case n.field("items") != nil || n.field("prefixItems") != nil:
		return []string{"array"}
	default:
		return []string{"any"}
	}
}

func (b *builder) one(n *node, word, name string) (*typ, error) {
	switch word {
	case "string":
		return &typ{kind: text}, nil
	case "boolean":
		return &typ{kind: truth}, nil
	case "integer":
		return &typ{kind: whole, bounded: isBounded(n)}, nil
	case "number":
		format := n.text("format")
		return &typ{kind: number, bounded: format == "float" || format == "double"}, nil
	case "array":
		return b.list(n, name)
	case "object":
		return b.fields(n, name)
	default:
		return &typ{kind: anything}, nil
	}
}

func (b *builder) list(n *node, name string) (*typ, error) {
	items, rest := n.list("prefixItems"), n.field("items")
	if items == nil {
		items, rest = n.list("items"), n.field("additionalItems") // draft 07
	}
	if items != nil {
		branches := slices.Clone(items)
		switch {
		case endsAfter(n, len(items)) || rest != nil && rest.value == false:
		case rest == nil: // whatever follows is right
			return &typ{kind: list, elem: &typ{kind: anything}}, nil
		default:
			branches = append(branches, rest)
		}
		elem, err := b.either(branches, name+"Item")
		return &typ{kind: list, elem: elem}, err
	}
	elem, err := b.typ(n.field("items"), name+"Item")
	return &typ{kind: list, elem: elem}, err
}

// endsAfter reports whether a list has no more than count items.
func endsAfter(n *node, count int) bool {
	f := n.field("maxItems")
	if f == nil {
		return false
	}
	num, _ := f.value.(json.Number)
	most, err := num.Int64()
	return err == nil && most <= int64(count)
}

// fields makes an object, or a mapping where a schema names no fields.
func (b *builder) fields(n *node, name string) (*typ, error) {
	properties := n.field("properties")
	if !properties.isObject() || len(properties.items) == 0 {
		elem, err := b.typ(n.field("additionalProperties"), name+"Value")
		return &typ{kind: mapping, elem: elem}, err
	}
	o := b.object(name, n)
	err := b.addFields(o, n)
	return &typ{kind: record, object: o}, err
}

func (b *builder) addFields(o *object, n *node) error {
	properties := n.field("properties")
	if !properties.isObject() {
		return nil
	}
	required := n.texts("required")
	for i, name := range properties.names {
		inner := properties.items[i]
		t, err := b.typ(inner, o.name+pascal(name))
		if err != nil {
			return err
		}
		doc := lines(inner.text("description"))
		if format := inner.text("format"); format != "" {
			doc = append(doc, "Format: "+strings.Join(lines(format), " "))
		}
		f := field{name: name, doc: doc, typ: t, optional: !slices.Contains(required, name)}
		if at := slices.IndexFunc(o.fields, func(f field) bool { return f.name == name }); at >= 0 {
			f.optional = f.optional && o.fields[at].optional
			o.fields[at] = f
			continue
		}
		o.fields = append(o.fields, f)
	}
	return nil
}

// all joins the parts of allOf: objects become one, and of others there may be one.
func (b *builder) all(n *node, parts []*node, name string) (*typ, error) {
	if len(parts) == 1 && n.field("properties") == nil {
		return b.typ(parts[0], name)
	}
	flat, err := b.flatten(n, nil)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(flat, func(part *node) bool { return part.field("properties") != nil }) {
		return &typ{kind: anything}, nil
	}
	o := b.object(name, n)
	for _, part := range flat {
		if err := b.addFields(o, part); err != nil {
			return nil, err
		}
	}
	return &typ{kind: record, object: o}, nil
}

// flatten gives a schema, what it refers to and the parts of its allOf, each once.
func (b *builder) flatten(n *node, seen []*node) ([]*node, error) {
	if slices.Contains(seen, n) {
		return seen, nil
	}
	seen = append(seen, n)
	parts := n.list("allOf")
	if ref := n.text("$ref"); ref != "" {
		to := b.root.at(ref)
		if to == nil {
			return nil, b.nowhere(ref)
		}
		parts = []*node{to}
	}
	for _, part := range parts {
		var err error
		if seen, err = b.flatten(part, seen); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

func (b *builder) either(branches []*node, name string) (*typ, error) {
	var all []*typ
	null := false
	for i, n := range branches {
		if words := n.texts("type"); len(words) == 1 && words[0] == "null" {
			null = true
			continue
		}
		inner := name
		if len(branches) > 2 || len(branches) == 2 && i > 0 && !null {
			inner += strconv.Itoa(i + 1)
		}
		t, err := b.typ(n, inner)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return join(all, null), nil
}

// join makes one type of several. null says that null is one of them.
func join(all []*typ, null bool) *typ {
	var flat []*typ
	for _, t := range all {
		null = null || t.null
		own := *t
		own.null = false
		if t.kind == either {
			flat = append(flat, t.branches...)
		} else {
			flat = append(flat, &own)
		}
	}
	switch {
	case len(flat) == 0:
		return &typ{kind: anything} // nothing but null, or nothing at all
	case slices.ContainsFunc(flat, func(t *typ) bool { return t.kind == anything }):
		return &typ{kind: anything}
	case len(flat) == 1:
		flat[0].null = null
		return flat[0]
	}
	return &typ{kind: either, branches: flat, null: null}
}

func (b *builder) literals(values []*node, name string) *typ {
	t := &typ{kind: literal, enum: &enum{name: name}}
	for _, n := range values {
		if n.value == nil {
			t.null = true
			continue
		}
		v, ok := literalOf(n)
		switch {
		case ok:
			t.enum.values = append(t.enum.values, v)
		case isNumber(n):
			return &typ{kind: number}
		default:
			return &typ{kind: anything}
		}
	}
	if len(t.enum.values) == 0 {
		return &typ{kind: anything}
	}
	return t
}

func (b *builder) nowhere(ref string) error {
	err := rejot.Errorf(rejot.Unsupported, "%s: its outputSchema refers to %q, which is not inside it", b.schema, ref)
	return rejot.WithMend(err, "put what is referred to into the schema, under $defs")
}

// furthest is where JSON's readers begin to round: what is beyond it is sent as text.
const furthest = 1 << 53

// isBounded reports whether a schema keeps a whole number out of where it would be sent as text.
func isBounded(n *node) bool {
	switch n.text("format") {
	case "int8", "int16", "int32", "uint8", "uint16", "uint32":
		return true
	}
	low, high := false, false
	for _, word := range []string{"minimum", "exclusiveMinimum"} {
		low = low || within(n.field(word))
	}
	for _, word := range []string{"maximum", "exclusiveMaximum"} {
		high = high || within(n.field(word))
	}
	return low && high
}

func isNumber(n *node) bool {
	_, ok := n.value.(json.Number)
	return ok
}

func within(n *node) bool {
	if n == nil {
		return false
	}
	num, ok := n.value.(json.Number)
	if !ok || len(num) > 40 {
		return false
	}
	f, ok := new(big.Float).SetString(num.String())
	return ok && f.Abs(f).Cmp(big.NewFloat(furthest)) <= 0
}

// isExact reports whether a number is whole and sent as a number.
func isExact(num json.Number) bool {
	i, err := strconv.ParseInt(num.String(), 10, 64)
	return err == nil && i >= -furthest && i <= furthest
}
