package pglog

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/internal/dbtest"
	"rejot.dev/rejot/internal/sqltext"
)

// deriveConn opens a connection to a fresh database with a schema in it.
func deriveConn(t testing.TB, schema string) *pgx.Conn {
	t.Helper()
	db := dbtest.Postgres(t, dbtest.Version(deriveMajor(t))).NewDatabase(t)
	conn, err := pgx.Connect(t.Context(), db.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	if _, err := conn.Exec(t.Context(), schema, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%v\nin %s", err, schema)
	}
	return conn
}

// deriveText makes a query of a text with :placeholders.
func deriveText(t testing.TB, conn *pgx.Conn, table, sql string) deriveQuery {
	t.Helper()
	statement, err := sqltext.Parse(sqltext.Postgres, sql)
	if err != nil {
		t.Fatalf("%v\nin %s", err, sql)
	}
	q := deriveQuery{SQL: sql, Table: table, Names: statement.Names()}
	q.Text = func(repl func(int) string) string {
		return statement.Render(func(_ int, name string) string { return repl(slices.Index(q.Names, name)) })
	}
	text := q.Text(func(i int) string { return "$" + strconv.Itoa(i+1) })
	described, err := conn.PgConn().Prepare(t.Context(), "", text, nil)
	if err != nil {
		t.Fatalf("%v\nin %s", err, text)
	}
	for _, oid := range described.ParamOIDs {
		var typ string
		if err := conn.QueryRow(t.Context(), `SELECT format_type($1::oid, NULL)`, oid).Scan(&typ); err != nil {
			t.Fatal(err)
		}
		q.Types = append(q.Types, typ)
	}
	return q
}

func deriveFor(t testing.TB, conn *pgx.Conn, table, sql string) *derive.Plan {
	t.Helper()
	plan, err := derivePlan(t.Context(), conn, deriveText(t, conn, table, sql))
	if err != nil {
		t.Fatalf("%v\nin %s", err, sql)
	}
	return plan
}

const accountSchema = `
	CREATE TABLE account (id bigint PRIMARY KEY, first_name text, last_name text);
	CREATE TABLE account_emails (id bigint PRIMARY KEY, account_id bigint REFERENCES account, email text);
	ALTER TABLE account_emails REPLICA IDENTITY FULL;`

func TestEmailsOfAnAccountAreDerived(t *testing.T) {
	conn := deriveConn(t, accountSchema)
	plan := deriveFor(t, conn, "account", `
		SELECT a.id, (SELECT ARRAY_AGG(e.email) FROM account_emails e WHERE e.account_id = a.id) AS emails,
		       a.first_name AS "firstName" FROM account a WHERE a.id = :id`)
	if len(plan.Refused) > 0 || plan.Many {
		t.Fatalf("refused %v, many %v", plan.Refused, plan.Many)
	}
	wantKey := []derive.KeyColumn{{Placeholder: "id", Column: "id", Type: "bigint"}}
	if diff := cmp.Diff(wantKey, plan.Key); diff != "" {
		t.Error(diff)
	}
	wantOutputs := []derive.Output{{Name: "id", Key: 0}, {Name: "emails", Key: -1}, {Name: "firstName", Key: -1}}
	if diff := cmp.Diff(wantOutputs, plan.Outputs); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, r := range plan.Routes {
		got = append(got, r.Table.Name+" "+strings.Join(r.Columns, ",")+" "+strconv.FormatBool(r.Direct))
	}
	if diff := cmp.Diff([]string{"account id true", "account_emails account_id true"}, got); diff != "" {
		t.Error(diff)
	}
}
