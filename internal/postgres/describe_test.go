package postgres_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/dbtest"
	"rejot.dev/rejot/internal/postgres"
)

const describedTables = `
	CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
	CREATE DOMAIN short AS varchar(10);
	CREATE TABLE a (id bigint PRIMARY KEY, name text NOT NULL, note text, m mood NOT NULL, tags text[] NOT NULL, s short NOT NULL, price numeric(10,2) NOT NULL);
	COMMENT ON COLUMN a.name IS 'what people say';
	CREATE TABLE b (id bigint PRIMARY KEY, a_id bigint NOT NULL REFERENCES a, v text NOT NULL);
	CREATE TABLE parts (id bigint NOT NULL, v text NOT NULL) PARTITION BY RANGE (id);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
	CREATE VIEW seen AS SELECT id, v FROM b`

func TestDescribeTellsNamesTypesNullsAndComments(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, describedTables)
	conn := dial(t, db, postgres.Options{})
	for name, c := range map[string]struct{ sql, want string }{
		"columns of a table":               {`SELECT id, name, note FROM a WHERE id = :id`, "id bigint, name text 'what people say', note text?"},
		"types by their own names":         {`SELECT m, tags, s, price FROM a WHERE id = :id`, "m public.mood{sad ok happy}, tags text[], s character varying(10), price numeric(10,2)"},
		"an expression may be null":        {`SELECT id + 1 AS next, count(*) AS n FROM a WHERE id = :id GROUP BY id`, "next bigint?, n bigint?"},
		"an inner join keeps":              {`SELECT a.id, b.v FROM a JOIN b ON b.a_id = a.id WHERE a.id = :id`, "id bigint, v text"},
		"a left join does not":             {`SELECT a.id, b.v FROM a LEFT JOIN b ON b.a_id = a.id WHERE a.id = :id`, "id bigint, v text?"},
		"nor the other way round":          {`SELECT a.id, b.v FROM b RIGHT JOIN a ON b.a_id = a.id WHERE a.id = :id`, "id bigint, v text?"},
		"a full join keeps neither":        {`SELECT a.id, b.v FROM a FULL JOIN b ON b.a_id = a.id WHERE coalesce(a.id, b.a_id) = :id`, "id bigint?, v text?"},
		"a left join that has to meet":     {`SELECT a.id, b.v FROM a LEFT JOIN b ON b.a_id = a.id WHERE a.id = :id AND b.v > ''`, "id bigint, v text"},
		"an anti join":                     {`SELECT a.id, b.v FROM a LEFT JOIN b ON b.a_id = a.id WHERE a.id = :id AND b.id IS NULL`, "id bigint, v text?"},
		"NOT EXISTS":                       {`SELECT a.id, a.name FROM a WHERE a.id = :id AND NOT EXISTS (SELECT FROM b WHERE b.a_id = a.id)`, "id bigint, name text 'what people say'"},
		"a partitioned table":              {`SELECT p.id, p.v FROM parts p WHERE p.id = :id`, "id bigint, v text"},
		"a partitioned table, left joined": {`SELECT a.id, p.v FROM a LEFT JOIN parts p ON p.id = a.id WHERE a.id = :id`, "id bigint, v text?"},
		"a sub-query, left joined":         {`SELECT a.id, x.v FROM a LEFT JOIN (SELECT a_id, v FROM b LIMIT 10) x ON x.a_id = a.id WHERE a.id = :id`, "id bigint, v text?"},
		"a CTE, left joined":               {`WITH x AS MATERIALIZED (SELECT a_id, v FROM b) SELECT a.id, x.v FROM a LEFT JOIN x ON x.a_id = a.id WHERE a.id = :id`, "id bigint?, v text?"},
		"a lateral, left joined":           {`SELECT a.id, x.v FROM a LEFT JOIN LATERAL (SELECT v FROM b WHERE b.a_id = a.id ORDER BY b.id LIMIT 1) x ON true WHERE a.id = :id`, "id bigint, v text?"},
		"grouping sets":                    {`SELECT a.name FROM a WHERE a.id = :id GROUP BY ROLLUP (a.name)`, "name text? 'what people say'"},
		"a union":                          {`SELECT id, name FROM a WHERE id = :id UNION ALL SELECT id, v FROM b WHERE id = :id`, "id bigint?, name text?"},
		"a view":                           {`SELECT id, v FROM seen WHERE id = :id`, "id bigint?, v text?"},
		"a join that is never met":         {`SELECT a.id, b.v FROM a LEFT JOIN b ON false WHERE a.id = :id`, "id bigint?, v text?"},
		"positional placeholders":          {`SELECT id FROM a WHERE id = $1`, "id bigint"},
		"no placeholder":                   {`SELECT id FROM a`, "id bigint"},
	} {
		t.Run(name, func(t *testing.T) {
			columns, err := postgres.DescribeQuery(t.Context(), conn, c.sql)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, described(columns)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := query(t, conn, `SHOW plan_cache_mode`); got != "auto" {
		t.Errorf("the session keeps plan_cache_mode %s", got)
	}
}

func described(columns []postgres.QueryColumn) string {
	text := ""
	for i, c := range columns {
		if i > 0 {
			text += ", "
		}
		text += c.Name + " " + c.Type.Name
		for j, v := range c.Values {
			text += map[bool]string{true: "{", false: " "}[j == 0] + v
		}
		if c.Values != nil {
			text += "}"
		}
		if c.Nullable {
			text += "?"
		}
		if c.Comment != "" {
			text += " '" + c.Comment + "'"
		}
	}
	return text
}

func TestDescribeRefusesWhatTheServerRefuses(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, describedTables)
	conn := dial(t, db, postgres.Options{})
	for name, sql := range map[string]string{
		"no such table": `SELECT x FROM gone WHERE id = :id`, "no such column": `SELECT x FROM a WHERE id = :id`, "no SQL": `SELEC`, "two statements": `SELECT 1; SELECT 2`,
	} {
		if _, err := postgres.DescribeQuery(t.Context(), conn, sql); rejot.CodeOf(err) != rejot.Invalid {
			t.Errorf("%s: got code %s: %v", name, rejot.CodeOf(err), err)
		}
	}
}
