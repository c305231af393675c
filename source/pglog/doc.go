// Package pglog is Postgres as a source: it reads a logical replication slot, opens snapshots, and
// evaluates public schemas in them. See DESIGN.md beside this file.
//
// What comes in is a contract.DataStore and the public schemas that a team wrote; what goes out is a
// rejot.Source, and a contract.View for each keyed query of a public schema.
package pglog
