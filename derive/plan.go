package derive

import "slices"

// A Plan is what was proved of one query: which keys a change of any table that it reads affects.
// Nothing may be published by it while Refused is not empty.
type Plan struct {
	Base    Table       // the table whose unique key the query's placeholders bind
	Key     []KeyColumn // one per placeholder, in the order of the unique index
	Many    bool        // a key may have several rows: it was not proved that it has one at most
	Routes  []Route     // one per changed table and place where the query reads it, equal ones united; the base's own is Direct
	Tables  []Table     // every table that the query reads, once each, as the query names it
	Refused []Refusal   // what is not proved
	Outputs []Output    // one per column of the result

	// Members lists, by Table.ID, the relations whose changed rows are changes of that table:
	// the table itself, its partitions and its inheritance children at every depth. Columns of a
	// member are found by name, as their numbers may differ from the table's.
	Members map[uint32][]uint32
}

// AddRoute adds a route. Where another leaf of the same table already leads to keys in the same way,
// the two become one.
func (p *Plan) AddRoute(r Route) {
	for i := range p.Routes {
		o := &p.Routes[i]
		if o.Table == r.Table && o.Direct == r.Direct && o.All == r.All && o.SQL == r.SQL && (r.Direct || r.All || r.SQL != "") && slices.Equal(o.Columns, r.Columns) {
			o.Leaf += ", " + r.Leaf
			return
		}
	}
	p.Routes = append(p.Routes, r)
}

// A Table names a table of the source. Tables are comparable.
type Table struct {
	Schema string
	Name   string
	ID     uint32 // the source's own number of it: an oid in Postgres
}

// String gives the table's name for people; the source's quoting is not applied.
func (t Table) String() string {
	if t.Schema == "" {
		return t.Name
	}
	return t.Schema + "." + t.Name
}

// A KeyColumn is one column of the base's unique key and the placeholder that it is bound to.
type KeyColumn struct {
	Placeholder string // without the colon
	Column      string // of the base
	Type        string // the column's type in the source's own words, usable in a cast
}

// A Route leads from changed rows of one table, read at one place of the query, to keys.
//
// A NULL among the values of Columns affects no key by way of a Direct route.
type Route struct {
	Table   Table
	Leaf    string   // where in the query the table is read, for people; several places are separated by commas
	Direct  bool     // the values of Columns are the base's key, in the order of Plan.Key
	All     bool     // every key of the view is affected (declared, never derived)
	Columns []string // the columns whose old and new images are needed, in the order of parameters
	Types   []string // their types, usable in a cast

	// SQL is set where neither Direct nor All is. Its parameters are one text[] per column of
	// Columns, all of one length, NULL elements included; its result columns are the key as
	// text, in the order of Plan.Key, without duplicates.
	SQL string

	Way   []string // the tables from the changed row to the key, for a picture
	Paths []Path   // the proof: one per alternative; empty for a declared route
}

// A Refusal says what is not proved, where, why, and what would mend it.
type Refusal struct {
	Code   string // stable, such as "not-derived"
	Table  Table
	Where  string // the place in the query, for people
	Reason string
	Mend   string
}

// String gives the refusal as one line.
func (r Refusal) String() string {
	s := r.Code + ": " + r.Table.String()
	if r.Where != "" {
		s += " (" + r.Where + ")"
	}
	s += ": " + r.Reason
	if r.Mend != "" {
		s += "; " + r.Mend
	}
	return s
}

// An Output is one column of the query's result.
type Output struct {
	Name string
	Key  int // index into Plan.Key if the column is the bare key column of the base, else -1
}
