package engine

import (
	"context"
	"errors"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/failpoint"
	"rejot.dev/rejot/publish"
)

// admit gives the parts of a job whose consumers still stand where the job begins. What the others
// miss is owed to them.
func (p *Producer) admit(j *job) []part {
	p.mu.Lock()
	defer p.mu.Unlock()
	var in []part
	for _, part := range j.parts {
		if part.known && part.state != Stopped && part.at.Position == part.move.From.Position && j.ctx.Err() == nil {
			in = append(in, part)
			continue
		}
		part.jobs--
		p.oweJob(j, part.consumer)
	}
	return in
}

// oweJob makes a job's keys owed to a consumer that did not get them.
func (p *Producer) oweJob(j *job, c *consumer) {
	c.renew()
	if p.session != j.session {
		return // the log after the cursor has them
	}
	if j.left == nil {
		j.left = map[*consumer]bool{}
	}
	j.left[c] = true
	err := j.session.owe(c, &publish.Cut{Keys: j.keys, For: map[string]*publish.Keys{c.ID(): j.owed[c]}})
	if err != nil && p.fatal == nil {
		p.fatal = err
	}
}

// applied notes what became of a job that was committed.
func (p *Producer) applied(j *job, parts []part, outcomes []rejot.Outcome) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, part := range parts {
		part.jobs--
		o := outcomes[i]
		if o.Err != nil {
			part.fail(o.Err, now)
			p.oweJob(j, part.consumer)
			p.log.Warn("consumer left behind", "consumer", part.ID(), "state", string(part.state), "error", o.Err)
			continue
		}
		part.adapt(now.Sub(part.begun), part.move)
		part.at = part.move.To
		part.settled()
		part.upserts += o.Upserts
		part.deletes += o.Deletes
		part.batches++
		if part.err == nil || part.since.Before(part.begun) { // else it has failed since, by a later batch
			part.well(now)
		}
		if part.jobs == 0 && part.owed.Empty(nil) {
			part.behind = now
		}
	}
}

// adapt lets the backfill's piece follow the time that the last one took.
func (c *consumer) adapt(took time.Duration, m rejot.Move) {
	if m.From.Backfill.Done {
		return
	}
	switch {
	case took < chunkAim/2:
		c.chunk = min(2*c.chunk, largestChunk)
	case took > 2*chunkAim:
		c.chunk = max(c.chunk/2, firstChunk/10)
	}
}

// giveBack makes the keys of a job owed that was not committed. cause is the destination's failure,
// after which its cursors have to be read again; nil where the batch could not be made.
func (p *Producer) giveBack(j *job, parts []part, cause error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, part := range parts {
		part.jobs--
		if cause != nil {
			part.known = false
			part.doubt = part.move.To
			if part.state != Stopped && j.ctx.Err() == nil { // a job that was called off is nobody's failure
				part.state, part.err, part.outside, part.since, part.retryAt = Retrying, cause, true, now, now
			}
		}
		p.oweJob(j, part.consumer)
	}
}

// found notes where a destination's cursors are. Within a session, a consumer whose cursor is neither
// where it was nor where a lost commit would have put it is written by somebody else, which may happen once in
// onceIn. At a session's begin nothing of ours is on its way, and the cursors are the truth: an instance that
// read the slot meanwhile may have moved them. One that has vanished is somebody's doing then too.
func (p *Producer) found(d *Destination, cursors []rejot.Cursor, begin bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.consumers {
		if c.dest != d {
			continue
		}
		at := rejot.Cursor{Consumer: c.ID(), Source: p.Name}
		for _, x := range cursors {
			if x.Consumer == c.ID() {
				at = x
			}
		}
		first := c.moved.IsZero()
		lost := !c.known && at.Position == c.doubt.Position
		moved := begin && !at.Position.IsZero()
		undone := c.undone(at.Position)
		other := !first && !lost && !moved && !undone && at.Position != c.at.Position
		if other && now.Sub(c.met) > onceIn {
			// An instance that was before us has ended, and its last commit came after our look at the cursors; or one is
			// there, and the slot will say so.
			c.met, undone = now, true
			p.log.Warn("the cursor is not where it was left: another instance has written; the log is read again from there", "consumer", c.ID(), "left", c.at.Position.String(), "found", at.Position.String())
		} else if other {
			err := rejot.Errorf(rejot.Conflict, "%s: its cursor in %s is at %s and was left at %s: another instance has written", c.Consumer, d.Name, at.Position, c.at.Position)
			c.fail(rejot.WithMend(err, "stop the other instance, then: rejot resume %s", c.Name), now)
			continue
		}
		waiting := !c.known
		c.at, c.known = at, begin || !undone
		c.renew()
		if begin {
			c.safe = rejot.Position{}
		}
		c.settled()
		if !c.known {
			p.undone = true
			continue
		}
		if first {
			c.moved = now
		}
		if waiting && c.outside && c.state != Stopped {
			c.well(now)
		}
	}
	p.signal()
}

// onceIn is how often a cursor may be found where somebody else has put it.
const onceIn = time.Minute

// settled notes that c is durable where it is at once.
func (c *consumer) settled() {
	if c.dest.lazy == nil {
		c.safe = c.at.Position
	}
}

// undone reports whether a crash of the destination, which had not yet written everything to its disk, has put
// c's cursor back to at.
func (c *consumer) undone(at rejot.Position) bool {
	if c.dest.lazy == nil || c.at.Position.IsZero() {
		return false
	}
	if at.IsZero() {
		return c.safe.IsZero()
	}
	lost, err1 := at.Compare(c.at.Position)
	kept := 0
	var err2 error
	if !c.safe.IsZero() {
		kept, err2 = c.safe.Compare(at)
	}
	return err1 == nil && err2 == nil && lost < 0 && kept <= 0
}

// hardened notes what a crash of the destination would leave. It reports whether there is more.
func (p *Producer) hardened(d *Destination, cursors []rejot.Cursor) (more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.consumers {
		if c.dest != d {
			continue
		}
		for _, x := range cursors {
			if x.Consumer == c.ID() && x.Source == p.Name {
				c.safe = x.Position
			}
		}
		more = more || c.safe != c.at.Position
	}
	p.signal()
	return more
}

// ended lets go of a job.
func (p *Producer) ended(j *job) {
	err := j.release()
	p.mu.Lock()
	if err != nil && p.fatal == nil {
		p.fatal = err
	}
	p.flying[j.dest]--
	p.idle.Broadcast()
	p.mu.Unlock()
	p.signal()
}

// confirm lets the source forget what every consumer has committed, and no crash would undo.
func (s *session) confirm(ctx context.Context) error {
	p := s.producer
	p.mu.Lock()
	var low rejot.Position
	fatal := p.fatal
	var unlike error
	for _, c := range p.consumers {
		if c.at.Position.IsZero() {
			if c.jobs > 0 || !c.known { // its first row may come to be at a place that is passed meanwhile
				p.mu.Unlock()
				return fatal
			}
			continue // its backfill will have everything
		}
		at := c.safe
		if at.IsZero() {
			p.mu.Unlock()
			return fatal
		}
		if low.IsZero() {
			low = at
		}
		order, err := at.Compare(low)
		unlike = errors.Join(unlike, err)
		if order < 0 {
			low = at
		}
	}
	p.mu.Unlock()
	if err := errors.Join(fatal, unlike); err != nil || low.IsZero() {
		return err
	}
	if err := failpoint.Hit("confirm.before"); err != nil {
		return err
	}
	if err := p.src.Confirm(ctx, low); err != nil {
		return err
	}
	return failpoint.Hit("confirm.after")
}
