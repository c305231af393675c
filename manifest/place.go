package manifest

import (
	"fmt"
	"regexp"
)

// A place is somewhere in a manifest's file, whether or not something stands there.
type place struct {
	n    *node // nil where nothing stands
	line int   // where it stands, or what it would stand in
	path string
}

// top is the place of the whole manifest.
func (m *Manifest) top() place {
	p := place{n: m.root, line: 1, path: "$"}
	if m.root != nil {
		p.line = m.root.line
	}
	return p
}

func (p place) field(names ...string) place {
	for _, name := range names {
		q := place{line: p.line, path: field(p.path, name)}
		if p.n != nil {
			q.n = p.n.child(name)
		}
		p = q.settle()
	}
	return p
}

func (p place) item(i int) place {
	q := place{line: p.line, path: fmt.Sprintf("%s[%d]", p.path, i)}
	if p.n != nil && p.n.kind == kindList && i < len(p.n.items) {
		q.n = p.n.items[i]
	}
	return q.settle()
}

func (p place) settle() place {
	if p.n != nil {
		p.line = p.n.line
	}
	return p
}

// A checker collects problems.
type checker struct{ problems []problem }

func (c *checker) wrong(p place, format string, args ...any) {
	c.problems = append(c.problems, problem{line: p.line, path: p.path, text: fmt.Sprintf(format, args...)})
}

// mend adds to the last problem what to do about it.
func (c *checker) mend(format string, args ...any) {
	c.problems[len(c.problems)-1].mend = fmt.Sprintf(format, args...)
}

// slugForm is the grammar of slugs. It is held everywhere, since a slug may become part of a host's name.
var slugForm = regexp.MustCompile(`^(@[a-z0-9-]+/([a-z0-9-]*)|[a-z0-9-]+)$`)

const slugRule = "has to be a slug: a to z, 0 to 9 and -, or @owner/name"

// ValidSlug reports whether a text is a slug.
func ValidSlug(s string) bool { return slugForm.MatchString(s) }

// slug checks a slug. What is missing, empty or no text has been told before.
func (c *checker) slug(p place, s string) {
	if s != "" && !ValidSlug(s) {
		c.wrong(p, "%q %s", s, slugRule)
	}
}

// oneOf checks a word that may be missing.
func (c *checker) oneOf(p place, s string, words ...string) bool {
	if s == "" {
		return false
	}
	for _, w := range words {
		if s == w {
			return true
		}
	}
	c.wrong(p, "%q is not one of %s", s, list(words))
	return false
}

func list(words []string) string {
	out := ""
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			out += " and "
		default:
			out += ", "
		}
		out += w
	}
	return out
}

// once tells which names were seen, and where.
type once map[string]place

// first reports whether key comes for the first time, and otherwise says so under a diagnostic's name.
func (o once) first(c *checker, p place, key, diagnostic string) {
	if key == "" {
		return
	}
	if before, ok := o[key]; ok {
		c.wrong(p, "%s: %s stands at line %d already, as %s", diagnostic, key, before.line, before.path)
		return
	}
	o[key] = p
}
