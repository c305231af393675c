package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"rejot.dev/rejot/manifest"
)

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// plainTable is a table's name in one form.
func plainTable(name string) string {
	ws := words(name)
	parts := make([]string, len(ws))
	for i, w := range ws {
		parts[i] = unquoted(w.text)
	}
	return strings.TrimPrefix(strings.Join(parts, ""), "public.")
}

// rowQuery gives the transformation that a public schema is mainly made of: the first that yields rows.
func rowQuery(s manifest.PublicSchema) (manifest.Transformation, bool) {
	if len(s.Config.Transformations) == 0 {
		return manifest.Transformation{}, false
	}
	return s.Config.Transformations[rowIndex(s)], true
}

// rowIndex is where the transformation of rowQuery stands.
func rowIndex(s manifest.PublicSchema) int {
	return max(0, slices.IndexFunc(s.Config.Transformations, func(t manifest.Transformation) bool {
		return t.SQL != "" && t.Operation != "delete"
	}))
}

// keyOf reads a query's key off its text: the columns that placeholders are compared with.
func keyOf(t manifest.Transformation) []string {
	key := slices.Collect(maps.Values(bound(t.SQL)))
	slices.Sort(key)
	return slices.Compact(key)
}

// expressions gives the text of each field, where the list can be read.
func (q query) expressions() map[string]string {
	out := map[string]string{}
	for _, i := range q.items {
		if i.name != "" {
			out[i.name] = i.expr
		}
	}
	return out
}

// A renaming is a field whose expression stands under another name.
type renaming struct{ old, now string }

// renamings pairs fields that are gone with fields that are new and have the same expression.
func renamings(old, now query, removed, added []string) []renaming {
	var found []renaming
	was, is := old.expressions(), now.expressions()
	taken := map[string]bool{}
	for _, r := range removed {
		for _, a := range added {
			if was[r] != "" && was[r] == is[a] && !taken[a] {
				found = append(found, renaming{r, a})
				taken[a] = true
				break
			}
		}
	}
	return found
}

// compareQueries says how two texts of one query differ. fields are those that both have.
func compareQueries(old, now query, fields []string) []change {
	c := &changes{}
	if old.all == now.all {
		return nil
	}
	if !old.parted || !now.parted {
		c.add("EXPRESSION_CHANGED", Review, "the query differs")
		return c.list
	}
	was, is := old.expressions(), now.expressions()
	for _, f := range fields {
		if was[f] == "" || is[f] == "" || was[f] == is[f] {
			continue
		}
		c.field = f
		if other := meansOther(f, is[f], was); other != "" {
			c.add("FIELD_NAME_REUSED", Breaking, "it is made of what was published as %s", other)
			continue
		}
		c.add("EXPRESSION_CHANGED", Review, "it was %s and is %s", was[f], is[f])
	}
	c.field = ""
	if !slices.Equal(old.unnamed, now.unnamed) {
		c.add("EXPRESSION_CHANGED", Review, "columns to which the query gives no name were %s and are %s", orNone(strings.Join(old.unnamed, ", ")), orNone(strings.Join(now.unnamed, ", ")))
	}
	c.filters(old, now)
	if old.from != now.from {
		c.add("EXPRESSION_CHANGED", Review, "what the query reads from, or how it groups or orders, differs")
	}
	return c.list
}

// meansOther finds the former field that an expression was, other than the one of that name.
func meansOther(field, expr string, was map[string]string) string {
	for _, name := range sortedKeys(was) {
		if name != field && was[name] == expr {
			return name
		}
	}
	return ""
}

// filters compares conditions: one more is narrower, one less is wider, else only the database can tell.
func (c *changes) filters(old, now query) {
	more, less := without(now.where, old.where), without(old.where, now.where)
	switch {
	case len(more) == 0 && len(less) == 0:
	case len(less) == 0:
		c.add("FILTER_NARROWED", Review, "the condition %s is new", strings.Join(more, " and "))
	case len(more) == 0:
		c.add("FILTER_WIDENED", Review, "the condition %s is gone", strings.Join(less, " and "))
	default:
		text := fmt.Sprintf("the condition %s became %s, so rows may leave", strings.Join(less, " and "), strings.Join(more, " and "))
		c.add("FILTER_NARROWED", Review, "%s", text)
		c.add("FILTER_WIDENED", Review, "the condition %s became %s, so rows may enter", strings.Join(less, " and "), strings.Join(more, " and "))
	}
}
