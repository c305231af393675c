package pgapply

import (
	"testing"
	"time"

	"rejot.dev/rejot/apply"
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

// Sets names a consumer's statements that may be run for many rows at once.
func Sets(a *Applier, id string) []string {
	var names []string
	for k, name := range a.own[a.targets[id]].sets {
		if name != "" {
			names = append(names, apply.Kind(k).String()) //nolint:gosec // k < Kinds
		}
	}
	return names
}

// NoSets makes the applier run everything row by row.
func NoSets(a *Applier) {
	for _, c := range a.consumers {
		c.sets = [apply.Kinds]string{}
	}
}

// RowByRow tells whether the last batch was run row by row, as a set was refused.
func RowByRow(a *Applier) bool { return a.single }

// Reopen opens the connection again, with everything that was found about the statements.
func Reopen(t testing.TB, a *Applier) {
	t.Helper()
	a.drop()
	if err := a.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
}
