package pglog

import (
	"context"

	"rejot.dev/rejot"
)

// Confirm lets the source forget everything up to pos: at once where the log is being read, else with the
// next Read. See rejot.Source.
func (r *reader) Confirm(_ context.Context, pos rejot.Position) error {
	r.mu.Lock()
	if pos.IsZero() || !r.confirmed.Less(pos.Horizon) {
		r.mu.Unlock()
		return nil
	}
	if in := r.incarnation; in != "" && in != pos.Incarnation {
		r.mu.Unlock()
		return rejot.Errorf(rejot.Gone, "slot %s: position %s belongs to history %s and the slot to %s", r.cfg.slot, pos, pos.Incarnation, in)
	}
	r.confirmed = pos.Horizon
	r.mu.Unlock()
	r.tell(false) // in the second gear a keeper sees to it
	return nil
}
