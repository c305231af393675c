package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/dbtest/dbserver"
)

// A database is one of the bench's, with a session in it.
type database struct {
	name   string
	server *dbserver.Server
	conn   *pgx.Conn
}

func (db *database) exec(ctx context.Context, sql string, args ...any) error {
	_, err := db.conn.Exec(ctx, sql, args...)
	if err != nil {
		err = fmt.Errorf("%s: %.80s: %w", db.name, sql, err)
	}
	return err
}

// text asks for one value.
func (db *database) text(ctx context.Context, sql string, args ...any) (string, error) {
	var v string
	err := db.conn.QueryRow(ctx, sql, args...).Scan(&v)
	if err != nil {
		err = fmt.Errorf("%s: %.80s: %w", db.name, sql, err)
	}
	return v, err
}

// A world is the servers, the data and the two sides.
type world struct {
	o      options
	stderr io.Writer
	root   string // the repository
	dir    string // for the program, its manifest and its log
	home   *dbserver.Home
	source *database
	sides  []*side
	// program is the second side's; the bench has to end it.
	program *program

	tables string            // what a subscription copies when it begins anew
	filled bool              // both sides have all rows
	marker int               // the last one that was written
	sums   map[string]string // of the source's rows since then, see side.verify
}

// settings are the same for the three servers. All but the first three are the server's own defaults, where dbserver has
// others. Vacuuming is done between measurements, on all servers, so that it does not fall into one of them.
func (o options) settings() map[string]string {
	return map[string]string{
		"wal_level": "logical", "autovacuum": "off", "unix_socket_directories": "",
		"wal_retrieve_retry_interval": strconv.FormatInt(o.retry.Milliseconds(), 10),
		"max_replication_slots":       "10", "max_wal_senders": "10", "max_prepared_transactions": "0", "max_connections": "100", "shared_buffers": "128MB",
	}
}

func openWorld(ctx context.Context, o options, stderr io.Writer) (w *world, err error) {
	w = &world{o: o, stderr: stderr}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close(context.WithoutCancel(ctx)))
		}
	}()
	if w.root, err = repository(); err != nil {
		return w, err
	}
	if w.dir, err = os.MkdirTemp("", "rejot-bench-"); err != nil {
		return w, err
	}
	if o.program == "" {
		w.say("building cmd/rejot")
		if w.o.program, err = w.build(ctx); err != nil {
			return w, err
		}
	}
	w.say("starting three servers")
	if w.home, err = dbserver.Open(""); err != nil {
		return w, err
	}
	if w.source, err = w.open(ctx, "accounts", "source.sql"); err != nil {
		return w, err
	}
	w.say("writing %d accounts", o.rows)
	if err := w.fill(ctx); err != nil {
		return w, err
	}
	for _, open := range []func(context.Context) (*side, error){w.openNative, w.openProgram} {
		s, err := open(ctx)
		if err != nil {
			return w, err
		}
		w.sides = append(w.sides, s)
	}
	return w, nil
}

// close ends what runs. It may be called in any state.
func (w *world) close(ctx context.Context) error {
	var errs []error
	if w.program != nil {
		w.program.kill()
	}
	for _, s := range w.sides {
		_ = s.db.conn.Close(ctx) // its server is ended next
	}
	if w.source != nil {
		_ = w.source.conn.Close(ctx)
	}
	if w.home != nil {
		errs = append(errs, w.home.Close())
	}
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}

func (w *world) say(format string, args ...any) {
	fmt.Fprintf(w.stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// repository is the folder of go.mod above the working folder.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", rejot.WithMend(rejot.Errorf(rejot.NotFound, "there is no go.mod above the working folder"), "go run ./bench, in the repository")
		}
	}
}

// example is the path of one of the example's files.
func (w *world) example(name string) string {
	return filepath.Join(w.root, "examples", "accounts", name)
}

// build makes the program that a user gets.
func (w *world) build(ctx context.Context) (string, error) {
	path := filepath.Join(w.dir, "rejot")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "./cmd/rejot") //nolint:gosec // our own folder
	cmd.Dir = w.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		err := rejot.Errorf(rejot.Invalid, "build cmd/rejot: %w\n%s", err, out)
		return "", rejot.WithMend(err, "mend it, or measure a program that is there: -rejot bin/rejot")
	}
	return path, nil
}

// open starts a server with a database in it, and runs one of the example's files there.
func (w *world) open(ctx context.Context, name, file string) (*database, error) {
	server, err := w.home.Start(ctx, dbserver.Config{Engine: dbserver.Postgres, Major: w.o.server, Settings: w.o.settings()})
	if err != nil {
		return nil, err
	}
	admin, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		return nil, err
	}
	defer admin.Close(ctx)
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, server.URL(name))
	if err != nil {
		return nil, err
	}
	db := &database{name: name, server: server, conn: conn}
	sql, err := os.ReadFile(w.example(file))
	if err != nil {
		return nil, err
	}
	return db, db.exec(ctx, string(sql))
}

// markerRow is the account whose name tells how far a destination is: the one after all others, changed last.
func (w *world) markerRow() int64 { return int64(w.o.rows) + 1 }

// fill writes the source's rows: every account has an e-mail, and each second one has two.
func (w *world) fill(ctx context.Context) error {
	for _, sql := range []string{
		`TRUNCATE account, account_emails RESTART IDENTITY`,
		fmt.Sprintf(`INSERT INTO account (first_name, last_name) SELECT 'first' || i, 'last' || i FROM generate_series(1, %d) i`, w.markerRow()),
		fmt.Sprintf(`INSERT INTO account_emails (account_id, email) SELECT i, 'user' || i || '@example.org' FROM generate_series(1, %d) i`, w.markerRow()),
		fmt.Sprintf(`INSERT INTO account_emails (account_id, email) SELECT i, 'second' || i || '@example.org' FROM generate_series(1, %d, 2) i`, w.markerRow()),
		// A prime step spreads neighbours in time over the table; no row comes twice before all have come.
		`CREATE PROCEDURE bench_load(tag text, changes int, each int, among int) LANGUAGE plpgsql AS $$
		BEGIN
			FOR i IN 1..changes LOOP
				UPDATE account SET first_name = tag || i WHERE id = 1 + (i::bigint * 611953) % among;
				IF i % each = 0 THEN
					COMMIT;
				END IF;
			END LOOP;
		END $$`,
	} {
		if err := w.source.exec(ctx, sql); err != nil {
			return err
		}
	}
	return w.tidy(ctx, w.source)
}

// tidy leaves a server with nothing to do on its own account.
func (w *world) tidy(ctx context.Context, dbs ...*database) error {
	for _, db := range dbs {
		for _, sql := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
			if err := db.exec(ctx, sql); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply runs a load and gives the name that the marker has afterwards. Durability costs the source nothing meanwhile; the
// marker's commit makes all of it durable.
func (w *world) apply(ctx context.Context, l load) (string, error) {
	tag := fmt.Sprintf("load%d-", w.marker+1)
	if err := w.source.exec(ctx, "SET synchronous_commit = off"); err != nil {
		return "", err
	}
	sql := fmt.Sprintf("CALL bench_load('%s', %d, %d, %d)", tag, l.changes, l.each, l.among)
	if l.each == l.among { // all rows at once: one statement, as a person would write it
		sql = fmt.Sprintf("UPDATE account SET first_name = '%s' || id WHERE id <= %d", tag, l.among)
	}
	if _, err := w.source.conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return "", fmt.Errorf("%s: %w", sql, err)
	}
	if err := w.source.exec(ctx, "SET synchronous_commit = on"); err != nil {
		return "", err
	}
	return w.mark(ctx)
}

// mark changes the marker's name. What a destination shows is its prefix.
func (w *world) mark(ctx context.Context) (string, error) {
	w.marker++
	w.sums = map[string]string{}
	name := fmt.Sprintf("marker%d;", w.marker)
	return name, w.source.exec(ctx, "UPDATE account SET first_name = $1 WHERE id = $2", name, w.markerRow())
}

// settle brings both sides to the present, and their slots as far as a slot can be, and stops them: what is measured
// next begins at the same place for both.
func (w *world) settle(ctx context.Context) error {
	var from string
	from, err := w.source.text(ctx, "SELECT pg_current_wal_insert_lsn()::text")
	if err != nil {
		return err
	}
	for _, s := range w.sides {
		if err := s.start(ctx); err != nil {
			return err
		}
	}
	name, err := w.mark(ctx)
	if err != nil {
		return err
	}
	for _, s := range w.sides {
		if _, err := s.await(ctx, name); err != nil {
			return err
		}
	}
	if err := w.advance(ctx, from); err != nil {
		return err
	}
	dbs := []*database{w.source}
	for _, s := range w.sides {
		if err := s.stop(ctx); err != nil {
			return err
		}
		dbs = append(dbs, s.db)
	}
	return w.tidy(ctx, dbs...)
}

// advance waits until both slots need nothing of the log before a place. A slot moves when it has read a list of running
// transactions, which a checkpoint writes, and when what comes after that was confirmed.
func (w *world) advance(ctx context.Context, from string) error {
	return until(ctx, "the slots reach "+from, advanceWithin, time.Second/4, func() (bool, string, error) {
		if err := w.source.exec(ctx, "CHECKPOINT"); err != nil {
			return false, "", err
		}
		if _, err := w.mark(ctx); err != nil {
			return false, "", err
		}
		seen, err := w.source.text(ctx, `SELECT coalesce(string_agg(slot_name || ' restarts at ' || restart_lsn || ', confirmed ' || confirmed_flush_lsn, '; '), '')
			FROM pg_replication_slots WHERE NOT temporary AND (restart_lsn < $1::pg_lsn OR confirmed_flush_lsn < $1::pg_lsn)`, from)
		return seen == "", strings.TrimSpace(seen), err
	})
}
