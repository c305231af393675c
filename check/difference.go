package check

import (
	"fmt"
	"slices"

	"rejot.dev/rejot/manifest"
)

// A difference is what is known of a public schema before and after a change.
type difference struct {
	old, now           schema
	oldShape, nowShape *shape
	oldQuery, nowQuery query
	oldFacts, nowFacts *Description // nil where no database was asked, or it does not take the query
	counted            *Difference
	uncounted          error
	past               map[string]string // fields of former minor versions, with their expressions
}

func (c *comparison) difference(old, now schema) *difference {
	d := &difference{old: old, now: now}
	d.oldShape, _ = parseShape(old.OutputSchema) // what is wrong with it, lint tells
	d.nowShape, _ = parseShape(now.OutputSchema)
	if o, ok := rowQuery(old.PublicSchema); ok {
		d.oldQuery = splitQuery(o.SQL)
	}
	if n, ok := rowQuery(now.PublicSchema); ok {
		d.nowQuery = splitQuery(n.SQL)
	}
	if c.options.History != nil {
		d.past = c.options.History(now.in.Slug, now.Name, now.Version.Major)
	}
	if c.options.Databases == nil {
		return d
	}
	source, err := c.options.Databases.Source(c.ctx, now.Source.DataStore)
	if err != nil {
		return d // connect tells
	}
	was, is := old.in.Public(old.index), now.in.Public(now.index)
	if d.nowFacts, err = source.Describe(c.ctx, is); err != nil {
		d.nowFacts = nil
		return d
	}
	if was.Fingerprint() == is.Fingerprint() {
		d.oldFacts = d.nowFacts
		return d
	}
	if d.oldFacts, err = source.Describe(c.ctx, was); err != nil {
		d.oldFacts = nil // the table may have been changed since
		return d
	}
	counted, err := source.Differences(c.ctx, was, is, d.common())
	if err != nil {
		d.uncounted = err
		return d
	}
	d.counted = &counted
	return d
}

// fields gives the names that a public schema publishes: declared, told by the database, or read off the query.
func fields(s *shape, facts *Description, q query) map[string]bool {
	found := map[string]bool{}
	switch {
	case s != nil && len(s.fields) > 0:
		for name := range s.fields {
			found[name] = true
		}
	case facts != nil:
		for _, c := range facts.Columns {
			found[c.Name] = true
		}
	case q.parted && !q.star:
		for _, i := range q.items {
			if i.name != "" {
				found[i.name] = true
			}
		}
	}
	return found
}

func (d *difference) oldFields() map[string]bool { return fields(d.oldShape, d.oldFacts, d.oldQuery) }

func (d *difference) nowFields() map[string]bool { return fields(d.nowShape, d.nowFacts, d.nowQuery) }

// order gives the columns in their order; nil where it is not known.
func (d *difference) order() (was, is []string) {
	names := func(facts *Description, q query) []string {
		if facts != nil {
			return columnNames(facts.Columns)
		}
		if !q.parted || q.star {
			return nil
		}
		var all []string
		for _, i := range q.items {
			all = append(all, i.name)
		}
		return all
	}
	return names(d.oldFacts, d.oldQuery), names(d.nowFacts, d.nowQuery)
}

// common gives the fields of both, sorted.
func (d *difference) common() []string {
	now := d.nowFields()
	return slices.DeleteFunc(sortedKeys(d.oldFields()), func(f string) bool { return !now[f] })
}

// typeOf gives a field's type in the source as it is now.
func (d *difference) typeOf(field string) string {
	if d.nowFacts == nil {
		return ""
	}
	for _, c := range d.nowFacts.Columns {
		if c.Name == field {
			return c.Type
		}
	}
	return ""
}

// changes gives every difference, in the order of the fields' names, those of the whole after them.
func (d *difference) changes() []change {
	var all []change
	was, is := sortedKeys(d.oldFields()), sortedKeys(d.nowFields())
	removed, added := without(was, is), without(is, was)
	renamed := renamings(d.oldQuery, d.nowQuery, removed, added)
	for _, r := range renamed {
		all = append(all, change{rule: "FIELD_RENAMED", verdict: Unless, field: r.old, text: "it is named " + r.now + " now"})
		removed, added = without(removed, []string{r.old}), without(added, []string{r.now})
		all = append(all, d.reused(r.now)...)
	}
	for _, f := range removed {
		all = append(all, change{rule: "FIELD_REMOVED", verdict: Unless, field: f, text: "it is gone"})
	}
	for _, f := range added {
		if again := d.reused(f); again != nil {
			all = append(all, again...)
			continue
		}
		all = append(all, change{rule: "FIELD_ADDED", verdict: Compatible, field: f, text: "it is new"})
	}
	for _, f := range d.common() {
		all = append(all, d.keyed(f, d.field(f))...)
	}
	all = append(all, d.key()...)
	all = append(all, d.content()...)
	all = append(all, d.transformations()...)
	return append(all, d.whole()...)
}

// reused reports a new field whose name an earlier minor version had for something else.
func (d *difference) reused(field string) []change {
	expr, ok := d.past[field]
	if !ok || expr != "" && expr == d.nowQuery.expressions()[field] {
		return nil
	}
	return []change{{
		rule: "FIELD_NAME_REUSED", verdict: Breaking, field: field,
		text: fmt.Sprintf("an earlier version %d.x had a field of this name, made in another way", d.now.Version.Major),
	}}
}

// field compares one field, by its declaration and by its type in the database.
func (d *difference) field(name string) []change {
	var found []change
	if d.oldShape != nil && d.nowShape != nil && d.oldShape.field(name) != nil && d.nowShape.field(name) != nil {
		found = compareField(name, d.oldShape.field(name), d.nowShape.field(name))
	}
	has := func(rule string) bool {
		return slices.ContainsFunc(found, func(c change) bool { return c.rule == rule })
	}
	old, now := columnOf(d.oldFacts, name), columnOf(d.nowFacts, name)
	for i, c := range found {
		if c.rule != "NULLABLE_TO_NOT_NULL" {
			continue
		}
		switch {
		case now == nil:
			found[i].verdict, found[i].text = Review, c.text+"; the database was not asked whether that is so"
		case !now.Never:
			found[i].verdict, found[i].text = Review, c.text+"; the database does not prove it"
		}
	}
	if old == nil || now == nil {
		return found
	}
	if rule, v := compareTypes(old.Type, now.Type); rule != "" && !has(rule) {
		found = append(found, change{rule: rule, verdict: v, field: name, text: fmt.Sprintf("in the database it was %s and is %s", old.Type, now.Type)})
	}
	if old.Never && now.Nullable && !has("NOT_NULL_TO_NULLABLE") {
		found = append(found, change{rule: "NOT_NULL_TO_NULLABLE", verdict: Unless, field: name, text: "in the database it was never NULL and may be now, as of an outer join"})
	}
	return found
}

func columnOf(d *Description, name string) *Column {
	if d == nil {
		return nil
	}
	for i := range d.Columns {
		if d.Columns[i].Name == name {
			return &d.Columns[i]
		}
	}
	return nil
}

// keyRules are changes of a type, which in a key are changes of what is equal.
var keyRules = []string{"TYPE_WIDENED", "TYPE_NARROWED", "PRECISION", "TYPE_CHANGED", "TIMESTAMP", "ARRAY_ELEMENT"}

// keyed makes of a key's change of type what it is.
func (d *difference) keyed(field string, found []change) []change {
	if !slices.Contains(d.oldKey(), field) {
		return found
	}
	for i, c := range found {
		if slices.Contains(keyRules, c.rule) {
			found[i] = change{rule: "KEY_TYPE", verdict: Breaking, field: field, text: "it is the key, and " + c.text}
		}
	}
	return slices.CompactFunc(found, func(a, b change) bool { return a.rule == "KEY_TYPE" && b.rule == "KEY_TYPE" })
}

func (d *difference) oldKey() []string {
	if d.oldFacts != nil {
		return columnNames(d.oldFacts.Key)
	}
	t, _ := rowQuery(d.old.PublicSchema)
	return keyOf(t)
}

func columnNames(columns []Column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

// whole compares what is said of the public schema itself.
func (d *difference) whole() []change {
	c := &changes{}
	if d.old.Source.DataStore != d.now.Source.DataStore {
		c.add("SOURCE_MOVED", Review, "its data store was %s and is %s: another log is another history, and every consumer is compared as a whole", d.old.Source.DataStore, d.now.Source.DataStore)
	}
	if d.old.Owner != "" && d.now.Owner == "" {
		c.add("OWNER_REMOVED", Review, "its owner was %s, and it has none now", d.old.Owner)
	}
	return c.list
}

// furtherQueries gives the queries of a table's transformations, without the one that content compares.
func furtherQueries(s manifest.PublicSchema, table string) []string {
	row := rowIndex(s)
	var all []string
	for i, t := range s.Config.Transformations {
		if i != row && plainTable(t.Table) == table {
			all = append(all, t.Operation+" "+text(words(t.SQL)))
		}
	}
	return all
}

// transformations looks for tables that were listened to.
func (d *difference) transformations() []change {
	c := &changes{}
	table := func(t manifest.Transformation) string { return plainTable(t.Table) }
	seen := map[string]bool{}
	for _, was := range d.old.Config.Transformations {
		name := table(was)
		if seen[name] {
			continue
		}
		seen[name] = true
		at := slices.IndexFunc(d.now.Config.Transformations, func(t manifest.Transformation) bool { return table(t) == name })
		switch {
		case at >= 0:
			is := d.now.Config.Transformations[at]
			if was.Keys != is.Keys || fmt.Sprint(was.Params) != fmt.Sprint(is.Params) {
				c.add("EXPRESSION_CHANGED", Review, "which keys a change of table %s affects is declared in another way", was.Table)
			}
			if !slices.Equal(furtherQueries(d.old.PublicSchema, name), furtherQueries(d.now.PublicSchema, name)) {
				c.add("EXPRESSION_CHANGED", Review, "the query of the transformation of table %s differs", was.Table)
			}
		case d.nowFacts != nil && d.nowFacts.reads(was.Table):
			c.add("TRANSFORMATION_REMOVED", Compatible, "the transformation of table %s is gone; proved: the query itself tells what its changes affect", was.Table)
		default:
			c.add("TRANSFORMATION_REMOVED", Breaking, "the transformation of table %s is gone, so that its changes may leave stale rows", was.Table)
		}
	}
	return c.list
}
