package rejot

// A Kind tells what a Value is.
type Kind uint8

// The kinds of a Value.
const (
	Unknown Kind = iota // the log left it out (an unchanged TOASTed column, a skipped column)
	Null
	Text
)

// A Value is one column as the source writes it: its canonical text, or NULL. The zero Value is
// Unknown, which every statement refuses: what the log left out cannot become NULL because somebody
// forgot it.
type Value struct {
	text string
	kind Kind
}

// TextValue is the source's canonical text.
func TextValue(s string) Value { return Value{text: s, kind: Text} }

// NullValue is SQL NULL.
func NullValue() Value { return Value{kind: Null} }

// Kind tells what v is.
func (v Value) Kind() Kind { return v.kind }

// Text gives the canonical text; ok is false where v is NULL or Unknown.
func (v Value) Text() (s string, ok bool) { return v.text, v.kind == Text }

// A TypeKind sorts the source's types by what a destination of another kind has to know of them.
type TypeKind uint8

// The kinds of types. The zero TypeKind is Scalar.
const (
	Scalar TypeKind = iota
	Enum
	Array     // Elem is the type of the elements
	Composite // Fields are its columns
	Range     // ranges and multiranges
)

// A Type is a column's type in the words of the source. A domain is given as its base type.
type Type struct {
	Name   string // the source's name, castable there: bigint, character varying(20), public.mood, text[]
	Kind   TypeKind
	Elem   *Type    // of an Array
	Fields []Column // of a Composite
}

// A Column is a column of a table or of a result.
type Column struct {
	Name string
	Type Type
}
