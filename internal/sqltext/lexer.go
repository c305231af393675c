package sqltext

import (
	"strings"
	"unicode/utf8"

	"rejot.dev/rejot"
)

// Parse finds the placeholders of one statement. Its errors have code Invalid and begin with
// line:column. It refuses text that does not end (a string, a comment), named beside positional
// placeholders, and a second statement; a semicolon at the end is cut off.
func Parse(d Dialect, sql string) (*Statement, error) {
	l := lexer{dialect: d, sql: sql}
	for l.at < len(sql) {
		if err := l.step(); err != nil {
			return nil, err
		}
	}
	if l.inConditional {
		return nil, l.fail(l.conditional, "a comment that begins here does not end")
	}
	if l.end == 0 {
		return nil, rejot.Errorf(rejot.Invalid, "1:1: there is no statement")
	}
	return &Statement{Text: sql[:l.end], Places: l.places}, nil
}

// A last says what stands before the lexer, as far as it decides about a colon.
type last uint8

const (
	other last = iota // an operator, a comma, an opening bracket, the beginning
	word              // an identifier or keyword
	value             // what cannot be followed by a placeholder
)

type lexer struct {
	dialect Dialect
	sql     string
	at      int
	places  []Place

	last          last
	end           int    // of the last token
	open          []byte // brackets, innermost last
	closed        bool   // a semicolon has ended the statement
	inConditional bool   // inside /*! */
	conditional   int    // where it began
}

// step reads one token, blank or comment.
func (l *lexer) step() error {
	c, rest := l.sql[l.at], l.sql[l.at:]
	if n := l.blank(rest); n > 0 {
		l.at += n
		return nil
	}
	if done, err := l.comment(rest); done || err != nil {
		return err
	}
	if l.closed && c != ';' {
		return l.fail(l.at, "a second statement begins here, and there may be one only")
	}
	switch {
	case c == 0:
		return l.fail(l.at, "a zero byte cannot stand in a statement")
	case c == ';':
		return l.semicolon()
	case c == '\'' || c == '"' || c == '`' && l.dialect == MySQL:
		return l.quoted(c, l.dialect == MySQL && c != '`')
	case c == '$':
		return l.dollar(rest)
	case c == ':':
		return l.colon(rest)
	case c == '?' && l.dialect == MySQL:
		return rejot.WithMend(l.fail(l.at, "? is not a placeholder here"), "write :name")
	case isWord(c):
		return l.word()
	default:
		l.sign(c)
		return nil
	}
}

// token ends a token of n bytes.
func (l *lexer) token(n int, kind last) {
	l.at += n
	l.end, l.last = l.at, kind
}

func (l *lexer) fail(at int, text string) error {
	before := l.sql[:at]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return rejot.Errorf(rejot.Invalid, "%d:%d: %s", line, column, text)
}

func (l *lexer) blank(rest string) int {
	return len(rest) - len(strings.TrimLeft(rest, " \t\r\n\f\v"))
}

func (l *lexer) semicolon() error {
	if l.inConditional || l.end == 0 {
		return l.fail(l.at, "a semicolon cannot stand here")
	}
	l.closed = true
	l.at++
	return nil
}

// sign reads one byte of an operator, a bracket or a comma.
func (l *lexer) sign(c byte) {
	kind := other
	switch c {
	case '(', '[':
		l.open = append(l.open, c)
	case ')', ']':
		kind = value
		if n := len(l.open); n > 0 {
			l.open = l.open[:n-1]
		}
	}
	l.token(1, kind)
}

// word reads an identifier, a keyword or a number, and the string of E'…'.
func (l *lexer) word() error {
	n := 1
	for l.at+n < len(l.sql) && isWord(l.sql[l.at+n]) {
		n++
	}
	text := l.sql[l.at : l.at+n]
	if l.dialect == Postgres && (text == "e" || text == "E") && strings.HasPrefix(l.sql[l.at+n:], "'") {
		l.at++
		return l.escaped()
	}
	if isDigit(text[0]) {
		l.token(n, value)
		return nil
	}
	l.token(n, word)
	return nil
}

// colon reads a cast, an assignment, a placeholder, or a slice's colon.
func (l *lexer) colon(rest string) error {
	if strings.HasPrefix(rest, "::") || strings.HasPrefix(rest, ":=") {
		l.token(2, other)
		return nil
	}
	n := 1
	for n < len(rest) && isName(rest[n]) && (n > 1 || !isDigit(rest[n])) {
		n++
	}
	if n == 1 || l.slice() {
		l.token(1, other)
		return nil
	}
	if strings.HasPrefix(rest[n:], "$") {
		return l.fail(l.at, "the name of the placeholder "+rest[:n]+" runs into a dollar sign")
	}
	return l.place(n, rest[1:n])
}

// slice reports whether a colon here is an array slice's; doc.go has the rule.
func (l *lexer) slice() bool {
	if n := len(l.open); l.dialect != Postgres || n == 0 || l.open[n-1] != '[' {
		return false
	}
	return l.last == value || l.last == word && l.end == l.at
}

func (l *lexer) place(n int, name string) error {
	if l.inConditional {
		return l.fail(l.at, "a placeholder cannot stand in /*! */, as the server's version decides whether it is read")
	}
	if len(l.places) > 0 && isDigit(l.places[0].Name[0]) != isDigit(name[0]) {
		return l.fail(l.at, "named placeholders (:name) and positional ones ($1) cannot stand in one statement")
	}
	l.places = append(l.places, Place{Start: l.at, End: l.at + n, Name: name})
	l.token(n, value)
	return nil
}

// dollar reads $1, and in Postgres $tag$…$tag$.
func (l *lexer) dollar(rest string) error {
	n := 1
	for n < len(rest) && isDigit(rest[n]) {
		n++
	}
	if n > 1 {
		switch {
		case rest[1] == '0':
			return l.fail(l.at, "positional placeholders begin with $1")
		case n < len(rest) && isWord(rest[n]):
			return l.fail(l.at, "the positional placeholder "+rest[:n]+" runs into a word")
		}
		return l.place(n, rest[1:n])
	}
	for n < len(rest) && isName(rest[n]) {
		n++
	}
	if l.dialect != Postgres || n == len(rest) || rest[n] != '$' {
		l.token(n, word)
		return nil
	}
	tag := rest[:n+1]
	body := strings.Index(rest[len(tag):], tag)
	if body < 0 {
		return l.fail(l.at, "a string that begins here with "+tag+" does not end")
	}
	l.token(body+2*len(tag), value)
	return nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isName is true for what a placeholder's name consists of.
func isName(c byte) bool {
	return isDigit(c) || c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

// isWord is true for what an identifier consists of after its first byte.
func isWord(c byte) bool { return isName(c) || c == '$' }
