package check

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rejot.dev/rejot/manifest"
)

// Lint tells everything that is known without a database. problems are what package manifest found. With
// strict, a secret that stands in a manifest is an error.
func Lint(manifests []*manifest.Manifest, problems []manifest.Problem, strict bool) *Report {
	r := &Report{}
	for _, p := range problems {
		r.problem(manifests, p)
	}
	for _, m := range manifests {
		r.checks(m)
		r.secrets(m, strict)
		for _, s := range schemasOf(m) {
			r.public(s)
		}
	}
	for _, c := range consumersOf(manifests) {
		r.consumer(manifests, c)
	}
	return r
}

var inContract = regexp.MustCompile(`^\$\.(publicSchemas|consumerSchemas)\[(\d+)\]`)

// problem makes a finding of what is wrong with a manifest, in the name of the contract where there is one.
func (r *Report) problem(manifests []*manifest.Manifest, p manifest.Problem) {
	a := about{place: Place{p.File, p.Line}}
	at := slices.IndexFunc(manifests, func(m *manifest.Manifest) bool { return m.File() == p.File })
	if at >= 0 {
		a.owner = manifests[at].Slug
		if m := inContract.FindStringSubmatch(p.Path); m != nil {
			i, _ := strconv.Atoi(m[2]) // digits
			if m[1] == "publicSchemas" {
				a.contract = manifests[at].Public(i).String()
			} else {
				a.contract = manifests[at].Consumer(i).String()
			}
		}
	}
	id := "MANIFEST_INVALID"
	if p.Note {
		id = "MANIFEST_NOTE"
	}
	text := p.Text
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	r.add(id, a, "", text, p.Mend)
}

// checks looks at what the manifest says of rules.
func (r *Report) checks(m *manifest.Manifest) {
	for _, id := range sortedKeys(m.Checks) {
		a := about{place: Place{m.File(), m.LineOf("checks", id)}, owner: m.Slug}
		rule, ok := RuleOf(id)
		switch {
		case !ok:
			mend := "see docs/rules.md for the rules' names"
			if near := nearest(id); near != "" {
				mend = "did you mean " + near + "? " + mend
			}
			r.add("CHECK_UNKNOWN", a, "", "checks: there is no rule "+id, mend)
		case rule.Fixed:
			r.add("CHECK_UNKNOWN", a, "", "checks: the severity of "+id+" cannot be changed", "mend what it finds")
		case strings.TrimSpace(m.Checks[id].Reason) == "":
			r.add("CHECK_UNKNOWN", a, "", "checks: "+id+" has another severity without a reason", `say why: "reason": "…"`)
		}
	}
}

// nearest finds the rule whose name shares most with a text.
func nearest(id string) string {
	best, length := "", 4
	id = strings.ToUpper(id)
	for _, rule := range rules {
		n := 0
		for n < min(len(id), len(rule.ID)) && id[n] == rule.ID[n] {
			n++
		}
		if n > length {
			best, length = rule.ID, n
		}
	}
	return best
}

// secrets finds those that stand in the file, where whoever reads the repository reads them.
func (r *Report) secrets(m *manifest.Manifest, strict bool) {
	found := func(what string, line int, name string) {
		f := r.add("PLAIN_PASSWORD", about{place: Place{m.File(), line}, owner: m.Slug}, "", what+" stands in the manifest, where everybody reads it who reads the repository",
			fmt.Sprintf(`write "${env:%s}", or "file:PATH"`, name))
		if strict {
			f.judge(Wrong)
		}
	}
	for i, c := range m.Connections {
		name := strings.ToUpper(strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return '_'
		}, c.Slug))
		secret := func(s *string) bool { return s != nil && *s != "" && !manifest.IsReference(*s) }
		if secret(c.Config.Password) {
			found("the password of connection "+c.Slug, m.LineOf("connections", i, "config", "password"), name+"_PASSWORD")
		}
		if roles := c.Config.Roles; roles != nil {
			for _, role := range []struct {
				name string
				role *manifest.Role
			}{{"capture", roles.Capture}, {"evaluate", roles.Evaluate}, {"store", roles.Store}, {"apply", roles.Apply}} {
				if role.role != nil && secret(role.role.Password) {
					found("the password of role "+role.name+" of connection "+c.Slug, m.LineOf("connections", i, "config", "roles", role.name, "password"), name+"_"+strings.ToUpper(role.name)+"_PASSWORD")
				}
			}
		}
		if strings.Contains(c.Config.Where(), ":***@") && !manifest.IsReference(c.Config.URL) {
			found("the password of connection "+c.Slug, m.LineOf("connections", i, "config", "url"), name+"_URL")
		}
	}
	if m.Hub != nil && m.Hub.Token != "" && !manifest.IsReference(m.Hub.Token) {
		found("the token of the hub", m.LineOf("hub", "token"), "HUB_TOKEN")
	}
}

// public looks at one public schema.
func (r *Report) public(s schema) {
	a := s.about()
	shape, err := parseShape(s.OutputSchema)
	switch {
	case err != nil:
		r.add("OUTPUT_SCHEMA_INVALID", a, "", "its outputSchema is no JSON Schema of an object: "+oneLine(err.Error()), "correct the outputSchema")
	case len(shape.fields) == 0:
		r.add("OUTPUT_SCHEMA_OPEN", a, "", "its outputSchema names no field, so that nothing can be compared with it without the database", "declare its fields")
	}
	r.definition(s.in, s.DefinitionFile, a)
	if len(s.Config.Transformations) == 0 || s.Config.Type == "in-memory" {
		return
	}
	keyed := false
	for _, t := range s.Config.Transformations {
		names, _ := placeholders(s.Config.Type, t.SQL)
		keyed = keyed || len(names) > 0
		r.nondeterministic(a, t.SQL)
	}
	if !keyed {
		r.add("NOT_KEYED", a, "", "none of its queries has a placeholder, so that no change can be led to rows", "bind the key of the table: WHERE id = :id")
	}
}

func (r *Report) definition(m *manifest.Manifest, file string, a about) {
	if path := m.DefinitionPath(file); path != "" {
		if _, err := os.Stat(path); err != nil {
			r.add("DEFINITION_MISSING", a, "", "the file that it was collected from is gone: "+file, "rejot collect --write --prune, or restore the file")
		}
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// consumer looks at one consumer schema.
func (r *Report) consumer(manifests []*manifest.Manifest, c consumer) {
	a := c.about()
	r.definition(c.in, c.DefinitionFile, a)
	if strings.TrimSpace(c.Config.DeleteSQL) == "" {
		r.add("DELETES_IGNORED", a, "", "it has no deleteSql, so that rows which leave the public schema stay", "give it a deleteSql: DELETE FROM … WHERE id = :id")
	}
	at := slices.IndexFunc(manifests, func(m *manifest.Manifest) bool { return m.Slug == c.SourceManifest })
	if at < 0 {
		r.add("PUBLIC_SCHEMA_EXTERNAL", a, "", fmt.Sprintf("manifest %s of public schema %s is not loaded, so that its fields are not known", c.SourceManifest, c.PublicSchema.Name),
			"name that manifest too: rejot check "+c.SourceManifest+"/"+manifest.FileName)
		return
	}
	for _, s := range schemasOf(manifests[at]) {
		if s.Name == c.PublicSchema.Name && s.Version.Major == c.PublicSchema.Major {
			r.fields(c, s)
		}
	}
}

// fields compares a consumer's placeholders with the fields of the public schema.
func (r *Report) fields(c consumer, s schema) {
	shape, err := parseShape(s.OutputSchema)
	if err != nil {
		return // told of the public schema
	}
	t, _ := rowQuery(s.PublicSchema)
	row := fields(shape, nil, splitQuery(t.SQL))
	if len(row) == 0 {
		return // nothing is declared, and the query does not name its columns
	}
	known := map[string]bool{}
	for f := range row {
		known[f] = true
	}
	// A key may also be used by the names of its own columns, and of the placeholders that bind it.
	for _, t := range s.Config.Transformations {
		for name, column := range bound(t.SQL) {
			known[name], known[column] = true, true
		}
		names, _ := placeholders(s.Config.Type, t.SQL)
		for _, name := range names {
			known[name] = true
		}
	}
	for _, st := range []struct{ name, sql string }{{"sql", c.Config.SQL}, {"deleteSql", c.Config.DeleteSQL}} {
		names, positional := placeholders(c.Config.Type, st.sql)
		for _, name := range names {
			switch n, err := strconv.Atoi(name); {
			case positional && err == nil && n > len(row):
				r.unknown(c, st.name, "$"+name, s, fmt.Sprintf("it has %d fields", len(row)))
			case !positional && !known[name]:
				r.unknown(c, st.name, ":"+name, s, "it has "+strings.Join(sortedKeys(row), ", "))
			}
		}
	}
}

func (r *Report) unknown(c consumer, statement, placeholder string, s schema, has string) {
	r.add("CONSUMER_FIELD_UNKNOWN", c.about(), placeholder[1:], fmt.Sprintf("its %s uses %s, which %s does not have", statement, placeholder, s),
		"use a field of the public schema: "+has)
}
