// Package engine runs the two loops: Producer makes batches of one source, Destination applies them.
//
// What comes in are doors that are already open: sources, publishers, appliers. The engine decides
// when a batch is made and of what, who gets it, what is owed to whom, when something is tried again,
// and what the source may forget. It knows no database. DESIGN.md has the invariant; start reading
// at session.step in step.go.
package engine
