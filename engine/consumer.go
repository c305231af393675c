package engine

import (
	"time"

	"github.com/cenkalti/backoff/v5"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/publish"
)

// A State says what a pipeline does.
type State string

// The states of a pipeline.
const (
	Starting    State = "starting"
	Backfilling State = "backfilling"
	Running     State = "running"
	Retrying    State = "retrying" // its cause can end by itself
	Stopped     State = "stopped"  // until `rejot resume`
)

// A consumer is one consumer schema at work. The producer's mutex guards it.
type consumer struct {
	*contract.Consumer
	dest   *Destination
	schema *contract.PublicSchema

	at    rejot.Cursor   // what the destination has committed, as far as is known
	next  rejot.Cursor   // where it stands when the jobs on their way have ended
	doubt rejot.Cursor   // where it stands if the commit took place whose answer was lost
	safe  rejot.Position // what of at a crash of the destination would leave
	known bool           // at was read from the destination, and no commit is in doubt
	owed  *publish.Keys
	jobs  int // on their way
	moved time.Time
	met   time.Time // when its cursor was last where nobody of ours had put it
	chunk int       // how many keys its backfill takes at once
	whole bool      // its rows cannot be compared with those by the SQL of before; of the goroutine that makes batches

	state   State
	err     error
	outside bool      // err is the source's or the destination's: it ends when that is well
	since   time.Time // when state or err changed
	behind  time.Time // since when it has not been up to date
	retryAt time.Time // zero: not before `rejot resume`
	delay   *backoff.ExponentialBackOff
	upserts int64 // since the program began
	deletes int64
	batches int64
}

// ready reports whether a job may be made for it.
func (c *consumer) ready(now time.Time) bool {
	switch {
	case !c.known || c.state == Stopped:
		return false
	case c.state == Retrying:
		return !now.Before(c.retryAt) && c.jobs == 0
	default:
		return true
	}
}

// renew puts next where at is. Where the contract's SQL is another one than that of the cursor, its rows are gone through:
// all are written again where not all are of one known SQL, else those that differ by the two.
func (c *consumer) renew() {
	c.next = c.at
	now := c.schema.Fingerprint()
	if c.at.Contract == now {
		return
	}
	if !c.at.Backfill.Done {
		c.next.Queries = ""
	}
	c.next.Contract, c.next.Backfill = now, rejot.Backfill{}
}

// fail notes why it stands still, and until when.
func (c *consumer) fail(err error, now time.Time) {
	c.err, c.outside, c.since = err, false, now
	if !endsByItself(err) {
		c.state, c.retryAt = Stopped, time.Time{}
		return
	}
	c.state, c.retryAt = Retrying, now.Add(c.delay.NextBackOff())
}

// well notes that its destination has what c.at says.
func (c *consumer) well(now time.Time) {
	state := Running
	if !c.at.Backfill.Done {
		state = Backfilling
	}
	if c.err != nil || c.state != state {
		c.since = now
	}
	c.err, c.state, c.retryAt = nil, state, time.Time{}
	c.delay.Reset()
}

// endsByItself reports whether the cause of err may go away without a command: DESIGN section 6.
func endsByItself(err error) bool {
	switch rejot.CodeOf(err) {
	case rejot.Transient, rejot.Denied, rejot.NotFound, rejot.Invalid:
		return true
	default:
		return false
	}
}

// newDelay is how long the program waits between tries: from a tenth of a second to half a minute.
func newDelay() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 100 * time.Millisecond
	b.MaxInterval = 30 * time.Second
	return b
}
