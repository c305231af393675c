package generate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A node is one JSON value that remembers the order of its fields, which a map would not.
type node struct {
	value any // nil, bool, json.Number or string; of lists and objects a json.Delim
	names []string
	items []*node
}

// parseNode reads one JSON value.
func parseNode(raw []byte) (*node, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return readNode(dec)
}

func readNode(dec *json.Decoder) (*node, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	n := &node{value: tok}
	open, ok := tok.(json.Delim)
	if !ok {
		return n, nil
	}
	for dec.More() {
		if open == '{' {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			n.names = append(n.names, fmt.Sprint(name))
		}
		item, err := readNode(dec)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	_, err = dec.Token()
	return n, err
}

func (n *node) isObject() bool { return n != nil && n.value == json.Delim('{') }
func (n *node) isList() bool   { return n != nil && n.value == json.Delim('[') }

// field gives an object's field, or nil.
func (n *node) field(name string) *node {
	if !n.isObject() {
		return nil
	}
	if i := slices.Index(n.names, name); i >= 0 {
		return n.items[i]
	}
	return nil
}

// text gives a field that is a text, else nothing.
func (n *node) text(name string) string {
	if f := n.field(name); f != nil {
		s, _ := f.value.(string)
		return s
	}
	return ""
}

// list gives the items of a field that is a list.
func (n *node) list(name string) []*node {
	if f := n.field(name); f.isList() {
		return f.items
	}
	return nil
}

// texts gives a field that is a text or a list of texts.
func (n *node) texts(name string) []string {
	f := n.field(name)
	if f == nil {
		return nil
	}
	if s, ok := f.value.(string); ok {
		return []string{s}
	}
	var all []string
	for _, item := range n.list(name) {
		if s, ok := item.value.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// at follows a reference inside the same schema, like #/$defs/address; nil where it leads nowhere.
func (n *node) at(ref string) *node {
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	path, err := url.PathUnescape(path)
	if err != nil {
		return nil
	}
	if path == "" {
		return n
	}
	for _, part := range strings.Split(path, "/")[1:] {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		if n.isList() {
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(n.items) {
				return nil
			}
			n = n.items[i]
			continue
		}
		if n = n.field(part); n == nil {
			return nil
		}
	}
	return n
}
