// Package generate makes code for consumers of public schemas: the types of their rows and keys, in
// TypeScript, Python and Go.
//
// What comes in is the JSON Schema that a public schema carries (its outputSchema). It is read into
// a few kinds of types, which each language then writes in its own words. The same schemas always give
// the same bytes, so that a file that was made can be compared with what would be made now.
//
// The types say what the program sends: a number that JSON's readers would round leaves as text, so
// where a schema does not bound a number, its type allows both. docs/generate.md tells the rules.
package generate
