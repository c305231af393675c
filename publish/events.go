package publish

import (
	"context"
	"encoding/binary"
	"iter"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/spill"
)

// Events is what an evaluation yields, kept in memory or, past the pool's limit, on disk. One
// goroutine writes it; any number range over it, also meanwhile.
type Events struct {
	pub *Publisher
	log *spill.Log
	buf []byte
}

// NewEvents makes an empty list.
func (p *Publisher) NewEvents() *Events { return &Events{pub: p, log: p.pool.NewLog()} }

// Finish ends the list; with an error, whoever ranges over it gets that at the end.
func (e *Events) Finish(err error) { e.log.Finish(err) }

// Close gives back what the list holds.
func (e *Events) Close() error { return e.log.Close() }

// Batch makes the batch of these events. Ranging over it ends with ctx.
func (e *Events) Batch(ctx context.Context, at rejot.Position) *rejot.Batch {
	return &rejot.Batch{Source: e.pub.source, Position: at, Shapes: e.pub.shapes, Events: e.all(ctx)}
}

// append writes one event: view, op, addressee, key and row.
func (e *Events) append(view int, op rejot.EventOp, to string, key, row []rejot.Value) error {
	b := binary.AppendUvarint(e.buf[:0], uint64(view)) //nolint:gosec // an index is not negative
	b = append(b, byte(op))
	b = binary.AppendUvarint(b, uint64(len(to)))
	b = append(b, to...)
	if op != rejot.Clear {
		b = appendValues(b, key)
	}
	if op == rejot.UpsertRow {
		b = appendValues(b, row)
	}
	e.buf = b
	return e.log.Append(b)
}

func (e *Events) all(ctx context.Context) iter.Seq2[*rejot.Event, error] {
	return func(yield func(*rejot.Event, error) bool) {
		for rec, err := range e.log.All(ctx) {
			var ev rejot.Event
			if err == nil {
				err = e.decode(string(rec), &ev)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(&ev, nil) {
				return
			}
		}
	}
}

func (e *Events) decode(text string, ev *rejot.Event) error {
	view, n := uvarint(text)
	if n <= 0 || view >= uint64(len(e.pub.shapes)) || len(text) < n+2 {
		return rejot.Errorf(rejot.Corrupt, "a spilled event is damaged")
	}
	ev.Shape, ev.Op = e.pub.shapes[view], rejot.EventOp(text[n])
	text = text[n+1:]
	size, n := length(text)
	if n <= 0 || size > len(text)-n {
		return rejot.Errorf(rejot.Corrupt, "a spilled event is damaged")
	}
	ev.For, text = text[n:n+size], text[n+size:]
	if ev.Op == rejot.Clear {
		return nil
	}
	width := len(ev.Shape.Key)
	if ev.Op == rejot.UpsertRow {
		width += len(ev.Shape.Row)
	}
	values, err := readValues(text, width)
	if err != nil {
		return err
	}
	ev.Key = values[:len(ev.Shape.Key)]
	if ev.Op == rejot.UpsertRow {
		ev.Row = values[len(ev.Shape.Key):]
	}
	return nil
}
