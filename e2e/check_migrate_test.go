package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rejot.dev/rejot/internal/dbtest"
)

// A migrated situation is a pending migration that breaks a contract, or does not.
type migrated struct {
	name  string
	sql   string
	store string // whose migrations they are; empty: the source's
	want  string // severity; empty: nothing is broken
	says  []string
}

var migrations = []migrated{
	{name: "a column that nobody reads goes", sql: `ALTER TABLE customer DROP note`},
	{name: "a column that is read goes", sql: `ALTER TABLE customer DROP code`, want: "error", says: []string{"public schema customer 1.0", "code", "consumer schema copy"}},
	{name: "a table that is read is renamed", sql: `ALTER TABLE item RENAME TO items`, want: "error", says: []string{"item"}},
	{name: "a column is renamed, and stays as a generated one", sql: `ALTER TABLE customer RENAME code TO short; ALTER TABLE customer ADD code varchar(20) GENERATED ALWAYS AS (short) STORED`},
	{name: "a type is another", sql: `ALTER TABLE customer ALTER code TYPE int USING NULL`, want: "error", says: []string{"TYPE_CHANGED", "code"}},
	{name: "a type is wider", sql: `ALTER TABLE customer ALTER code TYPE varchar(40)`, want: "error", says: []string{"PRECISION", "code"}},
	{name: "a column may be NULL", sql: `ALTER TABLE customer ALTER name DROP NOT NULL`, want: "error", says: []string{"NOT_NULL_TO_NULLABLE", "name"}},
	{name: "a column that nobody knows is new", sql: `ALTER TABLE customer ADD more text NOT NULL DEFAULT ''; CREATE TABLE another (id int)`},
	{name: "the key is no key any more", sql: `ALTER TABLE customer DROP CONSTRAINT customer_pkey CASCADE`, want: "error", says: []string{"NOT_KEYED"}},
	{name: "the replica identity goes", sql: `ALTER TABLE orders REPLICA IDENTITY DEFAULT`, want: "error", says: []string{"IDENTITY_LOST", "ALTER TABLE public.orders REPLICA IDENTITY"}},
	{name: "a column is never NULL any more", sql: `ALTER TABLE customer ALTER code SET NOT NULL`},
	{name: "the key's type is another", sql: `ALTER TABLE customer ALTER id TYPE int`, want: "error", says: []string{"KEY_TYPE"}},
	{name: "an index that may not stand in a transaction", sql: `SELECT 1; CREATE INDEX CONCURRENTLY ON customer (name);`},
	{name: "the way back is left out", sql: "ALTER TABLE customer DROP note;\n-- migrate:down\nALTER TABLE customer DROP code;"},
	{name: "a consumer's table changes", store: "to", sql: `ALTER TABLE copy DROP items`, want: "error", says: []string{"consumer schema copy", "items"}},
	{name: "a consumer's column becomes NOT NULL", store: "to", sql: `ALTER TABLE copy ALTER code SET NOT NULL`, want: "error", says: []string{"code", "NOT NULL"}},
	{name: "a consumer's column becomes smaller", store: "to", sql: `ALTER TABLE copy ALTER code TYPE varchar(5)`, want: "error", says: []string{"varying(5)"}},
	{name: "a consumer's table gains a column that has to be written", store: "to", sql: `ALTER TABLE copy ADD more int NOT NULL`, want: "error", says: []string{"more"}},
	{name: "a consumer's table gains a column", store: "to", sql: `ALTER TABLE copy ADD more int`},
}

func throwawayURL(db *dbtest.Database) string {
	return fmt.Sprintf("postgresql://%s:%s@%s:%d/%s", db.User, db.Password, db.Host, db.Port, db.Name)
}

func migrationFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheckMigrationsTellsWhatTheyWouldBreak(t *testing.T) {
	db, copied := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	manifests := make([]object, len(migrations))
	files := map[string]map[string]string{"source": {}, "to": {}}
	for n, c := range migrations {
		db.Exec(t, numbered(n, orderTables+";"+copyTable))
		manifests[n] = checkManifest(db, db)
		store := "source"
		if c.store != "" {
			store = c.store
		}
		files[store][fmt.Sprintf("%03d.sql", n)] = numbered(n, c.sql)
	}
	path := together(t, manifests)
	var all []found
	for store, texts := range files {
		list, code := runCheck(t, "", "--migrations", migrationFolder(t, texts), "--throwaway", throwawayURL(copied), "--data-store", store, path)
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
		all = append(all, list...)
	}
	for n, c := range migrations {
		t.Run(c.name, func(t *testing.T) {
			got, text := "", ""
			for _, f := range find(of(n, all), "MIGRATION_BREAKS") {
				got = f.Severity
				text += f.Contract + ": " + f.Text + "\n" + f.Detail + "\n" + f.Mend + "\n"
			}
			if got != c.want {
				t.Errorf("got severity %q, want %q:\n%s", got, c.want, text)
			}
			for _, part := range c.says {
				if !strings.Contains(text, numbered(n, part)) {
					t.Errorf("it does not say %q:\n%s", part, text)
				}
			}
		})
	}
	if got := db.Query(t, `SELECT count(*) FROM information_schema.columns WHERE table_name = 'customer_1'`); got[0][0] != "4" {
		t.Error("a migration ran in the database itself")
	}
}

// everything has a schema object of each kind that is copied.
const everything = `
		CREATE SCHEMA other; CREATE EXTENSION IF NOT EXISTS citext;
		CREATE TYPE mood AS ENUM ('sad', 'it''s ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TYPE pair AS (a int, b text);
		CREATE FUNCTION double(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i * 2';
		CREATE TABLE other."Odd Table" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s serial, m mood DEFAULT 'sad', p positive, x pair, c citext,
			d int GENERATED ALWAYS AS (double(4)) STORED, n numeric(10,2) DEFAULT double(2), t text COLLATE "C" NOT NULL, tags text[] DEFAULT '{}', UNIQUE (m, p), CHECK (id > 0));
		CREATE TABLE part (id int, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
		CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
		CREATE INDEX ON part (day); CREATE UNIQUE INDEX partly ON other."Odd Table" (lower(t)) WHERE id > 3;
		CREATE VIEW seen AS SELECT o.id, double(o.id) AS twice FROM other."Odd Table" o;
		CREATE MATERIALIZED VIEW kept AS SELECT * FROM seen;
		CREATE TABLE parent (id int); CREATE TABLE child (more int) INHERITS (parent);
		ALTER TABLE part_1 REPLICA IDENTITY FULL;
		CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER halt BEFORE INSERT ON copy FOR EACH ROW EXECUTE FUNCTION stop()`

func TestCheckMigrationsCopiesTheSchema(t *testing.T) {
	for _, version := range []int{0, 13, 18} { // 0: the one that the machine has
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			server := dbtest.Postgres(t)
			if version != 0 {
				server = dbtest.PostgresVersion(t, version)
			}
			copiesTheSchema(t, server.NewDatabase(t), server.NewDatabase(t))
		})
	}
}

func copiesTheSchema(t *testing.T, db, copied *dbtest.Database) {
	t.Helper()
	db.Exec(t, orderTables, copyTable, everything)
	path := writeManifest(t, checkManifest(db, db))
	dir := migrationFolder(t, map[string]string{"001.sql": `SELECT 1`})
	list, code := runCheck(t, "", "--connect", "--migrations", dir, "--throwaway", throwawayURL(copied), "--data-store", "source", path)
	if code != 0 || len(find(list, "DERIVED")) != 1 {
		t.Fatalf("exit code %d\n%s", code, rulesOf(list))
	}
	const columns = `SELECT table_schema, table_name, column_name, ordinal_position, data_type, udt_name, is_nullable, column_default, is_identity, is_generated, collation_name
		FROM information_schema.columns WHERE table_schema IN ('public', 'other') ORDER BY 1, 2, 3`
	const constraints = `SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace::regnamespace::text IN ('public', 'other') AND contype <> 'n' ORDER BY 1, 2`
	const indexes = `SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid >= 16384 AND indrelid::regclass::text !~ '^pg_' ORDER BY 1`
	const others = `SELECT relname, relkind, relreplident FROM pg_class WHERE relnamespace::regnamespace::text IN ('public', 'other') ORDER BY 1`
	for _, sql := range []string{columns, constraints, indexes, others, `SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1`} {
		if want, got := db.Query(t, sql), copied.Query(t, sql); fmt.Sprint(want) != fmt.Sprint(got) {
			t.Errorf("the copy differs: %s", difference(want, got))
		}
	}
	if got := copied.Query(t, `SELECT count(*) FROM customer`); got[0][0] != "0" {
		t.Error("rows were copied")
	}
}

func TestCheckMigrationsRunsWhatIsPending(t *testing.T) {
	db, copied := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, orderTables, copyTable)
	path := writeManifest(t, checkManifest(db, db))
	files := migrationFolder(t, map[string]string{
		"0001_first.up.sql": `THIS RAN LONG AGO`, "0002_second.up.sql": `ALTER TABLE customer DROP code`, "0002_second.down.sql": `NO`,
	})
	for name, table := range map[string]string{
		"golang-migrate": `CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); INSERT INTO schema_migrations VALUES (1, false)`,
		"dbmate":         `CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations VALUES ('0001')`,
		"goose":          `CREATE TABLE goose_db_version (id int, version_id bigint, is_applied boolean); INSERT INTO goose_db_version VALUES (1, 0, true), (2, 1, true)`,
	} {
		t.Run(name, func(t *testing.T) {
			db.Exec(t, `DROP TABLE IF EXISTS schema_migrations, goose_db_version; `+table)
			list, code := runCheck(t, "", "--migrations", files, "--throwaway", throwawayURL(copied), "--data-store", "source", path)
			got := find(list, "MIGRATION_BREAKS")
			if code != 1 || len(got) != 1 || !strings.Contains(got[0].Text, "code") {
				t.Errorf("exit code %d, got %v", code, got)
			}
		})
	}
	t.Run("a migration that fails", func(t *testing.T) {
		db.Exec(t, `DROP TABLE IF EXISTS goose_db_version, schema_migrations`)
		list, code := runCheck(t, "", "--migrations", files, "--throwaway", throwawayURL(copied), "--data-store", "source", path)
		got := find(list, "MIGRATION_BREAKS")
		if code != 1 || len(got) != 1 || !strings.HasSuffix(got[0].Place.File, "0001_first.up.sql") {
			t.Errorf("exit code %d, got %v", code, got)
		}
	})
	t.Run("a command", func(t *testing.T) {
		list, code := runCheck(t, "", "--migrations", `psql -q -v ON_ERROR_STOP=1 "$DATABASE_URL" -c 'ALTER TABLE customer DROP code'`, "--throwaway", throwawayURL(copied), "--data-store", "source", path)
		if len(find(list, "MIGRATION_BREAKS")) != 1 || code != 1 {
			t.Errorf("exit code %d\n%s", code, rulesOf(list))
		}
	})
	t.Run("a command that fails", func(t *testing.T) {
		list, code := runCheck(t, "", "--migrations", `exit 7`, "--throwaway", throwawayURL(copied), "--data-store", "source", path)
		if got := find(list, "MIGRATION_BREAKS"); len(got) != 1 || code != 1 || got[0].Place.File != path {
			t.Errorf("exit code %d, got %v\n%s", code, got, rulesOf(list))
		}
	})
	t.Run("a folder that is not there", func(t *testing.T) {
		if _, code := runCheck(t, "", "--migrations", files+"x", "--throwaway", throwawayURL(copied), "--data-store", "source", path); code != 2 {
			t.Errorf("exit code %d, want 2", code)
		}
	})
	t.Run("a database with tables is nobody's throwaway", func(t *testing.T) {
		if _, code := runCheck(t, "", "--migrations", files, "--throwaway", throwawayURL(db), "--data-store", "source", path); code != 2 {
			t.Errorf("exit code %d, want 2", code)
		}
		if got := db.Query(t, `SELECT count(*) FROM customer`); got[0][0] != "20" {
			t.Error("the database was emptied")
		}
	})
}
