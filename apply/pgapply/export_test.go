package pgapply

import (
	"testing"
	"time"
)

// SetStall shortens how long the server may stay silent.
func SetStall(a *Applier, d time.Duration) { a.stall = d }

// Exec runs a statement in the applier's own session.
func Exec(t *testing.T, a *Applier, sql string) {
	t.Helper()
	if _, err := a.exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}
