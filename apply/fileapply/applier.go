package fileapply

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/contract"
)

// Output is the path that stands for standard output.
const Output = "-"

// A Config says where lines go.
type Config struct {
	Path      string    // of a file, or Output
	Stdout    io.Writer // where Output leads
	Consumers []*contract.Consumer
}

// An Applier writes one consumer schema's events to a file. Its methods are called from one goroutine.
type Applier struct {
	path     string
	consumer *contract.Consumer
	file     *os.File
	mode     fs.FileMode
	now      state
	unsure   bool // the last Apply ended in an error: what is on the disk has to be read again
	step     func(string) error
}

var (
	_ rejot.Applier = (*Applier)(nil)
	_ rejot.Applier = (*Printer)(nil)
)

// A Writer is an Applier or a Printer, with what the program asks of every destination.
type Writer interface {
	rejot.Applier
	// Check finds nothing wrong: there is no statement that could ask for more than a row has.
	Check(consumer string, shape *rejot.Shape) error
	// Ways is empty: no statement is run.
	Ways(consumer string) []apply.Way
	// Drop forgets the cursor.
	Drop(ctx context.Context, consumer string) error
}

// Open opens the file, or makes it, and takes its lock. Code Conflict: another program writes to it, or it
// holds what this consumer has not written. Corrupt: it is shorter than its cursor says.
func Open(_ context.Context, cfg Config) (Writer, error) {
	if len(cfg.Consumers) != 1 {
		return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "%d consumer schemas write to %s", len(cfg.Consumers), cfg.Path), "give each a file of its own")
	}
	if cfg.Path == Output {
		return newPrinter(cfg.Stdout, cfg.Consumers[0]), nil
	}
	return open(cfg, func(string) error { return nil })
}

func open(cfg Config, step func(string) error) (_ *Applier, err error) {
	a := &Applier{path: cfg.Path, consumer: cfg.Consumers[0], step: step}
	if info, err := os.Stat(a.path); err == nil && !info.Mode().IsRegular() {
		return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s is no regular file, so there is nowhere to keep a cursor", a.path), "name a file, or %s for standard output", Output)
	}
	// Rows may be nobody else's business.
	if a.file, err = os.OpenFile(a.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, failed("open the file", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.file.Close())
		}
	}()
	if err := lock(a.file); err != nil {
		err := rejot.Errorf(rejot.Conflict, "another program writes to %s: %w", a.path, err)
		return nil, rejot.WithMend(err, "stop the other program, or choose another file")
	}
	return a, a.load()
}

// load reads how far the file has come and cuts off what a crash has left behind.
func (a *Applier) load() error {
	info, err := a.file.Stat()
	if err != nil {
		return failed("look at the file", err)
	}
	a.mode = info.Mode().Perm()
	s, found, err := readState(a.path + suffix)
	switch {
	case err != nil:
		return err
	case !found && info.Size() > 0:
		err := rejot.Errorf(rejot.Conflict, "%s holds something already, and there is no %s%s", a.path, a.path, suffix)
		return rejot.WithMend(err, "choose another file, or remove this one")
	case !found: // before the first line, so that a line is never there without a cursor
		s = state{cursor: rejot.Cursor{Consumer: a.consumer.ID()}}
		if err := replace(a.path+suffix, s, a.mode, a.step); err != nil {
			return err
		}
	case s.cursor.Consumer != a.consumer.ID():
		err := rejot.Errorf(rejot.Conflict, "%s was written by %s, and this is %s", a.path, s.cursor.Consumer, a.consumer.ID())
		return rejot.WithMend(err, "choose another file, or remove this one and %s%s", a.path, suffix)
	case info.Size() < s.length:
		err := rejot.Errorf(rejot.Corrupt, "%s has %d bytes, and its cursor says %d: somebody else has changed it", a.path, info.Size(), s.length)
		return rejot.WithMend(err, "rm %s %[1]s%s, to begin with a backfill", a.path, suffix)
	}
	a.now = s
	if err := a.cut(); err != nil {
		return err
	}
	a.unsure = false
	return nil
}

// cut takes away the lines that no cursor speaks of.
func (a *Applier) cut() error {
	if err := a.file.Truncate(a.now.length); err != nil {
		return failed("cut off an unfinished batch", err)
	}
	return nil
}

// Cursors gives the consumer's cursor, as it is on the disk.
func (a *Applier) Cursors(context.Context) ([]rejot.Cursor, error) {
	if a.unsure {
		if err := a.load(); err != nil {
			return nil, err
		}
	}
	if a.now.cursor.Position.IsZero() {
		return nil, nil
	}
	return []rejot.Cursor{a.now.cursor}, nil
}

// Apply appends the lines of a batch and then moves the cursor.
func (a *Applier) Apply(ctx context.Context, moves []rejot.Move, b *rejot.Batch) ([]rejot.Outcome, error) {
	move, err := only(a.consumer, moves)
	switch {
	case err != nil:
		return nil, err
	case a.unsure:
		return nil, rejot.Errorf(rejot.Transient, "%s: it is not known what the last batch has left", a.path)
	case move.From.Position != a.now.cursor.Position:
		return nil, rejot.Errorf(rejot.Conflict, "the cursor of %s is at %s and not at %s: another instance has written", a.path, a.now.cursor.Position, move.From.Position)
	}
	a.unsure = true
	outcome, length, err := a.write(ctx, b)
	if err == nil && outcome.Err == nil {
		next := state{length: length, cursor: move.To}
		if err = replace(a.path+suffix, next, a.mode, a.step); err == nil {
			a.now, a.unsure = next, false
			return []rejot.Outcome{outcome}, nil
		}
		return nil, err // it may be there, or not: load will tell
	}
	if cutErr := a.cut(); cutErr != nil {
		return nil, errors.Join(err, cutErr)
	}
	a.unsure = false
	if err != nil {
		return nil, err
	}
	return []rejot.Outcome{outcome}, nil
}

// write appends and syncs lines, and gives how long the file is then.
func (a *Applier) write(ctx context.Context, b *rejot.Batch) (rejot.Outcome, int64, error) {
	out := rejot.Outcome{Consumer: a.consumer.ID()}
	if _, err := a.file.Seek(a.now.length, io.SeekStart); err != nil {
		return out, 0, failed("write the file", err)
	}
	if err := a.step("lines.write"); err != nil {
		return out, 0, err
	}
	out, err := encodeBatch(ctx, a.file, a.consumer, b)
	if err != nil || out.Err != nil {
		return out, 0, err
	}
	if err := a.step("lines.sync"); err != nil {
		return out, 0, err
	}
	length, err := a.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return out, 0, failed("write the file", err)
	}
	if length > a.now.length {
		err = a.file.Sync()
	}
	if err != nil {
		return out, 0, failed("sync the file", err)
	}
	return out, length, a.step("lines.synced")
}

// encodeBatch writes the events of a batch for a consumer. What refuses one event is the outcome's error.
func encodeBatch(ctx context.Context, w io.Writer, c *contract.Consumer, b *rejot.Batch) (rejot.Outcome, error) {
	out := rejot.Outcome{Consumer: c.ID()}
	e := &encoder{out: bufio.NewWriterSize(w, 64<<10), consumer: c, names: map[*rejot.Shape]*names{}}
	n := 0
	for ev, err := range b.Events {
		if err != nil {
			return out, err
		}
		if n++; n%1000 == 0 && ctx.Err() != nil {
			return out, rejot.Errorf(rejot.Transient, "write a batch: %w", ctx.Err())
		}
		if err := e.event(ev); err != nil {
			out.Err = err
			return out, nil
		}
	}
	if err := e.out.Flush(); err != nil {
		return out, failed("write the lines", err)
	}
	out.Upserts, out.Deletes = e.upserts, e.deletes
	return out, nil
}

// only gives the one move that there is.
func only(c *contract.Consumer, moves []rejot.Move) (rejot.Move, error) {
	if len(moves) != 1 || moves[0].To.Consumer != c.ID() {
		return rejot.Move{}, rejot.Errorf(rejot.NotFound, "a batch comes for %d consumer schemas, and only %s writes here", len(moves), c.ID())
	}
	return moves[0], nil
}

// Check finds nothing wrong.
func (a *Applier) Check(string, *rejot.Shape) error { return nil }

// Ways is empty.
func (a *Applier) Ways(string) []apply.Way { return nil }

// Drop forgets the cursor, so that the file begins again with a backfill; lines that are there stay.
func (a *Applier) Drop(_ context.Context, consumer string) error {
	if consumer == "" {
		if err := os.Remove(a.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return failed("remove the cursor", err)
		}
		return nil
	}
	a.now.cursor = rejot.Cursor{Consumer: a.consumer.ID()}
	return replace(a.path+suffix, a.now, a.mode, a.step)
}

// Close lets go of the file.
func (a *Applier) Close() error { return a.file.Close() }
