package main

import (
	"context"
	"strconv"
	"time"
)

// runBackfill measures how long each side takes to copy all accounts into an empty table. The first copies of the subscription
// are of that table alone; a second one, of all that ReJot's query reads, is noted beside it, and stays.
func runBackfill(ctx context.Context, w *world, j job, r *round) error {
	for _, s := range w.inTurn(r.Round) {
		got, err := w.copyAnew(ctx, s, "account")
		if err != nil {
			return err
		}
		w.tell(j, r, s, got)
		if err := w.leave(ctx, s); err != nil {
			return err
		}
	}
	got, err := w.copyAnew(ctx, w.sides[0], bothTables)
	if err != nil {
		return err
	}
	r.Both = got.Seconds
	w.say("%s %d: native %.2f s with the e-mails", j.name, r.Round+1, got.Seconds)
	w.filled = true
	return w.leave(ctx, w.sides[0])
}

// ready makes sure that both sides have had all rows once.
func (w *world) ready(ctx context.Context) error {
	if w.filled {
		return nil
	}
	for _, s := range w.sides {
		w.say("%s copies the rows", s.name)
		if _, err := w.copyAnew(ctx, s, bothTables); err != nil {
			return err
		}
		if err := w.leave(ctx, s); err != nil {
			return err
		}
	}
	w.filled = true
	return nil
}

// copyAnew empties a side's destination and lets it begin from nothing. tables is for the subscription.
func (w *world) copyAnew(ctx context.Context, s *side, tables string) (sample, error) {
	w.tables = tables
	if err := s.clear(ctx); err != nil {
		return sample{}, err
	}
	if _, err := w.mark(ctx); err != nil {
		return sample{}, err
	}
	if err := w.tidy(ctx, w.source, s.db); err != nil {
		return sample{}, err
	}
	m := set(w, s, usage{})
	if err := s.start(ctx); err != nil {
		return sample{}, err
	}
	at, err := w.copied(ctx, s, tables)
	if err != nil {
		return sample{}, err
	}
	got, err := m.stop(ctx, at)
	got.Rows = w.o.rows
	return got, err
}

// copied waits until a destination has all rows, and gives the time when it had. Counting takes its time, so it is done only
// when the last row is there, which a copy in the order of the key writes last.
func (w *world) copied(ctx context.Context, s *side, tables string) (at time.Time, err error) {
	want := strconv.FormatInt(w.markerRow(), 10)
	err = until(ctx, s.name+" has all rows", catchupWithin, 50*time.Millisecond, func() (bool, string, error) {
		if at, err = s.await(ctx, ""); err != nil {
			return false, "", err
		}
		got, err := s.db.text(ctx, s.number)
		return got == want, got + " rows of " + want, err
	})
	if err != nil || s.name == programName {
		return at, err
	}
	// The other table has no marker; the server says when a table's copy is committed.
	err = until(ctx, "the subscription has copied all", catchupWithin, 2*time.Millisecond, func() (bool, string, error) {
		left, err := s.db.text(ctx, `SELECT coalesce(string_agg(srrelid::regclass || ' is ' || srsubstate::text, ', '), '') FROM pg_subscription_rel WHERE srsubstate NOT IN ('f', 's', 'r')`)
		if tables == bothTables {
			at = time.Now()
		}
		return left == "", left, err
	})
	return at, err
}
