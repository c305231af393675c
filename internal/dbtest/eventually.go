package dbtest

import (
	"testing"
	"time"
)

const pollEvery = 5 * time.Millisecond

// Eventually polls until state returns true, and fails the test after within with what state said last.
func Eventually(t testing.TB, within time.Duration, state func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		ok, seen := state()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, seen)
		}
		<-tick.C
	}
}
