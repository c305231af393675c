package rejot

import (
	"context"
	"iter"
)

// A Receiver takes a log in order, from one goroutine. Its error ends the reading. It returns soon:
// while it has not, nothing is read and nothing answered.
type Receiver interface {
	// Change hands over one row change of a transaction that is not yet committed.
	Change(c *Change) error
	// Commit ends a transaction whose changes were handed over.
	Commit(tx Transaction) error
	// Abort drops the changes of sub, or of the whole of tx where sub equals tx.
	Abort(tx, sub TxID) error
	// Reached says that nothing that committed up to p is still to come.
	Reached(p Place) error
}

// A Source is a database's change log and its present state. Implementation: pglog.
type Source interface {
	// Read hands the log after pos to r until ctx ends or something fails. Code Gone: the log no
	// longer reaches back to pos, or is another history. Transient: it may be called again.
	Read(ctx context.Context, pos Position, r Receiver) error
	// Snapshot opens a committed state of the source. What is asked ahead may be answered with the same
	// round trip; Ahead then has it.
	Snapshot(ctx context.Context, ahead ...Ask) (Snapshot, error)
	// Confirm lets the source forget everything up to pos. One line of the program calls it.
	Confirm(ctx context.Context, pos Position) error
}

// A Snapshot is one committed state of the source, open until Close. It is used from one goroutine.
type Snapshot interface {
	// Through is the place that the log must have been read to before Sees is asked.
	Through() Place
	// Sees reports whether tx is part of this state.
	Sees(tx Transaction) bool
	// Query runs q once for all tuples, each in the order of q.Params, and yields its answers, in
	// no particular order. The answer's Row is valid until yield returns, its strings may be kept.
	// A tuple without an answer has no row. yield's error is returned.
	Query(ctx context.Context, q *Query, tuples iter.Seq2[[]Value, error], yield func(Answer) error) error
	// Ahead gives the answers to what was asked with the snapshot, in that order; nil for a question
	// that has to be asked again by Query.
	Ahead() [][]Answer
	// Close ends it. It may be called again.
	Close() error
}

// An Ask is a query with the tuples that it is to be run for.
type Ask struct {
	Query  *Query
	Tuples [][]Value
}

// A Query is a statement that the source has prepared for sets of tuples; only the source that made
// it reads SQL.
type Query struct {
	Name    string   // what it is for, in errors: "public schema publish-account 1.0"
	SQL     string   // in the source's own form; each parameter is an array with one element a tuple
	Params  []Column // what a tuple consists of
	Columns []Column // the columns of its rows
	// Ordinal says that each result row begins with the number of the tuple it answers, from 1.
	Ordinal bool
}

// An Answer is one row of a Query, and the index of the tuple it answers; -1 where the query has
// no Ordinal.
type Answer struct {
	Tuple int
	Row   []Value
}

// An Applier writes to one destination, from one goroutine. Implementations: pgapply, myapply.
type Applier interface {
	// Cursors reads the cursor of every consumer that has a row.
	Cursors(ctx context.Context) ([]Cursor, error)
	// Apply writes b's events for the consumers of moves and moves their cursors, in one
	// transaction. Consumers are apart from one another: one whose event is refused is left behind,
	// and its Outcome has the error; the others move. Outcomes come in the order of moves.
	//
	// An error means that nothing at all was written, or (code Transient) that it is not known:
	// then Cursors tells. Conflict: a cursor is not where its move says.
	Apply(ctx context.Context, moves []Move, b *Batch) ([]Outcome, error)
	// Close lets go of the destination.
	Close() error
}

// A LazyApplier may return from Apply before the destination's server has written a commit to its disk. Such a
// commit is visible, and a crash of the server may undo it, rows and cursor together.
type LazyApplier interface {
	Applier
	// Durable gives, of the cursors that Cursors has read and Apply has moved, what no crash undoes any
	// more. Code Transient: the session was lost, and commits may be too: Cursors tells.
	Durable(ctx context.Context) ([]Cursor, error)
}
