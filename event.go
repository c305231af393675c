package rejot

import "iter"

// A Ref names a public schema and version.
type Ref struct {
	Manifest, Name string
	Major, Minor   int
}

// A Shape is the form of one public schema's events.
type Shape struct {
	Schema Ref
	// Key are the names under which a delete's statement finds the key: the source's key columns,
	// and the result columns that carry them under another name. One key column may stand here twice.
	Key []Column
	Row []Column // the result's columns
	// Many says that a key may have several rows. Its events come as a replacement: the delete of
	// the key, then an upsert for each row; the delete precedes the upserts in every order.
	Many bool
}

// An EventOp is what a public row, or a whole public schema, has become.
type EventOp uint8

// The kinds of events.
const (
	UpsertRow EventOp = iota + 1
	DeleteKey
	Clear // every row is gone: the base table was truncated. It precedes all else of its schema in a batch
)

// An Event says what one public row is now.
type Event struct {
	Shape *Shape
	Op    EventOp
	Key   []Value // in the order of Shape.Key; nil for Clear
	Row   []Value // in the order of Shape.Row; nil but for UpsertRow
	For   string  // the consumer that it is addressed to (a backfill, a catch-up); empty: everyone
}

// A Batch is what one evaluation yields: the events of a set of whole transactions at one snapshot.
// It is indivisible. Events may be ranged over again and again, from several goroutines, and may
// come from memory or a spill file, so a batch need not fit into memory; the first range may wait
// for the evaluation. An event belongs to the ranger until the next one is asked for.
type Batch struct {
	Source   string   // the data store
	Position Position // where a cursor stands after it
	Shapes   []*Shape
	Events   iter.Seq2[*Event, error]
}

// A Backfill is how far a consumer's backfill has come.
type Backfill struct {
	Done     bool
	After    []Value // the last key of the base table that is included; nil before the first
	View     int     // which of the public schema's views it is at
	Rows     int64   // keys done
	Estimate int64   // keys there were when it began, by the source's statistics
}

// A Cursor is how far one consumer schema has come. It is one row in the destination, written in
// the transaction of the rows that it speaks of.
type Cursor struct {
	Consumer string   // the consumer schema's ID
	Source   string   // the data store that its rows come from
	Position Position // of the last batch that is applied; zero: none yet, and no row either
	Backfill Backfill
	Contract string // fingerprint of the public schema's SQL that rows are written with
	Queries  string // the SQL itself, as the contract writes it, that all rows were last written with; empty where there is none
}

// A Move takes a cursor from where it is to where it will be. From is compared with what the
// destination holds; To.Position is the batch's.
type Move struct{ From, To Cursor }

// An Outcome tells what became of one consumer's part of a batch.
type Outcome struct {
	Consumer string
	Upserts  int64
	Deletes  int64
	// Err is why this consumer was left behind at Move.From while the others went on; nil where it moved.
	Err error
}
