// Package collect finds public schemas and consumer schemas in code (TypeScript, Python, Go, SQL), runs the definitions and
// gives them in the form of the manifest.
//
// What comes in is a list of files; what goes out is the same list of definitions, whatever language they stand in, each with
// file and line, and checked as strictly as a manifest. Find makes files of folders, New an Evaluator, Evaluator.Run the
// definitions. An Evaluator may be used again and again: the libraries that contracts import are compiled once.
//
// Start reading at collect.go. typescript.go bundles with esbuild and evaluates with goja inside this process, without Node,
// network, files or environment; python.go runs the user's interpreter and golang.go the user's toolchain, which may do what
// they like; sqlfile.go reads a header and a query, and asks a Describer for its columns. validate.go looks at all that was
// collected together.
package collect
