package sqltext

import (
	"strings"
	"unicode/utf8"

	"rejot.dev/rejot"
)

// A last says what stands before the lexer, as far as it decides about a colon.
type last uint8

const (
	other last = iota // an operator, a comma, an opening bracket, the beginning
	word              // an identifier or keyword
	value             // what cannot be followed by a placeholder
)

type lexer struct {
	dialect   Dialect
	text      string
	at        int
	places    []Place
	semicolon int // where the statement's text ends: at its last token, before blanks, comments and the semicolon

	last          last
	end           int    // of the last token
	open          []byte // brackets, innermost last
	closed        bool   // a semicolon has ended the statement
	inConditional bool   // inside /*! */
	conditional   int    // where it began
}

// run reads the whole text. Errors have code Invalid and begin with line:column.
func (l *lexer) run() error {
	for l.at < len(l.text) {
		if err := l.step(); err != nil {
			return err
		}
	}
	if l.inConditional {
		return l.fail(l.conditional, "a comment that begins here does not end")
	}
	if l.end == 0 {
		return l.fail(0, "there is no statement")
	}
	l.semicolon = l.end
	return nil
}

// step reads one token, blank or comment.
func (l *lexer) step() error {
	c, rest := l.text[l.at], l.text[l.at:]
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
		return l.terminate()
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
	before := l.text[:at]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return rejot.Errorf(rejot.Invalid, "%d:%d: %s", line, column, text)
}

func (l *lexer) blank(rest string) int {
	return len(rest) - len(strings.TrimLeft(rest, " \t\r\n\f\v"))
}

func (l *lexer) terminate() error {
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
	for l.at+n < len(l.text) && isWord(l.text[l.at+n]) {
		n++
	}
	text := l.text[l.at : l.at+n]
	if l.dialect == Postgres && (text == "e" || text == "E") && strings.HasPrefix(l.text[l.at+n:], "'") {
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
	if l.last == word && l.end == l.at {
		return rejot.WithMend(l.fail(l.at, "the placeholder "+rest[:n]+" runs into the word before it"), "put a blank between them")
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

// quoted reads a string or a quoted identifier. A doubled quote is read as two that touch, which
// comes to the same.
func (l *lexer) quoted(quote byte, backslash bool) error {
	n := l.closing(l.at, quote, backslash)
	if n < 0 {
		if quote == '\'' {
			return l.fail(l.at, "a string that begins here does not end")
		}
		return l.fail(l.at, "quoted text that begins here with "+string(quote)+" does not end")
	}
	l.token(n, value)
	return nil
}

// closing gives the length of quoted text that begins at from, or -1 where it does not end.
func (l *lexer) closing(from int, quote byte, backslash bool) int {
	for i := from + 1; i < len(l.text); i++ {
		switch {
		case l.text[i] == '\\' && backslash:
			i++
		case l.text[i] == quote:
			return i + 1 - from
		}
	}
	return -1
}

// escaped reads the string of E'…' from its quote on. Postgres continues it where another string
// follows after a line's end, or at once (a doubled quote), with backslashes as before.
func (l *lexer) escaped() error {
	for {
		n := l.closing(l.at, '\'', true)
		if n < 0 {
			return l.fail(l.at, "a string that begins here does not end")
		}
		l.token(n, value)
		next := l.continued()
		if next < 0 {
			return nil
		}
		l.at = next
	}
}

// continued gives the place of a quote that continues the string that has just ended, or -1.
func (l *lexer) continued() int {
	i, newline := l.at, false
	for i < len(l.text) {
		switch rest := l.text[i:]; {
		case rest[0] == '\'':
			if newline || i == l.at {
				return i
			}
			return -1
		case l.blank(rest) > 0:
			n := l.blank(rest)
			newline = newline || strings.ContainsAny(rest[:n], "\r\n")
			i += n
		case strings.HasPrefix(rest, "--"):
			i += lineLength(rest)
		default:
			return -1
		}
	}
	return -1
}

func lineLength(rest string) int {
	if n := strings.IndexAny(rest, "\r\n"); n >= 0 {
		return n
	}
	return len(rest)
}

// comment reads a comment, or the marks around what MySQL reads only in some versions. done says
// that there was one.
func (l *lexer) comment(rest string) (done bool, err error) {
	switch {
	case strings.HasPrefix(rest, "--") && (l.dialect == Postgres || len(rest) == 2 || rest[2] <= ' '):
		l.at += lineLength(rest)
	case l.dialect == MySQL && rest[0] == '#':
		l.at += lineLength(rest)
	case l.dialect == MySQL && (strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!")):
		return true, l.enter(rest)
	case l.inConditional && strings.HasPrefix(rest, "*/"):
		l.inConditional = false
		l.token(2, other)
	case strings.HasPrefix(rest, "/*"):
		n := blockLength(rest, l.dialect == Postgres)
		if n < 0 {
			return false, l.fail(l.at, "a comment that begins here does not end")
		}
		l.at += n
	default:
		return false, nil
	}
	return true, nil
}

// enter begins what stands inside /*! */: it is read as a part of the statement.
func (l *lexer) enter(rest string) error {
	switch {
	case l.closed:
		return l.fail(l.at, "a second statement begins here, and there may be one only")
	case l.inConditional:
		return l.fail(l.at, "/*! cannot stand in another one")
	}
	l.inConditional, l.conditional = true, l.at
	l.token(strings.IndexByte(rest, '!')+1, other)
	return nil
}

// blockLength gives the length of a /* */ comment, or -1 where it does not end. Those of Postgres nest.
func blockLength(rest string, nested bool) int {
	depth := 0
	for i := 0; i+1 < len(rest); i++ {
		switch {
		case rest[i:i+2] == "/*" && (nested || depth == 0):
			depth++
			i++
		case rest[i:i+2] == "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}
