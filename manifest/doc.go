// Package manifest reads, checks, merges and writes rejot-manifest.json, in which a team says where its
// databases are and what flows between them.
//
// Load is what the program uses: it reads the manifests that were named and those of their workspaces,
// reports all errors at once, each with file, line and the path inside the JSON, merges them, resolves
// references to the environment and to files, and yields a Set in the terms of package contract.
//
// Read and Write are what commands use that change a manifest: they work on the file's form, Manifest,
// with references as they are written, and write canonical bytes.
//
// Start reading at form.go, which is the format. tree.go and decode.go put a file into the form, check.go
// looks at what one file tells by itself, merge.go at what several say of one another.
package manifest
