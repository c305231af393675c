package check

import (
	"context"

	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/derive"
)

// Databases opens what manifests name. What is open already is given again.
type Databases interface {
	// Source opens a data store by its slug. Code Unsupported: nobody can ask it yet.
	Source(ctx context.Context, slug string) (Source, error)
	// Destination opens a data store by its slug.
	Destination(ctx context.Context, slug string) (Destination, error)
}

// A Cascader is Databases that also tell which changes a MySQL source does not write to its log: those that
// a foreign key makes by itself.
type Cascader interface {
	// Cascades finds them for tables, by their names.
	Cascades(ctx context.Context, slug string, tables []string) ([]Cascade, error)
}

// A Cascade is a foreign key that changes rows of its table when a row of its parent is changed or deleted.
type Cascade struct{ Table, Parent, Constraint, Rule string }

// A Source is asked about public schemas. It changes nothing.
type Source interface {
	// Describe resolves a public schema. Code Invalid or NotFound: its query is wrong.
	Describe(ctx context.Context, s *contract.PublicSchema) (*Description, error)
	// Differences counts, at one snapshot, the rows that two versions of a public schema do not have in
	// common. Only fields are compared.
	Differences(ctx context.Context, old, now *contract.PublicSchema, fields []string) (Difference, error)
}

// A Destination is asked about consumer schemas. It changes nothing.
type Destination interface {
	// Inspect prepares a consumer schema's statements.
	Inspect(ctx context.Context, c *contract.Consumer) (*Statements, error)
}

// A Column is a column of a result or of a table.
type Column struct {
	Name     string
	Type     string // in the database's own words
	Nullable bool   // it may be NULL, as far as is known
	Never    bool   // it is proved never to be NULL
}

// A Description is what a database says of a public schema's queries.
type Description struct {
	Columns  []Column
	Key      []Column // of the base table, in the index's order
	KeyNames []string // result columns that carry the key
	Base     string
	Many     bool
	Ways     []Way
	Refused  []derive.Refusal
	Changing []string // functions that give another result each time
}

// A Way leads from the changed rows of a table to keys.
type Way struct {
	Table  string
	Leaf   string   // where in the query it is read
	Steps  []string // each like "orders.id = order_items.order_id"
	Tables []string // the table, those on the way, the base
	Direct bool
	All    bool
	Given  bool    // by params or keys
	FanOut float64 // keys that one changed row affects, by statistics; 0: unknown
}

// reads reports whether changes of a table are published.
func (d *Description) reads(table string) bool {
	for _, w := range d.Ways {
		if plainTable(w.Table) == plainTable(table) {
			return true
		}
	}
	return false
}

// A Difference counts keys whose rows differ between two versions of a public schema.
type Difference struct {
	Left    int64 // keys that have rows in the old one alone: deletes
	Entered int64 // keys that have rows in the new one alone: upserts
	Changed int64 // keys whose rows differ
}

// Statements are what a database says of a consumer schema's statements.
type Statements struct {
	Refused []Refused
	Targets []Target // of sql; none where it was refused
	Table   string   // what sql writes, where that is known
	// Missing are columns of the table that are NOT NULL, have no default and are not written.
	Missing []string
	// Plain says that sql is an INSERT that does not say what becomes of a row that is there already.
	Plain bool
}

// A Refused statement is one that the database does not take.
type Refused struct {
	Statement string // sql, deleteSql or truncateSql
	Reason    string
	Mend      string
}

// A Target is where one occurrence of a placeholder goes.
type Target struct {
	Field  string
	Type   string  // what the database takes there; empty: it does not say
	Column *Column // the column that it is written to; nil: not known
	Direct bool    // as it is, not inside an expression
	Enum   []string
	Check  bool // a CHECK constraint speaks of the column
	Key    bool // the column is part of a unique key
}
