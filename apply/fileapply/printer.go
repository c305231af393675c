package fileapply

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/contract"
)

// A Printer writes one consumer schema's events to the program's standard output.
type Printer struct {
	out      io.Writer
	consumer *contract.Consumer
	cursor   rejot.Cursor // of this process, and gone with it
	limit    int          // what a batch takes of memory before it goes to a temporary file
}

func newPrinter(out io.Writer, c *contract.Consumer) *Printer {
	return &Printer{out: out, consumer: c, limit: 4 << 20}
}

// Cursors gives the cursor that this process has come to.
func (p *Printer) Cursors(context.Context) ([]rejot.Cursor, error) {
	if p.cursor.Position.IsZero() {
		return nil, nil
	}
	return []rejot.Cursor{p.cursor}, nil
}

// Apply prints the lines of a batch. What was printed cannot be taken back, so all lines are made first.
func (p *Printer) Apply(ctx context.Context, moves []rejot.Move, b *rejot.Batch) (outcomes []rejot.Outcome, err error) {
	move, err := only(p.consumer, moves)
	if err != nil {
		return nil, err
	}
	if move.From.Position != p.cursor.Position {
		return nil, rejot.Errorf(rejot.Conflict, "the cursor of %s is at %s and not at %s", p.consumer, p.cursor.Position, move.From.Position)
	}
	lines := &collected{limit: p.limit}
	defer func() { err = errors.Join(err, lines.close()) }()
	out, err := encodeBatch(ctx, lines, p.consumer, b)
	if err != nil {
		return nil, err
	}
	if out.Err == nil {
		p.cursor = move.To
		if err := lines.copyTo(p.out); err != nil {
			// Some lines may be out, and nobody can say which: to print them again would be worse than to stop.
			out.Err, p.cursor = rejot.Errorf(rejot.Corrupt, "%s: write to standard output: %w", p.consumer, err), move.From
		}
	}
	return []rejot.Outcome{out}, nil
}

// Check finds nothing wrong.
func (p *Printer) Check(string, *rejot.Shape) error { return nil }

// Ways is empty.
func (p *Printer) Ways(string) []apply.Way { return nil }

// Drop has nothing to forget that the process's end would not.
func (p *Printer) Drop(context.Context, string) error { return nil }

// Close leaves standard output open.
func (p *Printer) Close() error { return nil }

// A collected batch is in memory, and beyond a limit in a file that vanishes with the process.
type collected struct {
	limit int
	mem   bytes.Buffer
	file  *os.File
}

// Write takes bytes.
func (c *collected) Write(data []byte) (int, error) {
	if c.file == nil && c.mem.Len()+len(data) <= c.limit {
		return c.mem.Write(data)
	}
	if c.file == nil {
		f, err := os.CreateTemp("", "rejot-batch-")
		if err != nil {
			return 0, err
		}
		c.file = f
		if err := os.Remove(f.Name()); err != nil {
			return 0, err
		}
	}
	return c.file.Write(data)
}

// copyTo gives out all that was taken, in its order.
func (c *collected) copyTo(w io.Writer) error {
	if _, err := w.Write(c.mem.Bytes()); err != nil || c.file == nil {
		return err
	}
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(w, c.file)
	return err
}

func (c *collected) close() error {
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}
