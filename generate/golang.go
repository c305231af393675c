package generate

import (
	"bytes"
	"fmt"
	"go/format"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"rejot.dev/rejot"
)

// DefaultPackage is the name of the Go package that is made where none is asked for.
const DefaultPackage = "rows"

// Go makes a struct for the rows of each schema and one for their keys, in a package of a name.
func Go(schemas []Schema, pkg string) ([]byte, error) {
	if !token.IsIdentifier(pkg) || pkg == "_" {
		return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "%q is no name of a Go package", pkg), "use letters and digits, like --package %s", DefaultPackage)
	}
	m, err := newModel(schemas)
	if err != nil {
		return nil, err
	}
	w := &goWriter{names: m.names}
	for _, o := range m.objects {
		if err := w.object(o); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	for i, line := range m.header("go") {
		if i == 1 { // a tool reads the first line, a person the rest
			b.WriteString("\n")
			continue
		}
		b.WriteString("// " + line + "\n")
	}
	fmt.Fprintf(&b, "\npackage %s\n", pkg)
	if w.json {
		b.WriteString("\nimport \"encoding/json\"\n")
	}
	b.Write(w.out.Bytes())
	out, err := format.Source(b.Bytes())
	if err != nil {
		return nil, rejot.Errorf(rejot.Internal, "the Go code that was made cannot be read: %w", err)
	}
	return out, nil
}

type goWriter struct {
	out   bytes.Buffer
	names *namer
	json  bool // encoding/json is used
	enums []*enum
}

func (w *goWriter) use(name string) string {
	w.json = true
	return name
}

func (w *goWriter) doc(doc []string) {
	for _, line := range doc {
		fmt.Fprintf(&w.out, "// %s\n", line)
	}
}

func (w *goWriter) object(o *object) error {
	w.out.WriteString("\n")
	w.doc(append([]string{o.name + " is " + strings.Join(lines(o.what), " ")}, o.doc...))
	if len(o.fields) == 0 {
		fmt.Fprintf(&w.out, "type %s map[string]%s\n", o.name, w.use("json.RawMessage"))
		return nil
	}
	fmt.Fprintf(&w.out, "type %s struct {\n", o.name)
	own := &namer{taken: map[string]bool{}}
	for _, f := range o.fields {
		tag, err := goTag(f)
		if err != nil {
			return rejot.WithMend(rejot.Errorf(rejot.Unsupported, "%s: %w", o.name, err), "give the column another name in the query: AS other_name")
		}
		w.doc(f.doc)
		fmt.Fprintf(&w.out, "%s %s %s\n", own.unique(goName(f.name)), w.typ(f.typ, f.optional), tag)
	}
	w.out.WriteString("}\n")
	enums := w.enums
	w.enums = nil
	for _, t := range enums {
		w.enum(t)
	}
	return nil
}

// enum writes the constants of a type of texts.
func (w *goWriter) enum(t *enum) {
	fmt.Fprintf(&w.out, "\n// %s is one of the texts below.\ntype %[1]s string\n\n// The values of %[1]s.\nconst (\n", t.name)
	for _, v := range t.values {
		s, _ := v.(string)
		part := pascal(s)
		if part == "" {
			part = "Other"
		}
		fmt.Fprintf(&w.out, "%s %s = %s\n", w.names.unique(t.name+part), t.name, strconv.Quote(s))
	}
	w.out.WriteString(")\n")
}

// goInitials are the words that are written in capitals.
var goInitials = []string{"API", "HTML", "HTTP", "HTTPS", "ID", "IP", "JSON", "SQL", "URL", "UUID", "XML"}

func goName(name string) string {
	var b strings.Builder
	for _, word := range words(name) {
		if up := strings.ToUpper(word); slices.Contains(goInitials, up) {
			word = up
		}
		b.WriteString(capital(word))
	}
	return exported(b.String(), "Field")
}

// goTag gives the tag of a field. Not every name can stand in one.
func goTag(f field) (string, error) {
	ok := f.name != "" && !strings.ContainsFunc(f.name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r)
	})
	if !ok {
		return "", fmt.Errorf("the field %q cannot be named in a tag of encoding/json", f.name)
	}
	options := ""
	if f.optional {
		options = ",omitzero"
	} else if f.name == "-" {
		options = "," // without it, the field would be left out
	}
	return "`json:" + strconv.Quote(f.name+options) + "`", nil
}

// typ gives a field's type: a pointer where it may be null or missing, unless its zero value says that.
func (w *goWriter) typ(t *typ, optional bool) string {
	name := w.value(t)
	switch t.kind {
	case text, truth, whole, number, literal, record:
		if (t.null || optional || t.again) && name != "json.RawMessage" {
			return "*" + name
		}
	default:
	}
	return name
}

func (w *goWriter) value(t *typ) string {
	switch t.kind {
	case text:
		return "string"
	case truth:
		return "bool"
	case whole:
		if t.bounded {
			return "int64"
		}
		return w.use("json.Number") // takes a number and a text that is one
	case number:
		if t.bounded {
			return "float64"
		}
		return w.use("json.Number")
	case scalar:
		return "any"
	case literal:
		return w.literal(t.enum)
	case list:
		return "[]" + w.typ(t.elem, false)
	case mapping:
		return "map[string]" + w.typ(t.elem, false)
	case record:
		return t.object.name
	default:
		return w.use("json.RawMessage") // nothing of it is lost
	}
}

// literal gives a type of its own for texts, and the plain type for what else all values are.
func (w *goWriter) literal(t *enum) string {
	texts, truths := 0, 0
	for _, v := range t.values {
		switch v.(type) {
		case string:
			texts++
		case bool:
			truths++
		}
	}
	switch {
	case texts == len(t.values):
		if !t.named {
			t.name, t.named = w.names.unique(t.name), true
			w.enums = append(w.enums, t)
		}
		return t.name
	case truths == len(t.values):
		return "bool"
	case texts+truths == 0:
		return "int64"
	default:
		return w.use("json.RawMessage")
	}
}
