package check

import "rejot.dev/rejot/manifest"

// A History gives the fields that a major version of a public schema has ever had, each with the expression
// that it last had; an empty expression is not known.
type History func(slug, name string, major int) map[string]string

// Past collects the fields of former versions of manifests, the latest first.
type Past map[pastKey]map[string]string

type pastKey struct {
	slug, name string
	major      int
}

// Add adds a former version.
func (p Past) Add(m *manifest.Manifest) {
	for _, s := range schemasOf(m) {
		shape, err := parseShape(s.OutputSchema)
		if err != nil {
			continue
		}
		t, _ := rowQuery(s.PublicSchema)
		q := splitQuery(t.SQL)
		key := pastKey{m.Slug, s.Name, s.Version.Major}
		if p[key] == nil {
			p[key] = map[string]string{}
		}
		for name := range fields(shape, nil, q) {
			if _, later := p[key][name]; !later {
				p[key][name] = q.expressions()[name]
			}
		}
	}
}

// Fields is a History.
func (p Past) Fields(slug, name string, major int) map[string]string {
	return p[pastKey{slug, name, major}]
}
