package engine

import (
	"context"
	"sync/atomic"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/publish"
)

// A shared batch is one evaluation on its way to one or more destinations.
type shared struct {
	ctx    context.Context //nolint:containedctx // of the session that makes the batch: who applies it ends with it
	batch  *rejot.Batch
	events *publish.Events
	keys   *publish.Keys               // for everyone in it; while it grows, the producer's mutex guards it
	owed   map[*consumer]*publish.Keys // for one each
	left   map[*consumer]bool          // were owed its keys while it grew, of which they had no part; the producer's mutex guards it
	refs   atomic.Int32
	fault  atomic.Pointer[error] // why it could not be evaluated
}

// fail ends the events with an error.
func (s *shared) fail(err error) {
	s.fault.Store(&err)
	s.events.Finish(err)
}

// release lets go of the keys and events when the last user has.
func (s *shared) release() error {
	if s.refs.Add(-1) > 0 {
		return nil
	}
	err := s.events.Close()
	for _, k := range s.owed {
		if e := k.Close(); err == nil {
			err = e
		}
	}
	if e := s.keys.Close(); err == nil {
		err = e
	}
	return err
}

// A job is a batch on its way to one destination.
type job struct {
	*shared
	session *session
	dest    *Destination
	parts   []part
}

// A part is one consumer's place in a job.
type part struct {
	*consumer
	move  rejot.Move
	begun time.Time
}
