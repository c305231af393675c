package check

import (
	"slices"
	"strings"
)

// KeyColumns gives, for each placeholder of a query, the column of the base table that it is compared with. A placeholder for
// which none is seen is left out. Fold: names without quotes are in lower case, as Postgres has them.
func KeyColumns(sql, table string, fold bool) map[string]string {
	ws := words(sql)
	name := func(w word) string {
		if fold {
			return unquoted(w.text)
		}
		return unquoted(sql[w.start:w.end])
	}
	aliases := aliasesOf(ws, table, name)
	columns, depths := map[string]string{}, map[string]int{}
	compare := func(placeholder word, path []word) { // a.id has a path of two
		if len(path) == 0 || len(path) > 1 && !slices.Contains(aliases, name(path[len(path)-2])) {
			return
		}
		key := placeholder.text[1:]
		if depth, found := depths[key]; !found || placeholder.depth < depth { // a subselect's names may be of its own tables
			columns[key], depths[key] = name(path[len(path)-1]), placeholder.depth
		}
	}
	for i, w := range ws {
		if !isPlaceholder(w.text) {
			continue
		}
		if i >= 2 && ws[i-1].text == "=" {
			from := i - 1
			for from > 0 && isName(ws[from-1].text) {
				if from--; from == 0 || ws[from-1].text != "." {
					break
				}
				from--
			}
			compare(w, pathOf(ws[from:i-1]))
		}
		if i+2 < len(ws) && ws[i+1].text == "=" {
			compare(w, pathOf(ws[i+2:]))
		}
	}
	return columns
}

// pathOf gives the names at the beginning that dots join.
func pathOf(ws []word) []word {
	var path []word
	for len(ws) > 0 && isName(ws[0].text) {
		path = append(path, ws[0])
		if len(ws) < 2 || ws[1].text != "." {
			break
		}
		ws = ws[2:]
	}
	return path
}

// aliasesOf gives what a query calls a table: its name, and what follows it after FROM, JOIN or a comma.
func aliasesOf(ws []word, table string, name func(word) string) []string {
	path := pathOf(words(table))
	if len(path) == 0 {
		return nil
	}
	own := unquoted(path[len(path)-1].text)
	var aliases []string
	for i, w := range ws {
		if w.text != "from" && w.text != "join" && w.text != "," {
			continue
		}
		named := pathOf(ws[i+1:])
		if len(named) == 0 || !strings.EqualFold(name(named[len(named)-1]), own) {
			continue
		}
		aliases = append(aliases, name(named[len(named)-1]))
		next := i + 2*len(named)
		if next < len(ws) && ws[next].text == "as" {
			next++
		}
		if next < len(ws) && isName(ws[next].text) {
			aliases = append(aliases, name(ws[next]))
		}
	}
	return aliases
}
