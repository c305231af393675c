package rejot

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
)

// A Place is a point in one source's log: in Postgres File is 0 and Offset an LSN, in MySQL and
// MariaDB the binlog's number and an offset in it. The zero Place is before everything.
type Place struct{ File, Offset uint64 }

// Compare orders places as numbers.
func (p Place) Compare(q Place) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Offset, q.Offset))
}

// Less reports whether p comes before q.
func (p Place) Less(q Place) bool { return p.Compare(q) < 0 }

// String writes a place for people, a Postgres LSN in the server's own form.
func (p Place) String() string {
	if p.File == 0 {
		return fmt.Sprintf("%X/%X", p.Offset>>32, uint32(p.Offset)) //nolint:gosec // the low half is meant
	}
	return fmt.Sprintf("%d:%d", p.File, p.Offset)
}

// An Incarnation names the history that positions belong to: one source, one timeline, one slot.
// Only the source that made it reads its parts; everybody else compares it for equality.
type Incarnation string

// A Position says how far a consumer has come. The zero Position is before everything.
type Position struct {
	Incarnation Incarnation // the history it belongs to
	Horizon     Place       // every transaction up to here is included
	Ordinal     uint32      // tells batches of one horizon apart
}

// IsZero reports whether p is before everything.
func (p Position) IsZero() bool { return p == Position{} }

// Compare orders positions of one incarnation; for positions of two it returns an error of code
// Gone, never an order. The zero Position is before every other.
func (p Position) Compare(q Position) (int, error) {
	switch {
	case p == q:
		return 0, nil
	case p.IsZero():
		return -1, nil
	case q.IsZero():
		return 1, nil
	case p.Incarnation != q.Incarnation:
		return 0, Errorf(Gone, "position %s belongs to history %s and position %s to %s", p, p.Incarnation, q, q.Incarnation)
	}
	return cmp.Or(p.Horizon.Compare(q.Horizon), cmp.Compare(p.Ordinal, q.Ordinal)), nil
}

const positionWidth = 16 + 1 + 16 + 1 + 8

// String writes horizon and ordinal in a fixed width, so that text order agrees with Compare. The
// incarnation is kept beside it.
func (p Position) String() string {
	return fmt.Sprintf("%016x-%016x-%08x", p.Horizon.File, p.Horizon.Offset, p.Ordinal)
}

// ParsePosition reads what String wrote.
func ParsePosition(in Incarnation, text string) (Position, error) {
	if len(text) != positionWidth || text[16] != '-' || text[33] != '-' {
		return Position{}, Errorf(Corrupt, "position %q is not in the form of a position", text)
	}
	file, err1 := strconv.ParseUint(text[:16], 16, 64)
	offset, err2 := strconv.ParseUint(text[17:33], 16, 64)
	ordinal, err3 := strconv.ParseUint(text[34:], 16, 32)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Position{}, Errorf(Corrupt, "position %q: %w", text, err)
	}
	return Position{Incarnation: in, Horizon: Place{file, offset}, Ordinal: uint32(ordinal)}, nil
}
