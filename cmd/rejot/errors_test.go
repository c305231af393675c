package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
)

func TestExitCodes(t *testing.T) {
	invalid := rejot.Errorf(rejot.Invalid, "wrong")
	away := rejot.Errorf(rejot.Transient, "away")
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"nothing", nil, 0},
		{"nothing stopped", stopped(nil), 0},
		{"a check found something", fmt.Errorf("check: %w", errFound), 1},
		{"usage", errors.New("unknown command"), 2},
		{"manifest", invalid, 2},
		{"unmarked", away, 2},
		{"unreachable", stopped(away), 3},
		{"stopped by a contract", stopped(fmt.Errorf("a pipeline stands still: %w", invalid)), 2},
		{"unknown cause", stopped(errors.New("?")), 3},
		{"several, one of them no contract", stopped(errors.Join(invalid, away)), 3},
		{"several contracts", stopped(errors.Join(invalid, invalid)), 2},
		{"stopped beside what closing says", errors.Join(stopped(away), invalid), 3},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestErrorsArePrintedApartWithTheirMends(t *testing.T) {
	one := rejot.WithMend(rejot.Errorf(rejot.Invalid, "one"), "mend one")
	two := fmt.Errorf("two: %w", rejot.WithMend(errors.Join(errors.New("a"), errors.New("b")), "mend two"))
	var out bytes.Buffer
	a := &app{stderr: &out}
	a.printErrors(errors.Join(stopped(errors.Join(one, two)), errors.Join(one), nil))
	want := "error: one\n  mend: mend one\nerror: two: a\n        b\n  mend: mend two\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// A brokenWriter fails as a fault of the program would.
type brokenWriter struct{ m map[string]*stoppedError }

func (w brokenWriter) Write([]byte) (int, error) {
	return 0, w.m["x"].err
}

func TestFaultOfTheProgramIsTwoLines(t *testing.T) {
	var stderr bytes.Buffer
	if got := run(context.Background(), []string{"--version"}, strings.NewReader(""), brokenWriter{}, &stderr); got != exitStopped {
		t.Errorf("got exit code %d, want %d", got, exitStopped)
	}
	if got := stderr.String(); !strings.HasPrefix(got, "error: the program failed inside itself: runtime error: invalid memory address") || strings.Count(got, "\n") != 2 {
		t.Errorf("got %q", got)
	}
}
