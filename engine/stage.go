package engine

import (
	"sync/atomic"
	"time"
)

// A Stage is a part of a change's way, and how long the program has been at it since it began. Stages
// overlap, so that they sum up to more than the time that has passed.
type Stage struct {
	Name string
	Time time.Duration
}

// The stages, in the order of a change's way.
const (
	stageDecode     = iota // the log's messages become changes and their tuples
	stageAlignment         // a snapshot is opened, and the log is read to its place
	stageKeys              // changed rows lead to keys
	stageEvaluation        // keys become rows
	stageApply             // rows are written, but for the commit
	stageCommit
	stageWaiting // nothing to make a batch of
	stages
)

var stageNames = [stages]string{"decode", "alignment", "keys", "evaluation", "apply", "commit", "waiting"}

// times sums up what stages take. It may be used from any goroutine.
type times [stages]atomic.Int64

// since adds the time from begin until now to a stage.
func (t *times) since(stage int, begin time.Time) { t[stage].Add(int64(time.Since(begin))) }

// Stages tells where the time went, over all sources and destinations.
func (e *Engine) Stages() []Stage {
	var sum [stages]time.Duration
	add := func(t *times) {
		for i := range t {
			sum[i] += time.Duration(t[i].Load())
		}
	}
	for _, p := range e.Producers {
		add(&p.times)
		if d, ok := p.src.(interface{ Decoding() time.Duration }); ok {
			sum[stageDecode] += d.Decoding()
		}
	}
	for _, d := range e.Destinations {
		add(&d.times)
		if c, ok := d.applier.(interface{ Committing() time.Duration }); ok {
			sum[stageCommit] += c.Committing()
			sum[stageApply] -= c.Committing()
		}
	}
	list := make([]Stage, stages)
	for i, name := range stageNames {
		list[i] = Stage{name, sum[i]}
	}
	return list
}
