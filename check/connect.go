package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/manifest"
)

// Connect asks the databases about every query and statement. The error is of databases that could not be
// asked; what they say of contracts is in the report.
func Connect(ctx context.Context, manifests []*manifest.Manifest, dbs Databases) (*Report, error) {
	c := &connection{ctx: ctx, dbs: dbs, report: &Report{}, known: map[string]*Description{}}
	var errs []error
	for _, s := range allSchemas(manifests) {
		errs = append(errs, c.public(s))
	}
	for _, r := range consumersOf(manifests) {
		errs = append(errs, c.consumer(r))
	}
	return c.report, errors.Join(errs...)
}

// A connection is one run of Connect.
type connection struct {
	ctx    context.Context //nolint:containedctx // one run's
	dbs    Databases
	report *Report
	known  map[string]*Description // by manifest, name and major version
}

func schemaKey(slug, name string, major int) string {
	return fmt.Sprintf("%s/%s@%d", slug, name, major)
}

// unasked reports whether an error says that a database could not be asked, rather than what it says.
func unasked(err error) bool {
	switch rejot.CodeOf(err) {
	case rejot.Transient, rejot.Internal, rejot.Fenced, rejot.Gone, rejot.Conflict, rejot.Corrupt:
		return true
	default:
		return false
	}
}

func (c *connection) public(s schema) error {
	source, err := c.dbs.Source(c.ctx, s.Source.DataStore)
	if rejot.CodeOf(err) == rejot.Unsupported {
		c.report.add("SOURCE_UNSUPPORTED", s.about(), "", err.Error(), rejot.MendOf(err))
		return c.cascades(s)
	}
	if err != nil {
		return err
	}
	d, err := source.Describe(c.ctx, s.in.Public(s.index))
	for _, e := range apart(err) {
		if unasked(e) {
			return e
		}
		c.report.add("SQL_REFUSED", s.about(), "", withoutPrefix(e.Error(), s.String()), rejot.MendOf(e))
	}
	if d == nil {
		return nil
	}
	c.known[schemaKey(s.in.Slug, s.Name, s.Version.Major)] = d
	c.refusals(s, d)
	c.output(s, d)
	for _, f := range d.Changing {
		c.report.add("NONDETERMINISTIC", s.about(), f, "its query uses "+f+", which gives another result each time: rows that nobody changed would differ, and no change would tell",
			"compare with it where the rows are read, or store the time in a column")
	}
	if len(d.Ways) > 0 {
		c.report.add("DERIVED", s.about(), "", "the keys that a change affects are proved", "").Detail = Picture(d)
	}
	return nil
}

// cascades finds foreign keys that change tables of the query without a word in the log.
func (c *connection) cascades(s schema) error {
	db, ok := c.dbs.(Cascader)
	if !ok || s.Config.Type != "mysql" {
		return nil
	}
	var names []string
	for _, t := range s.Config.Transformations {
		for _, w := range words(t.SQL) {
			if isName(w.text) && !slices.Contains(names, unquoted(w.text)) {
				names = append(names, unquoted(w.text))
			}
		}
	}
	found, err := db.Cascades(c.ctx, s.Source.DataStore, names)
	for _, f := range found {
		c.report.add("CASCADE_HIDDEN", s.about(), "", fmt.Sprintf("foreign key %s changes rows of %s when a row of %s is changed or deleted (%s), and MySQL does not write such changes to its log", f.Constraint, f.Table, f.Parent, f.Rule),
			fmt.Sprintf("give a transformation for table %s with keys, or make the foreign key RESTRICT and delete the rows by a statement", f.Parent))
	}
	return err
}

// apart gives the errors that were joined, each by itself.
func apart(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // the outermost is meant
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, apart(e)...)
	}
	return all
}

// withoutPrefix takes away what the finding says already.
func withoutPrefix(text, prefix string) string { return strings.TrimPrefix(text, prefix+": ") }

// refusals sorts what is not proved into rules.
func (c *connection) refusals(s schema, d *Description) {
	for _, r := range d.Refused {
		id := refusalRule(r)
		text := r.Reason
		if r.Table.Name != "" {
			where := r.Table.String()
			if r.Where != "" && r.Where != where {
				where += " (" + r.Where + ")"
			}
			text = "table " + where + ": " + text
		}
		c.report.add(id, s.about(), "", text, r.Mend)
	}
}

func refusalRule(r derive.Refusal) string {
	switch r.Code {
	case "replica-identity":
		return "IDENTITY_LOST"
	case "function":
		if strings.Contains(r.Reason, "volatile") {
			return "NONDETERMINISTIC"
		}
		return "UNLISTENED_TABLE"
	case "not-keyed", "no-temp", "not-primary", "unknown-tree":
		return "NOT_KEYED"
	default: // of a table: not derived, declared wrongly, or of a kind that no log tells of
		return "UNLISTENED_TABLE"
	}
}

// output compares the result's columns with what is declared of them.
func (c *connection) output(s schema, d *Description) {
	shape, err := parseShape(s.OutputSchema)
	if err != nil || len(shape.fields) == 0 {
		return
	}
	wrong := func(field, mend, format string, args ...any) *Finding {
		return c.report.add("OUTPUT_MISMATCH", s.about(), field, "field "+field+": "+fmt.Sprintf(format, args...), mend)
	}
	for _, name := range shape.names() {
		col := columnOf(d, name)
		if col == nil {
			wrong(name, "select it under this name, or take it out of the outputSchema; the query has "+strings.Join(columnNames(d.Columns), ", "), "it is declared, and the query has no such column")
			continue
		}
		f := shape.field(name)
		if kinds := jsonKinds(col.Type); len(f.kinds) > 0 && kinds != nil && !slices.ContainsFunc(f.kinds, func(k string) bool { return slices.Contains(kinds, k) }) {
			wrong(name, "declare it as "+strings.Join(kinds, " or "), "it is declared as %s, and the query gives %s", f, col.Type)
		}
		if !f.null && col.Nullable {
			wrong(name, "declare that it may be null, or keep it from being NULL: coalesce(…), NOT NULL", "it is declared never to be NULL, and the column may be").judge(Hint)
		}
	}
	for _, col := range d.Columns {
		if shape.fields[col.Name] == nil {
			wrong(col.Name, "declare it, or do not select it", "the query has it (%s), and the outputSchema does not", col.Type).judge(Hint)
		}
	}
}

// jsonKinds are the kinds of JSON values that a type may stand for; none where anything may.
func jsonKinds(typ string) []string {
	t := parseType(typ)
	switch {
	case t.family == "integer":
		return []string{"integer", "number", "string"} // JavaScript writes large ones as text
	case t.family == "numeric", t.family == "float":
		return []string{"number", "string"}
	case t.family == "boolean":
		return []string{"boolean", "integer"}
	case t.family == "array":
		return []string{"array"}
	case t.family == "text", t.family == "character", t.family == "citext", t.isTime(), t.family == "uuid", t.family == "bytea", t.family == "interval":
		return []string{"string"}
	default:
		return nil
	}
}

func (c *connection) consumer(r consumer) error {
	db, err := c.dbs.Destination(c.ctx, r.Config.Destination)
	if rejot.CodeOf(err) == rejot.Unsupported {
		c.report.add("SOURCE_UNSUPPORTED", r.about(), "", err.Error(), rejot.MendOf(err))
		return nil
	}
	if err != nil {
		return err
	}
	st, err := db.Inspect(c.ctx, r.in.Consumer(r.index))
	if err != nil {
		return err
	}
	for _, refused := range st.Refused {
		text := refused.Reason
		if refused.Statement != "" {
			text = "its " + refused.Statement + ": " + text
		}
		c.report.add("SQL_REFUSED", r.about(), "", text, refused.Mend)
	}
	for _, column := range st.Missing {
		c.report.add("DESTINATION_CONSTRAINT", r.about(), "", fmt.Sprintf("column %s of %s is NOT NULL, has no default, and sql does not write it: every row will be refused", column, st.Table),
			"write it in sql, or give it a default").judge(Wrong)
	}
	if st.Plain {
		c.report.add("NOT_IDEMPOTENT", r.about(), "", "its sql is an INSERT that does not say what becomes of a row that is there already; rows are written again after a restart and with newer values",
			"INSERT … ON CONFLICT (key) DO UPDATE SET …; in MariaDB and MySQL ON DUPLICATE KEY UPDATE")
	}
	if d := c.known[schemaKey(r.SourceManifest, r.PublicSchema.Name, r.PublicSchema.Major)]; d != nil {
		c.fit(r, st, d)
	}
	return nil
}

// fit compares what a public schema yields with what the consumer's database takes.
func (c *connection) fit(r consumer, st *Statements, d *Description) {
	a := r.about()
	known := append(columnNames(d.Columns), columnNames(d.Key)...)
	keys := keyNames(d)
	for _, s := range []struct {
		name, sql string
		has       []string
	}{{"sql", r.Config.SQL, known}, {"deleteSql", r.Config.DeleteSQL, keys}} {
		names, positional := placeholders(r.Config.Type, s.sql)
		for _, name := range names {
			if !positional && !slices.Contains(s.has, name) {
				c.report.add("CONSUMER_FIELD_UNKNOWN", a, name, fmt.Sprintf("its %s uses :%s, which is not among what it gets there", s.name, name), "use one of "+strings.Join(s.has, ", "))
			}
		}
	}
	if d.Many && strings.TrimSpace(r.Config.DeleteSQL) == "" {
		c.report.add("DELETES_IGNORED", a, "", "a key of the public schema may have several rows, which are replaced as a whole, and it has no deleteSql", "give it a deleteSql that deletes all rows of a key").judge(Wrong)
	}
	told := map[string]bool{}
	for _, t := range st.Targets {
		col := columnOf(d, t.Field)
		if col == nil || t.Column == nil || told[t.Field+" "+t.Column.Name] {
			continue
		}
		told[t.Field+" "+t.Column.Name] = true
		where := fmt.Sprintf("field %s (%s) is written to column %s (%s)", t.Field, col.Type, t.Column.Name, t.Column.Type)
		switch {
		case t.Direct && !sameFamily(t.Column.Type, col.Type):
			c.report.add("CONSUMER_FIELD_UNKNOWN", a, t.Field, where+", which is another type", "write another field, convert it, or change the column")
		case t.Direct && !takes(t.Column.Type, col.Type) && parseType(t.Column.Type).family == parseType(col.Type).family:
			c.report.add("DESTINATION_CONSTRAINT", a, t.Field, where+", which is smaller: a value that does not fit stops the consumer", "ALTER TABLE … ALTER COLUMN "+t.Column.Name+" TYPE "+col.Type)
		}
		if t.Direct && col.Nullable && !t.Column.Nullable {
			c.report.add("DESTINATION_CONSTRAINT", a, t.Field, where+", which is NOT NULL, and the field may be NULL", "coalesce it in sql, or ALTER TABLE … ALTER COLUMN "+t.Column.Name+" DROP NOT NULL")
		}
	}
}

// keyNames are the names under which a delete finds the key: its columns' own, and those of the result that carry it.
func keyNames(d *Description) []string {
	names := columnNames(d.Key)
	for _, n := range d.KeyNames {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}
