package pglog

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"rejot.dev/rejot"
)

// sharedText is how long a message may be for its values to share one copy of it. Values of longer
// ones are copied apart, so that a kept key does not keep a large row.
const sharedText = 2048

// postgresEpoch is 2000-01-01 UTC, from which the log counts microseconds.
const postgresEpoch = 946_684_800_000_000

// A decoder reads pgoutput's messages, protocol 1 and 2, and hands over what they say. It belongs to
// one stream: what it knows of the relations is what the server has told in it.
type decoder struct {
	to       rejot.Receiver
	describe func(ctx context.Context, rel *relation) error // finds the tables that a relation's changes are for
	rels     map[uint32]*relation
	recall   *recall // where it decodes one of several calls

	open     bool                    // between Begin and Commit
	stream   bool                    // between Stream Start and Stream Stop
	tx       rejot.TxID              // of the open transaction or block
	last     rejot.Place             // the end of the last commit
	parts    map[rejot.TxID]struct{} // transactions that are streamed and have not ended
	old, new []rejot.Value           // of the change, in the relation's order
	mapped   [2][]rejot.Value
	change   rejot.Change
}

func newDecoder(to rejot.Receiver, describe func(context.Context, *relation) error) *decoder {
	return &decoder{to: to, describe: describe, rels: map[uint32]*relation{}, parts: map[rejot.TxID]struct{}{}}
}

// A wire reads one message. Past its end it gives zeros and is short from then on.
type wire struct {
	data  []byte
	text  string // a copy of data, where the values share it
	at    int
	short bool
}

func (w *wire) take(n int) []byte {
	if n < 0 || n > len(w.data)-w.at {
		w.short, w.at = true, len(w.data)
		return nil
	}
	w.at += n
	return w.data[w.at-n : w.at]
}

func (w *wire) u8() byte {
	if b := w.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (w *wire) u16() int {
	if b := w.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (w *wire) u32() uint32 {
	if b := w.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (w *wire) u64() uint64 {
	if b := w.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// chars reads a text that ends with a zero byte.
func (w *wire) chars() string {
	for i := w.at; i < len(w.data); i++ {
		if w.data[i] == 0 {
			s := string(w.data[w.at:i])
			w.at = i + 1
			return s
		}
	}
	w.short, w.at = true, len(w.data)
	return ""
}

// value reads n bytes as a value that may be kept.
func (w *wire) value(n int) rejot.Value {
	b := w.take(n)
	switch {
	case b == nil:
		return rejot.Value{}
	case len(w.data) > sharedText:
		return rejot.TextValue(string(b))
	case w.text == "":
		w.text = string(w.data)
	}
	return rejot.TextValue(w.text[w.at-n : w.at])
}

func (w *wire) xid() rejot.TxID { return rejot.TxID(w.u32()) }

func (w *wire) time() time.Time {
	return time.UnixMicro(int64(w.u64()) + postgresEpoch).UTC() //nolint:gosec // a signed number on the wire
}

// done tells whether the message was read to its end and not beyond.
func (w *wire) done(tag byte) error {
	if w.short || w.at != len(w.data) {
		return rejot.Errorf(rejot.Corrupt, "the log's message %q of %d bytes is not in its form", tag, len(w.data))
	}
	return nil
}

// message takes one message. data is the caller's again after it returns.
func (d *decoder) message(ctx context.Context, data []byte) error {
	w := &wire{data: data}
	tag := w.u8()
	switch tag {
	case 'I', 'U', 'D', 'T', 'R', 'Y', 'M':
		return d.content(ctx, tag, w)
	case 'B':
		w.u64()
		w.u64()
		tx := w.xid()
		if err := d.expect(tag, w, !d.open && !d.stream); err != nil {
			return err
		}
		d.open, d.tx = true, tx
		return nil
	case 'C':
		return d.commit(tag, w, d.tx, d.open && !d.stream)
	case 'c':
		return d.commit(tag, w, w.xid(), !d.open && !d.stream)
	case 'O':
		w.u64()
		w.chars()
		return w.done(tag)
	case 'S':
		tx := w.xid()
		w.u8()
		if err := d.expect(tag, w, !d.open && !d.stream); err != nil {
			return err
		}
		d.stream, d.tx = true, tx
		d.parts[tx] = struct{}{}
		return nil
	case 'E':
		if err := d.expect(tag, w, d.stream); err != nil {
			return err
		}
		d.stream = false
		return nil
	case 'A':
		tx, sub := w.xid(), w.xid()
		if err := d.expect(tag, w, !d.open && !d.stream); err != nil {
			return err
		}
		if tx == sub {
			delete(d.parts, tx)
		}
		return d.to.Abort(tx, sub)
	}
	return rejot.Errorf(rejot.Unsupported, "the log has a message %q, which may be data and is not known", tag)
}

// expect is done, for a message that has its place in the order of messages.
func (d *decoder) expect(tag byte, w *wire, ok bool) error {
	if err := w.done(tag); err != nil {
		return err
	}
	if !ok {
		return rejot.Errorf(rejot.Corrupt, "the log's message %q is out of order", tag)
	}
	return nil
}

func (d *decoder) commit(tag byte, w *wire, tx rejot.TxID, ok bool) error {
	w.u8()
	w.u64()
	end, at := w.u64(), w.time()
	if err := d.expect(tag, w, ok); err != nil {
		return err
	}
	d.open, d.last = false, rejot.Place{Offset: end}
	delete(d.parts, tx)
	return d.to.Commit(rejot.Transaction{ID: tx, End: d.last, At: at})
}

// between reports whether no message of a transaction is outstanding but for those that are streamed.
func (d *decoder) between() bool { return !d.open && !d.stream }

// forget aborts the transactions that are streamed: they will come again whole.
func (d *decoder) forget() error {
	for _, tx := range slices.Sorted(maps.Keys(d.parts)) {
		if err := d.to.Abort(tx, tx); err != nil {
			return err
		}
	}
	clear(d.parts)
	return nil
}

// content takes what stands inside a transaction; in a streamed block it has its subtransaction's number.
func (d *decoder) content(ctx context.Context, tag byte, w *wire) error {
	sub := d.tx
	if d.stream {
		sub = w.xid()
	}
	if tag == 'M' {
		w.u8()
		w.u64()
		w.chars()
		w.take(int(w.u32()))
		return w.done(tag) // a message of somebody, also outside of a transaction
	}
	if !d.open && !d.stream {
		return rejot.Errorf(rejot.Corrupt, "the log's message %q is outside of a transaction", tag)
	}
	d.change = rejot.Change{Tx: d.tx, Sub: sub}
	switch tag {
	case 'R':
		return d.relation(ctx, w)
	case 'Y':
		w.u32()
		w.chars()
		w.chars()
		return w.done(tag)
	case 'T':
		return d.truncate(w)
	}
	return d.row(tag, w)
}

func (d *decoder) truncate(w *wire) error {
	n := int(w.u32())
	w.u8()
	if n < 0 || n > (len(w.data)-w.at)/4 {
		w.short = true
		return w.done('T')
	}
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = w.u32()
	}
	if err := w.done('T'); err != nil {
		return err
	}
	d.change.Op = rejot.Truncate
	for _, id := range ids {
		rel, err := d.find(id)
		if err != nil {
			return err
		}
		for i := range rel.targets {
			d.change.Table = rel.targets[i].table
			if err := d.to.Change(&d.change); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *decoder) find(id uint32) (*relation, error) {
	if rel := d.rels[id]; rel != nil {
		return rel, nil
	}
	return nil, rejot.Errorf(rejot.Corrupt, "the log names relation %d, which it has not described", id)
}

// row takes an insert, an update or a delete.
func (d *decoder) row(tag byte, w *wire) error {
	rel, err := d.find(w.u32())
	if err != nil {
		return err
	}
	var before, after []rejot.Value
	mark := w.u8()
	if tag != 'I' && (mark == 'K' || mark == 'O') {
		d.old = w.tuple(d.old, rel, mark == 'K')
		before = d.old
		if tag == 'U' {
			mark = w.u8()
		}
	}
	switch tag {
	case 'D':
		d.change.Op = rejot.Delete
		w.short = w.short || before == nil
	default:
		d.change.Op = rejot.Insert
		if tag == 'U' {
			d.change.Op = rejot.Update
		}
		w.short = w.short || mark != 'N'
		d.new = w.tuple(d.new, rel, false)
		after = d.new
	}
	if err := w.done(tag); err != nil {
		return err
	}
	switch {
	case tag == 'U' && before == nil && rel.partial:
		d.old = keyOnly(d.old, rel, after)
		before = d.old
	case before != nil && after != nil:
		fill(after, before)
	}
	return d.hand(rel, before, after)
}

// keyOnly makes the old image that the log leaves out where the key did not change. What else the row had
// is not known, and whoever needs it learns so.
func keyOnly(room []rejot.Value, rel *relation, after []rejot.Value) []rejot.Value {
	room = append(room[:0], after...)
	for i := range room {
		if !rel.columns[i].key {
			room[i] = rejot.Value{}
		}
	}
	return room
}

// fill takes over what the new image leaves out because it did not change.
func fill(after, before []rejot.Value) {
	for i := range after {
		if after[i].Kind() == rejot.Unknown {
			after[i] = before[i]
		}
	}
}

// tuple reads one image into room. Of a key's image only the key's columns are told; the others stand
// there as NULL.
func (w *wire) tuple(room []rejot.Value, rel *relation, key bool) []rejot.Value {
	n := w.u16()
	if n != len(rel.columns) {
		w.short = true
		return nil
	}
	if room == nil {
		room = []rejot.Value{} // nil is no image
	}
	room = room[:0]
	for i := range n {
		var v rejot.Value
		switch w.u8() {
		case 'n':
			v = rejot.NullValue()
		case 'u':
		case 't':
			v = w.value(int(w.u32()))
		default:
			w.short = true
		}
		if key && !rel.columns[i].key {
			v = rejot.Value{}
		}
		room = append(room, v)
	}
	return room
}

// hand gives the change to the receiver, once for every table that it is one of.
func (d *decoder) hand(rel *relation, before, after []rejot.Value) error {
	for i := range rel.targets {
		t := &rel.targets[i]
		d.change.Table, d.change.Old, d.change.New = t.table, before, after
		if t.from != nil {
			d.change.Old = t.arrange(&d.mapped[0], before)
			d.change.New = t.arrange(&d.mapped[1], after)
		}
		if err := d.to.Change(&d.change); err != nil {
			return err
		}
	}
	return nil
}
