package manifest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// A Set is several manifests merged, in the terms that the program works with.
type Set struct {
	Slugs         []string                      // of the manifests, in the order they were read
	DataStores    map[string]contract.DataStore // by connection slug; a destination has no slot and publication
	PublicSchemas []*contract.PublicSchema
	Consumers     []*contract.Consumer
	EventStores   []string // connection slugs
	Notes         []string // what is good to know and wrong with nothing: replaced things, unused connections
}

// Load reads the manifests at paths and those of their workspaces, and merges them; without a path, the
// one in the working directory or above. A path may be a folder. The error joins everything that is wrong.
func Load(paths ...string) (*Set, error) {
	if len(paths) == 0 {
		dir, err := os.Getwd()
		if err != nil {
			return nil, rejot.Errorf(rejot.Invalid, "find a manifest: %w", err)
		}
		path, err := Find(dir)
		if err != nil {
			return nil, err
		}
		if short, err := filepath.Rel(dir, path); err == nil && filepath.Dir(path) == dir {
			path = short
		}
		paths = []string{path}
	}
	l := &loader{seen: map[string]bool{}, env: os.LookupEnv}
	for _, path := range paths {
		l.named(path)
	}
	return l.set()
}

// Workspace reads the manifest at path and all those that it names, directly or not. References are not
// resolved, and what refers to what is not looked at.
func Workspace(path string) ([]*Manifest, error) {
	l := &loader{seen: map[string]bool{}}
	l.named(path)
	return l.all, errors.Join(l.errs...)
}

// A loader reads manifests and merges them.
type loader struct {
	env        func(string) (string, bool)
	seen       map[string]bool // absolute paths
	open       []string        // absolute paths of the manifests that led to the one that is read
	all        []*Manifest
	unreadable bool // some file is none, so that what refers to it cannot be judged
	errs       []error
	notes      []string
}

// named reads a manifest that a person named, and those of its workspaces.
func (l *loader) named(path string) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, FileName)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		l.fail(rejot.Errorf(rejot.Invalid, "read the manifest: %w", err))
		return
	}
	l.read(path, abs, boundOf(filepath.Dir(abs)))
}

func (l *loader) fail(err error) {
	l.unreadable = true
	l.errs = append(l.errs, err)
}

func (l *loader) read(path, abs, bound string) {
	if l.seen[abs] {
		return
	}
	l.seen[abs] = true
	data, err := readFile(path)
	if err != nil {
		l.fail(err)
		return
	}
	m, problems := parseForm(path, data)
	l.problems(m, problems)
	if m.root == nil {
		l.unreadable = true
		return
	}
	l.all = append(l.all, m)
	l.workspaces(m, path, abs, bound)
}

func (l *loader) problems(m *Manifest, list []problem) {
	if err := m.errorOf(list); err != nil {
		l.errs = append(l.errs, err)
	}
}

func (l *loader) note(m *Manifest, p place, format string, args ...any) {
	l.notes = append(l.notes, fmt.Sprintf("%s:%d: %s: %s", m.file, p.line, p.path, fmt.Sprintf(format, args...)))
}

// set merges what was read, checks what refers to what, and resolves references.
func (l *loader) set() (*Set, error) {
	r := l.merge()
	if !l.unreadable {
		for _, m := range l.all {
			c := &checker{}
			r.checkStores(c, m)
			r.checkPublicSchemas(c, m)
			r.checkConsumers(c, m)
			l.problems(m, c.problems)
		}
		l.noteUnused(r)
	}
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	s := &Set{Notes: l.notes, EventStores: r.eventStores}
	for _, m := range l.all {
		s.Slugs = append(s.Slugs, m.Slug)
		for i := range m.PublicSchemas {
			s.PublicSchemas = append(s.PublicSchemas, m.PublicSchemas[i].contract(m.Slug))
		}
		for i := range m.ConsumerSchemas {
			s.Consumers = append(s.Consumers, m.ConsumerSchemas[i].contract(m.Slug))
		}
	}
	if err := l.resolve(s, r); err != nil {
		return nil, err
	}
	return s, nil
}

// resolve fills the data stores, whose connections may have references.
func (l *loader) resolve(s *Set, r *registry) error {
	s.DataStores = map[string]contract.DataStore{}
	wrong := map[*Manifest]*checker{}
	for _, slug := range slices.Sorted(maps.Keys(r.stores)) {
		conn := r.connections[slug]
		if wrong[conn.in] == nil {
			wrong[conn.in] = &checker{}
		}
		c := conn.resolve(wrong[conn.in], l.env)
		store := contract.DataStore{Connection: c}
		if conf := r.stores[slug].value.Config; conf != nil {
			store.SlotName, store.PublicationName = conf.Slot, conf.Publication
		}
		s.DataStores[slug] = store
	}
	var errs []error
	for _, m := range l.all {
		if c := wrong[m]; c != nil {
			errs = append(errs, m.errorOf(c.problems))
		}
	}
	return errors.Join(errs...)
}

// contract gives a public schema as the program uses it. Entries that differ in the operation alone
// become one.
func (s PublicSchema) contract(manifest string) *contract.PublicSchema {
	out := &contract.PublicSchema{
		Ref:    rejot.Ref{Manifest: manifest, Name: s.Name, Major: s.Version.Major, Minor: s.Version.Minor},
		Source: s.Source.DataStore, OutputSchema: s.OutputSchema, DefinitionFile: s.DefinitionFile,
	}
	for _, t := range s.Config.Transformations {
		i := slices.IndexFunc(out.Transformations, func(have contract.Transformation) bool {
			return have.Table == t.Table && have.SQL == t.SQL && have.Keys == t.Keys && have.Rows == t.Rows && maps.Equal(have.Params, t.Params)
		})
		if i < 0 {
			i = len(out.Transformations)
			out.Transformations = append(out.Transformations, contract.Transformation{Table: t.Table, SQL: t.SQL, Params: t.Params, Keys: t.Keys, Rows: t.Rows})
		}
		have := &out.Transformations[i]
		if !slices.Contains(have.Operations, t.Operation) {
			have.Operations = append(have.Operations, t.Operation)
		}
	}
	for _, u := range s.Upcast {
		out.Upcasts = append(out.Upcasts, contract.Upcast{From: u.From, SQL: u.SQL})
	}
	return out
}

// contract gives a consumer schema as the program uses it.
func (s ConsumerSchema) contract(manifest string) *contract.Consumer {
	return &contract.Consumer{
		Manifest: manifest, Name: s.Name, SourceManifest: s.SourceManifest, Schema: s.PublicSchema.Name, Major: s.PublicSchema.Major,
		Destination: s.Config.Destination, DefinitionFile: s.DefinitionFile,
		SQL: s.Config.SQL, DeleteSQL: s.Config.DeleteSQL, TruncateSQL: s.Config.TruncateSQL, OnError: s.Config.OnError,
	}
}
