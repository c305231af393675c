// Package rejot is the domain of ReJot, developer-defined database replication.
//
// A team publishes part of its database as a versioned public schema, a SQL query. Another team
// subscribes with a consumer schema, a SQL statement that writes those rows into its own database.
// One program reads the source's change log and keeps the destinations equal to the query.
//
// This package holds the data that flows (Change, Transaction, Event, Batch), the words for where
// it is (Place, Position, Cursor) and the doors between the stages (Receiver, Source, Snapshot,
// Applier). It imports nothing but the standard library. Start reading at flow.go; ARCHITECTURE.md
// follows one change from the log's bytes to the commit at the destination.
//
// What outsiders may rely on is the manifest's format, the command line, HTTP, and package
// contract. Everything else may change with any release.
package rejot
