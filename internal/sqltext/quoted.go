package sqltext

import "strings"

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
	for i := from + 1; i < len(l.sql); i++ {
		switch {
		case l.sql[i] == '\\' && backslash:
			i++
		case l.sql[i] == quote:
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
	for i < len(l.sql) {
		switch rest := l.sql[i:]; {
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
