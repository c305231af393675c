package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A taker reads its own node and says what is wrong with it, or nothing.
type taker interface{ take(n *node) string }

// A decoder puts nodes into the form and collects everything that does not fit.
type decoder struct{ problems []problem }

func (d *decoder) add(n *node, path, format string, args ...any) {
	d.problems = append(d.problems, problem{line: n.line, path: path, text: fmt.Sprintf(format, args...)})
}

func (d *decoder) value(n *node, v reflect.Value, path string) {
	if t, ok := v.Addr().Interface().(taker); ok {
		if wrong := t.take(n); wrong != "" {
			d.add(n, path, "%s", wrong)
		}
		return
	}
	if raw, ok := v.Addr().Interface().(*json.RawMessage); ok {
		*raw = n.raw
		d.is(n, kindObject, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if v.Elem().Kind() == reflect.String && n.kind == kindText {
			v.Elem().SetString(n.text) // a password, which may be empty
			return
		}
		d.value(n, v.Elem(), path)
	case reflect.Struct:
		d.object(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	case reflect.String:
		if d.is(n, kindText, path) {
			v.SetString(n.text)
			if n.text == "" {
				d.add(n, path, "is empty")
			}
		}
	case reflect.Bool:
		if d.is(n, kindBool, path) {
			v.SetBool(n.text == "true")
		}
	case reflect.Int:
		if i, err := strconv.Atoi(n.text); d.is(n, kindNumber, path) && err == nil {
			v.SetInt(int64(i))
		} else if n.kind == kindNumber {
			d.add(n, path, "has to be a whole number, and is %s", n.text)
		}
	default:
		d.add(n, path, "cannot be read into %s", v.Type())
	}
}

// is reports whether n has a kind, and says so where it has not. The value is not shown, as it may be a secret.
func (d *decoder) is(n *node, want kind, path string) bool {
	if n.kind != want {
		d.add(n, path, "has to be %s, and is %s", want, n.kind)
	}
	return n.kind == want
}

func (d *decoder) object(n *node, v reflect.Value, path string) {
	if !d.is(n, kindObject, path) {
		return
	}
	var known []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		known = append(known, name)
		child := n.child(name)
		switch {
		case child != nil:
			d.value(child, v.Field(i), field(path, name))
		case f.Tag.Get("need") != "":
			d.add(n, path, "%s is missing", name)
		}
	}
	for i, name := range n.names {
		if !slices.Contains(known, name) {
			d.add(n.items[i], field(path, name), "is not known here; known are %s", strings.Join(known, ", "))
		}
	}
}

func (d *decoder) list(n *node, v reflect.Value, path string) {
	if !d.is(n, kindList, path) {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (d *decoder) mapping(n *node, v reflect.Value, path string) {
	if !d.is(n, kindObject, path) {
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.items)))
	for i, item := range n.items {
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(item, elem, field(path, n.names[i]))
		v.SetMapIndex(reflect.ValueOf(n.names[i]), elem)
	}
}
