package fileapply

import (
	"bufio"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// An encoder writes events as lines. Errors of the writer below stay in it until Flush.
type encoder struct {
	out      *bufio.Writer
	consumer *contract.Consumer
	upserts  int64
	deletes  int64
	names    map[*rejot.Shape]*names
}

// names are the columns of a shape, as JSON.
type names struct{ row, key [][]byte }

// event writes what one event is to the consumer.
func (e *encoder) event(ev *rejot.Event) error {
	if !e.consumer.Reads(ev.Shape.Schema) || ev.For != "" && ev.For != e.consumer.ID() {
		return nil
	}
	n := e.names[ev.Shape]
	if n == nil {
		n = &names{encodeNames(ev.Shape.Row), encodeNames(ev.Shape.Key)}
		e.names[ev.Shape] = n
	}
	switch ev.Op {
	case rejot.UpsertRow:
		e.upserts++
		return e.line("upsert", "row", n.row, ev.Row)
	case rejot.DeleteKey:
		e.deletes++
		return e.line("delete", "key", n.key, ev.Key)
	case rejot.Clear:
		return e.line("truncate", "", nil, nil)
	default:
		return rejot.Errorf(rejot.Corrupt, "an event is of unknown kind %d", ev.Op)
	}
}

func (e *encoder) line(op, part string, columns [][]byte, values []rejot.Value) error {
	e.text(`{"op":"` + op + `"`)
	if part != "" {
		e.text(`,"` + part + `":{`)
		for i, v := range values {
			if i > 0 {
				e.text(",")
			}
			_, _ = e.out.Write(columns[i]) // told by Flush
			if err := e.value(columns[i], v); err != nil {
				return err
			}
		}
		e.text("}")
	}
	e.text("}\n")
	return nil
}

func (e *encoder) value(column []byte, v rejot.Value) error {
	text, ok := v.Text()
	switch {
	case v.Kind() == rejot.Null:
		e.text("null")
	case !ok:
		return rejot.Errorf(rejot.Unsupported, "%s: the log has no value for column %s", e.consumer, nameOf(column))
	case !utf8.ValidString(text):
		return rejot.Errorf(rejot.Unsupported, "%s: the value of column %s is not UTF-8, and JSON is", e.consumer, nameOf(column))
	default:
		_, _ = e.out.Write(encode(text)) // told by Flush
	}
	return nil
}

func (e *encoder) text(s string) {
	_, _ = e.out.WriteString(s) // told by Flush
}

// encodeNames gives the columns' names as JSON, each with its colon.
func encodeNames(columns []rejot.Column) [][]byte {
	all := make([][]byte, len(columns))
	for i, c := range columns {
		all[i] = append(encode(c.Name), ':')
	}
	return all
}

func nameOf(encoded []byte) string { return strings.TrimSuffix(string(encoded), ":") }

// encode writes a text as JSON, with < and > as they are.
func encode(s string) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a text always encodes
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}
