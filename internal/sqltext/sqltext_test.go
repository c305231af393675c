package sqltext_test

import (
	"fmt"
	"strings"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/sqltext"
)

const (
	pg = sqltext.Postgres
	my = sqltext.MySQL
)

func render(s *sqltext.Statement) string {
	return s.Render(func(i int, name string) string { return fmt.Sprintf("<%d %s>", i, name) })
}

func TestPlaceholders(t *testing.T) {
	for _, c := range []struct {
		dialect   sqltext.Dialect
		sql, want string
	}{
		{pg, `SELECT :id, :id_t, :id`, `SELECT <0 id>, <1 id_t>, <2 id>`},
		{pg, `SELECT $1, $12`, `SELECT <0 1>, <1 12>`},
		{pg, `SELECT :grüße`, `SELECT <0 grüße>`},
		{pg, `SELECT :_a1-:b`, `SELECT <0 _a1>-<1 b>`},
		{pg, `SELECT ':a', 'it''s :b', :c`, `SELECT ':a', 'it''s :b', <0 c>`},
		{pg, `SELECT 'a\', :c`, `SELECT 'a\', <0 c>`},
		{pg, `SELECT E'a\' :b', e'\\', :c`, `SELECT E'a\' :b', e'\\', <0 c>`},
		{pg, "SELECT E'a' -- x'\n 'b\\' :c', :d", "SELECT E'a' -- x'\n 'b\\' :c', <0 d>"},
		{pg, `SELECT E'a'' \' :b', :d`, `SELECT E'a'' \' :b', <0 d>`},
		{pg, "SELECT 'a'\n 'b\\', :c", "SELECT 'a'\n 'b\\', <0 c>"},
		{pg, `SELECT nameE'\', :c`, `SELECT nameE'\', <0 c>`},
		{pg, `SELECT U&'\0041 :b', U&"d :e" , X'1F', B'01', :c`, `SELECT U&'\0041 :b', U&"d :e" , X'1F', B'01', <0 c>`},
		{pg, `SELECT $$ :a ' $$, $t$ $$ :b $t$, :c`, `SELECT $$ :a ' $$, $t$ $$ :b $t$, <0 c>`},
		{pg, `SELECT a$b$c, :c`, `SELECT a$b$c, <0 c>`},
		{pg, `SELECT "a :b ""c :d""", :e`, `SELECT "a :b ""c :d""", <0 e>`},
		{pg, "SELECT 1 -- :a '\n, :b", "SELECT 1 -- :a '\n, <0 b>"},
		{pg, `SELECT /* :a /* ' */ :b */ :c`, `SELECT /* :a /* ' */ :b */ <0 c>`},
		{pg, `SELECT :a::text[], '1'::id_t, x :: text, :b::int`, `SELECT <0 a>::text[], '1'::id_t, x :: text, <1 b>::int`},
		{pg, `SELECT j ? 'a', j ?| :x, j @? '$.a', j #> :p, j->:k, j->>'b', a @> :y`, `SELECT j ? 'a', j ?| <0 x>, j @? '$.a', j #> <1 p>, j-><2 k>, j->>'b', a @> <3 y>`},
		{pg, `SELECT f(a := :b, c => :d)`, `SELECT f(a := <0 b>, c => <1 d>)`},
		{pg, `SELECT f(a:=1)`, `SELECT f(a:=1)`},
		{pg, `SELECT a[1:2], a[:2], a[1:], a[:]`, `SELECT a[1:2], a[:2], a[1:], a[:]`},
		{pg, `SELECT a[:i], ARRAY[:x,:y, :z]`, `SELECT a[<0 i>], ARRAY[<1 x>,<2 y>, <3 z>]`},
		{pg, `SELECT a[lo:hi], a[1:n], a[1 :n], a[f(:x):hi], a["l":h]`, `SELECT a[lo:hi], a[1:n], a[1 :n], a[f(<0 x>):hi], a["l":h]`},
		{pg, `SELECT a[:lo : :hi], a[1: :hi], a[:lo:hi]`, `SELECT a[<0 lo> : <1 hi>], a[1: <2 hi>], a[<3 lo>:hi]`},
		{pg, `SELECT a[CASE WHEN :b THEN :c END], a[(x AND :y)::int]`, `SELECT a[CASE WHEN <0 b> THEN <1 c> END], a[(x AND <2 y>)::int]`},
		{pg, `SELECT (:emails::text[])[1] WHERE id=:id`, `SELECT (<0 emails>::text[])[1] WHERE id=<1 id>`},
		{pg, `SELECT 1.5e3, 0x1F, 1_000, :a`, `SELECT 1.5e3, 0x1F, 1_000, <0 a>`},
		{pg, `SELECT '12:30'::time, :a`, `SELECT '12:30'::time, <0 a>`},
		{pg, `SELECT a # 1, :b`, `SELECT a # 1, <0 b>`},
		{pg, "SELECT `, :b", "SELECT `, <0 b>"},
		{pg, "SELECT :a ; -- done\n ; ", `SELECT <0 a>`},
		{pg, "SELECT :a -- done", `SELECT <0 a>`},
		{pg, "-- what\nSELECT :a", "-- what\nSELECT <0 a>"},
		{my, `SELECT ':a', 'it\'s :b', "c \" :d", 'e'':f', :g`, `SELECT ':a', 'it\'s :b', "c \" :d", 'e'':f', <0 g>`},
		{my, "SELECT `a :b``c\\`, :d", "SELECT `a :b``c\\`, <0 d>"},
		{my, "SELECT 1 # :a '\n, :b", "SELECT 1 # :a '\n, <0 b>"},
		{my, "SELECT 1 -- :a '\n, 5--:b, 1--1", "SELECT 1 -- :a '\n, 5--<0 b>, 1--1"},
		{my, "SELECT 1, :b --", "SELECT 1, <0 b>"},
		{my, `SELECT /* :a /* :b */ :c`, `SELECT /* :a /* :b */ <0 c>`},
		{my, `SELECT /*! STRAIGHT_JOIN */ :c, /*+ :hint */ :d`, `SELECT /*! STRAIGHT_JOIN */ <0 c>, /*+ :hint */ <1 d>`},
		{my, `SELECT :a /*!50000 FOR UPDATE */;`, `SELECT <0 a> /*!50000 FOR UPDATE */`},
		{my, `SELECT /*M! 1 */ + :c`, `SELECT /*M! 1 */ + <0 c>`},
		{my, `SET @a := :b, @c:=:d`, `SET @a := <0 b>, @c:=<1 d>`},
		{my, `SELECT $1, a$1, _utf8'x'`, `SELECT <0 1>, a$1, _utf8'x'`},
		{my, `SELECT JSON_VALUE(:emails, '$[0]')`, `SELECT JSON_VALUE(<0 emails>, '$[0]')`},
	} {
		s, err := sqltext.Parse(c.dialect, c.sql)
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		if got := render(s); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.sql, got, c.want)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	for _, c := range []struct {
		dialect   sqltext.Dialect
		sql, want string
	}{
		{pg, `SELECT :a, $1`, "1:12: named"},
		{pg, `SELECT $1, :a`, "1:12: named"},
		{pg, "SELECT 1;\nSELECT 2", "2:1: a second statement"},
		{pg, `SELECT 1; /* x */ ; 'a'`, "1:21: a second"},
		{pg, `SELECT 'a`, "1:8: a string"},
		{pg, "SELECT ü,\n  E'a\\'", "2:4: a string"},
		{pg, "SELECT 'ü', 'a", "1:13: a string"},
		{pg, "SELECT E'a'\n'b", "2:1: a string"},
		{pg, `SELECT "a`, "1:8: quoted text"},
		{pg, `SELECT $x$ a $y$`, "1:8: a string that begins here with $x$"},
		{pg, `SELECT /* a /* b */`, "1:8: a comment"},
		{pg, `SELECT /*/`, "1:8: a comment"},
		{pg, `SELECT $0`, "1:8: positional"},
		{pg, `SELECT $1a`, "1:8: the positional placeholder $1 runs"},
		{pg, `SELECT :a$$x$$`, "1:8: the name"},
		{pg, `SELECT 1 WHERE a AND:b`, "1:21: the placeholder :b runs"},
		{pg, "SELECT '\x00' \x00", "1:12: a zero byte"},
		{pg, ``, "1:1: there is no statement"},
		{pg, " -- nothing\n", "1:1: there is no statement"},
		{pg, `;`, "1:1: a semicolon"},
		{my, "SELECT `a", "1:8: quoted text"},
		{my, `SELECT "a\"`, "1:8: quoted text"},
		{my, `SELECT ?`, "1:8: ? is not"},
		{my, `SELECT /*! :a */`, "1:12: a placeholder"},
		{my, `SELECT /*! 1`, "1:8: a comment"},
		{my, `SELECT /*! 1; */`, "1:13: a semicolon"},
		{my, `SELECT 1; /*! SELECT 2 */`, "1:11: a second"},
		{my, `SELECT /* a`, "1:8: a comment"},
	} {
		_, err := sqltext.Parse(c.dialect, c.sql)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s…", c.sql, err, c.want)
			continue
		}
		if code := rejot.CodeOf(err); code != rejot.Invalid {
			t.Errorf("%s: got code %s, want invalid", c.sql, code)
		}
	}
}

func TestNamesComeOnceInOrderOfOccurrence(t *testing.T) {
	s, err := sqltext.Parse(pg, `SELECT :b, :a, :b, :c`)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.Names()); got != "[b a c]" {
		t.Errorf("got %s", got)
	}
	if s.Positional() {
		t.Error("named placeholders are taken for positional ones")
	}
}

func FuzzParse(f *testing.F) {
	for _, sql := range []string{
		`SELECT :a::text, 'x :b', E'\'', $$ :c $$, "d :e" /* :f */ -- :g`, "SELECT `a` # x\n, $1", `/*! a */ "\""`, "E'a'\n'b'; ;", `a[b:c][:d:2]`,
	} {
		f.Add(sql, true)
		f.Add(sql, false)
	}
	f.Fuzz(func(t *testing.T, sql string, mysql bool) {
		dialect := pg
		if mysql {
			dialect = my
		}
		s, err := sqltext.Parse(dialect, sql)
		if err != nil {
			return
		}
		if !strings.HasPrefix(sql, s.Text) {
			t.Fatalf("%q is not the beginning of %q", s.Text, sql)
		}
		same := s.Render(func(i int, name string) string {
			text := s.Text[s.Places[i].Start:s.Places[i].End]
			if text[1:] != name {
				t.Fatalf("place %d is %q, its name %q", i, text, name)
			}
			return text
		})
		if same != s.Text {
			t.Fatalf("got %q, want %q", same, s.Text)
		}
		again, err := sqltext.Parse(dialect, same)
		if mysql && strings.HasSuffix(same, "--") {
			return // two minus signs before a comment; alone at the end they begin one, and neither is SQL
		}
		if err != nil || len(again.Places) != len(s.Places) {
			t.Fatalf("%q is read otherwise the second time: %v", same, err)
		}
	})
}
