package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// throwawayMark is the schema by which a throwaway database is known again, so that it may be emptied.
const throwawayMark = "rejot_throwaway"

// A Throwaway is a database whose content is nobody's: a copy of another one's schema, in which migrations
// are tried.
type Throwaway struct {
	conn       *pgconn.PgConn
	connection contract.Connection
}

// OpenThrowaway opens a database that is empty, or that was a throwaway before, and empties it. Code Invalid:
// it has tables that are somebody's.
func OpenThrowaway(ctx context.Context, c contract.Connection) (*Throwaway, error) {
	conn, err := Dial(ctx, c, Options{Application: "throwaway", Settings: map[string]string{
		"default_transaction_read_only": "off", "check_function_bodies": "off", "statement_timeout": "10min", "lock_timeout": "10s",
	}})
	if err != nil {
		return nil, err
	}
	t := &Throwaway{conn: conn, connection: c}
	if err := t.empty(ctx); err != nil {
		_ = conn.Close(ctx) // the first error is the one to tell
		return nil, err
	}
	return t, nil
}

// Close ends the session. What is in the database stays, to be looked at.
func (t *Throwaway) Close(ctx context.Context) error { return t.conn.Close(ctx) }

// ownSchemas has the schemas that are not the server's own.
const ownSchemas = `n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'`

// userTables counts what somebody may miss.
const userTables = `SELECT count(*)::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE ` + ownSchemas + ` AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')`

func (t *Throwaway) empty(ctx context.Context) error {
	rows, err := texts(ctx, t.conn, `SELECT nspname FROM pg_catalog.pg_namespace n WHERE `+ownSchemas)
	if err != nil {
		return t.fail(err, "read it")
	}
	if !slices.ContainsFunc(rows, func(r []string) bool { return r[0] == throwawayMark }) {
		count, err := texts(ctx, t.conn, userTables)
		if err != nil {
			return t.fail(err, "read it")
		}
		if count[0][0] != "0" {
			err := rejot.Errorf(rejot.Invalid, "%s has tables: a throwaway database has to be empty", t.connection)
			return rejot.WithMend(err, "make one: createdb an_empty_database")
		}
	}
	for _, r := range rows {
		if err := t.Exec(ctx, "DROP SCHEMA "+Quote(r[0])+" CASCADE"); err != nil {
			return err
		}
	}
	for _, sql := range []string{"CREATE SCHEMA public", "CREATE SCHEMA " + throwawayMark} {
		if err := t.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func (t *Throwaway) fail(err error, what string) error {
	return Classify(err, "throwaway database "+t.connection.String()+": "+what)
}

// Exec runs a text of one or several statements.
func (t *Throwaway) Exec(ctx context.Context, sql string) error {
	_, err := t.conn.Exec(ctx, sql).ReadAll()
	if err == nil {
		return nil
	}
	if t.conn.TxStatus() != 'I' { // the text began a transaction, and did not come to its end
		_, _ = t.conn.Exec(ctx, "ROLLBACK").ReadAll() // the first error is the one to tell
	}
	return t.fail(err, "run it")
}

// Applied gives the names of the migrations that a table of a well-known tool has. Where the tool keeps
// only the last one, last is true.
func (t *Throwaway) Applied(ctx context.Context) (names []string, last bool, err error) {
	for _, tool := range migrationTables() {
		if tool.applied == "" {
			continue
		}
		rows, err := texts(ctx, t.conn, tool.applied)
		if err != nil {
			if state := StateOf(err); state == "42P01" || state == "42703" {
				continue // another tool's, or none
			}
			return nil, false, t.fail(err, "read which migrations were applied")
		}
		for _, r := range rows {
			names = append(names, r[0])
		}
		last = last || tool.last
	}
	return names, last, nil
}

// A migrationTable is where a tool keeps which migrations were applied.
type migrationTable struct {
	name    string
	applied string // reads the names; empty: the tool itself does
	last    bool   // the last one alone is kept
}

// migrationTables are copied with their rows, so that a tool knows in the copy what was applied.
func migrationTables() []migrationTable {
	return []migrationTable{
		{name: "schema_migrations", applied: `SELECT version::text FROM schema_migrations WHERE dirty IS NOT NULL`, last: true}, // golang-migrate
		{name: "schema_migrations", applied: `SELECT version::text FROM schema_migrations WHERE to_jsonb(schema_migrations) -> 'dirty' IS NULL`},
		{name: "goose_db_version", applied: `SELECT version_id::text FROM goose_db_version WHERE is_applied`},
		{name: "flyway_schema_history", applied: `SELECT version::text FROM flyway_schema_history WHERE success AND version IS NOT NULL`},
		{name: "_prisma_migrations", applied: `SELECT migration_name::text FROM _prisma_migrations WHERE finished_at IS NOT NULL`},
		{name: "ar_internal_metadata"},
		{name: "alembic_version"},
		{name: "django_migrations"},
		{name: "knex_migrations"},
		{name: "knex_migrations_lock"},
		{name: "atlas_schema_revisions"},
		{name: "__drizzle_migrations"},
		{name: "SequelizeMeta"},
		{name: "migrations"},
		{name: "databasechangelog"},
	}
}

// A ddl is one statement that makes a part of a schema.
type ddl struct{ name, sql string }

// CopySchema makes in t what the database of from has: schemas, types, tables, constraints, indexes, views,
// functions and triggers, and the rows of well-known migration tools, but no other row. What could not be
// made is in left, with the reason.
func (t *Throwaway) CopySchema(ctx context.Context, from contract.Connection) (left []string, err error) {
	source, err := Dial(ctx, from, Options{Application: "check", Settings: map[string]string{"default_transaction_read_only": "on", "statement_timeout": "1min", "search_path": ""}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = source.Close(ctx) }() // it was only read
	if err := t.another(ctx, source); err != nil {
		return nil, err
	}
	var all []ddl
	for _, sql := range copyQueries() {
		rows, err := texts(ctx, source, sql)
		if err != nil {
			return nil, Classify(err, "read the schema of "+from.String())
		}
		for _, r := range rows {
			all = append(all, ddl{r[0], r[1]})
		}
	}
	left, err = t.make(ctx, all)
	if err != nil {
		return nil, err
	}
	if err := t.searchPath(ctx, source); err != nil {
		return nil, err
	}
	return left, t.copyApplied(ctx, source)
}

// another refuses to make a copy of a database in itself.
func (t *Throwaway) another(ctx context.Context, source *pgconn.PgConn) error {
	const id = `SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system())::text || ' ' || pg_catalog.current_database()`
	a, err := texts(ctx, source, id)
	if err != nil {
		return Classify(err, "identify the database")
	}
	b, err := texts(ctx, t.conn, id)
	if err != nil {
		return t.fail(err, "identify it")
	}
	if a[0][0] == b[0][0] {
		return rejot.Errorf(rejot.Invalid, "%s is the database itself: migrations are never tried there", t.connection)
	}
	return nil
}

// make runs statements until none of those that are left succeeds any more: a view may need a function, and
// a function a view, so that no order would be right.
func (t *Throwaway) make(ctx context.Context, all []ddl) (left []string, err error) {
	for len(all) > 0 {
		var again []ddl
		left = nil
		for _, d := range all {
			err := t.Exec(ctx, d.sql)
			if rejot.CodeOf(err) == rejot.Transient {
				return nil, err
			}
			if err != nil {
				again, left = append(again, d), append(left, d.name+": "+reasonOf(err))
			}
		}
		if len(again) == len(all) {
			return left, nil
		}
		all = again
	}
	return nil, nil
}

func reasonOf(err error) string {
	text := err.Error()
	if _, after, ok := strings.Cut(text, "run it: "); ok {
		return after
	}
	return text
}

// searchPath is the role's own at the source: contracts are resolved under it.
func (t *Throwaway) searchPath(ctx context.Context, source *pgconn.PgConn) error {
	rows, err := texts(ctx, source, `SELECT coalesce((SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path'), '')`)
	if err != nil {
		return Classify(err, "read the search path")
	}
	path, err := texts(ctx, source, `SELECT coalesce((SELECT pg_catalog.substr(s, 13) FROM pg_catalog.pg_db_role_setting r, pg_catalog.unnest(r.setconfig) s
		WHERE s LIKE 'search_path=%' AND (r.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) OR r.setdatabase = 0)
		AND (r.setrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user) OR r.setrole = 0)
		ORDER BY r.setrole DESC, r.setdatabase DESC LIMIT 1), '')`)
	if err != nil || path[0][0] == "" {
		return Classify(err, "read the search path of "+rows[0][0])
	}
	name, err := texts(ctx, t.conn, `SELECT pg_catalog.current_database()`)
	if err != nil {
		return t.fail(err, "read its name")
	}
	if err := t.Exec(ctx, "ALTER DATABASE "+Quote(name[0][0])+" SET search_path = "+path[0][0]); err != nil {
		return err
	}
	return t.Exec(ctx, "SET search_path = "+path[0][0])
}

// copyApplied copies the rows of migration tools.
func (t *Throwaway) copyApplied(ctx context.Context, source *pgconn.PgConn) error {
	var names []string
	for _, m := range migrationTables() {
		names = append(names, m.name)
	}
	tables, err := texts(ctx, source, `SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND `+ownSchemas+` AND c.relname = ANY (pg_catalog.string_to_array($1, ' ')) AND pg_catalog.has_table_privilege(c.oid, 'SELECT')`, strings.Join(names, " "))
	if err != nil {
		return Classify(err, "find the tables of migration tools")
	}
	for _, r := range tables {
		rows, err := texts(ctx, source, `SELECT coalesce(pg_catalog.json_agg(x), '[]')::text FROM (SELECT * FROM `+r[0]+` LIMIT 10000) x`)
		if err != nil {
			return Classify(err, "read "+r[0])
		}
		_, err = texts(ctx, t.conn, `INSERT INTO `+r[0]+` OVERRIDING SYSTEM VALUE SELECT * FROM pg_catalog.json_populate_recordset(NULL::`+r[0]+`, $1::pg_catalog.json)`, rows[0][0])
		if err != nil {
			return t.fail(err, "copy the rows of "+r[0])
		}
	}
	return nil
}
