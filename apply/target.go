package apply

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// A Kind tells which of a consumer's statements runs.
type Kind uint8

// The kinds of statements.
const (
	Upsert Kind = iota
	Delete
	Truncate
	Kinds = 3 // how many there are
)

// String gives the statement's field in the manifest.
func (k Kind) String() string {
	switch k {
	case Upsert:
		return "sql"
	case Delete:
		return "deleteSql"
	case Truncate:
		return "truncateSql"
	default:
		return fmt.Sprintf("kind %d", uint8(k))
	}
}

// A Statement is one of a consumer's statements as the destination has prepared it.
type Statement struct {
	Names []string // the placeholder of each parameter, in the order in which they are bound
	// Rank is the place of the table that it writes among the destination's foreign keys: a
	// parent's is smaller than its children's. Where the table is unknown it is 0.
	Rank int
}

// A Target is a consumer schema as the destination has prepared it. It outlives the runs, which
// leave in it what order worked last.
type Target struct {
	Consumer   *contract.Consumer
	Statements [Kinds]*Statement // nil where the consumer has none
	// NoSwap is why rows must not be deleted and inserted again, as a foreign key with CASCADE, SET
	// NULL or SET DEFAULT refers to their table; empty where they may.
	NoSwap string
	// Parked are the keys in the destination's quarantine, as KeyText writes them.
	Parked map[string]bool
	// Broken is why the consumer has no statements at present; nil where it has.
	Broken error

	order Order
	ways  ways
}

// SQL gives the consumer's text of a kind, empty where it has none.
func SQL(c *contract.Consumer, k Kind) string {
	switch k {
	case Upsert:
		return c.SQL
	case Delete:
		return c.DeleteSQL
	case Truncate:
		return c.TruncateSQL
	default:
		return ""
	}
}

// An Order is a way to arrange the events of a batch.
type Order uint8

// The orders, in the order in which they are tried.
const (
	DeletesFirst Order = iota
	UpsertsFirst
	Swap
	orders = 3
)

// permits reports whether an order is possible for t.
func (t *Target) permits(o Order) bool {
	switch o {
	case DeletesFirst, UpsertsFirst:
		return true
	case Swap:
		return t.Statements[Delete] != nil && t.NoSwap == ""
	default:
		return false
	}
}

// Check reports what keeps t's statements from being run with the events of a shape that it reads:
// placeholders that are not fields, and a shape with several rows a key where there is no deleteSql.
func (t *Target) Check(s *rejot.Shape) error {
	b := t.bind(s)
	if !b.reads {
		return nil
	}
	err := errors.Join(b.err[:]...)
	if s.Many && t.Statements[Delete] == nil {
		e := rejot.Errorf(rejot.Invalid, "%s: a key of public schema %s %d.%d may have several rows, and there is no deleteSql to replace them", t.Consumer, s.Schema.Name, s.Schema.Major, s.Schema.Minor)
		err = errors.Join(err, rejot.WithMend(e, "give it a deleteSql that deletes all rows of %s", fields(s.Key)))
	}
	return err
}

// binding leads from the parameters of a consumer's statements to the values of one shape's events.
type binding struct {
	reads bool
	from  [Kinds][]int // per parameter: an index into the row, or ^index into the key
	types [Kinds][]rejot.Column
	err   [Kinds]error
}

func (t *Target) bind(s *rejot.Shape) *binding {
	b := &binding{reads: t.Consumer.Reads(s.Schema)}
	if !b.reads {
		return b
	}
	for k, st := range t.Statements {
		if st != nil && Kind(k) != Truncate { //nolint:gosec // k < Kinds
			b.from[k], b.types[k], b.err[k] = t.columns(Kind(k), st.Names, s) //nolint:gosec // k < Kinds
		}
	}
	return b
}

// columns finds each name: for an upsert in the row and else in the key, for a delete in the key.
func (t *Target) columns(k Kind, names []string, s *rejot.Shape) (from []int, types []rejot.Column, err error) {
	var missing []string
	for _, name := range names {
		if i := index(s.Row, name); i >= 0 && k == Upsert {
			from, types = append(from, i), append(types, s.Row[i])
			continue
		}
		i := index(s.Key, name)
		if i < 0 {
			missing = append(missing, Placeholder(name))
			continue
		}
		from, types = append(from, ^i), append(types, s.Key[i])
	}
	if missing == nil {
		return from, types, nil
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	has := s.Key
	if k == Upsert {
		has = s.Row
	}
	err = rejot.Errorf(rejot.Invalid, "%s: its %s uses %s, which public schema %s %d.%d does not have", t.Consumer, k,
		strings.Join(missing, ", "), s.Schema.Name, s.Schema.Major, s.Schema.Minor)
	return nil, nil, rejot.WithMend(err, "use one of %s", fields(has))
}

// index finds a column by its name, or by its number where the placeholder was $1, $2, ….
func index(columns []rejot.Column, name string) int {
	if n, ok := number(name); ok {
		if n > len(columns) {
			return -1
		}
		return n - 1
	}
	return slices.IndexFunc(columns, func(c rejot.Column) bool { return c.Name == name })
}

func number(name string) (n int, ok bool) {
	if name == "" || len(name) > 5 {
		return 0, false
	}
	for _, r := range []byte(name) {
		if r < '0' || r > '9' {
			return 0, false
		}
		n = n*10 + int(r-'0')
	}
	return n, n > 0
}

// Placeholder writes a placeholder as it stands in a statement.
func Placeholder(name string) string {
	if _, ok := number(name); ok {
		return "$" + name
	}
	return ":" + name
}

func fields(columns []rejot.Column) string {
	names := make([]string, 0, len(columns))
	for _, c := range columns {
		if !slices.Contains(names, Placeholder(c.Name)) {
			names = append(names, Placeholder(c.Name))
		}
	}
	return strings.Join(names, ", ")
}
