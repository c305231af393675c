package rejot

import "time"

// A TxID is a transaction's number in its source. In Postgres it is the 32-bit xid of the log; the
// source alone knows its epoch. 0 is none.
type TxID uint64

// An Op is what happened to a row in the log.
type Op uint8

// The kinds of changes.
const (
	Insert Op = iota + 1
	Update
	Delete
	Truncate // of a whole table; the change has no images
)

// A Table is a table as the log describes it. A partition's changes carry the table of its root,
// with the root's column order.
type Table struct {
	Schema, Name string
	Columns      []Column
}

// A Change is one row change. It is valid, with all it refers to, until the call that hands it over
// returns; the strings in its values are copies that may be kept.
type Change struct {
	Tx, Sub  TxID // Sub is the subtransaction where the log tells it apart, else equal to Tx
	Table    *Table
	Op       Op
	Old, New []Value // in the order of Table.Columns; nil where the log has no such image. A column that Old lacks is Unknown
}

// A Transaction is a commit. Its changes went before it; nobody keeps them.
type Transaction struct {
	ID  TxID
	End Place // the end of its commit record: what may be confirmed once it is durable elsewhere
	At  time.Time
}
