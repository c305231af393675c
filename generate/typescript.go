package generate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// TypeScript makes an interface for the rows of each schema and one for their keys.
func TypeScript(schemas []Schema) ([]byte, error) {
	m, err := newModel(schemas)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, line := range m.header("typescript") {
		b.WriteString(strings.TrimRight("// "+line, " ") + "\n")
	}
	for _, o := range m.objects {
		b.WriteString("\n")
		writeTSDoc(&b, "", o.sentences())
		if len(o.fields) == 0 {
			fmt.Fprintf(&b, "export type %s = Record<string, unknown>;\n", o.name)
			continue
		}
		fmt.Fprintf(&b, "export interface %s {\n", o.name)
		for _, f := range o.fields {
			writeTSDoc(&b, "  ", f.doc)
			mark := ""
			if f.optional {
				mark = "?"
			}
			fmt.Fprintf(&b, "  %s%s: %s;\n", tsName(f.name), mark, tsType(f.typ))
		}
		b.WriteString("}\n")
	}
	return b.Bytes(), nil
}

func writeTSDoc(b *bytes.Buffer, indent string, doc []string) {
	doc = slices.Clone(doc)
	for i, line := range doc {
		doc[i] = strings.ReplaceAll(line, "*/", "*\\/")
	}
	switch len(doc) {
	case 0:
	case 1:
		fmt.Fprintf(b, "%s/** %s */\n", indent, doc[0])
	default:
		fmt.Fprintf(b, "%s/**\n", indent)
		for _, line := range doc {
			fmt.Fprintf(b, "%s * %s\n", indent, line)
		}
		fmt.Fprintf(b, "%s */\n", indent)
	}
}

// tsPlain are property names that need no quotes. Keywords need none.
var tsPlain = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*$`)

func tsName(name string) string {
	if tsPlain.MatchString(name) {
		return name
	}
	return tsText(name)
}

// tsText writes a text in quotes.
func tsText(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a text always encodes
	return strings.TrimRight(b.String(), "\n")
}

func tsType(t *typ) string {
	all := tsParts(t)
	if t.null && t.kind != anything {
		all = append(all, "null")
	}
	return strings.Join(all, " | ")
}

// tsParts gives the parts of a union.
func tsParts(t *typ) []string {
	switch t.kind {
	case anything:
		return []string{"unknown"}
	case text:
		return []string{"string"}
	case truth:
		return []string{"boolean"}
	case whole, number:
		if t.bounded {
			return []string{"number"}
		}
		return []string{"number", "string"}
	case scalar:
		return []string{"number", "string"}
	case literal:
		var all []string
		for _, v := range t.enum.values {
			if s, ok := v.(string); ok {
				all = append(all, tsText(s))
			} else {
				all = append(all, fmt.Sprint(v))
			}
		}
		return all
	case list:
		elem := tsType(t.elem)
		if strings.Contains(elem, " | ") {
			elem = "(" + elem + ")"
		}
		return []string{elem + "[]"}
	case mapping:
		return []string{"Record<string, " + tsType(t.elem) + ">"}
	case record:
		return []string{t.object.name}
	case either:
		var all []string
		for _, branch := range t.branches {
			all = appendNew(all, tsParts(branch)...)
		}
		return all
	default:
		return []string{fmt.Sprintf("never /* unknown kind %d */", t.kind)}
	}
}

// appendNew appends what is not there yet.
func appendNew(all []string, more ...string) []string {
next:
	for _, s := range more {
		for _, have := range all {
			if have == s {
				continue next
			}
		}
		all = append(all, s)
	}
	return all
}
