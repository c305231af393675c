package sourcetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"rejot.dev/rejot"
)

// A Log is a receiver that keeps what it is given.
type Log struct {
	mu      sync.Mutex
	open    map[rejot.TxID][]line
	done    []transaction
	aborted int
	reached rejot.Place
	bad     []string
}

type line struct {
	sub  rejot.TxID
	text string
	row  string // the first column of the new image
}

type transaction struct {
	rejot.Transaction
	lines []line
}

func newLog() *Log { return &Log{open: map[rejot.TxID][]line{}} }

// empty reports whether nothing was handed over yet.
func (l *Log) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open) == 0 && len(l.done) == 0 && l.reached == rejot.Place{}
}

// Change keeps a change as a line.
func (l *Log) Change(c *rejot.Change) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	op := map[rejot.Op]string{rejot.Insert: "+", rejot.Update: "~", rejot.Delete: "-", rejot.Truncate: "0"}[c.Op]
	for _, image := range [][]rejot.Value{c.Old, c.New} {
		if image != nil && len(image) != len(c.Table.Columns) {
			l.bad = append(l.bad, fmt.Sprintf("%s has %d columns and an image of %d", c.Table.Name, len(c.Table.Columns), len(image)))
		}
	}
	n := line{sub: c.Sub, text: op + c.Table.Name + show(c.Old) + show(c.New)}
	if len(c.New) > 0 {
		n.row, _ = c.New[0].Text()
	}
	l.open[c.Tx] = append(l.open[c.Tx], n)
	return nil
}

func show(image []rejot.Value) string {
	if image == nil {
		return ""
	}
	texts := make([]string, len(image))
	for i, v := range image {
		switch text, ok := v.Text(); {
		case ok && len(text) > 20:
			texts[i] = fmt.Sprintf("<%d>", len(text))
		case ok:
			texts[i] = text
		case v.Kind() == rejot.Null:
			texts[i] = "NULL"
		default:
			texts[i] = "?"
		}
	}
	return " (" + strings.Join(texts, ",") + ")"
}

// Commit ends a transaction.
func (l *Log) Commit(tx rejot.Transaction) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.done); n > 0 && !l.done[n-1].End.Less(tx.End) {
		l.bad = append(l.bad, fmt.Sprintf("the commit at %s comes after that at %s", tx.End, l.done[n-1].End))
	}
	if tx.End.Less(l.reached) {
		l.bad = append(l.bad, fmt.Sprintf("the commit at %s comes although %s was reached", tx.End, l.reached))
	}
	l.done = append(l.done, transaction{tx, l.open[tx.ID]})
	delete(l.open, tx.ID)
	return nil
}

// Abort drops a part of a transaction.
func (l *Log) Abort(tx, sub rejot.TxID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.aborted++
	l.open[tx] = slices.DeleteFunc(l.open[tx], func(n line) bool { return n.sub == sub || tx == sub })
	if len(l.open[tx]) == 0 {
		delete(l.open, tx)
	}
	return nil
}

// Reached notes how far the log is read.
func (l *Log) Reached(p rejot.Place) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reached = p
	return nil
}

// state gives what was committed, one text a transaction that has changes, and what is open.
func (l *Log) state() (done []string, open int, reached rejot.Place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, tx := range l.done {
		if len(tx.lines) == 0 {
			continue
		}
		texts := make([]string, len(tx.lines))
		for i := range tx.lines {
			texts[i] = tx.lines[i].text
		}
		done = append(done, strings.Join(texts, " "))
	}
	return done, len(l.open), l.reached
}
