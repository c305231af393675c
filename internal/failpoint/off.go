//go:build !failpoints

package failpoint

// Hit marks a step. It does nothing in this build.
func Hit(string) error { return nil }

// Setting is a choice that a test forces. There is none in this build.
func Setting(string) string { return "" }
