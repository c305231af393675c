package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
)

// showProgress draws a bar for each backfill while there is one, on a terminal; elsewhere it logs
// when one ends. The channel is closed when it has ended, with ctx.
func (a *app) showProgress(ctx context.Context, p *program, log *slog.Logger) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := &bars{log: log, trackers: map[string]*progress.Tracker{}, ended: map[string]bool{}}
		if a.terminal {
			b.writer = progress.NewWriter()
			b.writer.SetOutputWriter(a.stderr)
			b.writer.SetUpdateFrequency(200 * time.Millisecond)
			b.writer.Style().Visibility.Speed = true
			b.writer.Style().Visibility.ETA = true
		}
		b.run(ctx, p)
	}()
	return done
}

type bars struct {
	log      *slog.Logger
	writer   progress.Writer // nil where there is no terminal
	trackers map[string]*progress.Tracker
	ended    map[string]bool
	drawing  chan struct{}
}

func (b *bars) run(ctx context.Context, p *program) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		b.update(p)
		select {
		case <-ctx.Done():
			b.end()
			return
		case <-tick.C:
		}
	}
}

func (b *bars) update(p *program) {
	open := false
	for _, l := range p.engine.Status() {
		if b.ended[l.Consumer] {
			continue
		}
		if l.Backfill.Done {
			b.ended[l.Consumer] = true
			if t := b.trackers[l.Consumer]; t != nil {
				t.SetValue(l.Backfill.Rows)
				t.MarkAsDone()
			}
			b.log.Info("backfill is complete", "consumer", l.Consumer, "keys", l.Backfill.Rows)
			continue
		}
		open = true
		if b.writer != nil {
			b.draw(l.Consumer, l.Backfill.Rows, max(l.Backfill.Estimate, l.Backfill.Rows+1))
		}
	}
	if !open {
		b.end()
	}
}

func (b *bars) draw(consumer string, rows, estimate int64) {
	t := b.trackers[consumer]
	if t == nil {
		t = &progress.Tracker{Message: "backfill " + consumer, Total: estimate}
		b.trackers[consumer] = t
		b.writer.AppendTracker(t)
	}
	if b.drawing == nil {
		b.drawing = make(chan struct{})
		go func(w progress.Writer, done chan struct{}) {
			defer close(done)
			w.Render()
		}(b.writer, b.drawing)
	}
	t.UpdateTotal(estimate)
	t.SetValue(rows)
}

// end waits for the last picture.
func (b *bars) end() {
	if b.drawing == nil {
		return
	}
	b.writer.Stop()
	<-b.drawing
	b.drawing = nil
}
