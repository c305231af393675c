package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"rejot.dev/rejot"
)

// The exit codes.
const (
	exitOK      = 0
	exitFound   = 1 // a check found something
	exitWrong   = 2 // a flag, a manifest or a contract is wrong
	exitStopped = 3 // something stopped on an error, or could not be reached
)

// A stoppedError marks what stopped a pipeline or kept a database from being reached.
type stoppedError struct{ err error }

func (e *stoppedError) Error() string { return e.err.Error() }
func (e *stoppedError) Unwrap() error { return e.err }

// stopped marks err, so that the exit code is 3; or 2 where all that is wrong is a manifest or contract.
// A nil err stays nil.
func stopped(err error) error {
	if err == nil {
		return nil
	}
	return &stoppedError{err}
}

// errFound is the error of a check that has printed what it found.
var errFound = errors.New("the check found something")

func exitCode(err error) int {
	var mark *stoppedError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFound):
		return exitFound
	case !errors.As(err, &mark):
		return exitWrong
	}
	for _, e := range apart(mark) {
		if rejot.CodeOf(e) != rejot.Invalid {
			return exitStopped
		}
	}
	return exitWrong
}

// apart gives the errors that were joined to err, each by itself.
func apart(err error) []error {
	if mark, ok := err.(*stoppedError); ok { //nolint:errorlint // the mark itself is meant, not what is wrapped
		return apart(mark.err)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	list := joined.Unwrap()
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = e.Error()
	}
	if err.Error() != strings.Join(texts, "\n") {
		return []error{err} // it says more than its parts
	}
	var all []error
	for _, e := range list {
		all = append(all, apart(e)...)
	}
	return all
}

// printErrors prints every error by itself with what mends it, each text once.
func (a *app) printErrors(err error) {
	if err == nil || errors.Is(err, errFound) {
		return
	}
	printed := map[string]bool{}
	for _, e := range apart(err) {
		text := a.red("error:") + " " + indented(e.Error()) + "\n"
		if mend := rejot.MendOf(e); mend != "" {
			text += "  mend: " + indented(mend) + "\n"
		}
		if !printed[text] {
			fmt.Fprint(a.stderr, text)
		}
		printed[text] = true
	}
}

// printPanic tells of a fault of the program in two lines.
func (a *app) printPanic(p any) {
	text := fmt.Sprintf("%T", p)
	if e, ok := p.(runtime.Error); ok {
		text = e.Error()
	}
	if s, ok := p.(string); ok {
		text = s
	}
	fmt.Fprintf(a.stderr, "%s the program failed inside itself: %s\n  mend: this is a fault of rejot %s; please report it with the command that you typed\n", a.red("error:"), indented(text), version())
}

// note tells something that is good to know, and wrong with nothing.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.stderr, "note: %s\n", indented(fmt.Sprintf(format, args...)))
}

func indented(s string) string {
	return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n        ")
}

func (a *app) red(s string) string {
	if os.Getenv("NO_COLOR") != "" || !isTerminal(a.stderr) {
		return s
	}
	return "\x1b[31m" + s + "\x1b[0m"
}
