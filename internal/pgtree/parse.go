package pgtree

import (
	"fmt"
	"strconv"
	"strings"
)

// maxDepth of nesting: far more than a server's stack allows, far less than ours.
const maxDepth = 50_000

// Parse reads one value and requires that nothing follows it.
func Parse(text string) (*Value, error) {
	p := parser{s: text}
	p.next()
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.tok != "" {
		return nil, p.errorf("something follows the tree")
	}
	return v, nil
}

// parser is the server's pg_strtok with one token of look-ahead. Tokens are kept as they are
// written, since an escape tells a string "<>" from nothing.
type parser struct {
	s   string
	pos int
	tok string // the token ahead, raw; empty at the end
	at  int    // where it begins
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("read node tree at byte %d: %s", p.at, fmt.Sprintf(format, args...))
}

func (p *parser) next() {
	for p.pos < len(p.s) && (p.s[p.pos] == ' ' || p.s[p.pos] == '\n' || p.s[p.pos] == '\t') {
		p.pos++
	}
	p.at = p.pos
	if p.pos >= len(p.s) {
		p.tok = ""
		return
	}
	if strings.IndexByte("(){}", p.s[p.pos]) >= 0 {
		p.pos++
		p.tok = p.s[p.at:p.pos]
		return
	}
	for p.pos < len(p.s) && strings.IndexByte(" \n\t(){}", p.s[p.pos]) < 0 {
		if p.s[p.pos] == '\\' && p.pos+1 < len(p.s) {
			p.pos++
		}
		p.pos++
	}
	p.tok = p.s[p.at:p.pos]
}

func (p *parser) value(depth int) (*Value, error) {
	if depth > maxDepth {
		return nil, p.errorf("nested deeper than %d", maxDepth)
	}
	switch p.tok {
	case "":
		return nil, p.errorf("the text ends where a value is expected")
	case ")", "}":
		return nil, p.errorf("%q where a value is expected", p.tok)
	case "{":
		return p.node(depth)
	case "(":
		return p.list(depth)
	case "<>":
		p.next()
		return &Value{}, nil
	}
	v := &Value{Kind: Atom, Text: unescape(p.tok)}
	p.next()
	if p.tok == "[" {
		return v, p.bytes(v)
	}
	return v, nil
}

func (p *parser) node(depth int) (*Value, error) {
	p.next()
	if p.tok == "}" { // {} is how some versions print an empty node
		p.next()
		return &Value{Kind: Node}, nil
	}
	if p.tok == "" || strings.ContainsAny(p.tok, "(){") || p.tok[0] == ':' {
		return nil, p.errorf("a node without a name")
	}
	v := &Value{Kind: Node, Text: unescape(p.tok)}
	p.next()
	for p.tok != "}" {
		if p.tok == "" || p.tok[0] != ':' || len(p.tok) == 1 {
			return nil, p.errorf("%s: %q where a field's name is expected", v.Text, p.tok)
		}
		name := p.tok[1:]
		p.next()
		f, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v.names, v.fields = append(v.names, name), append(v.fields, f)
	}
	p.next()
	return v, nil
}

func (p *parser) list(depth int) (*Value, error) {
	p.next()
	v := &Value{Kind: List}
	switch p.tok {
	case "i", "o", "x", "b":
		v.Mark = p.tok
		p.next()
	}
	for p.tok != ")" {
		item, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v.Items = append(v.Items, item)
	}
	p.next()
	return v, nil
}

// bytes reads the "[ 1 0 0 0 ]" of a constant; the server prints them as signed numbers.
func (p *parser) bytes(v *Value) error {
	p.next()
	v.Bytes = []byte{}
	for p.tok != "]" {
		n, err := strconv.Atoi(p.tok)
		if err != nil || n < -128 || n > 255 {
			return p.errorf("%q where a byte is expected", p.tok)
		}
		v.Bytes = append(v.Bytes, byte(n))
		p.next()
	}
	p.next()
	return nil
}

// unescape takes off the backslashes and a string's quotes. A quote that belongs to the
// text is escaped, so an unescaped one in front is the string's own.
func unescape(raw string) string {
	if len(raw) >= 2 && raw[0] == '"' && raw[len(raw)-1] == '"' {
		raw = raw[1 : len(raw)-1]
	}
	if strings.IndexByte(raw, '\\') < 0 {
		return raw
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' && i+1 < len(raw) {
			i++
		}
		b.WriteByte(raw[i])
	}
	return b.String()
}
