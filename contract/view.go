package contract

import "rejot.dev/rejot"

// A View is a keyed query of a public schema as its source has resolved it: how to evaluate it,
// and which of its keys a change affects. A public schema has one or more, all of one Shape.
type View struct {
	Schema *PublicSchema
	Shape  *rejot.Shape
	Base   TableName      // whose keys are the view's keys
	Key    []rejot.Column // the base table's key
	// KeyNames leads from Shape.Key to Key: Shape.Key[i] has the value of Key[KeyNames[i]].
	KeyNames []int
	// Rows is the developer's query: key → rows.
	Rows *rejot.Query
	// Next gives the keys that follow a key in key order, as many as its last parameter says. Its
	// tuple is a key and a number; First is the same from the beginning, its tuple the number alone.
	First, Next *rejot.Query
	// Routes lead from changed rows to keys.
	Routes []Route
	// Estimate is how many keys the base table has by the source's statistics; 0 where unknown.
	Estimate int64
}

// A TableName names a table in its database.
type TableName struct{ Schema, Name string }

// String qualifies the name, without quotes.
func (n TableName) String() string { return n.Schema + "." + n.Name }

// A Route leads from the rows of one table to a view's keys. Exactly one of Direct, All and Keys holds.
type Route struct {
	Table   TableName
	Leaf    string   // where in the query the table is read, for people
	Columns []string // the changed table's columns whose old and new images are needed
	Direct  bool     // Columns are the key itself, in the key's order
	All     bool     // every key of the view
	Keys    *rejot.Query
	// Base says that the changed rows are the base table's own: without them the view has no rows,
	// so that truncating the table clears the view.
	Base bool
}
