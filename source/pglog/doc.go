// Package pglog is Postgres as a source: it reads a logical replication slot, opens snapshots, and
// evaluates public schemas in them. See DESIGN.md beside this file.
//
// What comes in is a contract.DataStore and the public schemas that a team wrote; what goes out is a
// rejot.Source, and a contract.View for each keyed query of a public schema.
//
// The order of calls: Open; Resolve, which gives the views and with them the tables that are needed;
// Begin, which prepares publication and slot for these tables or says why they cannot serve; Read in
// one goroutine, with Snapshot and Confirm beside it. A failure ends the call that met it and is
// classified there; trying again is the caller's. What is guaranteed: Read hands over every committed
// change of the tables after its position, and after a snapshot was opened it soon reaches
// Snapshot.Through; the slot moves by Confirm alone; nothing is created anew that a destination relies on.
//
// Begin to read at gear.go (readOn) for the log, and at resolve.go (Resolve) for public schemas.
package pglog
