// Package contract holds public schemas and consumer schemas as the program uses them: resolved
// from a manifest, with the database's own answers about them in a View.
//
// What comes in is what a team wrote (PublicSchema, Consumer, Connection); what goes out to the
// stages is the same, plus View, which a source makes of a public schema.
package contract
