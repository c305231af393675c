package sqltext

import (
	"slices"
	"strings"
)

// A Dialect says whose rules a text follows.
type Dialect uint8

// The dialects.
const (
	Postgres Dialect = iota
	MySQL            // also MariaDB
)

// A Statement is one SQL statement and its placeholders.
type Statement struct {
	Text   string // without a semicolon at its end
	Places []Place
}

// A Place is one occurrence of a placeholder: Text[Start:End]. Name has no colon; of $1 it is "1".
type Place struct {
	Start, End int
	Name       string
}

// Parse finds the placeholders of one statement. Code Invalid: the text has no statement or several,
// mixes both kinds of placeholders, or a string or comment does not end.
func Parse(d Dialect, sql string) (*Statement, error) {
	l := lexer{dialect: d, text: sql}
	if err := l.run(); err != nil {
		return nil, err
	}
	end := len(sql)
	if l.semicolon >= 0 {
		end = l.semicolon
	}
	return &Statement{Text: strings.TrimRight(sql[:end], " \t\r\n"), Places: l.places}, nil
}

// Names gives the placeholders' names, each once, in the order of their first occurrence.
func (s *Statement) Names() []string {
	var names []string
	for _, p := range s.Places {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// Positional reports whether the placeholders are $1, $2 ….
func (s *Statement) Positional() bool {
	return len(s.Places) > 0 && s.Text[s.Places[0].Start] == '$'
}

// Render gives the text with every occurrence replaced.
func (s *Statement) Render(repl func(occurrence int, name string) string) string {
	var b strings.Builder
	at := 0
	for i, p := range s.Places {
		b.WriteString(s.Text[at:p.Start])
		b.WriteString(repl(i, p.Name))
		at = p.End
	}
	b.WriteString(s.Text[at:])
	return b.String()
}
