package manifest

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"rejot.dev/rejot/internal/sqltext"
)

// check looks at everything that one file tells by itself.
func (m *Manifest) check() []problem {
	c := &checker{}
	top := m.top()
	c.slug(top.field("slug"), m.Slug)
	if v := top.field("manifestVersion"); m.Version != 0 {
		c.wrong(v, "is %d, and this program reads version 0", m.Version)
	}
	m.checkConnections(c, top)
	m.checkStores(c, top)
	m.checkPublicSchemas(c, top)
	m.checkConsumerSchemas(c, top)
	m.checkRest(c, top)
	return c.problems
}

// connectionFields has, by a connection's type, what it needs and what it may have.
var connectionFields = map[string]struct{ need, may []string }{
	"postgres":  {need: []string{"host", "port", "user", "database"}, may: []string{"password", "tls", "roles"}},
	"mysql":     {need: []string{"host", "port", "user", "database"}, may: []string{"password", "tls", "roles"}},
	"in-memory": {},
	"disk":      {need: []string{"path"}},
	"nats":      {need: []string{"url", "stream"}, may: []string{"replicas"}},
}

func (m *Manifest) checkConnections(c *checker, top place) {
	seen := once{}
	for i, conn := range m.Connections {
		p := top.field("connections").item(i)
		c.slug(p.field("slug"), conn.Slug)
		seen.first(c, p.field("slug"), conn.Slug, "DUPLICATE_CONNECTION")
		c.connection(p.field("config"), conn.Config)
	}
}

func (c *checker) connection(p place, conf ConnectionConfig) {
	if !c.oneOf(p.field("connectionType"), conf.Type, "postgres", "mysql", "in-memory", "disk", "nats") {
		return
	}
	fields := connectionFields[conf.Type]
	for _, name := range fields.need {
		if p.field(name).n == nil {
			c.wrong(p, "%s is missing, which a %s connection needs", name, conf.Type)
		}
	}
	if p.n != nil {
		for _, name := range p.n.names {
			if name != "connectionType" && !slices.Contains(fields.need, name) && !slices.Contains(fields.may, name) && knownField(name) {
				c.wrong(p.field(name), "a %s connection has no such field", conf.Type)
			}
		}
	}
	if conf.Host != "" && !hasReference(conf.Host) && !validHost(conf.Host) {
		c.wrong(p.field("host"), "%q is no name, address or folder of a socket", conf.Host)
	}
	if conf.TLS != nil {
		c.oneOf(p.field("tls", "mode"), conf.TLS.Mode, "verify-full", "verify-ca", "require", "disable")
	}
	if r := p.field("replicas"); r.n != nil && r.n.kind == kindNumber && (conf.Replicas < 1 || conf.Replicas > 5) {
		c.wrong(r, "is %d, and has to be 1 to 5", conf.Replicas)
	}
	if conf.URL != "" && !hasReference(conf.URL) {
		c.url(p.field("url"), conf.URL, "nats", "tls")
	}
}

// knownField reports whether a name is a field of some connection; others have been told before.
func knownField(name string) bool {
	for _, f := range connectionFields {
		if slices.Contains(f.need, name) || slices.Contains(f.may, name) {
			return true
		}
	}
	return false
}

// validHost keeps out what would be read as more than a host: users, ports, paths, options.
func validHost(s string) bool {
	if strings.HasPrefix(s, "/") {
		return !strings.ContainsAny(s, "\x00\n\r")
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || strings.ContainsRune("@/?#&=,;'\"\\[]", r) || r == 0x7f })
}

func (c *checker) url(p place, s string, schemes ...string) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
		c.wrong(p, "has to be a URL that begins with %s://", strings.Join(schemes, ":// or "))
	}
}

// storeName is the grammar of slots and publications.
var storeName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

func (m *Manifest) checkStores(c *checker, top place) {
	seen := once{}
	for i, s := range m.DataStores {
		p := top.field("dataStores").item(i)
		c.slug(p.field("connectionSlug"), s.Connection)
		seen.first(c, p.field("connectionSlug"), s.Connection, "DUPLICATE_DATA_STORE")
		if s.Config != nil {
			c.dataStore(p.field("config"), s.Config)
		}
	}
	seen = once{}
	for i, s := range m.EventStores {
		p := top.field("eventStores").item(i).field("connectionSlug")
		c.slug(p, s.Connection)
		seen.first(c, p, s.Connection, "DUPLICATE_EVENT_STORE")
	}
}

func (c *checker) dataStore(p place, conf *DataStoreConfig) {
	if !c.oneOf(p.field("connectionType"), conf.Type, "postgres", "mysql", "in-memory") {
		return
	}
	for _, f := range []struct{ name, value string }{{"slotName", conf.Slot}, {"publicationName", conf.Publication}} {
		switch at := p.field(f.name); {
		case conf.Type != "postgres" && at.n != nil:
			c.wrong(at, "a %s data store has no such field", conf.Type)
		case conf.Type == "postgres" && at.n == nil:
			c.wrong(p, "%s is missing, which a postgres data store that is a source needs", f.name)
		case f.value != "" && !storeName.MatchString(f.value):
			c.wrong(at, "%q has to consist of a to z, 0 to 9 and _, and be 63 long at most", f.value)
		}
	}
}

func (m *Manifest) checkPublicSchemas(c *checker, top place) {
	seen := once{}
	for i, s := range m.PublicSchemas {
		p := top.field("publicSchemas").item(i)
		c.name(p.field("name"), s.Name)
		if s.Name != "" {
			seen.first(c, p.field("name"), fmt.Sprintf("%s@%d", s.Name, s.Version.Major), "DUPLICATE_PUBLIC_SCHEMA")
		}
		c.slug(p.field("source", "dataStoreSlug"), s.Source.DataStore)
		c.notNegative(p.field("version", "major"), s.Version.Major)
		c.notNegative(p.field("version", "minor"), s.Version.Minor)
		c.oneOf(p.field("validate"), s.Validate, "off", "warn", "stop")
		if d, err := time.ParseDuration(s.Freshness); s.Freshness != "" && (err != nil || d <= 0) {
			c.wrong(p.field("freshness"), `has to be a time like "30s" or "5m"`)
		}
		c.publicConfig(p.field("config"), s.Config)
		dialect, known := dialectOf(s.Config.Type)
		for j, u := range s.Upcast {
			at := p.field("upcast").item(j)
			if u.From < 0 || u.From >= s.Version.Major {
				c.wrong(at.field("from"), "is %d, and has to be a major version before %d", u.From, s.Version.Major)
			}
			if known {
				c.sql(at.field("sql"), dialect, u.SQL)
			}
		}
	}
}

func (c *checker) publicConfig(p place, conf PublicSchemaConfig) {
	if !c.oneOf(p.field("publicSchemaType"), conf.Type, "postgres", "mysql", "in-memory") {
		return
	}
	dialect, known := dialectOf(conf.Type)
	all := p.field("transformations")
	if len(conf.Transformations) == 0 && all.n != nil && all.n.kind == kindList {
		c.wrong(all, "is empty, and a public schema needs a transformation")
	}
	for i, t := range conf.Transformations {
		at := all.item(i)
		c.oneOf(at.field("operation"), t.Operation, "insert", "update", "delete")
		c.oneOf(at.field("rows"), t.Rows, "one")
		if t.Keys != "" && t.Params != nil {
			c.wrong(at.field("keys"), "stands beside params; only one of them says which rows a change affects")
		}
		if !known {
			continue
		}
		s := c.sql(at.field("sql"), dialect, t.SQL)
		if t.Keys != "" && t.Keys != "all" {
			c.sql(at.field("keys"), dialect, t.Keys)
		}
		for _, name := range sortedKeys(t.Params) {
			if s != nil && !slices.Contains(s.Names(), name) {
				c.wrong(at.field("params", name), "the sql has no placeholder :%s", name)
			}
		}
	}
}

func (m *Manifest) checkConsumerSchemas(c *checker, top place) {
	seen := once{}
	for i, s := range m.ConsumerSchemas {
		p := top.field("consumerSchemas").item(i)
		c.name(p.field("name"), s.Name)
		seen.first(c, p.field("name"), s.Name, "DUPLICATE_CONSUMER_SCHEMA")
		c.slug(p.field("sourceManifestSlug"), s.SourceManifest)
		c.name(p.field("publicSchema", "name"), s.PublicSchema.Name)
		c.notNegative(p.field("publicSchema", "majorVersion"), s.PublicSchema.Major)
		conf := p.field("config")
		c.slug(conf.field("destinationDataStoreSlug"), s.Config.Destination)
		c.oneOf(conf.field("onError"), s.Config.OnError, "pause", "quarantine")
		if !c.oneOf(conf.field("consumerSchemaType"), s.Config.Type, "postgres", "mysql", "in-memory") {
			continue
		}
		if dialect, known := dialectOf(s.Config.Type); known {
			c.sql(conf.field("sql"), dialect, s.Config.SQL)
			c.sql(conf.field("deleteSql"), dialect, s.Config.DeleteSQL)
			c.sql(conf.field("truncateSql"), dialect, s.Config.TruncateSQL)
		}
	}
}

func (m *Manifest) checkRest(c *checker, top place) {
	if m.Hub != nil && !hasReference(m.Hub.URL) && m.Hub.URL != "" {
		c.url(top.field("hub", "url"), m.Hub.URL, "https", "http")
	}
	for _, slug := range sortedKeys(m.Resolver) {
		p := top.field("resolver", slug)
		c.slug(p, slug)
		host, port, err := net.SplitHostPort(m.Resolver[slug])
		if n, perr := strconv.Atoi(port); err != nil || perr != nil || !validPort(n) || host == "" || !validHost(host) {
			c.wrong(p, "has to be host:port")
		}
	}
	for _, id := range sortedKeys(m.Checks) {
		c.oneOf(top.field("checks", id, "severity"), m.Checks[id].Severity, "off", "info", "warning", "error")
	}
}

// sql parses a statement that may be missing; nil where it is, or is wrong.
func (c *checker) sql(p place, d sqltext.Dialect, text string) *sqltext.Statement {
	if text == "" {
		return nil
	}
	s, err := sqltext.Parse(d, text)
	if err != nil {
		c.wrong(p, "%s", err)
	}
	return s
}

func (c *checker) notNegative(p place, i int) {
	if i < 0 {
		c.wrong(p, "is %d, and has to be 0 or more", i)
	}
}

// name checks the name of a schema, which is free but for what no page or log can show.
func (c *checker) name(p place, s string) {
	if len(s) > 200 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		c.wrong(p, "has to be 200 bytes at most and without control characters")
	}
}

func dialectOf(kind string) (d sqltext.Dialect, known bool) {
	switch kind {
	case "postgres":
		return sqltext.Postgres, true
	case "mysql":
		return sqltext.MySQL, true
	default:
		return 0, false
	}
}
