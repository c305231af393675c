package myapply

import (
	"fmt"
	"slices"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/mysql"
)

// Where a table has several unique keys, INSERT … ON DUPLICATE KEY UPDATE changes the row that it
// meets first by any of them. A row that takes over the e-mail address of another would overwrite
// that other row and not be written itself, without an error: seen as 2,995 rows of 3,000. REPLACE
// deletes the other row. So such an upsert is given a guard, which makes the server refuse it when
// the row that it met is not its own; then another order of the events may help, as it does with an
// error of the server's own. The guard is the first assignment, since they are made from left to right:
//
//	ON DUPLICATE KEY UPDATE id = IF(id <=> VALUES(id), id, NULL), email = …
//
// A key's column cannot be NULL, so that this is error 1048 for that column.

// guarded gives an upsert its guard where it needs one, and the guard's columns.
func (c *catalog) guarded(who *contract.Consumer, text, deleteText string) (string, []string, error) {
	all := tokens(text)
	first := ""
	if len(all) > 0 {
		first = strings.ToUpper(all[0].text)
	}
	at := slices.IndexFunc(all, func(t token) bool { return strings.EqualFold(t.text, "DUPLICATE") && !t.quoted })
	if first != "REPLACE" && (first != "INSERT" || at < 1 || at+2 >= len(all)) {
		return text, nil, nil
	}
	t := c.firstTable(all)
	if t == nil {
		return text, nil, nil
	}
	before := all
	if at > 0 {
		before = all[:at]
	}
	keys := t.keysIn(before)
	if len(keys) < 2 {
		return text, nil, nil
	}
	own := t.ownKey(keys, tokens(deleteText))
	if first == "REPLACE" || own == nil {
		return "", nil, ambiguous(who, t, keys, first == "REPLACE")
	}
	if !strings.EqualFold(all[at+1].text, "KEY") || !strings.EqualFold(all[at+2].text, "UPDATE") {
		return text, nil, nil // the server will refuse it
	}
	var guard strings.Builder
	for _, column := range own.columns {
		name := mysql.Quote(column)
		fmt.Fprintf(&guard, " %s = IF(%s <=> VALUES(%s), %s, NULL),", name, name, name, name)
	}
	end := all[at+2].end
	return text[:end] + guard.String() + text[end:], own.columns, nil
}

func ambiguous(who *contract.Consumer, t *table, keys []*key, replace bool) error {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	why := "which of them says what row it is cannot be told"
	if replace {
		why = "a REPLACE would delete other rows that hold one of its values"
	}
	err := rejot.Errorf(rejot.Unsupported, "%s: its %s writes table %s, which has the unique keys %s, and %s",
		who, apply.Upsert, t.name, strings.Join(names, ", "), why)
	if replace {
		return rejot.WithMend(err, "use INSERT … ON DUPLICATE KEY UPDATE")
	}
	return rejot.WithMend(err, "write its primary key, or delete by the columns of one unique key in its deleteSql")
}

// A key is a unique key of a table.
type key struct {
	name    string
	columns []string
}

func (k *key) in(ts []token) bool {
	for _, column := range k.columns {
		if !slices.ContainsFunc(ts, func(t token) bool { return strings.EqualFold(t.text, column) }) {
			return false
		}
	}
	return len(k.columns) > 0
}

// keysIn are the unique keys that an INSERT writes: of those whose columns it does not name, only an
// INSERT without names writes every one.
func (t *table) keysIn(insert []token) []*key {
	columns := slices.ContainsFunc(insert, func(w token) bool {
		return slices.ContainsFunc(t.columns, func(c string) bool { return strings.EqualFold(c, w.text) })
	})
	var found []*key
	for _, k := range t.keys {
		if !columns || k.in(insert) {
			found = append(found, k)
		}
	}
	return found
}

// ownKey is the key that says which row a public row is: what the deleteSql goes by, else the primary key.
func (t *table) ownKey(keys []*key, deleteSQL []token) *key {
	var by []*key
	for _, k := range keys {
		if k.in(deleteSQL) {
			by = append(by, k)
		}
	}
	if len(by) == 1 {
		return by[0]
	}
	for _, k := range keys {
		if k.name == "PRIMARY" {
			return k
		}
	}
	return nil
}
