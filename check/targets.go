package check

import (
	"slices"
	"strings"
)

// A Placed is one occurrence of a placeholder in a statement, with the column that it is written to.
type Placed struct {
	Field  string
	Column string // empty: not known
	Direct bool   // as it is, perhaps with a cast, not inside an expression
}

// Places finds where the placeholders of a statement go, in the order in which they stand there: INSERT with
// its lists, and the assignments of UPDATE and of an upsert. columns are the table's, for an INSERT that
// does not name them. A statement of another form tells only the names.
func Places(sql string, columns []string) []Placed {
	ws := words(sql)
	p := placer{ws: ws, at: map[int]Placed{}}
	if into := slices.IndexFunc(ws, func(w word) bool { return w.depth == 0 && w.text == "into" }); into >= 0 {
		p.insert(into+1, columns)
	}
	p.assignments()
	var out []Placed
	for i, w := range ws {
		if isPlaceholder(w.text) {
			placed := p.at[i]
			placed.Field = w.text[1:]
			out = append(out, placed)
		}
	}
	return out
}

// InsertsPlainly reports whether a statement is an INSERT that does not say what becomes of a row that is
// there already.
func InsertsPlainly(sql string) bool {
	ws := words(sql)
	if !slices.ContainsFunc(ws, func(w word) bool { return w.depth == 0 && w.text == "insert" }) {
		return false
	}
	return !slices.ContainsFunc(ws, func(w word) bool {
		return w.depth == 0 && slices.Contains([]string{"conflict", "duplicate", "ignore", "merge"}, w.text)
	}) && !strings.Contains(text(ws), "not exists")
}

// Written gives the columns that an INSERT names; none where it writes them all.
func Written(sql string) []string {
	ws := words(sql)
	into := slices.IndexFunc(ws, func(w word) bool { return w.depth == 0 && w.text == "into" })
	if into < 0 {
		return nil
	}
	p := placer{ws: ws}
	names, _ := p.columnList(into + 1)
	return names
}

type placer struct {
	ws []word
	at map[int]Placed // by the placeholder's index
}

// columnList reads the names behind a table, and gives where what follows begins.
func (p *placer) columnList(from int) (names []string, next int) {
	for i := from; i < len(p.ws); i++ {
		w := p.ws[i]
		switch {
		case w.depth > 0:
		case w.text == "(":
			end := p.closing(i)
			if i+1 < end && slices.Contains([]string{"select", "values", "with"}, p.ws[i+1].text) {
				return nil, i
			}
			for _, part := range splitAt(p.ws[i+1:end], ",") {
				if len(part) > 0 {
					names = append(names, unquoted(part[0].text))
				}
			}
			return names, end + 1
		case slices.Contains([]string{"values", "value", "select", "default", "overriding", "set", "with", "using"}, w.text):
			return nil, i
		}
	}
	return nil, len(p.ws)
}

func (p *placer) closing(open int) int {
	for i := open + 1; i < len(p.ws); i++ {
		if p.ws[i].depth == p.ws[open].depth && p.ws[i].text == ")" {
			return i
		}
	}
	return len(p.ws)
}

// insert places what stands in VALUES or in the list of a SELECT.
func (p *placer) insert(from int, columns []string) {
	names, next := p.columnList(from)
	if names == nil {
		names = columns
	}
	for i := next; i < len(p.ws); i++ {
		w := p.ws[i]
		if w.depth > 0 {
			continue
		}
		switch w.text {
		case "values", "value":
			for i+1 < len(p.ws) && p.ws[i+1].text == "(" {
				end := p.closing(i + 1)
				p.items(i+2, end, names)
				if i = end; i+1 < len(p.ws) && p.ws[i+1].text == "," {
					i++
				}
			}
			return
		case "select":
			end := i + 1
			for end < len(p.ws) && (p.ws[end].depth > 0 || !slices.Contains([]string{"from", "where", "on", "union", "order", "limit"}, p.ws[end].text)) {
				end++
			}
			p.items(i+1, end, names)
			return
		}
	}
}

// items gives each part of a list its column.
func (p *placer) items(from, end int, names []string) {
	if from >= end {
		return
	}
	start := from
	for n, part := range splitAt(p.ws[from:end], ",") {
		if n < len(names) {
			p.place(start, part, names[n])
		}
		start += len(part) + 1
	}
}

// place notes the placeholders of one expression that is written to a column.
func (p *placer) place(start int, expr []word, column string) {
	direct := len(expr) == 1 || len(expr) > 1 && expr[1].text == "::"
	for i, w := range expr {
		if isPlaceholder(w.text) {
			p.at[start+i] = Placed{Column: column, Direct: direct}
		}
	}
}

// assignments reads SET a = …, b = … and ON DUPLICATE KEY UPDATE a = ….
func (p *placer) assignments() {
	for i, w := range p.ws {
		begins := w.text == "set" || w.text == "update" && i > 0 && p.ws[i-1].text == "key"
		if w.depth > 0 || !begins {
			continue
		}
		end := i + 1
		for end < len(p.ws) && (p.ws[end].depth > 0 || !slices.Contains([]string{"where", "from", "returning", "order", "limit", "when"}, p.ws[end].text)) {
			end++
		}
		if i+1 >= end {
			continue
		}
		start := i + 1
		for _, part := range splitAt(p.ws[i+1:end], ",") {
			if eq := slices.IndexFunc(part, func(w word) bool { return w.text == "=" && w.depth == 0 }); eq > 0 && part[eq-1].text != ")" {
				p.place(start+eq+1, part[eq+1:], unquoted(part[eq-1].text))
			}
			start += len(part) + 1
		}
	}
}

// Table gives the table that an INSERT, UPDATE, REPLACE or DELETE names, as far as its text tells.
func Table(sql string) (schema, name string) {
	ws := words(sql)
	for i, w := range ws {
		if w.depth > 0 || !slices.Contains([]string{"into", "update", "from"}, w.text) || w.text == "update" && i > 0 {
			continue
		}
		rest := ws[i+1:]
		for len(rest) > 1 && slices.Contains([]string{"ignore", "low_priority", "only"}, rest[0].text) {
			rest = rest[1:]
		}
		switch {
		case len(rest) > 2 && rest[1].text == "." && isName(rest[0].text):
			return unquoted(rest[0].text), unquoted(rest[2].text)
		case len(rest) > 0 && isName(rest[0].text):
			return "", unquoted(rest[0].text)
		}
		return "", ""
	}
	return "", ""
}
