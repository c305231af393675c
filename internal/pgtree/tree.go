package pgtree

import (
	"slices"
	"strconv"
)

// A Kind says what a Value is.
type Kind uint8

// The kinds of values. The zero Value is Null.
const (
	Null Kind = iota // <>, and whatever a tree does not have
	Atom             // a number, a word, a string
	List             // (…): nodes, strings, or numbers with a mark in front
	Node             // {NAME :field value …}
)

// A Value is one value of a tree. The methods work on nil, which is Null.
type Value struct {
	Kind  Kind
	Text  string   // of an Atom: unescaped, a string's quotes taken off; of a Node: its name
	Mark  string   // of a List of numbers: "i", "o" or "x"; of a bitmap set: "b"
	Items []*Value // of a List
	Bytes []byte   // of an Atom with bytes behind it, as in :constvalue 4 [ 1 0 0 0 ]

	names  []string
	fields []*Value
}

// Is tells whether v is a node of that name.
func (v *Value) Is(name string) bool { return v != nil && v.Kind == Node && v.Text == name }

// IsNull tells whether there is nothing.
func (v *Value) IsNull() bool { return v == nil || v.Kind == Null }

// Name gives a node's name, else the empty string.
func (v *Value) Name() string {
	if v == nil || v.Kind != Node {
		return ""
	}
	return v.Text
}

// Get gives the field of a node, or nil where it has none of that name.
func (v *Value) Get(name string) *Value {
	if v == nil {
		return nil
	}
	for i, n := range v.names {
		if n == name {
			return v.fields[i]
		}
	}
	return nil
}

// Has tells whether a node has a field of that name, whatever its value.
func (v *Value) Has(name string) bool {
	if v == nil {
		return false
	}
	for _, n := range v.names {
		if n == name {
			return true
		}
	}
	return false
}

// Children gives what v holds directly: the items of a list, the values of a node's fields.
func (v *Value) Children() []*Value {
	if v == nil {
		return nil
	}
	if v.Kind == Node {
		return v.fields
	}
	return v.Items
}

// List gives the items of the list in field name.
func (v *Value) List(name string) []*Value {
	f := v.Get(name)
	if f == nil {
		return nil
	}
	return f.Items
}

// Str gives the text of the atom in field name.
func (v *Value) Str(name string) string {
	f := v.Get(name)
	if f == nil || f.Kind != Atom {
		return ""
	}
	return f.Text
}

// Int gives the number in field name, or zero.
func (v *Value) Int(name string) int { return v.Get(name).Number() }

// OID gives the object number in field name, or zero.
func (v *Value) OID(name string) uint32 { return uint32(v.Get(name).Number()) } //nolint:gosec // the server wrote 32 bits

// Number gives the number that an atom is, or zero.
func (v *Value) Number() int {
	if v == nil || v.Kind != Atom {
		return 0
	}
	n, err := strconv.ParseInt(v.Text, 10, 64)
	if err != nil {
		return 0
	}
	return int(n)
}

// Bool tells whether field name is true.
func (v *Value) Bool(name string) bool { return v.Str(name) == "true" }

// Walk calls f with v and, where f returns true, with everything below it.
func (v *Value) Walk(f func(*Value) bool) {
	if v == nil || !f(v) {
		return
	}
	for _, c := range v.Children() {
		c.Walk(f)
	}
}

// notInValue are the fields that no value depends on: where a part stood in the text, and how it is to be shown.
var notInValue = []string{"location", "funcformat", "relabelformat", "coerceformat", "coercionformat", "convertformat", "resulttypeformat"}

// Equal tells whether v and o are the same, but for where their parts stood in the text and how they were written there. same decides on pairs of
// values before they are looked into: equal counts where known is true.
func (v *Value) Equal(o *Value, same func(v, o *Value) (equal, known bool)) bool {
	if equal, known := same(v, o); known {
		return equal
	}
	if v.IsNull() || o.IsNull() {
		return v.IsNull() && o.IsNull()
	}
	if v.Kind != o.Kind || v.Text != o.Text || v.Mark != o.Mark || string(v.Bytes) != string(o.Bytes) || len(v.fields) != len(o.fields) || len(v.Items) != len(o.Items) {
		return false
	}
	for i, name := range v.names {
		if name != o.names[i] || !slices.Contains(notInValue, name) && !v.fields[i].Equal(o.fields[i], same) {
			return false
		}
	}
	for i, item := range v.Items {
		if !item.Equal(o.Items[i], same) {
			return false
		}
	}
	return true
}
