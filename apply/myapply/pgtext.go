package myapply

import "strings"

// A reader goes through the text form of Postgres' arrays, composites and hstore. It takes what the
// server writes and nothing more generous.
type reader struct {
	text string
	at   int
}

func (p *reader) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

// take goes past s where it stands here.
func (p *reader) take(s string) bool {
	if strings.HasPrefix(p.text[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

// quoted reads a text in double quotes with backslashes.
func (p *reader) quoted() (string, error) {
	if !p.take(`"`) {
		return "", errForm
	}
	var b strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch c {
		case '"':
			return b.String(), nil
		case '\\':
			if p.at == len(p.text) {
				return "", errForm
			}
			c = p.text[p.at]
			p.at++
		}
		b.WriteByte(c)
	}
	return "", errForm
}

// deepest is how many dimensions an array has at most.
const deepest = 6

// array reads one pair of braces with what is in it, and writes it to dst in JSON.
func (p *reader) array(dst []byte, delimiter byte, element writer) ([]byte, error) {
	return p.dimension(dst, delimiter, element, 1)
}

func (p *reader) dimension(dst []byte, delimiter byte, element writer, depth int) (_ []byte, err error) {
	if depth > deepest || !p.take("{") {
		return nil, errForm
	}
	dst = append(dst, '[')
	if p.take("}") {
		return append(dst, ']'), nil
	}
	for {
		if p.peek() == '{' {
			dst, err = p.dimension(dst, delimiter, element, depth+1)
		} else {
			dst, err = p.element(dst, delimiter, element)
		}
		if err != nil {
			return nil, err
		}
		switch c := p.peek(); c {
		case delimiter:
			p.at++
			dst = append(dst, ',')
		case '}':
			p.at++
			return append(dst, ']'), nil
		default:
			return nil, errForm
		}
	}
}

// element reads one element: in quotes, or bare; a bare NULL is no text.
func (p *reader) element(dst []byte, delimiter byte, write writer) ([]byte, error) {
	if p.peek() == '"' {
		text, err := p.quoted()
		if err != nil {
			return nil, err
		}
		return write(dst, text)
	}
	begin := p.at
	for p.at < len(p.text) && p.text[p.at] != delimiter && p.text[p.at] != '}' {
		if strings.IndexByte(`{"\`, p.text[p.at]) >= 0 {
			return nil, errForm
		}
		p.at++
	}
	switch text := p.text[begin:p.at]; text {
	case "":
		return nil, errForm
	case "NULL":
		return append(dst, "null"...), nil
	default:
		return write(dst, text)
	}
}

// A field of a composite.
type field struct {
	text string
	null bool
}

// splitComposite reads (a,"b c",,) into n fields. A field without a character is NULL; one in quotes may be empty.
func splitComposite(text string, n int) ([]field, error) {
	if len(text) < 2 || text[0] != '(' || text[len(text)-1] != ')' {
		return nil, errForm
	}
	p := &reader{text: text[:len(text)-1], at: 1}
	if n == 0 {
		if p.at != len(p.text) {
			return nil, errForm
		}
		return nil, nil
	}
	fields := make([]field, 0, n)
	for {
		f, err := p.field()
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
		if p.at == len(p.text) {
			break
		}
		p.at++ // the comma
	}
	if len(fields) != n {
		return nil, errForm
	}
	return fields, nil
}

// field reads up to a comma or the end. Quotes are doubled within quotes, and so are backslashes.
func (p *reader) field() (field, error) {
	var b strings.Builder
	null, inside := true, false
	for p.at < len(p.text) {
		c := p.text[p.at]
		if c == ',' && !inside {
			break
		}
		p.at++
		null = false
		switch {
		case c == '\\':
			if p.at == len(p.text) {
				return field{}, errForm
			}
			b.WriteByte(p.text[p.at])
			p.at++
		case c == '"' && inside && p.peek() == '"':
			b.WriteByte('"')
			p.at++
		case c == '"':
			inside = !inside
		case !inside && (c == '(' || c == ')'):
			return field{}, errForm
		default:
			b.WriteByte(c)
		}
	}
	if inside {
		return field{}, errForm
	}
	return field{text: b.String(), null: null}, nil
}
