// Package repotest holds the rules about this repository that a compiler does not know, as tests.
//
// arrows_test.go draws which room may import which, and which module of others stands where. code_test.go reads the
// syntax of all Go files: comments, lengths, functions that are out of place. files_test.go reads everything else. A rule that
// has to bend does so in a table here, with its reason; an exception that nothing needs any more fails too.
package repotest
