package pgapply_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply/pgapply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

func tryOpen(t *testing.T, c contract.Connection, consumers ...*contract.Consumer) error {
	t.Helper()
	a, err := pgapply.Open(t.Context(), pgapply.Config{Connection: c, Consumers: consumers})
	if err == nil {
		err = a.Close()
	}
	return err
}

func TestOpenWithFewPrivileges(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	role := "r" + db.Name
	db.Exec(t, itemTable, `CREATE ROLE `+role+` LOGIN PASSWORD 'secret'`)
	_, c := item()
	conn := connection(db)
	conn.User, conn.Password = role, contract.NewSecret("secret")
	err := tryOpen(t, conn, c)
	if rejot.CodeOf(err) != rejot.Denied || !strings.Contains(rejot.MendOf(err), "GRANT CREATE ON DATABASE") {
		t.Fatalf("no right to make the tables: %v (%s)", err, rejot.MendOf(err))
	}
	// Whoever may, makes them; then their use is enough.
	if err := tryOpen(t, connection(db), c); err != nil {
		t.Fatal(err)
	}
	db.Exec(t, `GRANT USAGE ON SCHEMA rejot TO `+role, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rejot TO `+role,
		`GRANT SELECT, INSERT, UPDATE ON item TO `+role)
	err = tryOpen(t, conn, c)
	if rejot.CodeOf(err) != rejot.Denied || !strings.Contains(err.Error(), "deleteSql") || !strings.Contains(rejot.MendOf(err), "GRANT") {
		t.Fatalf("no right to delete: %v (%s)", err, rejot.MendOf(err))
	}
	db.Exec(t, `GRANT DELETE ON item TO `+role)
	if err := tryOpen(t, conn, c); err != nil {
		t.Fatal(err)
	}
	conn.Password = contract.NewSecret("wrong-password")
	if err := tryOpen(t, conn, c); rejot.CodeOf(err) != rejot.Denied || strings.Contains(err.Error(), "wrong-password") {
		t.Errorf("a wrong password: %v has code %s", err, rejot.CodeOf(err))
	}
	conn.Password, conn.Database = contract.NewSecret("secret"), "nowhere"
	if err := tryOpen(t, conn, c); rejot.CodeOf(err) != rejot.NotFound {
		t.Errorf("no such database: %v has code %s", err, rejot.CodeOf(err))
	}
}

func TestTablesAreForNobodyElse(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	if err := tryOpen(t, connection(db)); err != nil {
		t.Fatal(err)
	}
	wantRows(t, db, `SELECT count(*) FROM pg_class c, LATERAL aclexplode(c.relacl) a WHERE relnamespace = 'rejot'::regnamespace AND a.grantee = 0`, "0")
	wantRows(t, db, `SELECT count(*) FROM pg_namespace n, LATERAL aclexplode(n.nspacl) a WHERE nspname = 'rejot' AND a.grantee = 0`, "0")
}

func TestSeveralProgramsMakeTheTablesAtOnce(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	errs := make([]error, 5)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = tryOpen(t, connection(db)) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestTablesOfANewerProgramAreRefused(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	if err := tryOpen(t, connection(db)); err != nil {
		t.Fatal(err)
	}
	db.Exec(t, `UPDATE rejot.migration SET version = 99 WHERE room = 'apply'`)
	if err := tryOpen(t, connection(db)); rejot.CodeOf(err) != rejot.Unsupported || rejot.MendOf(err) == "" {
		t.Errorf("error %v", err)
	}
}

func TestUnknownTypeOfAPlaceholder(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable)
	_, c := item()
	c.SQL = `INSERT INTO item (id) SELECT v FROM (SELECT :id AS v) s`
	if err := tryOpen(t, connection(db), c); rejot.CodeOf(err) != rejot.Invalid || !strings.Contains(rejot.MendOf(err), "CAST(:id AS bigint)") {
		t.Errorf("error %v (%s)", err, rejot.MendOf(err))
	}
}

func TestTwoConsumersOfOneTableAreToldOf(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, itemTable)
	_, c := item()
	_, d := item()
	d.Name = "again"
	var log bytes.Buffer
	a, err := pgapply.Open(t.Context(), pgapply.Config{
		Connection: connection(db), Consumers: list(c, d), Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close() //nolint:errcheck // the test is over
	if !strings.Contains(log.String(), "item") || !strings.Contains(log.String(), "again") {
		t.Errorf("the log says %q", log.String())
	}
}
