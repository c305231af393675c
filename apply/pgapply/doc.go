// Package pgapply applies batches to Postgres.
//
// A batch comes in with the cursors that it moves; what goes out is one transaction. It begins with
// the cursors, by compare-and-swap: whoever has their row locks has the right to write. A cursor that
// is elsewhere makes the statement fail by a division by zero, so that everything up to the commit can
// be sent at once and nothing after it is executed. Then come the consumers' own statements, prepared
// by the server, one execution a row; a small batch is one round trip, a large one is sent chunk by
// chunk while the next chunk is evaluated. The server infers the type of every occurrence of a
// placeholder on its own and reads the source's canonical text, so no value is touched on the way.
//
// Rows that can be proved to be independent of one another go in one statement for all of a chunk,
// set.go; what is refused there is run again row by row. A consumer with onError "quarantine" parks the
// key that is refused, quarantine.go.
//
// The event that is refused is known by its place in the pipeline. What follows from a refusal, another
// order or a consumer left behind, is decided in package apply; here a transaction is rolled back and
// begun again.
//
// Errors have a code: Transient for what ends by itself, a lost connection and a lost answer to a commit
// included; Conflict for a cursor that is elsewhere. A consumer's own are in its outcome. No error
// holds a value, nor the server's words where these may hold one.
//
// Start reading at Apply in apply.go.
package pgapply
