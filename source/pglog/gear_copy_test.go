package pglog

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
)

func TestCopyNameIsAValidNameOfItsOwn(t *testing.T) {
	long := strings.Repeat("a", 62)
	if got := copyName("rejot"); got != "rejot_copy" {
		t.Errorf("got %s", got)
	}
	if got := copyName(strings.Repeat("a", 58)); got != strings.Repeat("a", 58)+"_copy" {
		t.Errorf("got %s", got)
	}
	a, b := copyName(long+"x"), copyName(long+"y")
	if len(a) != 63 || len(b) != 63 || a == b {
		t.Errorf("got %s and %s", a, b)
	}
}

// copyChunks are rows as the server sends them: the header with the first row, each row whole, the end apart.
func copyChunks(rows ...string) [][]byte {
	chunks := [][]byte{}
	head := []byte(copyHeader)
	for _, row := range rows {
		c := binary.BigEndian.AppendUint16(head, 1)
		c = binary.BigEndian.AppendUint32(c, uint32(len(row)))
		chunks, head = append(chunks, append(c, row...)), nil
	}
	return append(chunks, append(head, 0xff, 0xff))
}

func TestSinkTakesRows(t *testing.T) {
	all := slices.Concat(copyChunks("one", "", "three")...)
	for name, chunks := range map[string][][]byte{
		"row by row": copyChunks("one", "", "three"), "at once": {all}, "the header apart": {all[:19], all[19:]},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			s := &sink{message: func(b []byte) error { got = append(got, string(b)); return nil }, failed: func(err error) { t.Error(err) }}
			for _, c := range chunks {
				if n, err := s.Write(c); n != len(c) || err != nil {
					t.Errorf("takes %d of %d: %v", n, len(c), err)
				}
			}
			if diff := cmp.Diff([]string{"one", "", "three"}, got); diff != "" || !s.ended {
				t.Errorf("ended: %t, %s", s.ended, diff)
			}
		})
	}
	none := copyChunks()
	s := &sink{failed: func(err error) { t.Error(err) }}
	if _, err := s.Write(none[0]); err != nil || !s.ended {
		t.Errorf("no rows: %v, ended %t", err, s.ended)
	}
}

func TestSinkRefusesWhatIsNotRows(t *testing.T) {
	good := copyChunks("one")
	for name, chunks := range map[string][][]byte{
		"another header":      {[]byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x01\x00\x00\x00\x00")},
		"a half header":       {[]byte(copyHeader[:10])},
		"two columns":         {[]byte(copyHeader + "\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00")},
		"NULL":                {[]byte(copyHeader + "\x00\x01\xff\xff\xff\xff")},
		"a half row":          {good[0][:len(good[0])-1]},
		"a half number":       {[]byte(copyHeader + "\x00\x01\x00\x00")},
		"a row after the end": {good[0], good[1], []byte("\x00\x01\x00\x00\x00\x00")},
	} {
		t.Run(name, func(t *testing.T) {
			var failed error
			s := &sink{message: func([]byte) error { return nil }, failed: func(err error) { failed = err }}
			for _, c := range chunks {
				_, _ = s.Write(c)
			}
			if rejot.CodeOf(failed) != rejot.Corrupt {
				t.Errorf("got %v", failed)
			}
		})
	}
}
