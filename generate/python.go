package generate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Python makes a TypedDict for the rows of each schema and one for their keys, with nothing but the
// standard library of Python 3.11.
func Python(schemas []Schema) ([]byte, error) {
	m, err := newModel(schemas)
	if err != nil {
		return nil, err
	}
	w := &pythonWriter{defined: map[string]bool{}, imports: []string{"TypedDict"}}
	for _, o := range slices.Backward(m.objects) { // what is inside others goes first, as it is looked up at once
		w.object(o)
	}
	var b bytes.Buffer
	for _, line := range m.header("python") {
		b.WriteString(strings.TrimRight("# "+line, " ") + "\n")
	}
	slices.Sort(w.imports)
	fmt.Fprintf(&b, "\nfrom typing import %s\n", strings.Join(slices.Compact(w.imports), ", "))
	b.Write(w.out.Bytes())
	return b.Bytes(), nil
}

type pythonWriter struct {
	out     bytes.Buffer
	imports []string
	defined map[string]bool
}

func (w *pythonWriter) use(name string) string {
	w.imports = append(w.imports, name)
	return name
}

func (w *pythonWriter) doc(indent string, doc []string) {
	for _, line := range doc {
		fmt.Fprintf(&w.out, "%s# %s\n", indent, line)
	}
}

func (w *pythonWriter) object(o *object) {
	w.out.WriteString("\n\n")
	w.doc("", o.sentences())
	switch {
	case len(o.fields) == 0:
		fmt.Fprintf(&w.out, "%s = dict[str, %s]\n", o.name, w.use("Any"))
	case slices.ContainsFunc(o.fields, func(f field) bool { return !pyPlain(f.name) }):
		fmt.Fprintf(&w.out, "%s = TypedDict(\n    %q,\n    {\n", o.name, o.name)
		for _, f := range o.fields {
			w.doc("        ", f.doc)
			fmt.Fprintf(&w.out, "        %s: %s,\n", pyText(f.name), w.annotation(f))
		}
		w.out.WriteString("    },\n)\n")
	default:
		fmt.Fprintf(&w.out, "class %s(TypedDict):\n", o.name)
		for _, f := range o.fields {
			w.doc("    ", f.doc)
			fmt.Fprintf(&w.out, "    %s: %s\n", f.name, w.annotation(f))
		}
	}
	w.defined[o.name] = true
}

// annotation gives a field's type, in quotes where it names something that comes later.
func (w *pythonWriter) annotation(f field) string {
	later := false
	t := w.typ(f.typ, &later)
	if later {
		t = pyText(t)
	}
	if f.optional {
		return w.use("NotRequired") + "[" + t + "]"
	}
	return t
}

var pyIdentifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// pyKeywords are the words that are no names in Python 3.
var pyKeywords = []string{
	"False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except", "finally", "for",
	"from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
}

// pyPlain reports whether a name can stand in a class. Python changes a name there that begins with two
// underscores.
func pyPlain(name string) bool {
	return pyIdentifier.MatchString(name) && !strings.HasPrefix(name, "__") && !slices.Contains(pyKeywords, name)
}

// pyText writes a text in quotes: Python reads Go's escapes.
func pyText(s string) string { return strconv.QuoteToASCII(s) }

func (w *pythonWriter) typ(t *typ, later *bool) string {
	all := w.parts(t, later)
	if t.null && t.kind != anything {
		all = append(all, "None")
	}
	return strings.Join(all, " | ")
}

func (w *pythonWriter) parts(t *typ, later *bool) []string {
	switch t.kind {
	case anything:
		return []string{w.use("Any")}
	case text:
		return []string{"str"}
	case truth:
		return []string{"bool"}
	case whole:
		if t.bounded {
			return []string{"int"}
		}
		return []string{"int", "str"}
	case number:
		if t.bounded {
			return []string{"float"}
		}
		return []string{"float", "str"}
	case scalar:
		return []string{"int", "float", "str"}
	case literal:
		return []string{w.use("Literal") + "[" + strings.Join(pyLiterals(t.enum.values), ", ") + "]"}
	case list:
		return []string{"list[" + w.typ(t.elem, later) + "]"}
	case mapping:
		return []string{"dict[str, " + w.typ(t.elem, later) + "]"}
	case record:
		*later = *later || !w.defined[t.object.name]
		return []string{t.object.name}
	case either:
		var all []string
		for _, branch := range t.branches {
			all = appendNew(all, w.parts(branch, later)...)
		}
		return all
	default:
		return []string{fmt.Sprintf("unknown kind %d", t.kind)}
	}
}

func pyLiterals(values []any) []string {
	var all []string
	for _, v := range values {
		switch v := v.(type) {
		case string:
			all = append(all, pyText(v))
		case bool:
			all = append(all, strings.ToUpper(strconv.FormatBool(v)[:1])+strconv.FormatBool(v)[1:])
		case json.Number:
			all = append(all, v.String())
		}
	}
	return all
}
