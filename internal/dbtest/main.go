package dbtest

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Main runs the tests of a package, ends the servers that they started, and fails where a goroutine
// outlives them. It returns the code for os.Exit, in the package's TestMain.
func Main(m *testing.M) int {
	code := m.Run()
	if err := running.close(); err != nil {
		fmt.Fprintln(os.Stderr, "dbtest: end the servers:", err)
		code = max(code, 1)
	}
	if code != 0 {
		return code // a failed test may well have left something running
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "dbtest: tests have ended, and these goroutines have not:", err)
		return 1
	}
	return 0
}
