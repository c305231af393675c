package check

import (
	"os"
	"slices"
	"strings"

	"rejot.dev/rejot/internal/sqltext"
	"rejot.dev/rejot/manifest"
)

// A consumer is a consumer schema where it stands.
type consumer struct {
	manifest.ConsumerSchema
	in    *manifest.Manifest
	index int
}

func (c consumer) about() about {
	return about{
		contract: "consumer schema " + c.Name, owner: c.in.Slug,
		place: placeOf(c.in, c.DefinitionFile, c.Name, c.in.LineOf("consumerSchemas", c.index)),
	}
}

// A schema is a public schema where it stands.
type schema struct {
	manifest.PublicSchema
	in    *manifest.Manifest
	index int
}

func (s schema) String() string { return s.in.Public(s.index).String() }

func (s schema) about() about {
	return about{
		contract: s.String(), owner: s.in.Slug,
		place: placeOf(s.in, s.DefinitionFile, s.Name, s.in.LineOf("publicSchemas", s.index)),
	}
}

// placeOf is the line of the definition's file that has the contract's name, else its line in the manifest.
func placeOf(m *manifest.Manifest, definition, name string, line int) Place {
	path := m.DefinitionPath(definition)
	if path == "" {
		return Place{m.File(), line}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Place{m.File(), line}
	}
	lines := strings.Split(string(text), "\n")
	for _, form := range []string{`"` + name + `"`, "'" + name + "'", "`" + name + "`", " " + name + " "} {
		for i, l := range lines {
			if strings.Contains(l+" ", form) {
				return Place{path, i + 1}
			}
		}
	}
	return Place{path, 1}
}

func schemasOf(m *manifest.Manifest) []schema {
	all := make([]schema, len(m.PublicSchemas))
	for i, s := range m.PublicSchemas {
		all[i] = schema{s, m, i}
	}
	return all
}

func allSchemas(manifests []*manifest.Manifest) []schema {
	var all []schema
	for _, m := range manifests {
		all = append(all, schemasOf(m)...)
	}
	return all
}

func consumersOf(manifests []*manifest.Manifest) []consumer {
	var all []consumer
	for _, m := range manifests {
		for i, c := range m.ConsumerSchemas {
			all = append(all, consumer{c, m, i})
		}
	}
	return all
}

// readersOf gives the known consumers of a public schema's major version.
func readersOf(manifests []*manifest.Manifest, slug, name string, major int) []consumer {
	return slices.DeleteFunc(consumersOf(manifests), func(c consumer) bool {
		return c.SourceManifest != slug || c.PublicSchema.Name != name || c.PublicSchema.Major != major
	})
}

func dialectOf(kind string) sqltext.Dialect {
	if kind == "mysql" {
		return sqltext.MySQL
	}
	return sqltext.Postgres
}

// placeholders gives the names that a statement uses; positional where they are numbers.
func placeholders(kind, sql string) (names []string, positional bool) {
	if strings.TrimSpace(sql) == "" {
		return nil, false
	}
	st, err := sqltext.Parse(dialectOf(kind), sql)
	if err != nil {
		return nil, false // the manifest's own check tells
	}
	return st.Names(), st.Positional()
}

// uses reports whether a consumer's statements name a field. Numbers name every field, as they count columns.
func (c consumer) uses(field string) bool {
	for _, sql := range []string{c.Config.SQL, c.Config.DeleteSQL} {
		names, positional := placeholders(c.Config.Type, sql)
		if positional || slices.Contains(names, field) {
			return true
		}
	}
	return false
}
