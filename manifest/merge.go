package manifest

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A stated thing is one entry with the manifest and place that it stands at.
type stated[T any] struct {
	value T
	in    *Manifest
	at    place
}

// A registry is what all manifests together define.
type registry struct {
	slugs       map[string]stated[string]
	connections map[string]statedConnection
	stores      map[string]stated[DataStore]
	eventStores []string
	schemas     map[string]stated[[]PublicSchema] // by manifest slug
}

type statedConnection struct{ stated[Connection] }

// merge collects what the manifests define; later ones replace earlier ones.
func (l *loader) merge() *registry {
	r := &registry{
		slugs: map[string]stated[string]{}, connections: map[string]statedConnection{}, stores: map[string]stated[DataStore]{},
		schemas: map[string]stated[[]PublicSchema]{},
	}
	for _, m := range l.all {
		top := m.top()
		if before, ok := r.slugs[m.Slug]; ok {
			p := top.field("slug")
			l.problems(m, []problem{{line: p.line, path: p.path, text: fmt.Sprintf("DUPLICATE_MANIFEST_SLUG: %s is the slug of %s:%d already", m.Slug, before.in.file, before.at.line)}})
		}
		r.slugs[m.Slug] = stated[string]{m.Slug, m, top.field("slug")}
		r.schemas[m.Slug] = stated[[]PublicSchema]{m.PublicSchemas, m, top}
		for i, conn := range m.Connections {
			p := top.field("connections").item(i)
			if before, ok := r.connections[conn.Slug]; ok && before.in != m && !reflect.DeepEqual(before.value, conn) {
				l.note(m, p, "connection %s replaces the one of %s:%d", conn.Slug, before.in.file, before.at.line)
			}
			r.connections[conn.Slug] = statedConnection{stated[Connection]{conn, m, p}}
		}
		for i, store := range m.DataStores {
			p := top.field("dataStores").item(i)
			if before, ok := r.stores[store.Connection]; ok && before.in != m && !reflect.DeepEqual(before.value, store) {
				l.note(m, p, "data store %s replaces the one of %s:%d", store.Connection, before.in.file, before.at.line)
			}
			r.stores[store.Connection] = stated[DataStore]{store, m, p}
		}
		for _, store := range m.EventStores {
			if !slices.Contains(r.eventStores, store.Connection) {
				r.eventStores = append(r.eventStores, store.Connection)
			}
		}
	}
	return r
}

func (l *loader) noteUnused(r *registry) {
	for _, m := range l.all {
		for i, conn := range m.Connections {
			if _, ok := r.stores[conn.Slug]; !ok && !slices.Contains(r.eventStores, conn.Slug) {
				l.note(m, m.top().field("connections").item(i), "UNUSED_CONNECTION: no data store or event store uses connection %s", conn.Slug)
			}
		}
	}
}

func (r *registry) checkStores(c *checker, m *Manifest) {
	for i, s := range m.DataStores {
		p := m.top().field("dataStores").item(i)
		conn, ok := r.connections[s.Connection]
		switch {
		case s.Connection == "":
		case !ok:
			c.wrong(p.field("connectionSlug"), "CONNECTION_NOT_FOUND: there is no connection %s", s.Connection)
			c.mend("rejot manifest connection add --slug %s --connection-string postgresql://USER@HOST/DATABASE", s.Connection)
		case !slices.Contains([]string{"postgres", "mysql", "in-memory", ""}, conn.value.Config.Type):
			c.wrong(p.field("connectionSlug"), "CONNECTION_TYPE_MISMATCH: connection %s is of type %s, which is no database", s.Connection, conn.value.Config.Type)
		case s.Config != nil && mismatch(s.Config.Type, conn.value.Config.Type):
			c.wrong(p.field("config", "connectionType"), "CONNECTION_TYPE_MISMATCH: is %s, and connection %s is of type %s", s.Config.Type, s.Connection, conn.value.Config.Type)
		}
	}
	for i, s := range m.EventStores {
		p := m.top().field("eventStores").item(i).field("connectionSlug")
		conn, ok := r.connections[s.Connection]
		switch {
		case s.Connection == "":
		case !ok:
			c.wrong(p, "CONNECTION_NOT_FOUND: there is no connection %s", s.Connection)
			c.mend("rejot manifest connection add --slug %s --connection-string postgresql://USER@HOST/DATABASE", s.Connection)
		case conn.value.Config.Type == "mysql":
			c.wrong(p, "CONNECTION_TYPE_MISMATCH: connection %s is of type mysql, which cannot be an event store", s.Connection)
		}
	}
}

// mismatch reports whether two types differ. A type that is missing has been told before.
func mismatch(a, b string) bool { return a != "" && b != "" && a != b }

func (r *registry) checkPublicSchemas(c *checker, m *Manifest) {
	for i, s := range m.PublicSchemas {
		p := m.top().field("publicSchemas").item(i)
		slug, at := s.Source.DataStore, p.field("source", "dataStoreSlug")
		store, ok := r.stores[slug]
		conn := r.connections[slug]
		switch {
		case slug == "":
		case !ok:
			c.wrong(at, "DATA_STORE_NOT_FOUND: there is no data store %s", slug)
			c.mend("rejot manifest datastore add --connection %s", slug)
		case store.value.Config == nil:
			c.wrong(at, "DATA_STORE_MISSING_CONFIG: data store %s has no config, so it is a destination only", slug)
			c.mend("rejot manifest datastore add --connection %s --slot rejot_%[2]s --publication rejot_%[2]s", slug, storeNameOf(slug))
		case mismatch(s.Config.Type, conn.value.Config.Type):
			c.wrong(p.field("config", "publicSchemaType"), "CONNECTION_TYPE_MISMATCH: is %s, and data store %s is of type %s", s.Config.Type, slug, conn.value.Config.Type)
		}
	}
}

func (r *registry) checkConsumers(c *checker, m *Manifest) {
	for i, s := range m.ConsumerSchemas {
		p := m.top().field("consumerSchemas").item(i)
		slug, at := s.Config.Destination, p.field("config", "destinationDataStoreSlug")
		_, ok := r.stores[slug]
		conn := r.connections[slug]
		switch {
		case slug == "":
		case !ok:
			c.wrong(at, "DATA_STORE_NOT_FOUND: there is no data store %s", slug)
			c.mend("rejot manifest datastore add --connection %s", slug)
		case mismatch(s.Config.Type, conn.value.Config.Type):
			c.wrong(p.field("config", "consumerSchemaType"), "CONNECTION_TYPE_MISMATCH: is %s, and data store %s is of type %s", s.Config.Type, slug, conn.value.Config.Type)
		}
		r.checkReference(c, p.field("publicSchema"), s)
	}
}

// checkReference looks for a consumer's public schema. One of a manifest that is not loaded is external.
func (r *registry) checkReference(c *checker, p place, s ConsumerSchema) {
	source, ok := r.schemas[s.SourceManifest]
	if !ok || s.PublicSchema.Name == "" {
		return
	}
	var majors []string
	for _, have := range source.value {
		if have.Name != s.PublicSchema.Name {
			continue
		}
		serves := func(u Upcast) bool { return u.From == s.PublicSchema.Major }
		if have.Version.Major == s.PublicSchema.Major || slices.ContainsFunc(have.Upcast, serves) {
			return
		}
		majors = append(majors, strconv.Itoa(have.Version.Major))
	}
	if majors == nil {
		c.wrong(p.field("name"), "PUBLIC_SCHEMA_NOT_FOUND: manifest %s has no public schema %s", s.SourceManifest, s.PublicSchema.Name)
		return
	}
	c.wrong(p.field("majorVersion"), "VERSION_MISMATCH: manifest %s has no major version %d of public schema %s; it has %s", s.SourceManifest, s.PublicSchema.Major, s.PublicSchema.Name, list(majors))
}

// storeNameOf proposes a name for a slot and publication.
func storeNameOf(slug string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, slug), "_")
}
