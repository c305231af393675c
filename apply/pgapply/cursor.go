package pgapply

import (
	"context"
	"fmt"
	"strconv"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
)

// Statements of our own, prepared in each connection.
const (
	stBegin     = "rejot_begin"
	stDefer     = "rejot_defer"
	stImmediate = "rejot_immediate"
	stInsert    = "rejot_cursor_insert"
	stMove      = "rejot_cursor_move"
	stCommit    = "rejot_commit"
	stPlaces    = "rejot_places"
	stRollback  = "rejot_rollback"
	stPark      = "rejot_park"
	stRepark    = "rejot_park_again"
	stParkMore  = "rejot_park_more"
	stUnpark    = "rejot_unpark"
)

// own statements. A cursor that is not where it should be is a division by zero, so that the statements
// behind it in the pipeline are not executed.
var ownStatements = [...]struct{ name, sql string }{
	{stBegin, `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE`},
	{stDefer, `SET CONSTRAINTS ALL DEFERRED`},
	{stImmediate, `SET CONSTRAINTS ALL IMMEDIATE`},
	{stCommit, `COMMIT`},
	{stPlaces, placesSQL},
	{stRollback, `ROLLBACK`},
	{stInsert, `WITH moved AS (
		INSERT INTO rejot.cursor (consumer, source, incarnation, position, contract, backfill_done, backfill_after, backfill_view, backfill_rows, backfill_estimate, queries)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT DO NOTHING RETURNING 1)
		SELECT 1 / count(*) FROM moved`},
	{stMove, `WITH moved AS (
		UPDATE rejot.cursor SET source = $2, incarnation = $3, position = $4, contract = $5, backfill_done = $6, backfill_after = $7,
			backfill_view = $8, backfill_rows = $9, backfill_estimate = $10, queries = $11, error = NULL, updated_at = now()
		WHERE consumer = $1 AND incarnation = $12 AND position = $13 RETURNING 1)
		SELECT 1 / count(*) FROM moved`},
	{stPark, `INSERT INTO rejot.quarantine (consumer, key, statements, error) VALUES ($1, $2, $3, $4)
		ON CONFLICT (consumer, key) DO UPDATE SET statements = EXCLUDED.statements, error = EXCLUDED.error, updated_at = now()`},
	{stRepark, `WITH parked AS (
		UPDATE rejot.quarantine SET statements = $3, updated_at = now() WHERE consumer = $1 AND key = $2 RETURNING 1)
		SELECT 1 / count(*) FROM parked`},
	{stParkMore, `WITH parked AS (
		UPDATE rejot.quarantine SET statements = (left(statements::text, -1) || ',' || ltrim($3::text, '['))::json, updated_at = now()
		WHERE consumer = $1 AND key = $2 RETURNING 1)
		SELECT 1 / count(*) FROM parked`},
	{stUnpark, `DELETE FROM rejot.quarantine WHERE consumer = $1`},
}

// moveParams gives the statement that moves a cursor, and its parameters.
func moveParams(m rejot.Move) (name string, params [][]byte, err error) {
	c := m.To
	after, err := apply.EncodeKey(c.Backfill.After)
	if err != nil {
		return "", nil, err
	}
	params = [][]byte{
		text(c.Consumer), text(c.Source), text(string(c.Position.Incarnation)), text(c.Position.String()), text(c.Contract),
		text(strconv.FormatBool(c.Backfill.Done)), after, text(strconv.Itoa(c.Backfill.View)),
		text(strconv.FormatInt(c.Backfill.Rows, 10)), text(strconv.FormatInt(c.Backfill.Estimate, 10)), text(c.Queries),
	}
	if m.From.Position.IsZero() {
		return stInsert, params, nil
	}
	return stMove, append(params, text(string(m.From.Position.Incarnation)), text(m.From.Position.String())), nil
}

// Cursors reads the cursor of every consumer that has a row.
func (a *Applier) Cursors(ctx context.Context) ([]rejot.Cursor, error) {
	if err := a.connect(ctx); err != nil {
		return nil, err
	}
	rows, err := a.exec(ctx, `SELECT consumer, source, incarnation, position, contract, backfill_done, backfill_after, backfill_view, backfill_rows, backfill_estimate, queries
		FROM rejot.cursor ORDER BY consumer`)
	if err != nil {
		return nil, err
	}
	places, err := a.exec(ctx, placesSQL) // what could be read is below it
	if err != nil {
		return nil, err
	}
	cursors := make([]rejot.Cursor, len(rows))
	for i, row := range rows {
		if cursors[i], err = readCursor(row); err != nil {
			return nil, rejot.Errorf(rejot.Corrupt, "%s: cursor of %s: %w", a.connection, row[0], err)
		}
	}
	clear(a.durable)
	a.marks, a.lost = nil, false
	return cursors, a.committed(cursors, places[0][0])
}

func readCursor(row [][]byte) (rejot.Cursor, error) {
	c := rejot.Cursor{Consumer: string(row[0]), Source: string(row[1]), Contract: string(row[4]), Queries: string(row[10])}
	var err error
	if c.Position, err = rejot.ParsePosition(rejot.Incarnation(row[2]), string(row[3])); err != nil {
		return c, err
	}
	b := &c.Backfill
	b.Done = string(row[5]) == "t"
	if b.After, err = apply.DecodeKey(row[6]); err != nil {
		return c, fmt.Errorf("last key of the backfill: %w", err)
	}
	if b.View, err = strconv.Atoi(string(row[7])); err != nil {
		return c, err
	}
	if b.Rows, err = strconv.ParseInt(string(row[8]), 10, 64); err != nil {
		return c, err
	}
	b.Estimate, err = strconv.ParseInt(string(row[9]), 10, 64)
	return c, err
}
