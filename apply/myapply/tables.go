package myapply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/mysql"
)

// ownTable is what ReJot's tables have in common. What is compared is compared byte by byte.
const ownTable = ` ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`

// migrations make ReJot's own tables, each step once and in order. A step that was released is never
// changed. A server commits before and after each of them by itself, so a step can be run again.
//
// Positions have a fixed width, so that their text order is their order. The column writes counts, so
// that what is written always is a changed row: the server tells of those only.
var migrations = [...]string{
	`CREATE TABLE IF NOT EXISTS rejot_cursor (
		consumer VARCHAR(512) NOT NULL PRIMARY KEY,
		source VARCHAR(255) NOT NULL,
		incarnation VARCHAR(512) NOT NULL,
		position CHAR(42) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		contract VARCHAR(255) NOT NULL,
		queries LONGTEXT NOT NULL,
		backfill_done BOOLEAN NOT NULL,
		backfill_after LONGTEXT,
		backfill_view INT NOT NULL,
		backfill_rows BIGINT NOT NULL,
		backfill_estimate BIGINT NOT NULL,
		writes BIGINT UNSIGNED NOT NULL DEFAULT 1,
		error TEXT,
		updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)
	)` + ownTable + ` COMMENT 'How far each consumer schema has come. Written in the transaction of its rows; do not edit.'`,
	`CREATE TABLE IF NOT EXISTS rejot_quarantine (
		consumer VARCHAR(512) NOT NULL,
		key_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		key_text LONGTEXT NOT NULL,
		statements LONGTEXT NOT NULL,
		error TEXT NOT NULL,
		writes BIGINT UNSIGNED NOT NULL DEFAULT 1,
		since TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
		updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
		PRIMARY KEY (consumer, key_hash)
	)` + ownTable + ` COMMENT 'Rows that a consumer schema could not write, parked while others go on.'`,
}

// migrate brings ReJot's own tables up to date. With nothing to do it needs no privilege but to read.
func (a *Applier) migrate(ctx context.Context) error {
	version, err := a.version(ctx)
	if err != nil || version == len(migrations) {
		return err
	}
	unlock, err := a.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if version, err = a.version(ctx); err != nil { // somebody may have been faster
		return err
	}
	steps := []string{`CREATE TABLE IF NOT EXISTS rejot_migration (room VARCHAR(64) NOT NULL PRIMARY KEY, version INT NOT NULL)` + ownTable}
	steps = append(steps, migrations[version:]...)
	steps = append(steps, fmt.Sprintf("REPLACE INTO rejot_migration VALUES ('apply', %d)", len(migrations)), "COMMIT")
	for _, step := range steps {
		if _, err := a.session.Exec(ctx, step); err != nil {
			return a.unmigrated(err)
		}
	}
	return nil
}

// lock keeps other instances from making the same tables meanwhile.
func (a *Applier) lock(ctx context.Context) (unlock func(), err error) {
	sum := sha256.Sum256([]byte(a.connection.Database))
	name := "rejot:apply:" + hex.EncodeToString(sum[:8]) // MySQL allows 64 characters
	rows, err := a.session.Query(ctx, "SELECT GET_LOCK('"+name+"', 30)")
	if err != nil {
		return nil, err
	}
	if got, _ := rows[0][0].Text(); got != "1" {
		return nil, rejot.Errorf(rejot.Transient, "%s: another instance has been making ReJot's tables for 30 s", a.connection)
	}
	return func() {
		if _, err := a.session.Query(ctx, "SELECT RELEASE_LOCK('"+name+"')"); err != nil {
			_ = a.session.Close() // the lock goes with it
		}
	}, nil
}

// version reads which migrations have been run.
func (a *Applier) version(ctx context.Context) (int, error) {
	rows, err := a.query(ctx, `SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'rejot_migration'`)
	if err != nil {
		return 0, err
	}
	if n, _ := rows[0][0].Text(); n == "0" {
		return 0, nil
	}
	rows, err = a.query(ctx, `SELECT version FROM rejot_migration WHERE room = 'apply'`)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	text, _ := rows[0][0].Text()
	version, err := strconv.Atoi(text)
	if err == nil && version > len(migrations) {
		err = rejot.Errorf(rejot.Unsupported, "the tables rejot_… of %s are of version %d, and this program knows %d", a.connection, version, len(migrations))
		err = rejot.WithMend(err, "use the program that made them, or a newer one")
	}
	return version, err
}

func (a *Applier) unmigrated(err error) error {
	err = rejot.Errorf(rejot.CodeOf(err), "make ReJot's tables in %s: %w", a.connection, err)
	if rejot.CodeOf(err) == rejot.Denied {
		return rejot.WithMend(err, "GRANT CREATE, SELECT, INSERT, UPDATE, DELETE ON %s.* TO %s, or let somebody else run this once",
			mysql.Quote(a.connection.Database), mysql.Quote(a.connection.User))
	}
	return err
}

// dropTables removes all that migrate made. Other rooms of the program may have tables of this prefix too.
func (a *Applier) dropTables(ctx context.Context) error {
	defer a.drop() // what it has prepared is gone
	unlock, err := a.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, step := range []string{
		"DROP TABLE IF EXISTS rejot_cursor, rejot_quarantine",
		"DELETE FROM rejot_migration WHERE room = 'apply'",
		"COMMIT",
	} {
		if _, err := a.session.Exec(ctx, step); err != nil {
			return err
		}
	}
	rows, err := a.query(ctx, "SELECT count(*) FROM rejot_migration")
	if err != nil {
		return err
	}
	if n, _ := rows[0][0].Text(); n == "0" {
		_, err = a.session.Exec(ctx, "DROP TABLE rejot_migration")
	}
	return err
}
