package collect

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
)

// A fakeDescriber answers with columns, or not. What a real database says is tested in internal/postgres and in the golden test.
type fakeDescriber struct {
	columns []Column
	err     error
	asked   []string
}

func (f *fakeDescriber) Describe(_ context.Context, slug, sql string) ([]Column, error) {
	f.asked = append(f.asked, slug+": "+sql)
	return f.columns, f.err
}

const sqlAccount = `-- rejot: public-schema publish account 1.2
-- A line that is no field is a comment.
-- source: db
-- table: public.account
-- operations: insert, update
-- params: id = account_id, :other=b
-- rows: one
-- owner: accounts
-- description: All that others may know;
--    also of those who left
-- validate: warn
-- freshness: 30s

-- the query
SELECT id, name -- no semicolon : here
FROM account WHERE id = :id AND :other = b;
-- the end
`

func TestWhatASQLFileSays(t *testing.T) {
	project(t, "-- a.sql --\n"+sqlAccount+`
-- c.sql --
-- rejot: consumer-schema to reports
-- reads: @me/shop/my schema 3
-- destination: reports
-- type: mysql
-- on-error: quarantine
INSERT INTO t VALUES (:id, '-- delete:');

-- delete:

DELETE FROM t
WHERE id = :id;
-- truncate:
DELETE FROM t
`)
	d := &fakeDescriber{columns: []Column{{Name: "id", Type: "bigint"}, {Name: "name", Type: "text", Nullable: true, Comment: `of <a> "person"`}}}
	r, err := collected(t, Config{Describe: d}, ".")
	if err != nil {
		t.Fatal(err)
	}
	const query = "-- the query\nSELECT id, name -- no semicolon : here\nFROM account WHERE id = :id AND :other = b"
	if diff := cmp.Diff([]string{"db: " + query}, d.asked); diff != "" {
		t.Error(diff)
	}
	p := r.Definitions[0].Public
	got := []any{
		p.Name, p.Version.Major, p.Version.Minor, p.Owner, p.Description, p.Validate, p.Freshness, len(p.Config.Transformations),
		p.Config.Transformations[1].Operation, p.Config.Transformations[1].Table, p.Config.Transformations[1].SQL, p.Config.Transformations[1].Params, p.Config.Transformations[1].Rows,
		string(p.OutputSchema), p.DefinitionFile, p.Config.Type,
	}
	want := []any{
		"publish account", 1, 2, "accounts", "All that others may know; also of those who left", "warn", "30s", 2,
		"update", "public.account", query,
		map[string]string{"id": "account_id", "other": "b"},
		"one",
		`{"type":"object","properties":{"id":{"type":"integer"},"name":{"type":["string","null"],"description":"of <a> \"person\""}},"required":["id","name"],"additionalProperties":false,"$schema":"http://json-schema.org/draft-07/schema#"}`,
		"a.sql", "postgres",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	c := r.Definitions[1].Consumer
	got = []any{c.Name, c.SourceManifest, c.PublicSchema.Name, c.PublicSchema.Major, c.Config.Type, c.Config.Destination, c.Config.OnError, c.Config.SQL, c.Config.DeleteSQL, c.Config.TruncateSQL}
	want = []any{"to reports", "@me/shop", "my schema", 3, "mysql", "reports", "quarantine", "INSERT INTO t VALUES (:id, '-- delete:')", "DELETE FROM t\nWHERE id = :id", "DELETE FROM t"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheDatabaseOfASQLFileIsThatOfItsDataStore(t *testing.T) {
	project(t, "-- a.sql --\n-- rejot: consumer-schema x\n-- reads: m/s 1\n-- destination: shop\nREPLACE INTO t VALUES (:id) # a comment of MySQL\n")
	m := parsed(t, `{"slug":"m","manifestVersion":0,"connections":[{"slug":"shop","config":{"connectionType":"mysql","host":"h","port":1,"user":"u","database":"d"}}]}`)
	r, err := collected(t, Config{Manifest: m}, "a.sql")
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Definitions[0].Consumer.Config; c.Type != "mysql" || c.SQL != "REPLACE INTO t VALUES (:id)" {
		t.Errorf("got %+v", c)
	}
}

func TestWhatIsWrongWithASQLFileIsToldAtItsLine(t *testing.T) {
	const head = "-- rejot: public-schema a 1.0\n-- source: db\n-- table: t\n"
	for name, c := range map[string]struct{ file, want, mend string }{
		"no header":            {"\nSELECT 1\n", "a.sql:2: does not begin with a header", "begin with -- rejot: public-schema NAME 1.0, or -- rejot: consumer-schema NAME"},
		"no kind":              {"-- rejot: schema a\n", `a.sql:1: "schema a" is no kind of contract`, "-- rejot: public-schema NAME 1.0, or -- rejot: consumer-schema NAME"},
		"no version":           {"-- rejot: public-schema a b\n", "a.sql:1: the version is missing", "-- rejot: public-schema a 1.0"},
		"a field that is none": {"-- rejot: consumer-schema a\n-- reads: m/s 1\n-- destinaton: d\n\nINSERT INTO t VALUES (:id)\n", `a.sql:3: a consumer-schema has no field "destinaton"; known are reads, destination, on-error, type`, "a comment that is none of these stands below the header, after an empty line"},
		"a field of the other": {head + "-- destination: d\n\nSELECT :id\n", `a.sql:4: a public-schema has no field "destination"; known are source, table, operations, params, keys, rows, owner, description, validate, freshness, type`, "a comment that is none of these stands below the header, after an empty line"},
		"a field twice":        {head + "-- table: u\nSELECT :id\n", "a.sql:4: table stands in line 3 already", ""},
		"fields are missing":   {"-- rejot: public-schema a 1.0\nSELECT :id\n", "a.sql:1: the header has no source\na.sql:1: the header has no table", "-- source: SLUG of the data store\n-- table: the base table, whose key is the placeholder"},
		"an empty field":       {"-- rejot: consumer-schema a\n-- reads:\n-- destination: d\nINSERT INTO t VALUES (:id)\n", "a.sql:2: the header has no reads", "-- reads: MANIFEST/SCHEMA 1"},
		"reads no schema":      {"-- rejot: consumer-schema a\n-- reads: schema 1\n-- destination: d\nINSERT INTO t VALUES (:id)\n", `a.sql:2: "schema 1" does not name a public schema`, "-- reads: MANIFEST/SCHEMA 1"},
		"reads a minor":        {"-- rejot: consumer-schema a\n-- reads: m/schema 1.2\n-- destination: d\nINSERT INTO t VALUES (:id)\n", `a.sql:2: "m/schema 1.2" does not name a public schema`, "-- reads: MANIFEST/SCHEMA 1"},
		"two sections of one kind": {
			"-- rejot: consumer-schema a\n-- reads: m/s 1\n-- destination: d\nINSERT INTO t VALUES (:id)\n-- delete:\nDELETE FROM t WHERE id = :id\n-- delete:\nDELETE FROM u WHERE id = :id\n", "a.sql:7: delete stands in line 5 already", "",
		},
		"another database":   {head + "-- type: oracle\nSELECT :id\n", `a.sql:4: type is postgres or mysql, and not "oracle"`, ""},
		"params":             {head + "-- params: id\nSELECT :id\n", `a.sql:4: "id" is no list of params`, "-- params: id = account_id"},
		"an operation":       {head + "-- operations: upsert\nSELECT :id\n", `a.sql:1: public schema a: config.transformations[0].operation: "upsert" is not one of insert, update and delete`, ""},
		"no operation":       {head + "-- operations:\nSELECT :id\n", "a.sql:4: operations names none", "-- operations: insert, update, delete"},
		"no statement":       {head + "\n-- nothing\n", "a.sql:5:1: there is no statement", ""},
		"two statements":     {head + "\n\nSELECT :id;\nSELECT 2\n", "a.sql:7:1: a second statement begins here, and there may be one only", ""},
		"both placeholders":  {head + "SELECT :id,\n  $1\n", "a.sql:5:3: named placeholders (:name) and positional ones ($1) cannot stand in one statement", ""},
		"a string is open":   {head + "SELECT 'x\n", "a.sql:4:8: a string that begins here does not end", ""},
		"no placeholder":     {head + "SELECT id FROM t\n", "a.sql:1: public schema a: the sql has no placeholder, so that nothing tells which rows a change of t affects", "WHERE t.id = :id, with the key of the table as placeholder"},
		"a delete section":   {head + "SELECT :id\n-- delete:\nDELETE FROM t\n", "a.sql:5: a public schema has one query and no delete", ""},
		"keys beside params": {head + "-- params: id = x\n-- keys: all\nSELECT :id\n", "a.sql:1: public schema a: config.transformations[0].keys: stands beside params; only one of them says which rows a change affects", ""},
		"unknown param":      {head + "-- params: idd = x\nSELECT :id\n", "a.sql:1: public schema a: config.transformations[0].params.idd: the sql has no placeholder :idd", ""},
	} {
		t.Run(name, func(t *testing.T) {
			project(t, "-- a.sql --\n"+c.file)
			d := &fakeDescriber{columns: []Column{{Name: "id", Type: "bigint"}}}
			_, err := collected(t, Config{Describe: d}, "a.sql")
			if diff := cmp.Diff(c.want, told(err, false)); diff != "" {
				t.Error(diff)
			}
			wantMend(t, err, c.mend)
		})
	}
}

func TestTheOutputSchemaOfAnUnchangedQueryIsKeptWhileNoDatabaseCanBeAsked(t *testing.T) {
	project(t, "-- a.sql --\n-- rejot: public-schema a 1.0\n-- source: db\n-- table: t\n\nSELECT id FROM t WHERE id = :id;\n")
	with := func(sql string) string {
		return `{"slug":"m","manifestVersion":0,"publicSchemas":[{"name":"a","source":{"dataStoreSlug":"db"},"outputSchema":{"type":"object","title":"kept"},"version":{"major":1,"minor":0},
			"config":{"publicSchemaType":"postgres","transformations":[{"operation":"insert","table":"t","sql":"` + sql + `"}]}}]}`
	}
	away := &fakeDescriber{err: rejot.Errorf(rejot.Transient, "connect to db: refused")}
	for name, c := range map[string]struct {
		sql, want, mend string
		describe        Describer
	}{
		"the same query, no describer": {"SELECT id FROM t WHERE id = :id", "", "", nil},
		"the same query, away":         {"SELECT id FROM t WHERE id = :id", "", "", away},
		"another query": {
			"SELECT id, x FROM t WHERE id = :id", "a.sql:5: the columns of this query are not known: data store db cannot be asked: connect to db: refused",
			"start the database of data store db, or set the variables of its connection, and collect again", away,
		},
		"the query is refused": {
			"SELECT id FROM t WHERE id = :id", "a.sql:5: prepare the query: 42703 undefined_column", "",
			&fakeDescriber{err: rejot.Errorf(rejot.Invalid, "prepare the query: 42703 undefined_column")},
		},
		"two columns of one name": {
			"", "a.sql:5: the query returns two columns with the name id", "",
			&fakeDescriber{columns: []Column{{Name: "id", Type: "text"}, {Name: "id", Type: "text"}}},
		},
		"a column without a name": {
			"", "a.sql:5: column 1 of the query has no name", "", &fakeDescriber{columns: []Column{{Name: "?column?", Type: "text"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			sql := c.sql
			if sql == "" {
				sql = "SELECT :id"
			}
			r, err := collected(t, Config{Manifest: parsed(t, with(sql)), Describe: c.describe}, "a.sql")
			if diff := cmp.Diff(c.want, told(err, false)); diff != "" {
				t.Fatal(diff)
			}
			if c.want != "" {
				if got := rejot.MendOf(err); c.mend != "" {
					wantMend(t, err, c.mend)
				} else if got != "" {
					t.Errorf("got mend %q", got)
				}
				return
			}
			if got := string(r.Definitions[0].Public.OutputSchema); !strings.Contains(got, "kept") {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestTypesOfADatabaseInJSONSchema(t *testing.T) {
	for _, c := range []struct {
		database string
		column   Column
		want     string
	}{
		{"postgres", Column{Type: "bigint"}, `{"type":"integer"}`},
		{"postgres", Column{Type: "bigint", Nullable: true}, `{"type":["integer","null"]}`},
		{"postgres", Column{Type: "numeric(10,2)"}, `{"type":"string","format":"decimal"}`},
		{"postgres", Column{Type: "double precision"}, `{"type":"number"}`},
		{"postgres", Column{Type: "timestamp(3) with time zone", Nullable: true, Comment: "when"}, `{"type":["string","null"],"format":"date-time","description":"when"}`},
		{"postgres", Column{Type: "time without time zone"}, `{"type":"string","format":"time"}`},
		{"postgres", Column{Type: "interval"}, `{"type":"string"}`},
		{"postgres", Column{Type: "uuid"}, `{"type":"string","format":"uuid"}`},
		{"postgres", Column{Type: "jsonb", Nullable: true}, `{}`},
		{"postgres", Column{Type: "jsonb", Comment: "free"}, `{"description":"free"}`},
		{"postgres", Column{Type: "bytea"}, `{"type":"string","contentEncoding":"base16"}`},
		{"postgres", Column{Type: "character varying(20)"}, `{"type":"string"}`},
		{"postgres", Column{Type: "boolean"}, `{"type":"boolean"}`},
		{"postgres", Column{Type: "public.mood", Values: []string{"sad", "ok"}, Nullable: true}, `{"type":["string","null"],"enum":["sad","ok",null]}`},
		{"postgres", Column{Type: "public.mood[]", Values: []string{"sad"}}, `{"type":"array","items":{"type":["string","null"],"enum":["sad",null]}}`},
		{"postgres", Column{Type: "integer[]", Nullable: true, Comment: "few"}, `{"type":["array","null"],"items":{"type":["integer","null"]},"description":"few"}`},
		{"postgres", Column{Type: "int4range"}, `{"type":"string"}`},
		{"mysql", Column{Type: "bigint(20) unsigned"}, `{"type":"integer"}`},
		{"mysql", Column{Type: "tinyint(1)"}, `{"type":"integer"}`},
		{"mysql", Column{Type: "decimal(10,2)", Nullable: true}, `{"type":["string","null"],"format":"decimal"}`},
		{"mysql", Column{Type: "DATETIME(6)"}, `{"type":"string","format":"date-time"}`},
		{"mysql", Column{Type: "varbinary(16)"}, `{"type":"string","contentEncoding":"base16"}`},
		{"mysql", Column{Type: "enum('a','b')", Values: []string{"a", "b"}}, `{"type":"string","enum":["a","b"]}`},
		{"mysql", Column{Type: "json"}, `{}`},
		{"mysql", Column{Type: "double"}, `{"type":"number"}`},
	} {
		c.column.Name = "c"
		got, err := schemaOf(c.database, []Column{c.column})
		want := `{"type":"object","properties":{"c":` + c.want + `},"required":["c"],"additionalProperties":false,"$schema":"http://json-schema.org/draft-07/schema#"}`
		if err != nil || string(got) != want {
			t.Errorf("%s %+v: got %s, %v", c.database, c.column, got, err)
		}
	}
}

func FuzzParseSQL(f *testing.F) {
	f.Add(sqlAccount)
	f.Add("-- rejot: consumer-schema a\n-- reads: m/s 1\n--   more\n-- delete:\n-- truncate:\r\n;")
	f.Add("\ufeff\n-- rejot: public-schema a 1.0")
	f.Fuzz(func(t *testing.T, text string) {
		c, problems := parseSQL("a.sql", text)
		for _, p := range problems {
			if p.at.line < 1 || p.text == "" {
				t.Errorf("a problem without a place: %+v", p)
			}
		}
		if c == nil {
			return
		}
		e := New(Config{Describe: &fakeDescriber{columns: []Column{{Name: "id", Type: "bigint"}}}})
		lines := strings.Count(text, "\n") + 1
		for _, read := range []func() []problem{
			func() []problem { _, p := e.publicEntry(t.Context(), c); return p },
			func() []problem { _, p := e.consumerEntry(c); return p },
		} {
			for _, p := range read() {
				if p.at.line < 0 || p.at.line > lines {
					t.Errorf("line %d of %d: %s", p.at.line, lines, p.text)
				}
			}
		}
	})
}
