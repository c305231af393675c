package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// A Problem is something that is wrong in a manifest's file, or, with Note, good to know.
type Problem struct {
	File string
	Line int    // 0 where the file could not be read
	Path string // inside the JSON, like $.connections[0].slug
	Text string
	Mend string // may be empty
	Note bool
}

// Inspect reads manifests as Load does and gives all that is wrong with them as data. References to the
// environment stay what they are, so that a check runs where no secret is. The error is of a file that
// cannot be read as a manifest at all.
func Inspect(paths ...string) ([]*Manifest, []Problem, error) {
	if len(paths) == 0 {
		path, err := findNear()
		if err != nil {
			return nil, nil, err
		}
		paths = []string{path}
	}
	l := &loader{seen: map[string]bool{}}
	for _, path := range paths {
		l.named(path)
	}
	if l.unreadable {
		return nil, nil, errors.Join(l.errs...)
	}
	r := l.merge()
	for _, m := range l.all {
		c := &checker{}
		r.checkStores(c, m)
		r.checkPublicSchemas(c, m)
		r.checkConsumers(c, m)
		l.problems(m, c.problems)
	}
	l.noteUnused(r)
	var found []Problem
	for _, err := range l.errs {
		for _, one := range split(err) {
			p := problemOf(one.Error())
			p.Mend = rejot.MendOf(one)
			found = append(found, p)
		}
	}
	for _, note := range l.notes {
		p := problemOf(note)
		p.Note = true
		found = append(found, p)
	}
	return l.all, found, nil
}

// findNear looks for a manifest here or above, and names it as a person here would.
func findNear() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", rejot.Errorf(rejot.Invalid, "find a manifest: %w", err)
	}
	path, err := Find(dir)
	if err != nil {
		return "", err
	}
	if short, err := filepath.Rel(dir, path); err == nil {
		path = short
	}
	return path, nil
}

// split gives the errors that were joined, each by itself.
func split(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // the outermost is meant
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, split(e)...)
	}
	return all
}

// placed is how errorOf and note write a problem: file:line: path: text.
var placed = regexp.MustCompile(`(?s)^(.*?):(\d+): (\$(?:\.\w+|\[\d+\]|\["(?:[^"\\]|\\.)*"\])*): (.*)$`)

func problemOf(text string) Problem {
	m := placed.FindStringSubmatch(text)
	if m == nil {
		return Problem{Text: text}
	}
	line, _ := strconv.Atoi(m[2]) // digits
	return Problem{File: m[1], Line: line, Path: m[3], Text: m[4]}
}

// LineOf gives the line of the file at which a value stands, or what it would stand in. A path consists
// of names and, in lists, numbers: LineOf("publicSchemas", 0, "version").
func (m *Manifest) LineOf(path ...any) int {
	p := m.top()
	for _, step := range path {
		switch s := step.(type) {
		case string:
			p = p.field(s)
		case int:
			p = p.item(s)
		}
	}
	return p.line
}

// DefinitionPath gives the file that a contract was defined in, as a path from where the program runs.
// A definitionFile is relative to the manifest.
func (m *Manifest) DefinitionPath(definitionFile string) string {
	if definitionFile == "" || filepath.IsAbs(definitionFile) || strings.HasPrefix(definitionFile, "~") {
		return definitionFile
	}
	return filepath.ToSlash(filepath.Join(filepath.Dir(m.file), filepath.FromSlash(definitionFile)))
}

// Public gives a public schema of the manifest as the program uses it.
func (m *Manifest) Public(i int) *contract.PublicSchema { return m.PublicSchemas[i].contract(m.Slug) }

// Consumer gives a consumer schema of the manifest as the program uses it.
func (m *Manifest) Consumer(i int) *contract.Consumer { return m.ConsumerSchemas[i].contract(m.Slug) }
