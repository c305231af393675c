package main

import (
	"context"
	"slices"
	"time"
)

// runCatchup lets a load happen while nobody follows, and measures how long each side takes to have all of it.
func runCatchup(ctx context.Context, w *world, j job, r *round) error {
	if err := w.ready(ctx); err != nil {
		return err
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	l := j.load(w.o)
	began := time.Now()
	marker, err := w.apply(ctx, l)
	if err != nil {
		return err
	}
	w.say("%s: %d changes, %d in a transaction, written in %.1f s", j.name, l.changes, l.each, time.Since(began).Seconds())
	if err := w.source.exec(ctx, "CHECKPOINT"); err != nil { // what the load leaves to do is not the followers'
		return err
	}
	for _, s := range w.inTurn(r.Round) {
		m := set(w, s, usage{})
		if err := s.start(ctx); err != nil {
			return err
		}
		at, err := s.await(ctx, marker)
		if err != nil {
			return err
		}
		got, err := m.stop(ctx, at)
		if err != nil {
			return err
		}
		got.Rows = l.changes
		w.tell(j, r, s, got)
		if err := w.leave(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// inTurn gives the sides, the other one first in each second round.
func (w *world) inTurn(round int) []*side {
	sides := slices.Clone(w.sides)
	if round%2 == 1 {
		slices.Reverse(sides)
	}
	return sides
}

// leave checks a side's destination, stops it, and lets its server write what it has still to write.
func (w *world) leave(ctx context.Context, s *side) error {
	if err := s.verify(ctx, w); err != nil {
		return err
	}
	if err := s.stop(ctx); err != nil {
		return err
	}
	return s.db.exec(ctx, "CHECKPOINT")
}

// tell notes a sample and says so.
func (w *world) tell(j job, r *round, s *side, got sample) {
	r.Samples[s.name] = got
	if got.Rate > 0 {
		w.say("%s %d: %s p50 %.2f ms, p95 %.2f ms, p99 %.2f ms at %.0f a second", j.name, r.Round+1, s.name, got.P50, got.P95, got.P99, got.Rate)
		return
	}
	w.say("%s %d: %s %.2f s (start %.2f s), %.1f thousand rows a second, processor %.2f s, servers %.2f s, others %.2f s, memory %d MB",
		j.name, r.Round+1, s.name, got.Seconds, got.Start, float64(got.Rows)/got.Seconds/1000, got.CPU, got.Servers, got.Others, got.Peak>>20)
}
