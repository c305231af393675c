package pglog

import (
	"os"
	"strconv"
	"testing"
)

// deriveMajor is the Postgres version that the derivation's tests run on; zero is the default.
// REJOT_DERIVE_POSTGRES=18 runs them on another one.
func deriveMajor(t testing.TB) int {
	t.Helper()
	text := os.Getenv("REJOT_DERIVE_POSTGRES")
	if text == "" {
		return 0
	}
	major, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("REJOT_DERIVE_POSTGRES=%q is no number", text)
	}
	return major
}
