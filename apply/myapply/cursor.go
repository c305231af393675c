package myapply

import (
	"context"
	"fmt"
	"strconv"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/internal/mysql"
)

const (
	insertCursor = `INSERT INTO rejot_cursor (source, incarnation, position, contract, backfill_done, backfill_after,
		backfill_view, backfill_rows, backfill_estimate, queries, consumer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	moveCursor = `UPDATE rejot_cursor SET source = ?, incarnation = ?, position = ?, contract = ?, backfill_done = ?, backfill_after = ?,
		backfill_view = ?, backfill_rows = ?, backfill_estimate = ?, queries = ?, error = NULL, writes = writes + 1
		WHERE consumer = ? AND incarnation = ? AND position = ?`
	readCursors = `SELECT consumer, source, incarnation, position, contract, backfill_done, backfill_after,
		backfill_view, backfill_rows, backfill_estimate, queries FROM rejot_cursor ORDER BY consumer`
)

// parking are the statements of the quarantine.
type parking struct{ key, again, more, all *mysql.Stmt }

// prepareOwn prepares what moves cursors and what parks.
func (a *Applier) prepareOwn(ctx context.Context) (err error) {
	for _, own := range []struct {
		st  **mysql.Stmt
		sql string
	}{
		{&a.insert, insertCursor},
		{&a.move, moveCursor},
		{&a.parking.key, parkKey},
		{&a.parking.again, parkAgain},
		{&a.parking.more, parkMore},
		{&a.parking.all, unpark},
	} {
		if *own.st, err = a.session.Prepare(ctx, own.sql); err != nil {
			err = rejot.Errorf(rejot.CodeOf(err), "prepare to write ReJot's tables in %s: %w", a.connection, err)
			if rejot.CodeOf(err) == rejot.Denied {
				err = rejot.WithMend(err, "GRANT SELECT, INSERT, UPDATE, DELETE on %[1]s.rejot_cursor and %[1]s.rejot_quarantine TO %[2]s",
					mysql.Quote(a.connection.Database), mysql.Quote(a.connection.User))
			}
			return err
		}
	}
	return a.readParked(ctx)
}

// cursorStatement gives the statement that moves a cursor, and its parameters.
func (a *Applier) cursorStatement(m rejot.Move, room []mysql.Param) (*mysql.Stmt, []mysql.Param, error) {
	c := m.To
	key, err := apply.EncodeKey(c.Backfill.After)
	if err != nil {
		return nil, nil, err
	}
	after := mysql.Null()
	if key != nil {
		after = mysql.String(string(key))
	}
	done := int64(0)
	if c.Backfill.Done {
		done = 1
	}
	params := append(room, mysql.String(c.Source), mysql.String(string(c.Position.Incarnation)), mysql.String(c.Position.String()),
		mysql.String(c.Contract), mysql.Int(done), after, mysql.Int(int64(c.Backfill.View)),
		mysql.Int(c.Backfill.Rows), mysql.Int(c.Backfill.Estimate), mysql.String(c.Queries), mysql.String(c.Consumer))
	if m.From.Position.IsZero() {
		return a.insert, params, nil
	}
	return a.move, append(params, mysql.String(string(m.From.Position.Incarnation)), mysql.String(m.From.Position.String())), nil
}

func (a *Applier) conflict(m rejot.Move) error {
	if m.From.Position.IsZero() {
		return rejot.Errorf(rejot.Conflict, "%s has a cursor of %s already: another instance has written", a.connection, m.To.Consumer)
	}
	return rejot.Errorf(rejot.Conflict, "the cursor of %s in %s is not at %s: another instance has written", m.To.Consumer, a.connection, m.From.Position)
}

// Cursors reads the cursor of every consumer that has a row.
func (a *Applier) Cursors(ctx context.Context) ([]rejot.Cursor, error) {
	if err := a.connect(ctx); err != nil {
		return nil, err
	}
	rows, err := a.query(ctx, readCursors)
	if err != nil {
		return nil, err
	}
	cursors := make([]rejot.Cursor, len(rows))
	for i, row := range rows {
		if cursors[i], err = readCursor(row); err != nil {
			return nil, rejot.Errorf(rejot.Corrupt, "%s: cursor of %s: %w", a.connection, cursors[i].Consumer, err)
		}
	}
	return cursors, nil
}

func readCursor(row []rejot.Value) (rejot.Cursor, error) {
	texts := make([]string, len(row))
	for i, v := range row {
		texts[i], _ = v.Text()
	}
	c := rejot.Cursor{Consumer: texts[0], Source: texts[1], Contract: texts[4], Queries: texts[10]}
	var err error
	if c.Position, err = rejot.ParsePosition(rejot.Incarnation(texts[2]), texts[3]); err != nil {
		return c, err
	}
	b := &c.Backfill
	b.Done = texts[5] == "1"
	if text, ok := row[6].Text(); ok {
		b.After, err = apply.DecodeKey([]byte(text))
	}
	if err != nil {
		return c, fmt.Errorf("last key of the backfill: %w", err)
	}
	if b.View, err = strconv.Atoi(texts[7]); err != nil {
		return c, err
	}
	if b.Rows, err = strconv.ParseInt(texts[8], 10, 64); err != nil {
		return c, err
	}
	b.Estimate, err = strconv.ParseInt(texts[9], 10, 64)
	return c, err
}
