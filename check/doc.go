// Package check judges contracts: by themselves, against the databases that they name, and against what
// they were before.
//
// What comes in are manifests, as package manifest reads them, and, where the databases may be asked, the
// doors Source and Destination. What goes out is a Report: findings, each of a Rule with an id and a page,
// with a place in a file, what was found and what mends it.
//
//	Lint        what the manifests tell by themselves
//	Connect     what the databases say of every query and statement
//	Compare     a manifest of yesterday with the one of today: what may old consumers meet that they never met?
//	Migrated    what pending migrations would break
//
// Compatibility is judged from the reader's side: widening endangers old consumers, narrowing does not. A
// verdict of "unless" is breaking, unless every known consumer is proved to take the change: because its
// statements do not name the field, or because its own database says that the target takes the new type.
//
// SQL is not parsed. Where the databases are not asked, words.go splits a query at its own commas and
// keywords, which is enough to say that something differs and to find a renamed field; it proves nothing.
//
// Start reading at rule.go, then compare.go.
package check
