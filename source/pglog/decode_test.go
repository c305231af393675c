package pglog

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rejot.dev/rejot"
)

// A written log is what a receiver was given, as lines.
type written struct{ lines []string }

func (w *written) Change(c *rejot.Change) error {
	op := map[rejot.Op]string{rejot.Insert: "insert", rejot.Update: "update", rejot.Delete: "delete", rejot.Truncate: "truncate"}[c.Op]
	w.lines = append(w.lines, strings.TrimSpace(fmt.Sprintf("%d/%d %s %s.%s %s %s", c.Tx, c.Sub, op, c.Table.Schema, c.Table.Name, image(c.Old), image(c.New))))
	return nil
}

func (w *written) Commit(tx rejot.Transaction) error {
	w.lines = append(w.lines, fmt.Sprintf("commit %d %s", tx.ID, tx.End))
	return nil
}

func (w *written) Abort(tx, sub rejot.TxID) error {
	w.lines = append(w.lines, fmt.Sprintf("abort %d/%d", tx, sub))
	return nil
}

func (w *written) Reached(rejot.Place) error { return nil }

func image(values []rejot.Value) string {
	if values == nil {
		return "-"
	}
	texts := make([]string, len(values))
	for i, v := range values {
		switch text, ok := v.Text(); {
		case ok && len(text) > 20:
			texts[i] = fmt.Sprintf("%d bytes", len(text))
		case ok:
			texts[i] = text
		case v.Kind() == rejot.Null:
			texts[i] = "NULL"
		default:
			texts[i] = "?"
		}
	}
	return "(" + strings.Join(texts, " ") + ")"
}

// itself describes a relation without a catalogue.
func itself(_ context.Context, rel *relation) error {
	columns := make([]rejot.Column, len(rel.columns))
	for i := range rel.columns {
		columns[i].Name = rel.columns[i].name
	}
	rel.targets = []target{{table: &rejot.Table{Schema: rel.name.Schema, Name: rel.name.Name, Columns: columns}}}
	return nil
}

// say makes a message: bytes and text as they are, text with a zero behind it as a name, numbers by their size.
func say(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case byte:
			b = append(b, p)
		case rune:
			b = append(b, byte(p))
		case string:
			b = append(append(b, p...), 0)
		case uint16:
			b = binary.BigEndian.AppendUint16(b, p)
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(p))
		case uint64:
			b = binary.BigEndian.AppendUint64(b, p)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// tuple makes an image: "-" is NULL and "?" unchanged.
func tuple(values ...string) []byte {
	b := say(uint16(len(values)))
	for _, v := range values {
		switch v {
		case "-":
			b = append(b, 'n')
		case "?":
			b = append(b, 'u')
		default:
			b = append(b, say('t', len(v), []byte(v))...)
		}
	}
	return b
}

func relationMessage(in ...any) []byte {
	return append(say('R'), append(say(in...), say(7, "public", "t", 'd', uint16(2), byte(1), "id", 23, -1, byte(0), "v", 25, -1)...)...)
}

var (
	beginMessage  = say('B', uint64(100), uint64(0), 5)
	commitMessage = say('C', byte(0), uint64(100), uint64(120), uint64(0))
)

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name string
		in   [][]byte
		want []string
	}{
		{"insert", [][]byte{beginMessage, relationMessage(), say('I', 7, 'N', tuple("1", "-")), commitMessage}, []string{"5/5 insert public.t - (1 NULL)", "commit 5 0/78"}},
		{"update of other columns", [][]byte{beginMessage, relationMessage(), say('U', 7, 'N', tuple("1", "?"))}, []string{"5/5 update public.t (1 ?) (1 ?)"}},
		{"P21 update after the identity was full", [][]byte{
			beginMessage, say('R', 7, "public", "t", 'f', uint16(2), byte(1), "id", 23, -1, byte(1), "v", 25, -1), say('U', 7, 'O', tuple("1", "a"), 'N', tuple("1", "b")), relationMessage(), say('U', 7, 'N', tuple("1", "c")),
		}, []string{"5/5 update public.t (1 a) (1 b)", "5/5 update public.t (1 ?) (1 c)"}},
		{"update of a table that is all key", [][]byte{beginMessage, say('R', 7, "public", "t", 'd', uint16(1), byte(1), "id", 23, -1), say('U', 7, 'N', tuple("1"))}, []string{"5/5 update public.t - (1)"}},
		{"P19 update without any identity", [][]byte{beginMessage, say('R', 7, "public", "t", 'n', uint16(1), byte(0), "id", 23, -1), say('U', 7, 'N', tuple("1"))}, []string{"5/5 update public.t (?) (1)"}},
		{"P23 update of the key", [][]byte{beginMessage, relationMessage(), say('U', 7, 'K', tuple("1", "-"), 'N', tuple("2", "?"))}, []string{"5/5 update public.t (1 ?) (2 ?)"}},
		{"P22 unchanged is taken from a full old image", [][]byte{beginMessage, relationMessage(), say('U', 7, 'O', tuple("1", "long"), 'N', tuple("1", "?"))}, []string{"5/5 update public.t (1 long) (1 long)"}},
		{"P18 delete with a full image", [][]byte{beginMessage, relationMessage(), say('D', 7, 'O', tuple("1", "-"))}, []string{"5/5 delete public.t (1 NULL) -"}},
		{"delete by key", [][]byte{beginMessage, relationMessage(), say('D', 7, 'K', tuple("1", "-"))}, []string{"5/5 delete public.t (1 ?) -"}},
		{"P26 truncate", [][]byte{beginMessage, relationMessage(), say('T', 1, byte(3), 7)}, []string{"5/5 truncate public.t - -"}},
		{"P37 streamed", [][]byte{
			say('S', 5, byte(1)), relationMessage(6), say('I', 6, 7, 'N', tuple("1", "a")), say('E'), beginMessage, commitMessage, say('A', 5, 6), say('S', 5, byte(0)), say('T', 5, 1, byte(0), 7), say('E'),
			say('c', 5, byte(0), uint64(1), uint64(200), uint64(0)), say('A', 9, 9),
		}, []string{"5/6 insert public.t - (1 a)", "commit 5 0/78", "abort 5/6", "5/5 truncate public.t - -", "commit 5 0/C8", "abort 9/9"}},
		{"P58 known and ignored", [][]byte{beginMessage, say('O', uint64(1), "o"), say('Y', 1, "s", "n"), say('M', byte(1), uint64(1), "p", 2, []byte("ab")), commitMessage}, []string{"commit 5 0/78"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got written
			d := newDecoder(&got, itself)
			for i, m := range c.in {
				if err := d.message(t.Context(), m); err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
			}
			if !slices.Equal(got.lines, c.want) {
				t.Errorf("got %q\nwant %q", got.lines, c.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	known := [][]byte{beginMessage, relationMessage()}
	for _, c := range []struct {
		name string
		in   [][]byte
		code rejot.Code
	}{
		{"P58 an unknown tag", [][]byte{say('b', 1)}, rejot.Unsupported},
		{"nothing", [][]byte{{}}, rejot.Unsupported},
		{"an unknown relation", [][]byte{beginMessage, say('I', 8, 'N', tuple("1", "a"))}, rejot.Corrupt},
		{"P15 fewer values than columns", append(known, say('I', 7, 'N', tuple("1"))), rejot.Corrupt},
		{"a value beyond the end", append(known, say('I', 7, 'N', uint16(2), 't', 100, []byte("a"))), rejot.Corrupt},
		{"a binary value", append(known, say('I', 7, 'N', uint16(2), 'b', 1, []byte("a"), 'n')), rejot.Corrupt},
		{"bytes behind the end", append(known, append(say('I', 7, 'N', tuple("1", "a")), 0)), rejot.Corrupt},
		{"a delete without an image", append(known, say('D', 7, 'N', tuple("1", "a"))), rejot.Corrupt},
		{"a negative number of relations", append(known, say('T', -1, byte(0))), rejot.Corrupt},
		{"a change outside of a transaction", [][]byte{say('I', 7, 'N', tuple("1", "a"))}, rejot.Corrupt},
		{"a commit of nothing", [][]byte{commitMessage}, rejot.Corrupt},
		{"a begin within", [][]byte{beginMessage, beginMessage}, rejot.Corrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDecoder(&written{}, itself)
			var err error
			for _, m := range c.in {
				err = d.message(t.Context(), m)
			}
			if rejot.CodeOf(err) != c.code {
				t.Errorf("got %v, code %s, want %s", err, rejot.CodeOf(err), c.code)
			}
		})
	}
}

// TestP21 tells the identity from the last description, whatever an earlier one said.
func TestP21ReplicaIdentityChangesMidStream(t *testing.T) {
	var got written
	d := newDecoder(&got, itself)
	other := say('R', 7, "public", "t", 'i', uint16(2), byte(0), "id", 23, -1, byte(1), "v", 25, -1)
	for _, m := range [][]byte{beginMessage, relationMessage(), say('D', 7, 'K', tuple("1", "-")), other, say('D', 7, 'K', tuple("-", "a"))} {
		if err := d.message(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"5/5 delete public.t (1 ?) -", "5/5 delete public.t (? a) -"}; !slices.Equal(got.lines, want) {
		t.Errorf("got %q, want %q", got.lines, want)
	}
}

// FuzzDecode gives the decoder anything, in pieces that begin with their length.
func FuzzDecode(f *testing.F) {
	seed := func(messages ...[]byte) {
		var all []byte
		for _, m := range messages {
			all = append(binary.BigEndian.AppendUint16(all, uint16(len(m))), m...)
		}
		f.Add(all)
	}
	seed(beginMessage, relationMessage(), say('U', 7, 'K', tuple("1", "-"), 'N', tuple("2", "?")), say('T', 1, byte(3), 7), commitMessage)
	seed(say('S', 5, byte(1)), relationMessage(6), say('I', 6, 7, 'N', tuple("1", "a")), say('E'), say('A', 5, 6), say('c', 5, byte(0), uint64(1), uint64(2), uint64(0)))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDecoder(&written{}, itself)
		for len(data) >= 2 {
			n := min(int(binary.BigEndian.Uint16(data)), len(data)-2)
			if d.message(t.Context(), data[2:2+n]) != nil {
				return
			}
			data = data[2+n:]
		}
	})
}

// nothing is a receiver.
type nothing struct{}

func (nothing) Change(*rejot.Change) error         { return nil }
func (nothing) Commit(rejot.Transaction) error     { return nil }
func (nothing) Abort(rejot.TxID, rejot.TxID) error { return nil }
func (nothing) Reached(rejot.Place) error          { return nil }

func BenchmarkDecodeUpdate(b *testing.B) {
	d := newDecoder(nothing{}, itself)
	for _, m := range [][]byte{beginMessage, relationMessage()} {
		if err := d.message(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
	for name, update := range map[string][]byte{
		"full":    say('U', 7, 'O', tuple("1", "some text that is not short"), 'N', tuple("1", "another text that is not short")),
		"default": say('U', 7, 'N', tuple("1", "another text that is not short")),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(update)))
			for b.Loop() {
				if err := d.message(b.Context(), update); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
