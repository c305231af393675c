package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/manifest"
)

// A Snapshot is what one database says of every contract that it has a part in, at one moment.
type Snapshot struct {
	public    map[string]described
	consumers map[string]inspected
}

type described struct {
	facts *Description
	err   error
}

type inspected struct {
	facts *Statements
	err   error
}

// Take asks a database, which stands for the data store of a slug, about the contracts of manifests.
// source is nil where it cannot be one.
func Take(ctx context.Context, manifests []*manifest.Manifest, slug string, source Source, destination Destination) (*Snapshot, error) {
	s := &Snapshot{public: map[string]described{}, consumers: map[string]inspected{}}
	for _, p := range allSchemas(manifests) {
		if p.Source.DataStore != slug || source == nil {
			continue
		}
		d, err := source.Describe(ctx, p.in.Public(p.index))
		if rejot.CodeOf(err) == rejot.Transient {
			return nil, err
		}
		s.public[schemaKey(p.in.Slug, p.Name, p.Version.Major)] = described{d, err}
	}
	for _, c := range consumersOf(manifests) {
		if c.Config.Destination != slug {
			continue
		}
		st, err := destination.Inspect(ctx, c.in.Consumer(c.index))
		if rejot.CodeOf(err) == rejot.Transient {
			return nil, err
		}
		s.consumers[c.in.Slug+"/"+c.Name] = inspected{st, err}
	}
	return s, nil
}

// Migrated compares what a database said before migrations with what it says after them. where is the
// migrations' folder or command.
func Migrated(ctx context.Context, manifests []*manifest.Manifest, before, after *Snapshot, o Options, where string) *Report {
	c := &comparison{ctx: ctx, now: manifests, options: o, report: &Report{}}
	m := &migration{comparison: c, where: where}
	for _, p := range allSchemas(manifests) {
		key := schemaKey(p.in.Slug, p.Name, p.Version.Major)
		if was, ok := before.public[key]; ok {
			m.public(p, was, after.public[key])
		}
	}
	for _, r := range consumersOf(manifests) {
		key := r.in.Slug + "/" + r.Name
		if was, ok := before.consumers[key]; ok {
			m.consumer(r, was, after.consumers[key])
		}
	}
	return c.report
}

// A migration is one run of Migrated.
type migration struct {
	*comparison
	where string
}

const migrationMend = "change the contract in the same pull request, or the migration: add the new beside the old, move the readers, then remove the old"

func (m *migration) breaks(a about, field, text, detail string) *Finding {
	f := m.report.add("MIGRATION_BREAKS", a, field, text, migrationMend)
	f.Detail = detail
	return f
}

func (m *migration) public(p schema, was, is described) {
	a := p.about()
	readers := readersOf(m.now, p.in.Slug, p.Name, p.Version.Major)
	if was.err != nil {
		m.breaks(a, "", "it cannot be judged, as the copy of the schema does not take its query even before the migrations: "+withoutPrefix(was.err.Error(), p.String()), "").judge(Hint)
		return
	}
	if is.err != nil {
		m.breaks(a, "", "after the migrations the database does not take its query: "+withoutPrefix(is.err.Error(), p.String()), list(readers))
		return
	}
	for _, r := range is.facts.Refused {
		known := slices.ContainsFunc(was.facts.Refused, func(o2 derive.Refusal) bool {
			return o2.Code == r.Code && o2.Table.Name == r.Table.Name && o2.Where == r.Where
		})
		if !known {
			reason := r.Reason
			if r.Table.Name != "" {
				reason = "table " + r.Table.String() + ": " + reason
			}
			f := m.breaks(a, "", fmt.Sprintf("after the migrations (%s): %s", refusalRule(r), reason), list(readers))
			f.Mend = joinLines(r.Mend, migrationMend)
		}
	}
	d := &difference{old: p, now: p, oldFacts: was.facts, nowFacts: is.facts}
	for _, ch := range d.factChanges() {
		v, text, detail := ch.verdict, ch.text, ""
		if v == Unless {
			v, text, detail, _ = m.prove(p, ch, d)
		}
		if v == Compatible {
			continue
		}
		if ch.field != "" {
			text = "field " + ch.field + ": " + text
		}
		f := m.breaks(a, ch.field, fmt.Sprintf("after the migrations (%s): %s", ch.rule, text), joinLines(detail, linesOf(list(readers))...))
		if v == Review {
			f.judge(Review)
		}
	}
}

// linesOf gives a text as a list, none where it is empty.
func linesOf(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// factChanges are the differences between what a database said of the same contract at two moments.
func (d *difference) factChanges() []change {
	var all []change
	for _, col := range d.oldFacts.Columns {
		if columnOf(d.nowFacts, col.Name) == nil {
			all = append(all, change{rule: "FIELD_REMOVED", verdict: Unless, field: col.Name, text: "it is gone"})
			continue
		}
		all = append(all, d.keyed(col.Name, d.field(col.Name))...)
	}
	c := &changes{}
	d.keyFacts(c)
	for _, ch := range c.list {
		if !slices.ContainsFunc(all, func(have change) bool { return have.rule == ch.rule }) {
			all = append(all, ch)
		}
	}
	return all
}

func (m *migration) consumer(r consumer, was, is inspected) {
	a := r.about()
	if was.err != nil || len(was.facts.Refused) > 0 {
		m.breaks(a, "", "it cannot be judged, as the copy of the schema does not take its statements even before the migrations", "").judge(Hint)
		return
	}
	if is.err != nil {
		m.breaks(a, "", "after the migrations its statements cannot be prepared: "+is.err.Error(), "")
		return
	}
	for _, refused := range is.facts.Refused {
		m.breaks(a, "", "after the migrations the database does not take its "+refused.Statement+": "+refused.Reason, "")
	}
	for _, column := range without(is.facts.Missing, was.facts.Missing) {
		m.breaks(a, "", fmt.Sprintf("after the migrations column %s of %s is NOT NULL, has no default, and its sql does not write it", column, is.facts.Table), "")
	}
	for _, t := range is.facts.Targets {
		at := slices.IndexFunc(was.facts.Targets, func(o Target) bool {
			return o.Field == t.Field && o.Column != nil && t.Column != nil && o.Column.Name == t.Column.Name && o.Direct == t.Direct
		})
		if at < 0 {
			continue
		}
		m.target(a, t, was.facts.Targets[at])
	}
}

// target compares a column that a consumer writes: what it took before, it has to take still.
func (m *migration) target(a about, is, was Target) {
	what := fmt.Sprintf("after the migrations column %s, to which field %s is written,", is.Column.Name, is.Field)
	switch {
	case was.Column.Nullable && !is.Column.Nullable:
		m.breaks(a, is.Field, what+" is NOT NULL", "")
	case (is.Enum == nil || was.Enum == nil) && !takes(is.Column.Type, was.Column.Type): // an enumeration's type is its text
		m.breaks(a, is.Field, fmt.Sprintf("%s is %s, and was %s", what, is.Column.Type, was.Column.Type), "")
	case is.Check && !was.Check:
		m.breaks(a, is.Field, what+" has a CHECK constraint", "").judge(Review)
	case len(without(was.Enum, is.Enum)) > 0 && is.Enum != nil:
		m.breaks(a, is.Field, what+" no longer takes "+strings.Join(without(was.Enum, is.Enum), ", "), "")
	}
}

// MigrationFails is the report of a migration that the copy refuses.
func MigrationFails(file, reason, owner string) *Report {
	r := &Report{}
	r.add("MIGRATION_BREAKS", about{place: Place{file, 1}, owner: owner}, "", "the migration fails in a copy of the schema: "+reason, "mend the migration, or what it expects")
	return r
}
