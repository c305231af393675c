// Package myapply applies batches to MariaDB and MySQL.
//
// A batch comes in with the cursors that it moves; what goes out is one transaction. It begins with
// the cursors, by compare-and-swap, so that their row locks hold off a second instance. Then come the
// consumers' own statements, prepared by the server, one execution a row, sent one behind the other
// without waiting for the answers. A small batch takes two round trips: all of that, and the commit.
// On MariaDB, many rows of one statement go in one call (block.go).
//
// The server is asked what a statement is: it is prepared, and it must be one that the server can
// explain, which nothing is that commits by itself. An upsert into a table with several unique keys
// gets a guard, since the server would update whatever row it meets (guard.go).
//
// A session is pinned (strict modes, UTC, autocommit off, see internal/mysql) and its values are
// bound under types of their own: what the source wrote as text is converted by the source's type,
// exactly or not at all (values.go). An array becomes a JSON array, a composite and an hstore a JSON
// object. Where strict mode lets something pass with a warning, the warning is an error here.
//
// What follows from a refusal, another order or a consumer left behind, is decided in package apply;
// here a transaction is rolled back and begun again. It is always rolled back, since the server does
// not agree with itself: a deadlock undoes the transaction, a lock that was waited for too long undoes
// one statement (FAULTS D1, D2). With autocommit off, a statement that was already on its way behind
// a deadlock opens a transaction instead of committing by itself, and the rollback ends that too.
//
// Errors have a code: Transient for what ends by itself, a lost connection and a lost answer to a
// commit included; Conflict for a cursor that is elsewhere. A consumer's own are in its outcome. No
// error holds a value: of the server's words only those are passed on that are names in the database.
//
// A consumer may have what is refused parked in rejot_quarantine and go on (quarantine.go).
//
// Start reading at Apply in apply.go.
package myapply
