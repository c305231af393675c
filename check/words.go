package check

import (
	"slices"
	"strings"
)

// A word is a token of a statement: an identifier or keyword in lower case, a quoted identifier or string
// as it stands, a number, a placeholder with its colon, or a sign.
type word struct {
	text       string
	depth      int // of brackets that it stands in; a bracket has the depth outside
	start, end int // in the statement
}

// words splits a statement. It knows strings, comments and brackets, and nothing of what they mean; what
// does not end is one word to the end.
func words(sql string) []word {
	var all []word
	depth := 0
	for at := 0; at < len(sql); {
		n, text := token(sql[at:])
		if text == "" { // blank or comment
			at += n
			continue
		}
		if text == ")" || text == "]" {
			depth = max(depth-1, 0)
		}
		all = append(all, word{text, depth, at, at + n})
		if text == "(" || text == "[" {
			depth++
		}
		at += n
	}
	return all
}

// token gives the length of the first token, and its text; none for blanks and comments.
func token(s string) (int, string) {
	c := s[0]
	switch {
	case strings.IndexByte(" \t\r\n\f", c) >= 0:
		return 1, ""
	case strings.HasPrefix(s, "--"):
		return until(s, "\n", 2), ""
	case strings.HasPrefix(s, "/*"):
		return until(s, "*/", 2), ""
	case c == '\'' || c == '"' || c == '`':
		n := quotedLength(s, c)
		return n, s[:n]
	case c == '$' && dollarTag(s) != "":
		tag := dollarTag(s)
		n := until(s, tag, len(tag))
		return n, s[:n]
	case c == ':' && len(s) > 1 && isLetter(s[1]), c == '$' && len(s) > 1 && isDigit(s[1]):
		n := 1 + wordLength(s[1:])
		return n, s[:n]
	case isLetter(c):
		n := wordLength(s)
		return n, strings.ToLower(s[:n])
	case isDigit(c):
		n := 1
		for n < len(s) && (isLetter(s[n]) || isDigit(s[n]) || s[n] == '.') {
			n++
		}
		return n, strings.ToLower(s[:n])
	case strings.HasPrefix(s, "::"):
		return 2, "::"
	default:
		return 1, s[:1]
	}
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func wordLength(s string) int {
	n := 0
	for n < len(s) && (isLetter(s[n]) || isDigit(s[n]) || s[n] == '$') {
		n++
	}
	return n
}

func until(s, end string, from int) int {
	if i := strings.Index(s[min(from, len(s)):], end); i >= 0 {
		return from + i + len(end)
	}
	return len(s)
}

func quotedLength(s string, quote byte) int {
	for i := 1; i < len(s); i++ {
		if s[i] != quote {
			continue
		}
		if i+1 < len(s) && s[i+1] == quote {
			i++
			continue
		}
		return i + 1
	}
	return len(s)
}

// dollarTag gives $tag$ where a dollar quote begins.
func dollarTag(s string) string {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '$':
			return s[:i+1]
		case !isLetter(s[i]) && (i == 1 || !isDigit(s[i])):
			return ""
		}
	}
	return ""
}

// text joins words in one form, so that layout and comments make no difference.
func text(ws []word) string {
	parts := make([]string, len(ws))
	for i, w := range ws {
		parts[i] = w.text
	}
	return strings.Join(parts, " ")
}

// A query is a SELECT split at its own commas and keywords.
type query struct {
	all     string // the whole, in one form
	items   []item
	unnamed []string // the items that have no name, and those that are *
	from    string   // what follows the list, without the conditions
	where   []string // the conditions that AND joins, at the outermost level
	star    bool     // some item is *, so that the list does not name all columns
	parted  bool     // it could be split: one SELECT, no set operation at its outermost level
}

// An item is one column of a SELECT's list.
type item struct{ name, expr string }

// clauses end a WHERE.
var clauses = []string{"group", "having", "window", "order", "limit", "offset", "fetch", "for"}

// splitQuery splits a query. It is a reader's eye, not a parser: what it does not see is not parted.
func splitQuery(sql string) query {
	ws := words(sql)
	q := query{all: text(ws)}
	begin := slices.IndexFunc(ws, func(w word) bool { return w.depth == 0 && w.text == "select" })
	if begin < 0 || slices.ContainsFunc(ws, func(w word) bool {
		return w.depth == 0 && slices.Contains([]string{"union", "intersect", "except"}, w.text)
	}) {
		return q
	}
	q.parted = true
	head, list := ws[:begin+1], ws[begin+1:]
	for len(list) > 0 && (list[0].text == "distinct" || list[0].text == "all") {
		head, list = ws[:len(head)+1], list[1:]
	}
	if len(list) > 1 && list[0].text == "on" { // DISTINCT ON (…)
		end := slices.IndexFunc(list, func(w word) bool { return w.depth == 0 && w.text == ")" })
		head, list = ws[:len(head)+end+1], list[end+1:]
	}
	end := index(list, "from", "where", "group", "having", "order", "limit", "offset", "fetch", "for", "window")
	q.list(list[:end])
	rest := list[end:]
	q.from = text(head)
	if at := index(rest, "where"); at < len(rest) {
		after := index(rest[at+1:], clauses...)
		q.from += " " + text(rest[:at]) + " " + text(rest[at+1:][after:])
		q.where = conjuncts(rest[at+1:][:after])
		return q
	}
	q.from += " " + text(rest)
	return q
}

// index finds the first of some keywords at the outermost level; the length where there is none.
func index(ws []word, keywords ...string) int {
	for i, w := range ws {
		if w.depth == ws[0].depth && slices.Contains(keywords, w.text) {
			return i
		}
	}
	return len(ws)
}

func (q *query) list(ws []word) {
	for _, part := range splitAt(ws, ",") {
		n := len(part)
		if n == 0 {
			continue
		}
		last := part[n-1].text
		switch {
		case last == "*":
			q.star = true
			q.unnamed = append(q.unnamed, text(part))
		case n > 2 && part[n-2].text == "as" && part[n-2].depth == part[0].depth:
			q.items = append(q.items, item{unquoted(last), text(part[:n-2])})
		case n > 1 && isName(last) && !slices.Contains([]string{".", "::", "end"}, part[n-2].text) && last != "end" && endsValue(part[n-2].text):
			q.items = append(q.items, item{unquoted(last), text(part[:n-1])}) // an alias without AS
		default:
			q.items = append(q.items, item{nameOf(part), text(part)})
			if nameOf(part) == "" {
				q.unnamed = append(q.unnamed, text(part))
			}
		}
	}
}

// endsValue reports whether a word may end an expression, so that a name behind it is an alias.
func endsValue(s string) bool {
	return s == ")" || s == "]" || s == "end" || isName(s) && !slices.Contains([]string{"and", "or", "not", "is", "in", "then", "else", "when", "case", "collate", "zone", "time"}, s) ||
		s[0] == '\'' || isDigit(s[0]) || s[0] == ':' && len(s) > 1 && s != "::"
}

// nameOf gives the name that a column without alias has in Postgres: its own, or its function's.
func nameOf(part []word) string {
	last := part[len(part)-1]
	if isName(last.text) && (len(part) == 1 || part[len(part)-2].text == ".") {
		return unquoted(last.text)
	}
	if isName(part[0].text) && len(part) > 1 && part[1].text == "(" {
		return unquoted(part[0].text)
	}
	return ""
}

func isName(s string) bool { return isLetter(s[0]) || s[0] == '"' || s[0] == '`' }

func unquoted(s string) string {
	if len(s) > 1 && (s[0] == '"' || s[0] == '`') {
		return strings.ReplaceAll(s[1:len(s)-1], s[:1]+s[:1], s[:1])
	}
	return s
}

// splitAt splits words at a sign of their own level.
func splitAt(ws []word, sign string) [][]word {
	var parts [][]word
	from := 0
	for i, w := range ws {
		if w.text == sign && w.depth == ws[0].depth {
			parts = append(parts, ws[from:i])
			from = i + 1
		}
	}
	return append(parts, ws[from:])
}

// conjuncts splits a condition at its ANDs; one that has an OR or a BETWEEN is kept whole.
func conjuncts(ws []word) []string {
	if len(ws) == 0 {
		return nil
	}
	for _, w := range ws {
		if w.depth == ws[0].depth && (w.text == "or" || w.text == "between") {
			return []string{text(ws)}
		}
	}
	parts := splitAt(ws, "and")
	out := make([]string, 0, len(parts))
	for _, part := range parts {
		out = append(out, text(part))
	}
	slices.Sort(out)
	return out
}

// bound gives, for each placeholder that stands beside an equals sign, the column that it is compared with.
func bound(sql string) map[string]string {
	found := map[string]string{}
	ws := words(sql)
	for i, w := range ws {
		if !isPlaceholder(w.text) {
			continue
		}
		name := w.text[1:]
		if i >= 2 && ws[i-1].text == "=" && isName(ws[i-2].text) {
			found[name] = unquoted(ws[i-2].text)
		}
		if i+2 < len(ws) && ws[i+1].text == "=" && isName(ws[i+2].text) {
			last := i + 2
			for last+2 < len(ws) && ws[last+1].text == "." {
				last += 2
			}
			found[name] = unquoted(ws[last].text)
		}
	}
	return found
}

func isPlaceholder(s string) bool {
	return len(s) > 1 && (s[0] == ':' && s != "::" || s[0] == '$' && isDigit(s[1]))
}

// SplitStatements splits a text at its semicolons, as far as words tell: not inside strings, comments,
// brackets and dollar quotes.
func SplitStatements(sql string) []string {
	var all []string
	from := 0
	add := func(end int) {
		if part := sql[from:end]; len(words(part)) > 0 {
			all = append(all, strings.TrimSpace(part))
		}
	}
	for _, w := range words(sql) {
		if w.text == ";" && w.depth == 0 {
			add(w.start)
			from = w.end
		}
	}
	add(len(sql))
	return all
}
