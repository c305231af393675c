package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/sqltext"
	"rejot.dev/rejot/manifest"
)

// A Describer asks a database what a query returns. Code Transient, Denied or NotFound: it cannot be asked now.
type Describer interface {
	// Describe gives the columns of a query of a data store, named by its slug. The query has placeholders.
	Describe(ctx context.Context, dataStoreSlug, sql string) ([]Column, error)
}

// A Column is one of a query's result.
type Column struct {
	Name     string
	Type     string   // as the database writes it, e.g. "bigint", "numeric(10,2)", "text[]"
	Values   []string // of an enumeration
	Nullable bool
	Comment  string // of the table's column that it is; may be empty
}

// A sqlContract is what a .sql file says.
type sqlContract struct {
	path   string
	public bool
	name   string
	major  int
	minor  int
	first  int // the line of the header
	fields map[string]headerField
	parts  map[string]sqlPart // "" is the statement, others follow a line like "-- delete:"
}

type headerField struct {
	value string
	line  int
}

type sqlPart struct {
	text string
	line int // of its first character
}

var (
	headerLine  = regexp.MustCompile(`^--\s?([a-zA-Z][\w-]*):(?:\s+(.*?))?\s*$`)
	headerMore  = regexp.MustCompile(`^--\s{3,}(\S.*?)\s*$`)
	sectionLine = regexp.MustCompile(`^--\s*(delete|truncate):\s*$`)
	sqlProblem  = regexp.MustCompile(`^(\d+):(\d+): (?s:(.*))$`)
)

// The fields of a header.
var (
	publicFields   = []string{"rejot", "source", "table", "operations", "params", "keys", "rows", "owner", "description", "validate", "freshness", "type"}
	consumerFields = []string{"rejot", "reads", "destination", "on-error", "type"}
)

// hasSQLHeader tells a contract from other SQL.
func hasSQLHeader(text string) bool {
	first, _, _ := strings.Cut(strings.TrimLeft(text, " \t\r\n\ufeff"), "\n")
	m := headerLine.FindStringSubmatch(strings.TrimRight(first, "\r"))
	return m != nil && m[1] == "rejot"
}

// sqlfiles reads .sql files and asks for their columns.
func (e *Evaluator) sqlfiles(ctx context.Context, files []File) ([]outcome, error) {
	outcomes := make([]outcome, len(files))
	for i, f := range files {
		outcomes[i] = e.sqlfile(ctx, f.Path)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return outcomes, nil
}

func (e *Evaluator) sqlfile(ctx context.Context, path string) (o outcome) {
	text, wrong := readSource(path)
	if wrong != nil {
		return outcome{problems: []problem{*wrong}}
	}
	c, problems := parseSQL(path, text)
	if len(problems) > 0 {
		return outcome{problems: problems}
	}
	var entry any
	if c.public {
		entry, problems = e.publicEntry(ctx, c)
	} else {
		entry, problems = e.consumerEntry(c)
	}
	if len(problems) > 0 {
		return outcome{problems: problems}
	}
	raw, err := encodedJSON(entry)
	if err != nil {
		return outcome{problems: []problem{problemf(place{file: path}, "gives no JSON: %v", err)}}
	}
	return outcome{found: []found{{raw: raw, at: place{file: path, line: c.first}}}}
}

// parseSQL reads the header and cuts the rest into statements.
func parseSQL(path, text string) (*sqlContract, []problem) {
	c := &sqlContract{path: path, fields: map[string]headerField{}, parts: map[string]sqlPart{}}
	lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	at := 0
	for at < len(lines) && strings.TrimSpace(lines[at]) == "" {
		at++
	}
	c.first = at + 1
	if !hasSQLHeader(text) {
		return nil, []problem{problemf(place{file: path, line: c.first}, "does not begin with a header").
			withMend("begin with -- rejot: public-schema NAME 1.0, or -- rejot: consumer-schema NAME")}
	}
	problems := []problem{}
	last := ""
	for ; at < len(lines) && strings.HasPrefix(lines[at], "--"); at++ {
		line := strings.TrimRight(lines[at], "\r")
		here := place{file: path, line: at + 1}
		if m := headerLine.FindStringSubmatch(line); m != nil {
			if before, twice := c.fields[m[1]]; twice {
				problems = append(problems, problemf(here, "%s stands in line %d already", m[1], before.line))
			}
			last = m[1]
			c.fields[last] = headerField{value: m[2], line: at + 1}
		} else if m := headerMore.FindStringSubmatch(line); m != nil && last != "" {
			f := c.fields[last]
			f.value = strings.TrimSpace(f.value + " " + m[1])
			c.fields[last] = f
		} else {
			last = "" // a comment
		}
	}
	problems = append(problems, c.cut(lines, at)...)
	problems = append(problems, c.kind()...)
	return c, problems
}

// cut takes the statements out of the lines after the header.
func (c *sqlContract) cut(lines []string, at int) (problems []problem) {
	section, start := "", at
	begins := map[string]int{} // the lines of sections
	end := func(to int) {
		text := strings.Join(lines[start:to], "\n")
		line := start + 1 + strings.Count(text[:len(text)-len(strings.TrimLeft(text, " \t\r\n"))], "\n")
		c.parts[section] = sqlPart{text: strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")), line: min(line, len(lines))}
	}
	for i := at; i < len(lines); i++ {
		if m := sectionLine.FindStringSubmatch(strings.TrimRight(lines[i], "\r")); m != nil {
			end(i)
			section, start = m[1], i+1
			if before, twice := begins[section]; twice {
				problems = append(problems, problemf(place{file: c.path, line: i + 1}, "%s stands in line %d already", section, before))
			} else {
				begins[section] = i + 1
			}
		}
	}
	end(len(lines))
	return problems
}

// kind reads the first field and looks whether the others belong to it.
func (c *sqlContract) kind() []problem {
	first := c.fields["rejot"]
	at := place{file: c.path, line: first.line}
	words := strings.Fields(first.value)
	wrong := problemf(at, "%q is no kind of contract", first.value).withMend("-- rejot: public-schema NAME 1.0, or -- rejot: consumer-schema NAME")
	if len(words) < 2 {
		return []problem{wrong}
	}
	fields := consumerFields
	switch words[0] {
	case "public-schema":
		major, minor, ok := version(words[len(words)-1])
		if !ok || len(words) < 3 {
			return []problem{problemf(at, "the version is missing").withMend("-- rejot: public-schema %s 1.0", words[1])}
		}
		c.public, c.major, c.minor, words, fields = true, major, minor, words[:len(words)-1], publicFields
	case "consumer-schema":
	default:
		return []problem{wrong}
	}
	c.name = strings.Join(words[1:], " ")
	var problems []problem
	for name, f := range c.fields {
		if !slices.Contains(fields, name) {
			problems = append(problems, problemf(place{file: c.path, line: f.line}, "a %s has no field %q; known are %s", words[0], name, strings.Join(fields[1:], ", ")).
				withMend("a comment that is none of these stands below the header, after an empty line"))
		}
	}
	slices.SortFunc(problems, func(a, b problem) int { return a.at.line - b.at.line })
	return problems
}

// version reads 1.0.
func version(text string) (major, minor int, ok bool) {
	a, b, found := strings.Cut(text, ".")
	major, err := strconv.Atoi(a)
	if err != nil {
		return 0, 0, false
	}
	if found {
		minor, err = strconv.Atoi(b)
	}
	return major, minor, err == nil && major >= 0 && minor >= 0
}

// need gives a field that has to be there.
func (c *sqlContract) need(name, example string, problems *[]problem) string {
	f, ok := c.fields[name]
	if !ok || f.value == "" {
		line := c.first
		if ok {
			line = f.line
		}
		*problems = append(*problems, problemf(place{file: c.path, line: line}, "the header has no %s", name).withMend("-- %s: %s", name, example))
	}
	return f.value
}

// sql gives a statement without a semicolon at its end; nothing where there is none.
func (c *sqlContract) sql(section, database string, problems *[]problem) string {
	part, ok := c.parts[section]
	if !ok {
		return ""
	}
	dialect := sqltext.Postgres
	if database == "mysql" {
		dialect = sqltext.MySQL
	}
	s, err := sqltext.Parse(dialect, part.text)
	if err != nil {
		at, text := place{file: c.path, line: part.line}, err.Error()
		if m := sqlProblem.FindStringSubmatch(text); m != nil {
			line, _ := strconv.Atoi(m[1])
			at.line += line - 1
			at.column, _ = strconv.Atoi(m[2])
			text = m[3]
		}
		*problems = append(*problems, problemf(at, "%s", text))
		return ""
	}
	return s.Text
}

// database is the type of a data store: what the header says, else the manifest; Postgres where neither does.
func (e *Evaluator) database(c *sqlContract, slug string, problems *[]problem) string {
	if f, ok := c.fields["type"]; ok {
		if f.value != "postgres" && f.value != "mysql" {
			*problems = append(*problems, problemf(place{file: c.path, line: f.line}, "type is postgres or mysql, and not %q", f.value))
		}
		return f.value
	}
	for _, conn := range e.cfg.Manifest.Connections {
		if conn.Slug == slug && conn.Config.Type == "mysql" {
			return "mysql"
		}
	}
	return "postgres"
}

func (e *Evaluator) consumerEntry(c *sqlContract) (entry *manifest.ConsumerSchema, problems []problem) {
	destination := c.need("destination", "SLUG", &problems)
	reads := c.need("reads", "MANIFEST/SCHEMA 1", &problems)
	database := e.database(c, destination, &problems)
	s := &manifest.ConsumerSchema{Name: c.name}
	words := strings.Fields(reads)
	if len(words) > 0 {
		slug := strings.LastIndexByte(strings.Join(words[:len(words)-1], " "), '/')
		major, _, ok := version(words[len(words)-1])
		if !ok || slug < 1 || strings.Contains(words[len(words)-1], ".") {
			problems = append(problems, problemf(place{file: c.path, line: c.fields["reads"].line}, "%q does not name a public schema", reads).withMend("-- reads: MANIFEST/SCHEMA 1"))
		} else {
			name := strings.Join(words[:len(words)-1], " ")
			s.SourceManifest, s.PublicSchema = name[:slug], manifest.PublicSchemaRef{Name: name[slug+1:], Major: major}
		}
	}
	s.Config = manifest.ConsumerSchemaConfig{
		Type: database, Destination: destination, SQL: c.sql("", database, &problems), DeleteSQL: c.sql("delete", database, &problems),
		TruncateSQL: c.sql("truncate", database, &problems), OnError: c.fields["on-error"].value,
	}
	return s, problems
}

func (e *Evaluator) publicEntry(ctx context.Context, c *sqlContract) (entry *manifest.PublicSchema, problems []problem) {
	source := c.need("source", "SLUG of the data store", &problems)
	table := c.need("table", "the base table, whose key is the placeholder", &problems)
	database := e.database(c, source, &problems)
	for section, part := range c.parts {
		if section != "" {
			problems = append(problems, problemf(place{file: c.path, line: part.line - 1}, "a public schema has one query and no %s", section))
		}
	}
	s := &manifest.PublicSchema{
		Name: c.name, Source: manifest.SourceRef{DataStore: source}, Version: manifest.SchemaVersion{Major: c.major, Minor: c.minor},
		Owner: c.fields["owner"].value, Description: c.fields["description"].value, Validate: c.fields["validate"].value, Freshness: c.fields["freshness"].value,
		Config: manifest.PublicSchemaConfig{Type: database},
	}
	t := manifest.Transformation{Table: table, SQL: c.sql("", database, &problems), Keys: c.fields["keys"].value, Rows: c.fields["rows"].value, Params: c.params(&problems)}
	operations := []string{"insert", "update", "delete"}
	if f, ok := c.fields["operations"]; ok {
		operations = strings.FieldsFunc(f.value, func(r rune) bool { return r == ',' || r == ' ' })
		if len(operations) == 0 {
			problems = append(problems, problemf(place{file: c.path, line: f.line}, "operations names none").withMend("-- operations: insert, update, delete"))
		}
	}
	for _, operation := range operations {
		t.Operation = operation
		s.Config.Transformations = append(s.Config.Transformations, t)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	output, wrong := e.output(ctx, c, s)
	if wrong != nil {
		return nil, []problem{*wrong}
	}
	s.OutputSchema = output
	return s, nil
}

// params reads "id = account_id, b = c".
func (c *sqlContract) params(problems *[]problem) map[string]string {
	f, ok := c.fields["params"]
	if !ok {
		return nil
	}
	params := map[string]string{}
	for _, pair := range strings.Split(f.value, ",") {
		placeholder, column, ok := strings.Cut(pair, "=")
		placeholder, column = strings.TrimPrefix(strings.TrimSpace(placeholder), ":"), strings.TrimSpace(column)
		if !ok || placeholder == "" || column == "" {
			*problems = append(*problems, problemf(place{file: c.path, line: f.line}, "%q is no list of params", f.value).withMend("-- params: id = account_id"))
			return nil
		}
		params[placeholder] = column
	}
	return params
}

// output gives the schema of the query's rows: what the database says of it now; where it cannot be asked, what the manifest has
// for the same query.
func (e *Evaluator) output(ctx context.Context, c *sqlContract, s *manifest.PublicSchema) (json.RawMessage, *problem) {
	at := place{file: c.path, line: c.parts[""].line}
	query := s.Config.Transformations[0].SQL
	why := "no database can be asked"
	if e.cfg.Describe != nil {
		columns, err := e.cfg.Describe.Describe(ctx, s.Source.DataStore, query)
		switch code := rejot.CodeOf(err); {
		case err == nil:
			schema, err := schemaOf(s.Config.Type, columns)
			if err != nil {
				p := problemf(at, "%v", err)
				return nil, &p
			}
			return schema, nil
		case code == rejot.Invalid || code == rejot.Unsupported || ctx.Err() != nil:
			p := problemf(at, "%v", err)
			p.mend = rejot.MendOf(err)
			return nil, &p
		default:
			why = fmt.Sprintf("data store %s cannot be asked: %v", s.Source.DataStore, err)
		}
	}
	for _, have := range e.cfg.Manifest.PublicSchemas {
		if have.Name == s.Name && have.Version.Major == s.Version.Major && have.Source == s.Source && have.Config.Type == s.Config.Type &&
			len(have.Config.Transformations) > 0 && have.Config.Transformations[0].SQL == query {
			return have.OutputSchema, nil
		}
	}
	p := problemf(at, "the columns of this query are not known: %s", why).
		withMend("start the database of data store %s, or set the variables of its connection, and collect again", s.Source.DataStore)
	return nil, &p
}
