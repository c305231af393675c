package myapply

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"rejot.dev/rejot"
)

// A writer adds to dst what a source's canonical text is in JSON. Its error never holds the text.
type writer func(dst []byte, text string) ([]byte, error)

// writerOf chooses by the source's type: numbers become JSON numbers, digit by digit.
func writerOf(t *rejot.Type) writer {
	switch t.Kind {
	case rejot.Array:
		return arrayWriter(t)
	case rejot.Composite:
		return compositeWriter(t)
	case rejot.Enum, rejot.Range:
		return writeString
	case rejot.Scalar:
		return scalarWriter(baseName(t.Name))
	default:
		return func([]byte, string) ([]byte, error) { return nil, errForm }
	}
}

func scalarWriter(base string) writer {
	switch base {
	case "boolean", "bool":
		return writeBool
	case "smallint", "integer", "bigint", "int", "int2", "int4", "int8", "oid", "numeric", "decimal":
		return checked(checkExact)
	case "real", "double precision", "float4", "float8":
		return checked(checkFloat)
	case "money":
		return func(dst []byte, text string) ([]byte, error) {
			plain, err := plainMoney(text)
			return append(dst, plain...), err
		}
	case "json", "jsonb":
		return writeJSON
	case "date":
		return func(dst []byte, text string) ([]byte, error) {
			if err := checkDate(text); err != nil {
				return nil, err
			}
			return writeString(dst, text)
		}
	case "timestamp without time zone", "timestamp with time zone", "timestamp", "timestamptz":
		return func(dst []byte, text string) ([]byte, error) {
			plain, err := plainTimestamp(text)
			if err != nil {
				return nil, err
			}
			return writeString(dst, plain)
		}
	case "hstore":
		return writeHstore
	default:
		return writeString
	}
}

// checked writes a text as it is, where check allows it.
func checked(check func(string) error) writer {
	return func(dst []byte, text string) ([]byte, error) {
		if err := check(text); err != nil {
			return nil, err
		}
		return append(dst, text...), nil
	}
}

func checkFloat(text string) error {
	switch {
	case notFinite(text):
		return errNaN
	case !isFloat(text) || padded(text):
		return errForm
	default:
		return nil
	}
}

func checkExact(text string) error {
	if err := checkNumber(text); err != nil {
		return err
	}
	if padded(text) {
		return errForm
	}
	return nil
}

// padded reports a zero that JSON does not take.
func padded(number string) bool {
	number = strings.TrimPrefix(number, "-")
	return len(number) > 1 && number[0] == '0' && number[1] != '.' && number[1] != 'e'
}

func writeBool(dst []byte, text string) ([]byte, error) {
	switch text {
	case "t", "true":
		return append(dst, "true"...), nil
	case "f", "false":
		return append(dst, "false"...), nil
	default:
		return nil, errForm
	}
}

func writeJSON(dst []byte, text string) ([]byte, error) {
	if !json.Valid([]byte(text)) {
		return nil, errJSONForm
	}
	return append(dst, text...), nil
}

// writeString writes a JSON string. Nothing is escaped that need not be, so that text is found as it is.
func writeString(dst []byte, text string) ([]byte, error) {
	const digits = "0123456789abcdef"
	if !utf8.ValidString(text) {
		return nil, errForm
	}
	dst = append(dst, '"')
	for i := range len(text) {
		switch b := text[i]; {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b == '\n':
			dst = append(dst, '\\', 'n')
		case b < ' ':
			dst = append(dst, '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, '"'), nil
}

// arrayWriter writes a JSON array, of arrays where there are several dimensions.
func arrayWriter(t *rejot.Type) writer {
	element := writeString
	delimiter := byte(',')
	if t.Elem != nil {
		element = writerOf(t.Elem)
		if baseName(t.Elem.Name) == "box" && t.Elem.Kind == rejot.Scalar {
			delimiter = ';'
		}
	}
	return func(dst []byte, text string) ([]byte, error) {
		if strings.HasPrefix(text, "[") {
			return nil, errBounds // it is written where it is not 1
		}
		p := &reader{text: text}
		dst, err := p.array(dst, delimiter, element)
		if err == nil && p.at != len(text) {
			return nil, errForm
		}
		return dst, err
	}
}

// compositeWriter writes a JSON object by the names of the fields.
func compositeWriter(t *rejot.Type) writer {
	writers := make([]writer, len(t.Fields))
	for i := range t.Fields {
		writers[i] = writerOf(&t.Fields[i].Type)
	}
	return func(dst []byte, text string) ([]byte, error) {
		fields, err := splitComposite(text, len(writers))
		if err != nil {
			return nil, err
		}
		dst = append(dst, '{')
		for i, f := range fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = writeString(dst, t.Fields[i].Name); err != nil {
				return nil, err
			}
			dst = append(dst, ':')
			if f.null {
				dst = append(dst, "null"...)
			} else if dst, err = writers[i](dst, f.text); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	}
}

// writeHstore writes a JSON object whose values are strings and nulls.
func writeHstore(dst []byte, text string) ([]byte, error) {
	p := &reader{text: text}
	dst = append(dst, '{')
	for first := true; p.at < len(text); first = false {
		if !first {
			if !p.take(", ") {
				return nil, errForm
			}
			dst = append(dst, ',')
		}
		key, err := p.quoted()
		if err != nil {
			return nil, err
		}
		if dst, err = writeString(dst, key); err != nil {
			return nil, err
		}
		dst = append(dst, ':')
		switch {
		case p.take("=>NULL"):
			dst = append(dst, "null"...)
		case p.take("=>"):
			value, err := p.quoted()
			if err != nil {
				return nil, err
			}
			if dst, err = writeString(dst, value); err != nil {
				return nil, err
			}
		default:
			return nil, errForm
		}
	}
	return append(dst, '}'), nil
}
