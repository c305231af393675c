package pgapply

import (
	"context"
	"strconv"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/postgres"
)

// migrations make ReJot's own tables, each step once and in order. A step that was released is never changed.
//
// Positions have a fixed width, so that their text order is their order. A cursor's row is updated
// with every batch: a half-empty page lets that happen in place, and no index has a column that changes.
var migrations = [...]string{
	`CREATE TABLE rejot.cursor (
		consumer text PRIMARY KEY,
		source text NOT NULL,
		incarnation text NOT NULL,
		position text COLLATE "C" NOT NULL,
		contract text NOT NULL,
		queries text NOT NULL,
		backfill_done boolean NOT NULL,
		backfill_after json,
		backfill_view integer NOT NULL,
		backfill_rows bigint NOT NULL,
		backfill_estimate bigint NOT NULL,
		error text,
		updated_at timestamptz NOT NULL DEFAULT now()
	) WITH (fillfactor = 50);
	COMMENT ON TABLE rejot.cursor IS 'How far each consumer schema has come. Written in the transaction of its rows; do not edit.';
	CREATE TABLE rejot.quarantine (
		consumer text NOT NULL,
		key text NOT NULL,
		statements json NOT NULL,
		error text NOT NULL,
		since timestamptz NOT NULL DEFAULT now(),
		updated_at timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (consumer, key)
	);
	COMMENT ON TABLE rejot.quarantine IS 'Rows that a consumer schema could not write, parked while others go on.';
	REVOKE ALL ON rejot.cursor, rejot.quarantine FROM PUBLIC`,
}

// migrationLock is the key of the advisory lock under which tables are made.
const migrationLock = "7812349870123"

// migrate brings ReJot's own tables up to date. With nothing to do it needs no privilege but to read.
func (a *Applier) migrate(ctx context.Context) error {
	version, err := a.version(ctx)
	if err != nil || version == len(migrations) {
		return err
	}
	steps := `BEGIN; SELECT pg_advisory_xact_lock(` + migrationLock + `);
		CREATE SCHEMA IF NOT EXISTS rejot; REVOKE ALL ON SCHEMA rejot FROM PUBLIC;
		CREATE TABLE IF NOT EXISTS rejot.migration (room text PRIMARY KEY, version integer NOT NULL); REVOKE ALL ON rejot.migration FROM PUBLIC`
	if err := a.script(ctx, steps); err != nil {
		return a.unmigrated(err)
	}
	if version, err = a.version(ctx); err != nil { // somebody may have been faster
		return err
	}
	for ; version < len(migrations); version++ {
		if err := a.script(ctx, migrations[version]); err != nil {
			return a.unmigrated(err)
		}
	}
	return a.unmigrated(a.script(ctx, `INSERT INTO rejot.migration VALUES ('apply', `+strconv.Itoa(version)+`)
		ON CONFLICT (room) DO UPDATE SET version = EXCLUDED.version; COMMIT`))
}

// version reads which migrations have been run.
func (a *Applier) version(ctx context.Context) (int, error) {
	rows, err := a.exec(ctx, `SELECT to_regclass('rejot.migration') IS NOT NULL`)
	if err != nil || string(rows[0][0]) != "t" {
		return 0, err
	}
	rows, err = a.exec(ctx, `SELECT version FROM rejot.migration WHERE room = 'apply'`)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	version, err := strconv.Atoi(string(rows[0][0]))
	if err == nil && version > len(migrations) {
		err = rejot.Errorf(rejot.Unsupported, "the tables in schema rejot of %s are of version %d, and this program knows %d", a.connection, version, len(migrations))
		err = rejot.WithMend(err, "use the program that made them, or a newer one")
	}
	return version, err
}

func (a *Applier) unmigrated(err error) error {
	if rejot.CodeOf(err) == rejot.Denied {
		return rejot.WithMend(err, "GRANT CREATE ON DATABASE %s TO %s, or let its owner run this once", postgres.Quote(a.connection.Database), postgres.Quote(a.connection.User))
	}
	return err
}

// script runs several statements of our own.
func (a *Applier) script(ctx context.Context, sql string) error {
	ctx, end := a.within(ctx, a.stall)
	defer end()
	_, err := a.conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return a.named(because(ctx, err)) // connect drops the connection
	}
	return nil
}

// dropTables removes all that migrate made. Other rooms of the program may have tables in the schema too.
func (a *Applier) dropTables(ctx context.Context) error {
	err := a.script(ctx, `BEGIN; SELECT pg_advisory_xact_lock(`+migrationLock+`);
		DROP TABLE IF EXISTS rejot.cursor, rejot.quarantine;
		DELETE FROM rejot.migration WHERE room = 'apply';
		DO $$ BEGIN
			IF NOT EXISTS (SELECT FROM rejot.migration) THEN DROP TABLE rejot.migration; END IF;
			IF NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'rejot'::regnamespace) THEN DROP SCHEMA rejot; END IF;
		END $$;
		COMMIT`)
	a.drop() // what it has prepared is gone
	return err
}
