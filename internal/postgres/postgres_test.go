package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
	"rejot.dev/rejot/internal/postgres"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func connection(db *dbtest.Database) contract.Connection {
	return contract.Connection{
		Slug: "db", Type: "postgres", Host: db.Host, Port: db.Port, User: db.User, Password: contract.NewSecret(db.Password), Database: db.Name,
	}
}

func dial(t *testing.T, db *dbtest.Database, o postgres.Options) *pgconn.PgConn {
	t.Helper()
	conn, err := postgres.Dial(t.Context(), connection(db), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func query(t *testing.T, conn *pgconn.PgConn, sql string) string {
	t.Helper()
	results, err := conn.Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Fatalf("%v\nin %s", err, sql)
	}
	return string(results[len(results)-1].Rows[0][0])
}

func TestSettingsArePinnedAgainstTheDatabasesOwn(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, fmt.Sprintf(`ALTER DATABASE %[1]s SET datestyle = 'German'; ALTER DATABASE %[1]s SET timezone = 'Asia/Tokyo';
		ALTER DATABASE %[1]s SET bytea_output = 'escape'; ALTER DATABASE %[1]s SET extra_float_digits = -5;
		ALTER DATABASE %[1]s SET intervalstyle = 'sql_standard'; ALTER DATABASE %[1]s SET xmloption = 'document'`, db.Name))
	const text = `SELECT concat_ws(' ', timestamptz '2024-01-02 03:04:05+00', '\x00ff'::bytea, 0.1::float8 + 0.2::float8, interval '1 mon -2 days', current_setting('xmloption'))`
	want := `2024-01-02 03:04:05+00 \x00ff 0.30000000000000004 1 mon -2 days content`
	for name, o := range map[string]postgres.Options{
		"ordinary": {Application: "test"}, "walsender": {Replication: true}, "settings": {Settings: map[string]string{"work_mem": "8MB"}},
	} {
		if got := query(t, dial(t, db, o), text); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if got := query(t, dial(t, db, postgres.Options{Application: "test"}), `SHOW application_name`); got != "rejot test" {
		t.Error(got)
	}
	conn, err := postgres.DialConn(t.Context(), connection(db), postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var oids []uint32
	if err := conn.QueryRow(t.Context(), `SELECT array_agg(oid) FROM pg_class WHERE oid = ANY ($1)`, []uint32{1259}).Scan(&oids); err != nil || len(oids) != 1 {
		t.Error(oids, err)
	}
	if got := query(t, conn.PgConn(), `SELECT count(*) FROM pg_prepared_statements`); got != "0" {
		t.Errorf("%s statements stay prepared", got)
	}
}

func TestDialSaysWhatIsWrong(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, ok := closed.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal(closed.Addr())
	}
	port := address.Port
	_ = closed.Close()
	for name, c := range map[string]struct {
		change func(*contract.Connection)
		code   rejot.Code
		mend   string
	}{
		"no database":  {func(c *contract.Connection) { c.Database = "nothing" }, rejot.NotFound, ""},
		"nobody there": {func(c *contract.Connection) { c.Port = port }, rejot.Transient, ""},
		"no port":      {func(c *contract.Connection) { c.Port = 70000 }, rejot.Invalid, ""},
		"plain server": {func(c *contract.Connection) { c.TLS.Mode = "require" }, rejot.Invalid, "ssl = on"},
		"mode":         {func(c *contract.Connection) { c.TLS.Mode = "prefer" }, rejot.Invalid, "verify-full"},
		"no CA file":   {func(c *contract.Connection) { c.TLS.CAFile = "/nowhere" }, rejot.Invalid, ""},
	} {
		con := connection(db)
		c.change(&con)
		conn, err := postgres.Dial(t.Context(), con, postgres.Options{})
		if err == nil {
			_ = conn.Close(t.Context())
		}
		if rejot.CodeOf(err) != c.code || !strings.Contains(rejot.MendOf(err), c.mend) {
			t.Errorf("%s: got %v (%s), mend %q", name, err, rejot.CodeOf(err), rejot.MendOf(err))
		}
		if err != nil && db.Password != "" && strings.Contains(err.Error(), db.Password) {
			t.Errorf("%s: the error has the password", name)
		}
	}
}

func TestClassifySortsAndHidesValues(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE t (id int PRIMARY KEY, s text CHECK (s <> 'secret')); INSERT INTO t VALUES (4711, 'x')`)
	conn := dial(t, db, postgres.Options{})
	for sql, want := range map[string]struct {
		code rejot.Code
		text string
	}{
		`INSERT INTO t VALUES (4711)`:                             {rejot.Rejected, `23505 unique_violation, constraint "t_pkey", table "public"."t"`},
		`INSERT INTO t VALUES (1, 'secret')`:                      {rejot.Rejected, `constraint "t_s_check"`},
		`SELECT 'secret'::int`:                                    {rejot.Rejected, `22P02 invalid_text_representation`},
		`SELECT 1/0`:                                              {rejot.Rejected, `22012 division_by_zero`},
		`SELECT * FROM nothing`:                                   {rejot.NotFound, `relation "nothing" does not exist (42P01 undefined_table)`},
		`SELECT nothing FROM t`:                                   {rejot.NotFound, `column "nothing" does not exist`},
		`SELEC 1`:                                                 {rejot.Invalid, `syntax error at or near "SELEC"`},
		`SET statement_timeout = 1; SELECT pg_sleep(5)`:           {rejot.Transient, `57014`},
		`DO $$ BEGIN RAISE 'secret'; END $$`:                      {rejot.Rejected, `P0001`},
		`BEGIN READ ONLY; INSERT INTO t VALUES (2)`:               {rejot.Transient, `25006`},
		`CREATE DATABASE x; SELECT 1`:                             {rejot.Rejected, `25001`},
		`SET ROLE pg_monitor; SELECT * FROM t`:                    {rejot.Denied, `permission denied`},
		`SELECT (SELECT 1 FROM generate_series(1, 2))`:            {rejot.Rejected, `21000 cardinality_violation`},
		`LISTEN x; SELECT pg_terminate_backend(pg_backend_pid())`: {rejot.Transient, `57P01 admin_shutdown`},
	} {
		conn := conn
		if strings.Contains(sql, ";") {
			conn = dial(t, db, postgres.Options{})
		}
		_, err := conn.Exec(t.Context(), sql).ReadAll()
		err = postgres.Classify(err, "do it")
		if rejot.CodeOf(err) != want.code || !strings.Contains(fmt.Sprint(err), want.text) || !strings.HasPrefix(fmt.Sprint(err), "do it: ") {
			t.Errorf("%s: got %v (%s)", sql, err, rejot.CodeOf(err))
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if strings.Contains(e.Error(), "secret") || strings.Contains(e.Error(), "4711") {
				t.Errorf("%s: %v has a value", sql, e)
			}
		}
	}
}

func TestClassifyOfWhatIsNotTheServers(t *testing.T) {
	for _, c := range []struct {
		err  error
		code rejot.Code
	}{
		{io.ErrUnexpectedEOF, rejot.Transient},
		{fmt.Errorf("x: %w", net.ErrClosed), rejot.Transient},
		{context.Canceled, rejot.Transient},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, rejot.Transient},
		{errors.New("else"), rejot.Internal},
		{rejot.Errorf(rejot.Gone, "gone"), rejot.Gone},
		{&pgconn.PgError{Code: "40P01"}, rejot.Transient},
		{&pgconn.PgError{Code: "53300"}, rejot.Transient},
		{&pgconn.PgError{Code: "28P01"}, rejot.Denied},
		{&pgconn.PgError{Code: "0A000"}, rejot.Unsupported},
		{&pgconn.PgError{Code: "XX000"}, rejot.Internal},
		{&pgconn.PgError{}, rejot.Internal},
	} {
		if got := rejot.CodeOf(postgres.Classify(c.err, "x")); got != c.code {
			t.Errorf("%v: got %s, want %s", c.err, got, c.code)
		}
	}
	if postgres.Classify(nil, "x") != nil {
		t.Error("nil became an error")
	}
	if err := postgres.Classify(rejot.WithMend(rejot.Errorf(rejot.Gone, "gone"), "do"), "x"); rejot.MendOf(err) != "do" || err.Error() != "x: gone" {
		t.Error(err)
	}
	if s := postgres.StateOf(postgres.Classify(&pgconn.PgError{Code: "23505", Message: "m"}, "x")); s != "23505" {
		t.Error(s)
	}
}

func TestQuote(t *testing.T) {
	if got := postgres.QuoteTable(`a"b`, "C d") + postgres.QuoteTable("", "x"); got != `"a""b"."C d""x"` {
		t.Error(got)
	}
}

func TestTypes(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, `CREATE SCHEMA "O o"; CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN short AS varchar(7); CREATE DOMAIN shorter AS short CHECK (VALUE <> '');
		CREATE TYPE pair AS (a int, b mood[]); CREATE TYPE "O o".span AS RANGE (subtype = int4);
		CREATE TABLE t (a bigint, b varchar(20), c char(10), d "char", e bpchar, f timestamptz(3), g numeric(5,2), h mood, i shorter, j pair, k "O o".span,
			l text[], m varchar(4)[], n int4range, o int4multirange, p bit, q bit varying, r shorter[], s "O o".span[], u time(0) with time zone, v interval year to month, w oidvector)`)
	conn := dial(t, db, postgres.Options{})
	types := postgres.NewTypes()
	columns, err := types.Columns(t.Context(), conn, 0)
	if err != nil || len(columns) != 0 {
		t.Error(columns, err)
	}
	var oid uint32
	if _, err := fmt.Sscan(query(t, conn, `SELECT 't'::regclass::oid`), &oid); err != nil {
		t.Fatal(err)
	}
	columns, err = types.Columns(t.Context(), conn, oid)
	if err != nil {
		t.Fatal(err)
	}
	mood := rejot.Type{Name: "public.mood", Kind: rejot.Enum}
	moods := rejot.Type{Name: "public.mood[]", Kind: rejot.Array, Elem: &mood}
	span := rejot.Type{Name: `"O o".span`, Kind: rejot.Range}
	text, four, seven := rejot.Type{Name: "text"}, rejot.Type{Name: "character varying(4)"}, rejot.Type{Name: "character varying(7)"}
	want := []rejot.Type{
		{Name: "bigint"},
		{Name: "character varying(20)"},
		{Name: "character(10)"},
		{Name: `"char"`},
		{Name: "pg_catalog.bpchar"},
		{Name: "timestamp(3) with time zone"},
		{Name: "numeric(5,2)"},
		mood, seven,
		{Name: "public.pair", Kind: rejot.Composite, Fields: []rejot.Column{{Name: "a", Type: rejot.Type{Name: "integer"}}, {Name: "b", Type: moods}}},
		span,
		{Name: "text[]", Kind: rejot.Array, Elem: &text},
		{Name: "character varying(4)[]", Kind: rejot.Array, Elem: &four},
		{Name: "int4range", Kind: rejot.Range},
		{Name: "int4multirange", Kind: rejot.Range},
		{Name: "bit(1)"},
		{Name: "bit varying"},
		{Name: "character varying(7)[]", Kind: rejot.Array, Elem: &seven},
		{Name: `"O o".span[]`, Kind: rejot.Array, Elem: &span},
		{Name: "time(0) with time zone"},
		{Name: "interval year to month"},
		{Name: "oidvector"},
	}
	for i, c := range columns {
		if diff := cmp.Diff(want[i], c.Type); diff != "" {
			t.Errorf("%s: %s", c.Name, diff)
		}
		query(t, conn, "SET search_path = ''; SELECT CAST(NULL AS "+c.Type.Name+") IS NULL")
	}
	if _, err := types.Type(t.Context(), conn, 4_000_000_000, -1); rejot.CodeOf(err) != rejot.NotFound {
		t.Error(err)
	}
}
