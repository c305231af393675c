package collect

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"rejot.dev/rejot"
)

// A place is where something stands in a file of the user's. Line 0: somewhere in it.
type place struct {
	file         string
	line, column int // from 1; column 0: unknown
}

// String is file:line:column as far as known.
func (p place) String() string {
	switch {
	case p.line == 0:
		return p.file
	case p.column == 0:
		return fmt.Sprintf("%s:%d", p.file, p.line)
	default:
		return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.column)
	}
}

// A problem is what is wrong at a place.
type problem struct {
	at         place
	text, mend string
}

func problemf(at place, format string, args ...any) problem {
	return problem{at: at, text: fmt.Sprintf(format, args...)}
}

func (p problem) withMend(format string, args ...any) problem {
	p.mend = fmt.Sprintf(format, args...)
	return p
}

// err makes an error with the lines around the place.
func (p problem) err() error {
	err := rejot.Errorf(rejot.Invalid, "%s: %s%s", p.at, p.text, frame(p.at))
	if p.mend != "" {
		return rejot.WithMend(err, "%s", p.mend)
	}
	return err
}

func join(problems []problem) error {
	var errs []error
	for _, p := range problems {
		errs = append(errs, p.err())
	}
	return errors.Join(errs...)
}

const (
	frameBefore, frameAfter = 2, 1
	widestFrame             = 160
	largestSource           = 4 << 20
)

// frame shows the lines around a place; nothing where the file cannot be read or the line is not in it.
func frame(at place) string {
	if at.line == 0 {
		return ""
	}
	info, err := os.Stat(at.file)
	if err != nil || info.Size() > largestSource {
		return ""
	}
	text, err := os.ReadFile(at.file)
	if err != nil || bytes.IndexByte(text, 0) >= 0 {
		return ""
	}
	lines := strings.Split(string(text), "\n")
	if at.line > len(lines) {
		return ""
	}
	var b strings.Builder
	for n := max(1, at.line-frameBefore); n <= min(len(lines), at.line+frameAfter); n++ {
		mark := " "
		if n == at.line {
			mark = ">"
		}
		line := strings.ReplaceAll(strings.TrimRight(lines[n-1], "\r"), "\t", " ") // a caret stands under its column
		fmt.Fprintf(&b, "\n%s %4d │ %s", mark, n, shortened(line))
		if n == at.line && at.column > 0 && at.column <= widestFrame {
			fmt.Fprintf(&b, "\n       │ %s^", strings.Repeat(" ", at.column-1))
		}
	}
	return b.String()
}

func shortened(line string) string {
	if runes := []rune(line); len(runes) > widestFrame {
		return string(runes[:widestFrame]) + "…"
	}
	return line
}
