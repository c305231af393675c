package dbtest_test

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func TestPostgresIsReadyForLogicalReplication(t *testing.T) {
	t.Parallel()
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE account (id int PRIMARY KEY, email text)`, `INSERT INTO account VALUES (1, 'a@b'), (2, NULL)`)
	got := db.Query(t, `SELECT * FROM account ORDER BY id`)
	if diff := cmp.Diff([][]string{{"1", "a@b"}, {"2", "NULL"}}, got); diff != "" {
		t.Error(diff)
	}
	got = db.Query(t, `SELECT current_setting('wal_level'), current_setting('fsync'), current_setting('max_replication_slots')`)
	if diff := cmp.Diff([][]string{{"logical", "on", "20"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDatabaseGoesWithItsSlotsAndPreparedTransactions(t *testing.T) {
	t.Parallel()
	server := dbtest.Postgres(t)
	var name string
	t.Run("make", func(t *testing.T) {
		db := server.NewDatabase(t)
		name = db.Name
		db.Exec(t, `SELECT pg_create_logical_replication_slot('left_over_slot', 'pgoutput')`,
			`CREATE TABLE a (id int)`, `BEGIN; INSERT INTO a VALUES (1); PREPARE TRANSACTION 'left over'`)
		db.Session(t).Exec(t, `BEGIN`, `LOCK TABLE pg_class IN ACCESS SHARE MODE`)
	})
	got := server.NewDatabase(t).Query(t, `SELECT datname FROM pg_database WHERE datname = '`+name+`'`)
	if got != nil {
		t.Errorf("got %v, want no database", got)
	}
}

func TestPrivatePostgresKeepsDataOverKill(t *testing.T) {
	t.Parallel()
	server := dbtest.Postgres(t, dbtest.Private())
	db := server.NewDatabase(t)
	db.Exec(t, `CREATE TABLE a AS SELECT generate_series(1, 10) AS id`)
	server.Kill(t)
	if _, err := db.TryQuery(t.Context(), `SELECT 1`); err == nil {
		t.Error("a killed server answers")
	}
	server.Start(t)
	server.Restart(t)
	dbtest.Eventually(t, 10*time.Second, func() (bool, string) {
		rows, err := db.TryQuery(t.Context(), `SELECT count(*) FROM a`)
		if err != nil {
			return false, err.Error()
		}
		return rows[0][0] == "10", rows[0][0]
	})
}

func TestServersAreDifferentClusters(t *testing.T) {
	t.Parallel()
	system := func(opts ...dbtest.Option) string {
		return dbtest.Postgres(t, opts...).NewDatabase(t).Query(t, `SELECT system_identifier FROM pg_control_system()`)[0][0]
	}
	if a, b := system(), system(dbtest.Setting("fsync", "off")); a == b {
		t.Errorf("both have system identifier %s", a)
	}
}

func TestOtherVersionsOfPostgres(t *testing.T) {
	t.Parallel()
	for major, want := range map[int]string{13: "13", 18: "18"} {
		t.Run(want, func(t *testing.T) {
			got := dbtest.PostgresVersion(t, major).NewDatabase(t).Query(t, `SELECT current_setting('server_version_num')::int / 10000`)
			if got[0][0] != want {
				t.Errorf("got %s, want %s", got[0][0], want)
			}
		})
	}
}

func TestMariaDBWritesWholeRowsToItsBinlog(t *testing.T) {
	t.Parallel()
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE account (id int PRIMARY KEY, rate float, email text)`,
		`INSERT INTO account VALUES (1, 0.1, 'a@b'); INSERT INTO account VALUES (2, NULL, '')`)
	got := db.Query(t, `SELECT * FROM account ORDER BY id`)
	if diff := cmp.Diff([][]string{{"1", "0.1", "a@b"}, {"2", "NULL", ""}}, got); diff != "" {
		t.Error(diff)
	}
	got = db.Query(t, `SELECT @@log_bin, @@binlog_format, @@binlog_row_image, @@binlog_row_metadata, @@sync_binlog`)
	if diff := cmp.Diff([][]string{{"1", "ROW", "FULL", "FULL", "1"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPrivateMariaDBKeepsDataOverKill(t *testing.T) {
	t.Parallel()
	server := dbtest.MariaDB(t, dbtest.Private())
	db := server.NewDatabase(t)
	db.Exec(t, `CREATE TABLE a (id int PRIMARY KEY)`, `INSERT INTO a VALUES (1)`)
	server.Kill(t)
	if _, err := db.TryQuery(t.Context(), `SELECT 1`); err == nil {
		t.Error("a killed server answers")
	}
	server.Start(t)
	server.Restart(t)
	if got := db.Query(t, `SELECT id FROM a`); len(got) != 1 {
		t.Errorf("got %v, want one row", got)
	}
}
