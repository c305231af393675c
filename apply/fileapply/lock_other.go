//go:build !unix

package fileapply

import "os"

// lock does nothing where the system has no such lock.
func lock(*os.File) error { return nil }
