package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// Collected is what definitions in code say, to be merged into a manifest.
type Collected struct {
	PublicSchemas   []PublicSchema
	ConsumerSchemas []ConsumerSchema
	Files           []string                         // that were looked at, as in definitionFile
	Exists          func(definitionFile string) bool // whether a file that was not looked at is still there
	Prune           bool                             // entries of other files go, and fields that no definition has
}

// A Merged is a manifest's text with what was collected in it.
type Merged struct {
	Data    []byte   // canonical white space; the old bytes where nothing changed
	Changed bool     // whether an entry differs
	Notes   []string // what went, moved or was kept, a sentence each
}

// ParsePublicSchema reads a public schema as strictly as one of a manifest. The problems name the field.
func ParsePublicSchema(raw []byte) (PublicSchema, []string) {
	m, problems := parseEntry("publicSchemas", raw)
	if len(m.PublicSchemas) == 0 {
		return PublicSchema{}, problems
	}
	return m.PublicSchemas[0], problems
}

// ParseConsumerSchema reads a consumer schema as strictly as one of a manifest. The problems name the field.
func ParseConsumerSchema(raw []byte) (ConsumerSchema, []string) {
	m, problems := parseEntry("consumerSchemas", raw)
	if len(m.ConsumerSchemas) == 0 {
		return ConsumerSchema{}, problems
	}
	return m.ConsumerSchemas[0], problems
}

// parseEntry reads an entry inside a manifest that has nothing else.
func parseEntry(section string, raw []byte) (*Manifest, []string) {
	m, problems := parseForm("", fmt.Appendf(nil, `{"slug":"x","manifestVersion":0,%q:[%s]}`, section, raw))
	var texts []string
	for _, p := range problems {
		at := strings.TrimPrefix(strings.TrimPrefix(p.path, "$."+section+"[0]"), ".")
		text := printable(p.text)
		if at != "" {
			text = at + ": " + text
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return m, texts
}

// Merge puts what was collected into a manifest's text. Nothing of it is lost but entries whose definition is gone: the order
// of sections and entries, unknown fields and entries without a definitionFile stay as they are. Code Invalid: the text is no
// manifest, or a person wrote an entry by hand that is defined in code otherwise. Its error joins all of these.
func Merge(file string, data []byte, c Collected) (*Merged, error) {
	m := &Manifest{file: file}
	root, problems := parse(data)
	if root == nil || len(problems) > 0 {
		return nil, m.errorOf(problems)
	}
	if root.kind != kindObject {
		return nil, m.errorOf([]problem{{line: root.line, path: "$", text: "has to be an object, and is " + root.kind.String()}})
	}
	g := &merger{Collected: c, file: file, root: root}
	public := make([]collectedEntry, 0, len(c.PublicSchemas))
	for i := range c.PublicSchemas {
		s := &c.PublicSchemas[i]
		public = append(public, collectedEntry{key: fmt.Sprintf("%s@%d", s.Name, s.Version.Major), title: "public schema " + s.Name, file: s.DefinitionFile, form: s})
	}
	consumers := make([]collectedEntry, 0, len(c.ConsumerSchemas))
	for i := range c.ConsumerSchemas {
		s := &c.ConsumerSchemas[i]
		consumers = append(consumers, collectedEntry{key: s.Name, title: "consumer schema " + s.Name, file: s.DefinitionFile, form: s})
	}
	sections := map[string][]byte{}
	g.section(sections, "publicSchemas", public)
	g.section(sections, "consumerSchemas", consumers)
	if len(g.problems) > 0 {
		return nil, m.errorOf(g.problems)
	}
	out := &Merged{Data: data, Changed: g.changed, Notes: g.notes}
	if !g.changed {
		return out, nil
	}
	text, err := g.text(sections)
	out.Data = text
	return out, err
}

// Write puts the text where path is, whole or not at all; nothing where nothing changed.
func (m *Merged) Write(path string) error {
	if !m.Changed {
		return nil
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // the file is written, not the link
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := replaceFile(path, m.Data, mode); err != nil {
		return rejot.Errorf(rejot.Invalid, "write the manifest: %w", err)
	}
	return nil
}

// A collectedEntry is a schema from code, whatever its kind.
type collectedEntry struct {
	key, title string
	file       string
	form       any
}

type merger struct {
	Collected
	file     string
	root     *node
	changed  bool
	notes    []string
	problems []problem
}

func (g *merger) note(format string, args ...any) {
	g.notes = append(g.notes, printable(fmt.Sprintf(format, args...)))
}

// section merges one list. Where it stays as it is, it is left out of sections.
func (g *merger) section(sections map[string][]byte, name string, collected []collectedEntry) {
	old := g.root.child(name)
	if old == nil {
		old = &node{kind: kindList}
	}
	if old.kind != kindList {
		g.problems = append(g.problems, problem{line: old.line, path: "$." + name, text: "has to be a list, and is " + old.kind.String()})
		return
	}
	used := map[string]bool{}
	changed := false
	var items [][]byte
	for i, item := range old.items {
		key, definition := keyOf(name, item), textOf(item, "definitionFile")
		at := slices.IndexFunc(collected, func(e collectedEntry) bool { return e.key == key && !used[key] })
		if at < 0 {
			if g.stays(name, key, definition) {
				items = append(items, item.raw)
			} else {
				changed = true
			}
			continue
		}
		used[key] = true
		raw, same := g.replace(item, collected[at], fmt.Sprintf("$.%s[%d]", name, i), definition)
		items, changed = append(items, raw), changed || !same
	}
	for _, e := range collected {
		if !used[e.key] {
			used[e.key], changed = true, true
			items = append(items, g.encode(e.form))
		}
	}
	if changed {
		g.changed = true
		sections[name] = append(append([]byte("["), bytes.Join(items, []byte(","))...), ']')
	}
}

// stays tells whether an entry stays that nothing that was collected replaces.
func (g *merger) stays(section, key, definition string) bool {
	thing := "public schema"
	if section == "consumerSchemas" {
		thing = "consumer schema"
	}
	switch {
	case definition == "":
		return true
	case slices.Contains(g.Files, definition):
		g.note("removed %s %s, which %s no longer defines", thing, key, definition)
	case g.Exists == nil || !g.Exists(definition):
		g.note("removed %s %s, whose file %s is gone", thing, key, definition)
	case g.Prune:
		g.note("removed %s %s of %s, which was not among the files", thing, key, definition)
	default:
		return true
	}
	return false
}

// replace gives an entry as the code has it, with what a person added to it by hand.
func (g *merger) replace(old *node, e collectedEntry, path, definition string) (raw []byte, same bool) {
	fresh := g.encode(e.form)
	now, problems := parse(fresh)
	if now == nil {
		g.problems = append(g.problems, problems...)
		return old.raw, true
	}
	merged := g.keep(old, now, reflect.TypeOf(e.form).Elem(), e.title, "")
	switch {
	case sameJSON(old.raw, merged):
		return old.raw, true
	case definition == "" && !sameBut(old, now, "definitionFile"):
		g.problems = append(g.problems, problem{
			line: old.line, path: path,
			text: fmt.Sprintf("%s is written here by hand, and %s defines it otherwise", e.title, e.file),
			mend: fmt.Sprintf("remove one of them, or give this entry \"definitionFile\": %q to let the code have it", e.file),
		})
	case definition != "" && definition != e.file:
		g.note("%s moved from %s to %s", e.title, definition, e.file)
	}
	return merged, false
}

// handwritten has, by a form's type, the optional fields that stay in an entry when its definition does not say them. The
// original's packages cannot say them.
var handwritten = map[reflect.Type][]string{
	reflect.TypeFor[PublicSchema]():         {"owner", "description", "validate", "freshness", "upcast"},
	reflect.TypeFor[ConsumerSchemaConfig](): {"truncateSql", "onError"},
	reflect.TypeFor[Transformation]():       {"params", "keys", "rows"},
}

// keep gives the object now in the form's order, with the fields of old that are unknown to the form, and with handwritten ones
// unless there is pruning.
func (g *merger) keep(old, now *node, form reflect.Type, title, path string) []byte {
	if form.Kind() != reflect.Struct || old.kind != kindObject || now.kind != kindObject {
		return now.raw
	}
	var b bytes.Buffer
	field := func(name string, raw []byte) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.Write(quoted(name))
		b.WriteByte(':')
		b.Write(raw)
	}
	var known []string
	for i := range form.NumField() {
		f := form.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "" {
			continue
		}
		known = append(known, name)
		was, is := old.child(name), now.child(name)
		switch {
		case is != nil && was != nil && is.kind == kindList && f.Type == reflect.TypeFor[[]Transformation]():
			field(name, g.keepTransformations(was, is, title))
		case is != nil && was != nil:
			field(name, g.keep(was, is, f.Type, title, path+name+"."))
		case is != nil:
			field(name, is.raw)
		case was != nil && slices.Contains(handwritten[form], name) && !g.Prune && !contradicts(now, name):
			g.note("kept %s%s of %s, which its definition does not say", path, name, title)
			field(name, was.raw)
		}
	}
	for i, name := range old.names {
		if !slices.Contains(known, name) {
			field(name, old.items[i].raw)
		}
	}
	return append(append([]byte("{"), b.Bytes()...), '}')
}

// contradicts is true for the two ways to say which keys a change affects, where the code says the other.
func contradicts(now *node, name string) bool {
	return name == "params" && now.child("keys") != nil || name == "keys" && now.child("params") != nil
}

// keepTransformations pairs transformations by operation and table.
func (g *merger) keepTransformations(old, now *node, title string) []byte {
	var list [][]byte
	for _, is := range now.items {
		raw := is.raw
		for _, was := range old.items {
			if textOf(was, "operation") == textOf(is, "operation") && textOf(was, "table") == textOf(is, "table") {
				raw = g.keep(was, is, reflect.TypeFor[Transformation](), title, "transformation "+textOf(is, "operation")+" ")
				break
			}
		}
		list = append(list, raw)
	}
	return append(append([]byte("["), bytes.Join(list, []byte(","))...), ']')
}

// encode gives an entry's bytes. The forms always encode: raw JSON in them was read before.
func (g *merger) encode(form any) []byte {
	raw, err := encodeEntry(form)
	if err != nil {
		g.problems = append(g.problems, problem{path: "$", text: err.Error()})
	}
	return raw
}

func encodeEntry(form any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(form); err != nil {
		return nil, fmt.Errorf("write an entry: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// text gives the whole manifest with new sections.
func (g *merger) text(sections map[string][]byte) ([]byte, error) {
	names := slices.Clone(g.root.names)
	for _, name := range []string{"publicSchemas", "consumerSchemas"} {
		if sections[name] != nil && !slices.Contains(names, name) {
			names = slices.Insert(names, placeOf(names, name), name)
		}
	}
	b := bytes.NewBufferString("{")
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(quoted(name))
		b.WriteByte(':')
		if raw, ok := sections[name]; ok {
			b.Write(raw)
		} else {
			b.Write(g.root.child(name).raw)
		}
	}
	b.WriteByte('}')
	var out bytes.Buffer
	if err := json.Indent(&out, b.Bytes(), "", "  "); err != nil {
		return nil, rejot.Errorf(rejot.Internal, "write %s: %w", g.file, err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// placeOf is where a section goes: before the first of those that follow it in the form.
func placeOf(names []string, name string) int {
	form := reflect.TypeFor[Manifest]()
	after := false
	for i := range form.NumField() {
		field, _, _ := strings.Cut(form.Field(i).Tag.Get("json"), ",")
		if at := slices.Index(names, field); after && at >= 0 {
			return at
		}
		after = after || field == name
	}
	return len(names)
}

func keyOf(section string, n *node) string {
	name := textOf(n, "name")
	if section != "publicSchemas" {
		return name
	}
	major := ""
	if v := n.child("version"); v != nil {
		if m := v.child("major"); m != nil {
			major = m.text
		}
	}
	return name + "@" + major
}

// textOf gives a field that is a text, else nothing.
func textOf(n *node, name string) string {
	if c := n.child(name); c != nil && c.kind == kindText {
		return c.text
	}
	return ""
}

func quoted(name string) []byte {
	raw, _ := encodeEntry(name) // a text always encodes
	return raw
}

// sameJSON compares values; the order of fields does not count.
func sameJSON(a, b []byte) bool {
	var x, y any
	for _, side := range []struct {
		raw []byte
		to  *any
	}{{a, &x}, {b, &y}} {
		dec := json.NewDecoder(bytes.NewReader(side.raw))
		dec.UseNumber()
		if dec.Decode(side.to) != nil {
			return false
		}
	}
	return reflect.DeepEqual(x, y)
}

// sameBut compares two objects' fields, without one.
func sameBut(a, b *node, without string) bool {
	for _, pair := range [][2]*node{{a, b}, {b, a}} {
		for i, name := range pair[0].names {
			other := pair[1].child(name)
			if name != without && (other == nil || !sameJSON(pair[0].items[i].raw, other.raw)) {
				return false
			}
		}
	}
	return true
}

// Partly gives as much of a manifest file as can be read, with its text and all that is wrong with it. The manifest is nil where
// the file is none.
func Partly(path string) (m *Manifest, data []byte, wrong error) {
	data, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	m, problems := parseForm(path, data)
	wrong = m.errorOf(problems)
	if m.root == nil {
		return nil, data, wrong
	}
	return m, data, wrong
}

// Resolve gives one of the manifest's connections with its references replaced. Code NotFound: there is none of that slug; code
// Invalid: a reference leads nowhere.
func (m *Manifest) Resolve(slug string) (contract.Connection, error) {
	for i, conn := range m.Connections {
		if conn.Slug == slug {
			c := &checker{}
			s := statedConnection{stated[Connection]{conn, m, m.top().field("connections").item(i)}}
			return s.resolve(c, os.LookupEnv), m.errorOf(c.problems)
		}
	}
	return contract.Connection{}, rejot.Errorf(rejot.NotFound, "%s has no connection %s", m.file, slug)
}
