package sqltext

import (
	"slices"
	"strings"
)

// A Dialect says whose rules for strings, identifiers and comments hold.
type Dialect uint8

// The dialects. MySQL is also MariaDB's.
const (
	Postgres Dialect = iota
	MySQL
)

// A Statement is one SQL statement with the places of its placeholders.
type Statement struct {
	Text   string // from the first byte that was given to the end of the last token
	Places []Place
}

// A Place is one occurrence of a placeholder in a Statement's Text.
type Place struct {
	Start, End int    // bytes; Text[Start:End] is :name or $1
	Name       string // without the colon or dollar sign: "name", "1"
}

// Names lists the placeholders, each once, in the order in which they first occur.
func (s *Statement) Names() []string {
	var names []string
	for _, p := range s.Places {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// Positional reports whether the placeholders are $1, $2 and so on. A statement without placeholders is not.
func (s *Statement) Positional() bool {
	return len(s.Places) > 0 && isDigit(s.Places[0].Name[0])
}

// Render writes the statement with each placeholder replaced. occurrence is its index in Places.
// Where a replacement would run into a word before it (AND:id), a blank keeps them apart.
func (s *Statement) Render(repl func(occurrence int, name string) string) string {
	var b strings.Builder
	from := 0
	for i, p := range s.Places {
		b.WriteString(s.Text[from:p.Start])
		text := repl(i, p.Name)
		if text != "" && p.Start > 0 && isWord(s.Text[p.Start-1]) && isWord(text[0]) {
			b.WriteByte(' ')
		}
		b.WriteString(text)
		from = p.End
	}
	b.WriteString(s.Text[from:])
	return b.String()
}
