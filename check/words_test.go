package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestQueryIsSplitAtItsOwnCommas(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{`SELECT a.id, f(a.x, 1) AS "firstName" FROM a WHERE a.id = :id`, `id=a . id|firstName=f ( a . x , 1 )|where a . id = :id`},
		{`SELECT DISTINCT ON (a.x, a.y) a.x one, a.y FROM a WHERE x = 1 AND (y = 2 OR z = 3)`, `one=a . x|y=a . y|where ( y = 2 or z = 3 )|where x = 1`},
		{`WITH w AS (SELECT 1 AS x FROM y WHERE z) SELECT w.x FROM w`, `x=w . x`},
		{`SELECT id, ':x, FROM' AS s -- , no` + "\n" + `FROM a /* , */ WHERE id = $1`, `id=id|s=':x, FROM'|where id = $1`},
		{`SELECT (SELECT b.n FROM b WHERE b.a = a.id) AS n, count(*) FROM a GROUP BY a.id`, `n=( select b . n from b where b . a = a . id )|count=count ( * )`},
		{`SELECT a.id, CASE WHEN a.x THEN 1 END, a.t::text, a.t AT TIME ZONE 'UTC' AS z FROM a`, `id=a . id|=case when a . x then 1 end|=a . t :: text|z=a . t at time zone 'UTC'`},
		{`SELECT a.*, b.x FROM a, b WHERE a.n BETWEEN 1 AND 2`, `x=b . x|star|where a . n between 1 and 2`},
		{`SELECT 1 AS x UNION SELECT 2`, `not parted`},
		{`SELECT $$ , FROM $$ AS x, $t$ ' $t$ AS y FROM a`, `x=$$ , FROM $$|y=$t$ ' $t$`},
	} {
		q := splitQuery(c.sql)
		var got []string
		for _, i := range q.items {
			got = append(got, i.name+"="+i.expr)
		}
		if q.star {
			got = append(got, "star")
		}
		for _, w := range q.where {
			got = append(got, "where "+w)
		}
		if !q.parted {
			got = append(got, "not parted")
		}
		if text := strings.Join(got, "|"); text != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.sql, text, c.want)
		}
	}
}

func FuzzWordsAreEverythingButBlanks(f *testing.F) {
	for _, s := range []string{"SELECT 1", "'", "$$", "a[1:2]", "/* ", `"a""b"`, "::", ":a$1", ")](", "é:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at := 0
		for _, w := range words(s) {
			if w.start < at || w.end <= w.start || w.end > len(s) {
				t.Fatalf("%q: word %q stands at %d to %d", s, w.text, w.start, w.end)
			}
			at = w.end
		}
		q := splitQuery(s)
		_, _ = bound(s), Places(s, nil)
		_, _, _ = q.expressions(), InsertsPlainly(s), SplitStatements(s)
		_, _ = Table(s)
	})
}

func TestStatementsAreSplitAtTheirOwnSemicolons(t *testing.T) {
	got := SplitStatements("SELECT ';'; -- ; no\nDO $$ BEGIN x; END $$;\n;  INSERT INTO a VALUES (1)")
	if want := `["SELECT ';'" "-- ; no\nDO $$ BEGIN x; END $$" "INSERT INTO a VALUES (1)"]`; fmt.Sprintf("%q", got) != want {
		t.Errorf("got %q", got)
	}
}

func TestPlaceholdersAreFollowedToTheirColumns(t *testing.T) {
	for _, c := range []struct{ sql, want string }{
		{`INSERT INTO t (a, b) VALUES (:x, :y) ON CONFLICT (a) DO UPDATE SET b = :y WHERE t.a = :z`, "x→a y→b y→b z→?"},
		{`INSERT INTO t AS u (a, b) VALUES (:x::int, upper(:y))`, "x→a y→b~"},
		{`INSERT INTO t VALUES (:x, :y || ' ' || :z)`, "x→one y→two~ z→two~"},
		{`INSERT INTO t (a, b) SELECT :x, :y WHERE :z > 0`, "x→a y→b z→?"},
		{"INSERT INTO t (`a`, b) VALUES (:x, CONCAT(:y, :z)) ON DUPLICATE KEY UPDATE a = :x, b = VALUES(b)", "x→a y→b~ z→b~ x→a"},
		{`UPDATE t SET a = :x, b = b + :y WHERE id = :id`, "x→a y→b~ id→?"},
		{`INSERT INTO t (a) VALUES ((:x::text[])[1]), (:y)`, "x→a~ y→a"},
		{`DELETE FROM t WHERE id = :id`, "id→?"},
		{`UPDATE t SET (a, b) = (:x, :y) WHERE id = :id`, "x→? y→? id→?"},
	} {
		var got []string
		for _, p := range Places(c.sql, []string{"one", "two"}) {
			s := p.Field + "→" + p.Column
			if p.Column == "" {
				s += "?"
			} else if !p.Direct {
				s += "~"
			}
			got = append(got, s)
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: got %s, want %s", c.sql, text, c.want)
		}
	}
}

func TestWhichColumnsAStatementWrites(t *testing.T) {
	for _, c := range []struct {
		sql  string
		want []string
	}{
		{`INSERT INTO t (a, "B") VALUES (:x, :y)`, []string{"a", "B"}},
		{`INSERT INTO t (a) SELECT :x`, []string{"a"}},
		{`INSERT INTO t VALUES (:x)`, nil},
		{`INSERT INTO t (SELECT :x, :y)`, nil},
		{`MERGE INTO t USING (SELECT :id AS id, :name AS name) s ON s.id = t.id WHEN MATCHED THEN UPDATE SET name = s.name`, nil},
	} {
		if got := Written(c.sql); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.sql, got, c.want)
		}
	}
}

func TestTypesAreComparedFromTheReadersSide(t *testing.T) {
	for _, c := range []struct{ old, now, want string }{
		{"integer", "bigint", "TYPE_WIDENED"},
		{"bigint", "integer", "TYPE_NARROWED"},
		{"bigint", "numeric", "TYPE_WIDENED"},
		{"bigint", "numeric(10,2)", "TYPE_CHANGED"},
		{"smallint", "numeric(10,2)", "TYPE_WIDENED"},
		{"character varying(20)", "text", "TYPE_WIDENED"},
		{"character varying(20)", "character varying(30)", "PRECISION"},
		{"text", "character varying(30)", "TYPE_NARROWED"},
		{"character(3)", "text", "TYPE_WIDENED"},
		{"numeric(10,2)", "numeric(10,4)", "PRECISION"},
		{"numeric(10,2)", "numeric", "TYPE_WIDENED"},
		{"timestamp with time zone", "timestamp without time zone", "TIMESTAMP"},
		{"timestamp(3) with time zone", "timestamp with time zone", "TIMESTAMP"},
		{"date", "timestamp without time zone", "TIMESTAMP"},
		{"integer[]", "bigint[]", "ARRAY_ELEMENT"},
		{"integer[]", "integer", "ARRAY_ELEMENT"},
		{"jsonb", "json", "TYPE_WIDENED"},
		{"real", "double precision", "TYPE_WIDENED"},
		{"longtext", "mediumtext", "TYPE_NARROWED"},
		{"text", "mediumtext", "TYPE_WIDENED"},
		{"integer", "text", "TYPE_CHANGED"},
		{"public.mood", "public.other", "TYPE_CHANGED"},
		{"uuid", "uuid", ""},
		{"varchar(5)", "character varying(5)", ""},
		{"int(11)", "integer", ""},
		{"datetime(6)", "timestamp(6)", ""},
	} {
		if got, _ := compareTypes(c.old, c.now); got != c.want {
			t.Errorf("%s to %s: got %q, want %q", c.old, c.now, got, c.want)
		}
	}
	for _, c := range []struct {
		column, value string
		want          bool
	}{
		{"bigint", "integer", true},
		{"integer", "bigint", false},
		{"text", "character varying(20)", true},
		{"character varying(10)", "character varying(20)", false},
		{"numeric(10,2)", "numeric(10,4)", false},
		{"timestamp with time zone", "timestamp without time zone", false},
		{"int(10) unsigned", "integer", false}, // below zero
		{"tinytext", "varchar(500)", false},
		{"tinytext", "text", false},
		{"tinytext", "varchar(255)", true},
		{"text", "longtext", false},
		{"mediumtext", "longtext", false},
		{"longtext", "text", true},
	} {
		if got := takes(c.column, c.value); got != c.want {
			t.Errorf("a column of %s takes %s: got %t", c.column, c.value, got)
		}
	}
}
