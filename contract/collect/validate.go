package collect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"rejot.dev/rejot/internal/sqltext"
	"rejot.dev/rejot/manifest"
)

// validate looks at what a manifest's reader does not: what definitions say of one another, and placeholders.
func (e *Evaluator) validate(r *Result) []problem {
	var problems []problem
	seen := map[string]*Definition{}
	for i := range r.Definitions {
		d := &r.Definitions[i]
		if before := seen[d.key()]; before != nil {
			problems = append(problems, problemf(d.at, "%s is defined at %s already", d.titleWithVersion(), before.at).
				withMend("give one of them another name, or another major version"))
		} else {
			seen[d.key()] = d
		}
		if d.Public != nil {
			problems = append(problems, d.publicPlaceholders()...)
		} else {
			problems = append(problems, e.consumerPlaceholders(r, d)...)
		}
	}
	return problems
}

// key is what there may be one of.
func (d *Definition) key() string {
	if d.Public != nil {
		return fmt.Sprintf("public %s@%d", d.Public.Name, d.Public.Version.Major)
	}
	return "consumer " + d.Consumer.Name
}

func (d *Definition) titleWithVersion() string {
	if d.Public != nil {
		return fmt.Sprintf("%s, major version %d,", d.title(), d.Public.Version.Major)
	}
	return d.title()
}

// placeholders gives the names in a statement, which was read before. Positional ones have no names.
func placeholders(database, sql string) (names []string, positional bool) {
	dialect := sqltext.Postgres
	if database == "mysql" {
		dialect = sqltext.MySQL
	}
	s, err := sqltext.Parse(dialect, sql)
	if err != nil || s == nil {
		return nil, false
	}
	return s.Names(), s.Positional()
}

// publicPlaceholders wants a query that tells which rows a change affects.
func (d *Definition) publicPlaceholders() []problem {
	for _, t := range d.Public.Config.Transformations {
		if names, _ := placeholders(d.Public.Config.Type, t.SQL); len(names) > 0 {
			return nil
		}
	}
	table := d.Public.Config.Transformations[0].Table
	return []problem{problemf(d.at, "%s: the sql has no placeholder, so that nothing tells which rows a change of %s affects", d.title(), table).
		withMend("WHERE %s.id = :id, with the key of the table as placeholder", table)}
}

// consumerPlaceholders wants statements of one row, with the fields of its public schema where that is known here.
func (e *Evaluator) consumerPlaceholders(r *Result, d *Definition) []problem {
	conf := d.Consumer.Config
	var problems []problem
	names, positional := placeholders(conf.Type, conf.SQL)
	if len(names) == 0 {
		problems = append(problems, problemf(d.at, "%s: the sql has no placeholder, so that it writes no row", d.title()).
			withMend("name the fields of the public schema: VALUES (:id, …)"))
	}
	if names, _ := placeholders(conf.Type, conf.DeleteSQL); conf.DeleteSQL != "" && len(names) == 0 {
		problems = append(problems, problemf(d.at, "%s: deleteSql has no placeholder, so that each delete would remove every row", d.title()).
			withMend("WHERE id = :id; what removes all rows is truncateSql"))
	}
	if names, _ := placeholders(conf.Type, conf.TruncateSQL); len(names) > 0 {
		problems = append(problems, problemf(d.at, "%s: truncateSql has the placeholder :%s, and there is no row then", d.title(), names[0]))
	}
	fields := e.fields(r, d.Consumer)
	if fields == nil || positional {
		return problems
	}
	for _, name := range names {
		if !slices.Contains(fields, name) {
			p := problemf(d.at, "%s: public schema %s has no field %s; it has %s", d.title(), d.Consumer.PublicSchema.Name, name, strings.Join(fields, ", "))
			if near := nearest(name, fields); near != "" {
				p = p.withMend("did you mean :%s", near)
			}
			problems = append(problems, p)
		}
	}
	return problems
}

// fields gives the fields of the public schema that a consumer reads, where it is of the same manifest; else nil.
func (e *Evaluator) fields(r *Result, c *manifest.ConsumerSchema) []string {
	if c.SourceManifest != e.cfg.Manifest.Slug {
		return nil
	}
	for _, d := range r.Definitions {
		if d.Public != nil && d.Public.Name == c.PublicSchema.Name && d.Public.Version.Major == c.PublicSchema.Major {
			return fieldsOf(d.Public)
		}
	}
	for i := range e.cfg.Manifest.PublicSchemas {
		s := &e.cfg.Manifest.PublicSchemas[i]
		if s.Name == c.PublicSchema.Name && s.Version.Major == c.PublicSchema.Major && !slices.Contains(r.Files, s.DefinitionFile) {
			return fieldsOf(s)
		}
	}
	return nil
}

// fieldsOf lists the properties of a closed output schema; of one that lets others through, nil.
func fieldsOf(s *manifest.PublicSchema) []string {
	var schema struct {
		Properties           json.RawMessage `json:"properties"`
		AdditionalProperties any             `json:"additionalProperties"`
	}
	if json.Unmarshal(s.OutputSchema, &schema) != nil || schema.AdditionalProperties != false {
		return nil
	}
	dec := json.NewDecoder(strings.NewReader(string(schema.Properties)))
	var names []string
	for depth, name := 0, true; ; {
		token, err := dec.Token()
		if err != nil {
			return names
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
			} else {
				depth--
			}
			name = depth == 1
		case string:
			if depth == 1 && name {
				names = append(names, t)
			}
			name = depth == 1 && !name
		default:
			name = depth == 1
		}
	}
}

// nearest gives the field that differs from a name in case and underscores alone, or nothing.
func nearest(name string, fields []string) string {
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
	at := slices.IndexFunc(fields, func(f string) bool { return plain(f) == plain(name) })
	if at < 0 {
		return ""
	}
	return fields[at]
}
