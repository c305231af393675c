package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"rejot.dev/rejot/manifest"
)

// Options say what is known beside the manifests.
type Options struct {
	Databases Databases // nil: only the manifests are looked at
	// Complete says that the manifests have every consumer, so that a public schema which none of them
	// reads has no readers.
	Complete bool
	// Whole says that the old manifests are those of then, so that one which is not among those of now was
	// taken away.
	Whole   bool
	History History // nil: it is not known
}

// Compare judges the change from one state of manifests to another. Manifests belong together by slug.
func Compare(ctx context.Context, old, now []*manifest.Manifest, o Options) (*Report, error) {
	c := &comparison{ctx: ctx, now: now, options: o, report: &Report{}}
	for _, was := range old {
		at := slices.IndexFunc(now, func(m *manifest.Manifest) bool { return m.Slug == was.Slug })
		switch {
		case at >= 0:
			c.manifests(was, now[at])
		case o.Whole && len(was.PublicSchemas) > 0:
			c.gone(was)
		default:
			c.report.add("MANIFEST_NOTE", about{place: Place{File: was.File()}, owner: was.Slug}, "",
				fmt.Sprintf("manifest %s is not among those that are checked, so what became of it is not looked at", was.Slug), "")
		}
	}
	return c.report, ctx.Err()
}

// A comparison is one run of Compare.
type comparison struct {
	ctx     context.Context //nolint:containedctx // one run's
	now     []*manifest.Manifest
	options Options
	report  *Report
}

func (c *comparison) manifests(old, now *manifest.Manifest) {
	c.connections(old, now)
	names := map[string]bool{}
	for _, s := range schemasOf(old) {
		names[s.Name] = true
	}
	for _, name := range sortedKeys(names) {
		was, is := majors(old, name), majors(now, name)
		for _, major := range sortedMajors(was) {
			s, ok := is[major]
			switch {
			case ok:
				c.schemas(was[major], s)
			case len(is) == 0:
				c.removed(was[major], now, "publicSchemas")
			default:
				c.dropped(was[major], now)
			}
		}
		c.newMajors(was, is)
	}
}

func majors(m *manifest.Manifest, name string) map[int]schema {
	found := map[int]schema{}
	for _, s := range schemasOf(m) {
		if s.Name == name {
			found[s.Version.Major] = s
		}
	}
	return found
}

func sortedMajors(m map[int]schema) []int {
	var list []int
	for major := range m {
		list = append(list, major)
	}
	slices.Sort(list)
	return list
}

// gone is about a manifest that was there, or had another slug, by which its consumers name it. It is told where
// the slug stands now, else at the first manifest, whose workspaces it was among.
func (c *comparison) gone(was *manifest.Manifest) {
	now, field := c.now[0], "workspaces"
	if at := slices.IndexFunc(c.now, func(m *manifest.Manifest) bool { return strings.HasSuffix(was.File(), ":"+m.File()) }); at >= 0 {
		now, field = c.now[at], "slug"
	}
	for _, s := range schemasOf(was) {
		c.removed(s, now, field)
	}
}

// removed is about a public schema of which no version is left; its place is a field of a file of today.
func (c *comparison) removed(was schema, now *manifest.Manifest, field string) {
	a := was.about()
	a.place, a.owner = Place{now.File(), now.LineOf(field)}, now.Slug
	readers := readersOf(c.now, was.in.Slug, was.Name, was.Version.Major)
	c.report.add("SCHEMA_REMOVED", a, "", "it is gone, and whoever reads it stops"+named(readers), "keep it until its readers have moved, and then remove it with a reason in checks").
		Detail = list(readers)
}

// dropped is about a major version of a public schema that has others.
func (c *comparison) dropped(was schema, now *manifest.Manifest) {
	a := was.about()
	a.place = Place{now.File(), now.LineOf("publicSchemas")}
	readers := readersOf(c.now, now.Slug, was.Name, was.Version.Major)
	if len(readers) == 0 && c.options.Complete {
		c.report.add("MAJOR_DROPPED", a, "", "it is gone, and no consumer reads it", "").judge(Compatible)
		return
	}
	text := "it is gone, and whether somebody reads it is not known"
	mend := "name the manifests of all consumers and give --complete, or keep it until the date of its retirement"
	if len(readers) > 0 {
		text, mend = "it is gone"+named(readers), "keep it beside the new one until the date of its retirement, and tell its readers that date"
	}
	c.report.add("MAJOR_DROPPED", a, "", text, mend).Detail = list(readers)
}

// newMajors looks at versions that were not there: they count on, by one.
func (c *comparison) newMajors(was, is map[int]schema) {
	before := sortedMajors(was)
	last := before[len(before)-1]
	for _, major := range sortedMajors(is) {
		if _, ok := was[major]; ok {
			continue
		}
		if major != last+1 {
			c.report.add("VERSION_STEP", is[major].about(), "", fmt.Sprintf("major version %d is new, and the last one was %d", major, last),
				fmt.Sprintf("make it version %d.0", last+1))
		}
		last = max(last, major)
	}
}

// connections compares what data stores stand for.
func (c *comparison) connections(old, now *manifest.Manifest) {
	for i, conn := range now.Connections {
		at := slices.IndexFunc(old.Connections, func(o manifest.Connection) bool { return o.Slug == conn.Slug })
		if at < 0 || !slices.ContainsFunc(now.PublicSchemas, func(s manifest.PublicSchema) bool { return s.Source.DataStore == conn.Slug }) {
			continue
		}
		was, is := old.Connections[at].Config, conn.Config
		if was.Type == is.Type && was.Host == is.Host && was.Port == is.Port && was.Database == is.Database {
			continue
		}
		c.report.add("SOURCE_MOVED", about{place: Place{now.File(), now.LineOf("connections", i)}, owner: now.Slug}, "",
			fmt.Sprintf("connection %s, a source, led to %s %s:%s/%s and leads to %s %s:%s/%s", conn.Slug, was.Type, was.Host, was.Port, was.Database, is.Type, is.Host, is.Port, is.Database),
			"where it is another database, its log is another history: every consumer is compared as a whole")
	}
}

// schemas compares one major version of a public schema with what it was.
func (c *comparison) schemas(old, now schema) {
	d := c.difference(old, now)
	found := append(d.changes(), c.counted(now, d)...)
	a := now.about()
	breaking, stepped := false, false
	for _, ch := range found {
		v := ch.verdict
		text, detail, mend := ch.text, ch.detail, mendOf(ch, now)
		if v == Unless {
			v, text, detail, mend = c.prove(now, ch, d)
		}
		breaking = breaking || v == Breaking || v == Unless
		stepped = stepped || !slices.Contains([]string{"OWNER_REMOVED", "SENSITIVITY_RAISED"}, ch.rule)
		f := c.report.add(ch.rule, a, ch.field, text, mend).judge(v)
		f.Detail = detail
		if ch.field != "" {
			f.Text = "field " + ch.field + ": " + text
		}
	}
	c.step(old, now, breaking, stepped)
	c.older(now, found)
}

// counted finds consumers whose placeholders are numbers, which count columns, where those stand in another
// order than before. New ones at the end hurt nobody.
func (c *comparison) counted(now schema, d *difference) []change {
	was, is := d.order()
	if was == nil || is == nil || len(is) >= len(was) && slices.Equal(was, is[:len(was)]) {
		return nil
	}
	var found []change
	for _, r := range readersOf(c.now, now.in.Slug, now.Name, now.Version.Major) {
		if _, positional := placeholders(r.Config.Type, r.Config.SQL); positional {
			found = append(found, change{
				rule: "FIELD_NAME_REUSED", verdict: Breaking,
				text: fmt.Sprintf("its columns stand in another order, and consumer schema %s counts them ($1, $2, …)", r.Name),
			})
		}
	}
	return found
}

// step compares versions. Where something is breaking, that is told by itself: no minor step would be right.
func (c *comparison) step(old, now schema, breaking, changed bool) {
	was, is := old.Version.Minor, now.Version.Minor
	switch {
	case is < was:
		c.report.add("VERSION_STEP", now.about(), "", fmt.Sprintf("its version went back from %d.%d", old.Version.Major, was),
			fmt.Sprintf("make it version %d.%d or later", old.Version.Major, was))
	case changed && !breaking && is == was:
		c.report.add("VERSION_STEP", now.about(), "", "it was changed, and its minor version was not raised",
			fmt.Sprintf("make it version %d.%d", now.Version.Major, was+1))
	}
}

// older tells consumers that use a field which events from before this change lack.
func (c *comparison) older(now schema, found []change) {
	for _, ch := range found {
		if ch.rule != "FIELD_ADDED" {
			continue
		}
		for _, r := range readersOf(c.now, now.in.Slug, now.Name, now.Version.Major) {
			names, _ := placeholders(r.Config.Type, r.Config.SQL)
			if slices.Contains(names, ch.field) {
				c.report.add("MINOR_TOO_OLD", r.about(), ch.field,
					fmt.Sprintf("it uses field %s, which public schema %s has from version %d.%d on: events from before lack it", ch.field, now.Name, now.Version.Major, now.Version.Minor),
					"run the new version of the public schema first, then let the consumer be filled again: rejot backfill")
			}
		}
	}
}

// mendOf tells what to do about a change.
func mendOf(ch change, now schema) string {
	switch ch.verdict {
	case Breaking, Unless:
		if ch.rule == "TRANSFORMATION_REMOVED" {
			return "keep the transformation, or give --connect where the query of another table proves what its changes affect"
		}
		return fmt.Sprintf("leave it as it was, or publish it as version %d.0 beside this one", now.Version.Major+1)
	case Review:
		return "look at what differs; --connect counts the rows"
	default:
		return ""
	}
}
