package pgapply

import (
	"context"
	"strconv"

	"rejot.dev/rejot"
)

// A commit does not wait for the destination's disk (synchronous_commit=off), as native apply does not.
// A crash of the server may undo the last commits, rows and cursors together. So the source
// may forget what is before a cursor only when that is on disk: after each commit we note how far the
// server's log goes, and Durable asks how far it is flushed.
//
// A note holds for the session that made it. After a crash the log goes on from an earlier place, and what
// was committed below a noted place may be gone; but then the session is gone as well. What a new session
// reads as cursors is noted anew.
//
// Where the server waits for synchronous standbys its administrator wants commits to be
// elsewhere too, and nothing is changed.

// A mark says that cursors are on disk when the server's log is flushed to a place.
type mark struct {
	place   uint64
	cursors []rejot.Cursor
}

// placesSQL gives how far the log is written and how far it is flushed.
const placesSQL = `SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, pg_current_wal_flush_lsn() - '0/0'::pg_lsn`

// Durable gives the cursors, by the last Cursors and by every Apply since, that a crash of the server
// would not undo. Code Transient: the session was lost, and with it maybe more.
func (a *Applier) Durable(ctx context.Context) ([]rejot.Cursor, error) {
	if a.lost {
		return nil, rejot.Errorf(rejot.Transient, "%s: the session has ended before what it committed was known to be on disk", a.connection)
	}
	if len(a.marks) > 0 {
		rows, err := a.exec(ctx, placesSQL)
		if err != nil {
			return nil, err
		}
		flushed, err := strconv.ParseUint(string(rows[0][1]), 10, 64)
		if err != nil {
			return nil, rejot.Errorf(rejot.Corrupt, "%s: how far the log is flushed: %w", a.connection, err)
		}
		for len(a.marks) > 0 && a.marks[0].place <= flushed {
			a.harden(a.marks[0].cursors)
			a.marks = a.marks[1:]
		}
	}
	all := make([]rejot.Cursor, 0, len(a.durable))
	for _, c := range a.durable {
		all = append(all, c)
	}
	return all, nil
}

func (a *Applier) harden(cursors []rejot.Cursor) {
	for _, c := range cursors {
		a.durable[c.Consumer] = c
	}
}

// committed notes cursors that are on disk when the log is flushed to place, given as the server's text.
func (a *Applier) committed(cursors []rejot.Cursor, place []byte) error {
	if !a.lazy {
		a.harden(cursors)
		return nil
	}
	at, err := strconv.ParseUint(string(place), 10, 64)
	if err != nil {
		return rejot.Errorf(rejot.Transient, "%s: how far the log is written: %w", a.connection, err)
	}
	a.marks = append(a.marks, mark{at, cursors})
	return nil
}
