package generate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// A Schema is a public schema whose rows code is made for.
type Schema struct {
	*contract.PublicSchema
	// Key are the names of the columns that its rows are found by; nil where they are not known.
	Key []string
}

type kind uint8

const (
	anything kind = iota
	text
	truth
	whole   // a whole number
	number  // any number
	literal // one of an enum's values
	list    // of elem
	mapping // from texts to elem
	record  // an object with fields
	either  // one of branches
	scalar  // a text or a number, of which nothing more is known
)

// A typ is what one value may be.
type typ struct {
	kind     kind
	null     bool // it may be null
	bounded  bool // of a number: it is never sent as text
	elem     *typ
	object   *object
	branches []*typ
	enum     *enum
	again    bool // of a record: it may be what it stands in
}

// An enum are the values of a literal.
type enum struct {
	name   string // what it is called where it needs a name
	named  bool   // the name is taken for it
	values []any  // texts, json.Number, booleans
}

// An object is a type with fields, which has a name in every language.
type object struct {
	name   string
	what   string // "a row of …"
	doc    []string
	fields []field
}

type field struct {
	name     string
	doc      []string
	typ      *typ
	optional bool
}

// A model is everything that is to be written.
type model struct {
	schemas []Schema
	objects []*object // a row's, its key's, then those inside them
	names   *namer
}

// newModel reads the output schemas, in an order of its own.
func newModel(schemas []Schema) (*model, error) {
	m := &model{schemas: slices.Clone(schemas), names: &namer{taken: map[string]bool{}}}
	slices.SortStableFunc(m.schemas, func(a, b Schema) int {
		return cmp.Or(cmp.Compare(a.Ref.Manifest, b.Ref.Manifest), cmp.Compare(a.Ref.Name, b.Ref.Name), cmp.Compare(a.Ref.Major, b.Ref.Major))
	})
	for _, s := range m.schemas {
		if err := m.add(s); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *model) add(s Schema) error {
	root, err := parseNode(s.OutputSchema)
	if err != nil {
		return rejot.Errorf(rejot.Invalid, "%s: its outputSchema is not JSON: %w", s, err)
	}
	b := &builder{schema: s, root: root, names: m.names, known: map[*node]*object{}, open: map[*node]bool{}, read: map[*node]*typ{}}
	b.row = m.names.unique(typeName(s.Ref))
	key := m.names.unique(b.row + "Key")
	t, err := b.rows()
	if err != nil {
		return err
	}
	if t.kind == mapping && !t.null { // a schema that says no more than "object"
		t = &typ{kind: record, object: b.object(b.row, b.rowNode)}
	}
	if t.kind != record || t.null {
		err := rejot.Errorf(rejot.Invalid, "%s: its outputSchema is not of an object, and a row is one", s)
		return rejot.WithMend(err, `write {"type": "object", "properties": {…}}, or collect it again: rejot collect --write %s`, cmp.Or(s.DefinitionFile, "FILE"))
	}
	t.object.what = fmt.Sprintf("a row of %s of manifest %s.", s, s.Ref.Manifest)
	at := slices.Index(b.objects, t.object)
	b.objects = slices.Delete(b.objects, at, at+1)
	m.objects = append(m.objects, t.object)
	if len(s.Key) > 0 {
		m.objects = append(m.objects, keyOf(s, key, t.object))
	}
	m.objects = append(m.objects, b.objects...)
	return nil
}

// keyOf makes the type of a schema's key. A delete has these columns at least.
func keyOf(s Schema, name string, row *object) *object {
	key := &object{name: name, what: fmt.Sprintf("the key of a row of %s, which its delete has.", s)}
	for _, column := range s.Key {
		f := field{name: column, typ: &typ{kind: scalar}}
		if at := slices.IndexFunc(row.fields, func(f field) bool { return f.name == column }); at >= 0 {
			own := *row.fields[at].typ
			own.null = false
			f.typ, f.doc = &own, row.fields[at].doc
		}
		key.fields = append(key.fields, f)
	}
	return key
}

// literalOf gives a scalar as it may stand in an enumeration; ok is false for what no language has as a literal.
func literalOf(n *node) (v any, ok bool) {
	switch v := n.value.(type) {
	case string, bool:
		return v, true
	case json.Number:
		return v, isExact(v)
	default:
		return nil, false
	}
}
