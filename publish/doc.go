// Package publish turns a source's changes into batches of events. It names no database.
//
// What comes in is the log, through Pending, a rejot.Receiver: of each change only the tuples are
// kept that lead to keys of the views (Keys), once each, on disk past a limit. What goes out is a
// rejot.Batch: Pending.Cut takes exactly the transactions that a snapshot sees, and
// an Evaluation asks that snapshot for the present rows of the keys.
//
// DESIGN.md has the invariant and what it guards against. Start reading at pending.go.
package publish
