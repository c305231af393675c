package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"rejot.dev/rejot"
)

const (
	// warmSeconds of a latency's load come first and are not counted.
	warmSeconds = 2
	// writers share the load, so that a slow commit of one does not hold the others up.
	writers = 8
	// lookEvery is the reader's pause after each question.
	lookEvery = 100 * time.Microsecond
	// lookAt is how many rows it asks for at once, the oldest first.
	lookAt = 256
	// seenWithin is the limit for the last row.
	seenWithin = 60 * time.Second
)

// runLatency measures the time from a writer's sending of its transaction until a reader at the destination sees it, at a rate.
func runLatency(ctx context.Context, w *world, j job, r *round) error {
	if err := w.ready(ctx); err != nil {
		return err
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	for _, s := range w.inTurn(r.Round) {
		if err := s.start(ctx); err != nil {
			return err
		}
		marker, err := w.mark(ctx)
		if err != nil {
			return err
		}
		if _, err := s.await(ctx, marker); err != nil {
			return err
		}
		got, err := w.steady(ctx, j, s)
		if err != nil {
			return err
		}
		w.tell(j, r, s, got)
		if err := w.leave(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// A stream is transactions at a rate: number i changes row i, once.
type stream struct {
	w     *world
	tps   int
	tag   string // the names' beginning
	begun time.Time
	sent  []atomic.Int64 // nanoseconds after begun, 0 until then; read while writers write
	seen  []int64        // the same, at the destination; the reader's
}

// steady lets the load run while a side follows, and gives its latency.
func (w *world) steady(ctx context.Context, j job, s *side) (sample, error) {
	if _, err := w.mark(ctx); err != nil { // a number of its own for the tag
		return sample{}, err
	}
	n := j.tps * (w.o.seconds + warmSeconds)
	st := &stream{w: w, tps: j.tps, tag: fmt.Sprintf("seq%d-", w.marker), sent: make([]atomic.Int64, n), seen: make([]int64, n)}
	own, err := s.usage(ctx)
	if err != nil {
		return sample{}, err
	}
	m := set(w, s, own)
	if err := st.run(ctx, s); err != nil {
		return sample{}, err
	}
	got, err := m.stop(ctx, time.Now())
	if err != nil {
		return sample{}, err
	}
	w.sums = map[string]string{}
	st.count(&got)
	return got, nil
}

// run writes and reads until everything that was written was seen.
func (st *stream) run(ctx context.Context, s *side) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reader, err := pgx.Connect(ctx, s.db.server.URL(s.db.name))
	if err != nil {
		return err
	}
	defer reader.Close(context.WithoutCancel(ctx))
	conns := make([]*pgx.Conn, writers)
	for i := range conns {
		if conns[i], err = pgx.Connect(ctx, st.w.source.server.URL("accounts")); err != nil {
			return err
		}
		defer conns[i].Close(context.WithoutCancel(ctx))
	}
	var wg sync.WaitGroup
	errs := make([]error, writers+1)
	st.begun = time.Now().Add(10 * time.Millisecond)
	for i, conn := range conns {
		wg.Go(func() {
			if errs[i] = st.write(ctx, conn, i); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Go(func() {
		if errs[writers] = st.read(ctx, reader, s); errs[writers] != nil {
			cancel()
		}
	})
	wg.Wait()
	return errors.Join(errs...)
}

// id spreads the rows over the table, as the catch-up's load does.
func (st *stream) id(i int) int64 { return 1 + int64(i)*611953%int64(st.w.o.rows) }

// write sends each writers-th transaction when it is due, or later where the one before has taken so long.
func (st *stream) write(ctx context.Context, conn *pgx.Conn, first int) error {
	for i := first; i < len(st.sent); i += writers {
		due := st.begun.Add(time.Duration(i) * time.Second / time.Duration(st.tps))
		pause(time.Until(due))
		st.sent[i].Store(max(1, int64(time.Since(st.begun))))
		if _, err := conn.Exec(ctx, `UPDATE account SET first_name = $1 || $2::bigint WHERE id = $2`, st.tag, st.id(i)); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// read looks for what was sent and not yet seen.
func (st *stream) read(ctx context.Context, conn *pgx.Conn, s *side) error {
	ids := make([]int64, 0, lookAt)
	number := make(map[int64]int, lookAt)
	last := time.Now()
	for low := 0; low < len(st.seen); {
		if err := ctx.Err(); err != nil {
			return err
		}
		ids = ids[:0]
		clear(number)
		// A writer that is late leaves a gap; beyond it others have sent already.
		for i := low; i < min(low+2*lookAt, len(st.seen)) && len(ids) < lookAt; i++ {
			if st.seen[i] == 0 && st.sent[i].Load() != 0 {
				ids = append(ids, st.id(i))
				number[st.id(i)] = i
			}
		}
		found, err := []int64(nil), error(nil)
		if len(ids) > 0 {
			found, err = lookOn(ctx, conn, s.sees, ids, st.tag)
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		at := int64(time.Since(st.begun))
		for _, id := range found {
			st.seen[number[id]] = at
		}
		if len(found) > 0 || len(ids) == 0 {
			last = time.Now()
		} else if time.Since(last) > seenWithin {
			text, err := s.trouble(ctx)
			return errors.Join(rejot.Errorf(rejot.Internal, "%s: nothing new is seen for %s, after %d of %d changes; %s", s.name, seenWithin, low, len(st.seen), text), err)
		}
		for low < len(st.seen) && st.seen[low] != 0 {
			low++
		}
		pause(lookEvery)
	}
	return nil
}

// count puts the latency of all but the first seconds into a sample.
func (st *stream) count(got *sample) {
	took := make([]int64, 0, len(st.seen))
	first := warmSeconds * st.tps
	from, to := st.sent[first].Load(), int64(0)
	for i := first; i < len(st.seen); i++ {
		sent := st.sent[i].Load()
		took = append(took, st.seen[i]-sent)
		from, to = min(from, sent), max(to, sent)
	}
	slices.Sort(took)
	got.P50, got.P95, got.P99 = percentile(took, 50), percentile(took, 95), percentile(took, 99)
	if to > from {
		got.Rate = float64(len(took)-1) / time.Duration(to-from).Seconds()
	}
}

// percentile gives milliseconds, of sorted nanoseconds.
func percentile(sorted []int64, share int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return time.Duration(sorted[(len(sorted)*share+99)/100-1]).Seconds() * 1000
}
