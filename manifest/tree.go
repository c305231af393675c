package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindText
	kindList
	kindObject
)

var kindNames = [...]string{"null", "true or false", "a number", "a text", "a list", "an object"}

func (k kind) String() string { return kindNames[k] }

// A node is one value of a JSON text with its place.
type node struct {
	kind  kind
	line  int
	raw   []byte
	text  string // of a text, a number, or a boolean
	names []string
	items []*node // of a list, or of an object in the order of names
}

// child gives an object's field, or nil.
func (n *node) child(name string) *node {
	for i, have := range n.names {
		if have == name {
			return n.items[i]
		}
	}
	return nil
}

// A problem is something wrong at a place of the file.
type problem struct {
	line int
	path string
	text string
	mend string // what to do about it; may be empty
}

type parser struct {
	data     []byte
	dec      *json.Decoder
	counted  int // lines are counted up to here
	line     int
	depth    int
	problems []problem
}

// deepest is how deep lists and objects may stand in one another.
const deepest = 100

// parse reads a JSON text. What keeps it from being read is the one problem of a nil node; names that
// stand twice in an object are problems beside a node.
func parse(data []byte) (*node, []problem) {
	var whole json.RawMessage
	err := json.Unmarshal(data, &whole)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, unreadable(data, int(syntax.Offset), "this is not JSON: "+syntax.Error())
	case err != nil:
		return nil, unreadable(data, 0, "this is not JSON: "+err.Error())
	}
	if at := invalidUTF8(data); at >= 0 {
		return nil, unreadable(data, at, "this is not UTF-8")
	}
	p := &parser{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	p.dec.UseNumber()
	n, err := p.value("$")
	if err != nil {
		return nil, unreadable(data, p.counted, err.Error())
	}
	return n, p.problems
}

// unreadable is the one problem of a text that is no manifest, at an offset.
func unreadable(data []byte, offset int, text string) []problem {
	line := 1 + bytes.Count(data[:min(offset, len(data))], []byte("\n"))
	return []problem{{line: line, path: "$", text: text}}
}

func invalidUTF8(data []byte) int {
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}

// next gives the next token with the line and offset that it begins at.
func (p *parser) next() (tok json.Token, line, start int, err error) {
	start = int(p.dec.InputOffset())
	for start < len(p.data) && strings.IndexByte(" \t\r\n,:", p.data[start]) >= 0 {
		start++
	}
	p.line += bytes.Count(p.data[p.counted:start], []byte("\n"))
	p.counted = start
	tok, err = p.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return tok, p.line, start, err
}

func (p *parser) value(path string) (*node, error) {
	tok, line, start, err := p.next()
	if err != nil {
		return nil, err
	}
	if p.depth++; p.depth > deepest {
		return nil, fmt.Errorf("lists and objects stand in one another more than %d deep", deepest)
	}
	defer func() { p.depth-- }()
	n := &node{line: line}
	switch t := tok.(type) {
	case nil:
		n.kind = kindNull
	case bool:
		n.kind, n.text = kindBool, strconv.FormatBool(t)
	case json.Number:
		n.kind, n.text = kindNumber, t.String()
	case string:
		n.kind, n.text = kindText, t
	case json.Delim:
		if t == '[' {
			err = p.list(n, path)
		} else {
			err = p.object(n, path)
		}
	default:
		err = fmt.Errorf("unknown token %T", tok)
	}
	n.raw = p.data[start:p.dec.InputOffset()]
	return n, err
}

func (p *parser) list(n *node, path string) error {
	n.kind = kindList
	for p.dec.More() {
		item, err := p.value(fmt.Sprintf("%s[%d]", path, len(n.items)))
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, _, _, err := p.next()
	return err
}

func (p *parser) object(n *node, path string) error {
	n.kind = kindObject
	seen := map[string]bool{}
	for p.dec.More() {
		tok, line, _, err := p.next()
		if err != nil {
			return err
		}
		name, ok := tok.(string)
		if !ok {
			return fmt.Errorf("a field's name is %T", tok)
		}
		at := field(path, name)
		item, err := p.value(at)
		if err != nil {
			return err
		}
		if seen[name] {
			p.problems = append(p.problems, problem{line: line, path: at, text: "stands here twice"})
			continue
		}
		seen[name] = true
		n.names, n.items = append(n.names, name), append(n.items, item)
	}
	_, _, _, err := p.next()
	return err
}

// field is the path of an object's field.
func field(path, name string) string {
	plain := name != ""
	for i, r := range name {
		letter := r == '_' || r == '$' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		plain = plain && (letter || i > 0 && r >= '0' && r <= '9')
	}
	if plain {
		return path + "." + name
	}
	return path + "[" + strconv.Quote(name) + "]"
}
