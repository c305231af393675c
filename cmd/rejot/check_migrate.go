package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/check"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/manifest"
)

// migrateWithin is how long all migrations together may take.
const migrateWithin = 15 * time.Minute

// A throwaway is a database in which migrations are tried.
type throwaway interface {
	// CopySchema makes in it what another database has, without its rows.
	CopySchema(ctx context.Context, from contract.Connection) (left []string, err error)
	// Applied gives the migrations that were applied already.
	Applied(ctx context.Context) (names []string, last bool, err error)
	// Exec runs the text of a migration.
	Exec(ctx context.Context, sql string) error
}

// checkMigrations is the migration gate: the schema is copied into a throwaway database, the pending
// migrations run there, and every contract is asked about before and after.
func (a *app) checkMigrations(ctx context.Context, o checkOptions, manifests []*manifest.Manifest, report *check.Report) error {
	set, err := manifest.Load(o.manifests...)
	if err != nil {
		return err
	}
	slug, err := migratedStore(o.dataStore, set)
	if err != nil {
		return err
	}
	conn, err := throwawayConnection(o.throwaway)
	if err != nil {
		return err
	}
	if kind := set.DataStores[slug].Connection.Type; kind != conn.Type {
		return rejot.Errorf(rejot.Invalid, "data store %s is a %s database, and --throwaway a %s one", slug, kind, conn.Type)
	}
	ctx, cancel := context.WithTimeout(ctx, migrateWithin)
	defer cancel()
	db, end, err := openThrowaway(ctx, conn)
	if err != nil {
		return stopped(err)
	}
	defer end()
	left, err := db.CopySchema(ctx, set.DataStores[slug].Connection)
	if err != nil {
		return stopped(err)
	}
	for _, text := range left {
		a.note("not copied: %s", text)
	}
	before, err := takeSnapshot(ctx, manifests, slug, set, conn)
	if err != nil {
		return stopped(err)
	}
	failed, err := a.migrate(ctx, o, conn, db, manifests[0])
	if err != nil {
		return stopped(err)
	}
	if failed != nil {
		report.Findings = append(report.Findings, failed.Findings...)
		return nil
	}
	after, err := takeSnapshot(ctx, manifests, slug, set, conn)
	if err != nil {
		return stopped(err)
	}
	options := check.Options{Complete: o.complete}
	if o.connect {
		dbs := newDatabases(set.DataStores)
		defer dbs.close()
		options.Databases = dbs
	}
	report.Findings = append(report.Findings, check.Migrated(ctx, manifests, before, after, options, o.migrations).Findings...)
	return nil
}

// migratedStore is the data store whose migrations they are.
func migratedStore(slug string, set *manifest.Set) (string, error) {
	if slug != "" {
		if _, ok := set.DataStores[slug]; !ok {
			return "", rejot.WithMend(rejot.Errorf(rejot.NotFound, "there is no data store %s", slug), "rejot manifest datastore list")
		}
		return slug, nil
	}
	var sources []string
	for _, s := range set.PublicSchemas {
		if !slices.Contains(sources, s.Source) {
			sources = append(sources, s.Source)
		}
	}
	if len(sources) != 1 {
		err := rejot.Errorf(rejot.Invalid, "there are %d sources, so that it is not clear whose migrations they are", len(sources))
		return "", rejot.WithMend(err, "--data-store SLUG, one of %s", strings.Join(slices.Sorted(maps.Keys(set.DataStores)), ", "))
	}
	return sources[0], nil
}

// throwawayConnection reads a connection string, in which ${env:NAME} is replaced.
func throwawayConnection(text string) (contract.Connection, error) {
	var missing error
	text = regexp.MustCompile(`\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}`).ReplaceAllStringFunc(text, func(ref string) string {
		name := strings.TrimSuffix(strings.TrimPrefix(ref, "${env:"), "}")
		value, ok := os.LookupEnv(name)
		if !ok {
			missing = rejot.Errorf(rejot.Invalid, "--throwaway: the environment variable %s is not set", name)
		}
		return url.PathEscape(value)
	})
	if missing != nil {
		return contract.Connection{}, missing
	}
	conf, err := parseConnection(text)
	if err != nil {
		return contract.Connection{}, fmt.Errorf("--throwaway: %w", err)
	}
	c := contract.Connection{Slug: "throwaway", Type: conf.Type, Host: conf.Host, Port: conf.Port.Number, User: conf.User, Database: conf.Database}
	if conf.Password != nil {
		c.Password = contract.NewSecret(*conf.Password)
	}
	if conf.TLS != nil {
		c.TLS = contract.TLS{Mode: conf.TLS.Mode, CAFile: conf.TLS.CAFile}
	}
	return c, nil
}

// takeSnapshot asks the throwaway database, in the place of a data store.
func takeSnapshot(ctx context.Context, manifests []*manifest.Manifest, slug string, set *manifest.Set, conn contract.Connection) (*check.Snapshot, error) {
	store := set.DataStores[slug]
	isSource := slices.ContainsFunc(set.PublicSchemas, func(s *contract.PublicSchema) bool { return s.Source == slug })
	store.Connection = conn
	dbs := newDatabases(map[string]contract.DataStore{slug: store})
	defer dbs.close()
	var source check.Source
	if isSource {
		s, err := openSource(ctx, store, slog.New(slog.DiscardHandler))
		switch able, ok := s.(describer); {
		case rejot.CodeOf(err) == rejot.Unsupported:
		case err != nil:
			return nil, err
		case ok:
			defer func() { _ = s.Close() }() // it was only read
			source = &checkSource{db: able, known: map[string]*check.Description{}}
		}
	}
	destination, err := dbs.Destination(ctx, slug)
	if err != nil {
		return nil, err
	}
	return check.Take(ctx, manifests, slug, source, destination)
}

// migrate runs the pending migrations in the throwaway database. A migration that fails is a report.
func (a *app) migrate(ctx context.Context, o checkOptions, conn contract.Connection, db throwaway, owner *manifest.Manifest) (*check.Report, error) {
	if !isFolder(o.migrations) {
		return a.runMigrations(ctx, o.migrations, conn, owner)
	}
	files, err := a.pending(ctx, o, db)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, rejot.Errorf(rejot.Invalid, "read a migration: %w", err)
		}
		a.note("migration %s", file)
		err = db.Exec(ctx, upOnly(string(text)))
		if rejot.CodeOf(err) == rejot.Unsupported || rejot.CodeOf(err) == rejot.Rejected && strings.Contains(strings.ToLower(string(text)), "concurrently") {
			err = execApart(ctx, db, upOnly(string(text)))
		}
		switch {
		case rejot.CodeOf(err) == rejot.Transient:
			return nil, err
		case err != nil:
			return check.MigrationFails(filepath.ToSlash(file), err.Error(), owner.Slug), nil
		}
	}
	return nil, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// checkMigrationsFlag tells a mistyped path from a command, before it is run as one.
func checkMigrationsFlag(what string) error {
	if isFolder(what) {
		return nil
	}
	info, err := os.Stat(what)
	isSQL := err == nil && info.Mode().IsRegular() && strings.HasSuffix(strings.ToLower(what), ".sql")
	if !isSQL && strings.ContainsAny(what, " \t\n;|&<>()$`'\"*?~={}!") {
		return nil // the shell reads it
	}
	if _, err := exec.LookPath(what); err == nil && !isSQL {
		return nil
	}
	err = rejot.Errorf(rejot.Invalid, "--migrations %s is neither a folder nor a command that is found here", what)
	return rejot.WithMend(err, "name the folder of the .sql files, or a command, like --migrations 'psql \"$DATABASE_URL\" -f FILE'")
}

// execApart runs statements one by one: some, like CREATE INDEX CONCURRENTLY, may not stand beside others.
func execApart(ctx context.Context, db throwaway, text string) error {
	for _, sql := range check.SplitStatements(text) {
		if err := db.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// runMigrations runs a command that migrates the database of DATABASE_URL.
func (a *app) runMigrations(ctx context.Context, command string, conn contract.Connection, owner *manifest.Manifest) (*check.Report, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", command) //nolint:gosec // the command is what the user asks to run
	cmd.Env = append(os.Environ(), "DATABASE_URL="+databaseURL(conn), "PGHOST="+conn.Host, "PGPORT="+strconv.Itoa(conn.Port), "PGUSER="+conn.User,
		"PGPASSWORD="+conn.Password.Reveal(), "PGDATABASE="+conn.Database)
	cmd.Stdout, cmd.Stderr = a.stderr, a.stderr
	if err := cmd.Run(); err != nil {
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return nil, rejot.Errorf(rejot.Transient, "the migrations have not ended within %s", migrateWithin)
		case ctx.Err() != nil:
			return nil, rejot.Errorf(rejot.Transient, "the migrations were interrupted")
		}
		return check.MigrationFails(owner.File(), "the command ended with "+err.Error(), owner.Slug), nil
	}
	return nil, nil
}

// databaseURL is a connection as migration tools read it.
func databaseURL(conn contract.Connection) string {
	scheme := map[string]string{"postgres": "postgresql", "mysql": "mysql"}[conn.Type]
	place := url.URL{Scheme: scheme, User: url.UserPassword(conn.User, conn.Password.Reveal()), Host: net.JoinHostPort(conn.Host, strconv.Itoa(conn.Port)), Path: "/" + conn.Database}
	return place.String()
}

// down begins the part of a file that takes a migration back; goose, dbmate and sql-migrate write it so.
var down = regexp.MustCompile(`(?mi)^--\s*(\+goose Down|migrate:down|\+migrate Down)\b.*$`)

func upOnly(text string) string {
	if at := down.FindStringIndex(text); at != nil {
		return text[:at[0]]
	}
	return text
}

// pending are the migrations of the folder that are not applied: by the table of the tool that the copy has,
// else those that the git ref of --against does not have, else all of them.
func (a *app) pending(ctx context.Context, o checkOptions, db throwaway) ([]string, error) {
	var files []string
	err := filepath.WalkDir(o.migrations, func(path string, d fs.DirEntry, err error) error {
		name := strings.ToLower(filepath.Base(path))
		if err == nil && !d.IsDir() && strings.HasSuffix(name, ".sql") && !strings.HasSuffix(name, ".down.sql") && !strings.HasSuffix(name, "_down.sql") && name != "down.sql" {
			if _, undo := fileNumber(path); !undo {
				files = append(files, path)
			}
		}
		return err
	})
	inOrder(files)
	if err != nil {
		return nil, rejot.Errorf(rejot.Invalid, "read the migrations: %w", err)
	}
	if len(files) == 0 {
		return nil, rejot.Errorf(rejot.Invalid, "--migrations %s has no .sql file", o.migrations)
	}
	applied, last, err := db.Applied(ctx)
	if err != nil {
		return nil, err
	}
	if len(applied) > 0 {
		return slices.DeleteFunc(files, func(f string) bool { return isApplied(f, applied, last) }), nil
	}
	if o.against != "" && isGitRef(ctx, o.migrations, o.against) {
		return slices.DeleteFunc(files, func(f string) bool {
			_, err := git(ctx, filepath.Dir(f), "cat-file", "-e", o.against+":./"+filepath.Base(f))
			return err == nil
		}), nil
	}
	return files, nil
}

var (
	flywayName = regexp.MustCompile(`^([VvUu])(\d+(?:[._]\d+)*)__`)
	plainName  = regexp.MustCompile(`^(\d+)(?:[._-]|$)`)
	appliedOne = regexp.MustCompile(`^\d+(?:[._]\d+)*$`)
)

// A migrationNumber is the number in a migration's name, part by part; nil where it has none.
type migrationNumber []uint64

func numberOf(number string) migrationNumber {
	var v migrationNumber
	for _, part := range strings.FieldsFunc(number, func(r rune) bool { return r == '.' || r == '_' }) {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return nil
		}
		v = append(v, n)
	}
	return v
}

// fileNumber is the number of a file's name, else of its folder's. undo is Flyway's, which takes a migration back.
func fileNumber(file string) (v migrationNumber, undo bool) {
	for _, name := range []string{filepath.Base(file), filepath.Base(filepath.Dir(file))} {
		if m := flywayName.FindStringSubmatch(name); m != nil {
			return numberOf(m[2]), strings.EqualFold(m[1], "u")
		}
		if m := plainName.FindStringSubmatch(name); m != nil {
			return numberOf(m[1]), false
		}
	}
	return nil, false
}

// inOrder sorts migrations as they are run: by their numbers, those without one at the end.
func inOrder(files []string) {
	slices.SortStableFunc(files, func(a, b string) int {
		x, _ := fileNumber(a)
		y, _ := fileNumber(b)
		if (x == nil) != (y == nil) {
			return cmp.Compare(len(y), len(x))
		}
		return cmp.Or(slices.Compare(x, y), cmp.Compare(a, b))
	})
}

// isApplied finds a file among the names that a tool keeps: its number, its folder or its own name.
func isApplied(file string, applied []string, last bool) bool {
	base := strings.TrimSuffix(filepath.Base(file), ".sql")
	folder := filepath.Base(filepath.Dir(file))
	own, _ := fileNumber(file)
	for _, name := range applied {
		if name == base || name == folder {
			return true
		}
		if own == nil || !appliedOne.MatchString(name) {
			continue
		}
		order := slices.Compare(own, numberOf(name))
		if order == 0 || last && order < 0 {
			return true
		}
	}
	return false
}
