package check

import (
	"fmt"
	"slices"
	"strings"
)

// key compares what identifies rows, and how many there may be of one.
func (d *difference) key() []change {
	c := &changes{}
	oldQuery, _ := rowQuery(d.old.PublicSchema)
	nowQuery, _ := rowQuery(d.now.PublicSchema)
	if d.oldFacts != nil && d.nowFacts != nil {
		d.keyFacts(c)
		return c.list
	}
	was, is := keyOf(oldQuery), keyOf(nowQuery)
	switch {
	case len(was) == 0 || len(is) == 0:
	case plainTable(oldQuery.Table) != plainTable(nowQuery.Table):
		c.add("KEY_CHANGED", Breaking, "it was keyed by table %s and is by table %s", oldQuery.Table, nowQuery.Table)
	case !slices.Equal(was, is):
		c.add("KEY_CHANGED", Breaking, "its key was %s and is %s", strings.Join(was, ", "), strings.Join(is, ", "))
	}
	switch {
	case oldQuery.Rows == "one" && nowQuery.Rows != "one":
		c.add("CARDINALITY_MANY", Breaking, "a key had one row by declaration (\"rows\": \"one\"), which is gone")
	case oldQuery.Rows != "one" && nowQuery.Rows == "one":
		c.add("CARDINALITY_ONE", Review, "a key has one row by declaration now; rows that were left over have to go")
	}
	return c.list
}

func (d *difference) keyFacts(c *changes) {
	was, is := columnNames(d.oldFacts.Key), columnNames(d.nowFacts.Key)
	switch {
	case d.oldFacts.Base != d.nowFacts.Base && len(was) > 0 && len(is) > 0:
		c.add("KEY_CHANGED", Breaking, "it was keyed by table %s and is by table %s", d.oldFacts.Base, d.nowFacts.Base)
	case len(was) > 0 && len(is) > 0 && !slices.Equal(was, is):
		c.add("KEY_CHANGED", Breaking, "its key was %s and is %s", strings.Join(was, ", "), strings.Join(is, ", "))
	default:
		for i := range min(len(was), len(is)) {
			if o, n := d.oldFacts.Key[i].Type, d.nowFacts.Key[i].Type; o != n {
				c.add("KEY_TYPE", Breaking, "key %s was %s and is %s", was[i], o, n)
			}
		}
	}
	switch {
	case !d.oldFacts.Many && d.nowFacts.Many:
		c.add("CARDINALITY_MANY", Breaking, "a key had one row and may have several: for an upsert the last would win")
	case d.oldFacts.Many && !d.nowFacts.Many:
		c.add("CARDINALITY_ONE", Review, "a key could have several rows and has one; rows that were left over have to go")
	}
}

// content compares the queries: same shape, other rows.
func (d *difference) content() []change {
	found := compareQueries(d.oldQuery, d.nowQuery, d.common())
	if len(found) == 0 && (d.counted == nil || *d.counted == Difference{}) {
		return nil
	}
	if d.counted == nil {
		if d.uncounted != nil {
			found[0].detail = "the rows that differ were not counted: " + d.uncounted.Error()
		}
		return found
	}
	// The database has the last word on rows; the text tells which fields.
	kept := slices.DeleteFunc(found, func(c change) bool { return strings.HasPrefix(c.rule, "FILTER_") })
	c := &changes{}
	if d.counted.Left > 0 {
		c.add("FILTER_NARROWED", Review, "%s leave the public schema: deletes", count(d.counted.Left))
	}
	if d.counted.Entered > 0 {
		c.add("FILTER_WIDENED", Review, "%s enter the public schema: upserts", count(d.counted.Entered))
	}
	expressions := slices.IndexFunc(kept, func(c change) bool { return c.rule == "EXPRESSION_CHANGED" })
	switch {
	case d.counted.Changed > 0 && expressions < 0:
		c.add("EXPRESSION_CHANGED", Review, "%s have other values in fields that stay", count(d.counted.Changed))
	case expressions >= 0:
		kept[expressions].detail = fmt.Sprintf("%s have other values in fields that stay, at present", count(d.counted.Changed))
	}
	return append(kept, c.list...)
}

func count(n int64) string {
	if n == 1 {
		return "1 key"
	}
	return fmt.Sprintf("%d keys", n)
}
