package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"rejot.dev/rejot"
)

const (
	catchupWithin = 5 * time.Minute
	advanceWithin = 2 * time.Minute
	stopWithin    = time.Minute
)

// A system is one way of replication.
type system interface {
	// start lets it follow the source, and returns at once. It may run already.
	start(ctx context.Context) error
	// stop ends it, and returns when nothing of it runs. It may have been stopped.
	stop(ctx context.Context) error
	// clear stops it and takes everything away: rows, slot, position. The next start begins with all rows.
	clear(ctx context.Context) error
	// usage tells what its processes have taken since they started.
	usage(ctx context.Context) (usage, error)
	// trouble tells what it says about itself; an error where it will not go on.
	trouble(ctx context.Context) (string, error)
}

// A usage is what the processes of one side have taken since they started.
type usage struct {
	CPU   float64   // seconds
	Peak  int64     // bytes, of the largest
	Ready time.Time // when it had started
	// Stages are where the time of a program went, in seconds; nil where it does not tell.
	Stages map[string]float64
}

// A side is a system with its destination.
type side struct {
	system
	name string
	db   *database
	row  int64 // the marker's
	// sees asks which of some rows have a name that begins so; number counts the rows that the source has as accounts.
	sees, number string
	// total sums up the destination, and expected does the same at the source.
	total, expected string
}

// look tells which of some rows have a name that begins with tag.
func (s *side) look(ctx context.Context, rows []int64, tag string) ([]int64, error) {
	return lookOn(ctx, s.db.conn, s.sees, rows, tag)
}

// lookOn is look on a session of its own. pgx prepares the query once.
func lookOn(ctx context.Context, conn *pgx.Conn, sees string, rows []int64, tag string) ([]int64, error) {
	found, err := conn.Query(ctx, sees, rows, tag)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, pgx.RowTo[int64])
}

// await waits until the destination shows the marker's name, and gives the time when it did.
func (s *side) await(ctx context.Context, name string) (at time.Time, err error) {
	asked, trouble := 0, "it does not say why"
	err = until(ctx, s.name+" shows "+name, catchupWithin, 2*time.Millisecond, func() (bool, string, error) {
		seen, err := s.look(ctx, []int64{s.row}, name)
		at = time.Now()
		if err != nil || len(seen) == 1 {
			return true, "", err
		}
		if asked++; asked%500 == 0 { // each second or two
			trouble, err = s.trouble(ctx)
		}
		return false, trouble, err
	})
	return at, err
}

// verify compares the destination with the source.
func (s *side) verify(ctx context.Context, w *world) error {
	want, known := w.sums[s.expected]
	if !known {
		var err error
		if want, err = w.source.text(ctx, s.expected); err != nil {
			return err
		}
		w.sums[s.expected] = want
	}
	got, err := s.db.text(ctx, s.total)
	if err != nil {
		return err
	}
	if got != want {
		return rejot.Errorf(rejot.Corrupt, "%s: the destination is not what the source is: rows and sum of hashes are %s, want %s", s.name, got, want)
	}
	return nil
}
