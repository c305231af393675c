// Package e2e has tests that run the program as a user does: the binary, a manifest, real servers,
// and faults between them. It has no code of its own.
package e2e
