package pglog

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// typeCases are types with values at their borders, in the words of SQL.
var typeCases = map[string][]string{
	"bool":          {`true`, `false`},
	"int2":          {`'-32768'`, `'32767'`},
	"int8":          {`'-9223372036854775808'`, `'9007199254740993'`},
	"numeric":       {`'1.10'`, `'1.000'`, `'NaN'`, `'Infinity'`, `repeat('9', 3000)::numeric`, `'-0.00'`},
	"numeric(5,2)":  {`'999.99'`},
	"float8":        {`'5e-324'`, `'1.7976931348623157e308'`, `'-0'`, `'NaN'`, `'-Infinity'`, `0.1 + 0.2::float8`},
	"float4":        {`'1.4e-45'`, `'3.4028235e38'`, `'0.1'`},
	"money":         {`'-92233720368547758.07'`},
	"char(10)":      {`'abc'`, `''`},
	"varchar(20)":   {`'  x  '`, `''`},
	"text":          {`''`, `'NULL'`, `E'\\"{},''\n\t\r'`, `U&'\+010FFFF\FEFF\2028e\0301'`, `repeat('ab', 50000)::text`},
	`"char"`:        {`'x'`},
	"bytea":         {`''`, `'\x00ff5c22'`},
	"date":          {`'4713-01-01 BC'`, `'5874897-12-31'`, `'infinity'`},
	"timestamptz":   {`'0044-03-15 12:00:00.123456+00 BC'`, `'-infinity'`, `'294276-12-31 23:59:59.999999+00'`},
	"timestamp(3)":  {`'2024-02-29 23:59:60'`},
	"time":          {`'24:00:00'`, `'00:00:00.000001'`},
	"timetz":        {`'23:59:60-15:59:59'`},
	"interval":      {`'1 mon -30 days +00:00:00.000001'`, `'-178000000 years'`},
	"uuid":          {`'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'`},
	"json":          {`'{"b": 1.10, "a":1e400 , "b":"\u0000"}'`, `'null'`},
	"jsonb":         {`'{"b": 1.10, "a": [null, "\""]}'`, `'null'`},
	"xml":           {`'<?xml version="1.0"?><a><![CDATA[<]]></a>'`, `'x<b/>y'`},
	"inet":          {`'192.168.0.1/24'`, `'::1'`},
	"macaddr8":      {`'08:00:2b:01:02:03:04:05'`},
	"bit(5)":        {`'10101'`},
	"varbit":        {`''`, `repeat('10', 500)::varbit`},
	"point":         {`'(1e-300,-0)'`},
	"polygon":       {`'((0,0),(1,1),(0.1,2))'`},
	"mood":          {`''`, `'a,b"c'`, `'NULL'`, `'😀'`},
	"short":         {`'abc'`},
	"pair":          {`ROW(1, 'a,"b\')`, `ROW(NULL, NULL)`, `ROW(NULL, '')`},
	"int4range":     {`'empty'`, `'(,)'`, `'[1,5]'`},
	"tstzrange":     {`'[2024-01-01 00:00+00,infinity)'`},
	"nummultirange": {`'{[1.10,2),(5,)}'`},
	"int[]":         {`'{}'`, `'[2:3][0:1]={{1,2},{3,4}}'`, `'{1,NULL}'`},
	"text[]":        {`ARRAY['NULL', NULL, '', 'a"b\c', '{', ',']`},
	"pair[]":        {`ARRAY[ROW(1, 'a,"b\')::pair, NULL]`},
	"pg_lsn":        {`'FFFFFFFF/FFFFFFFF'`},
	"xid8":          {`'18446744073709551615'`},
	"tsvector":      {`$$'a b':1A 'it''s':2$$`},
	"jsonpath":      {`'$.a[*] ? (@ > 1)'`},
}

// TestValuesAreTheServersText compares what a query yields with the server's own text, and casts it
// back into its type.
func TestValuesAreTheServersText(t *testing.T) {
	s, db := openSource(t, `CREATE TYPE mood AS ENUM ('', 'a,b"c', 'NULL', '😀'); CREATE DOMAIN short AS varchar(7); CREATE TYPE pair AS (n int, t text)`)
	var columns, outputs []string
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range typeCases {
			if !yield(name) {
				return
			}
		}
	})
	rows := 0
	for i, name := range names {
		columns = append(columns, fmt.Sprintf("c%d %s", i, name))
		outputs = append(outputs, fmt.Sprintf("t.c%d", i))
		rows = max(rows, len(typeCases[name]))
	}
	db.Exec(t, `CREATE TABLE t (id int PRIMARY KEY, `+strings.Join(columns, ", ")+`)`)
	for row := range rows {
		values := []string{strconv.Itoa(row)}
		for _, name := range names {
			if row < len(typeCases[name]) {
				values = append(values, typeCases[name][row])
			} else {
				values = append(values, "NULL")
			}
		}
		db.Exec(t, `INSERT INTO t VALUES (`+strings.Join(values, ", ")+`)`)
	}
	v := resolveOne(t, s, "t", `SELECT `+strings.Join(outputs, ", ")+` FROM t WHERE t.id = :id`)
	want := db.Session(t)
	want.Exec(t, `SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'; SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmloption = 'content'`)
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	for row := range rows {
		theirs := want.Query(t, fmt.Sprintf(`SELECT %s FROM t WHERE id = %d`, strings.Join(outputs, ", "), row))[0]
		err := snap.Query(t.Context(), v.Rows, tuplesOf([]string{strconv.Itoa(row)}), func(a rejot.Answer) error {
			for i, got := range a.Row {
				text, ok := got.Text()
				if !ok {
					text = "NULL"
				}
				if text != theirs[i] {
					t.Errorf("%s: got %.80q, want %.80q", names[i], text, theirs[i])
				}
				typ := v.Shape.Row[i].Type.Name
				if !ok {
					continue
				}
				if back := want.Query(t, `SELECT (`+quoteLiteral(text)+`::text)::`+typ); back[0][0] != text {
					t.Errorf("%s as %s: %.80q came back as %.80q", names[i], typ, text, back[0][0])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestKeysOfEveryType looks rows up by the text that the log gives of their keys.
func TestKeysOfEveryType(t *testing.T) {
	s, db := openSource(t, `CREATE TYPE mood AS ENUM ('', 'a,b"c', 'NULL', '😀'); CREATE DOMAIN short AS varchar(7)`)
	for i, c := range []struct{ typ, value string }{
		{"int2", `'-32768'`},
		{"int8", `'9007199254740993'`},
		{"char(5)", `'ab'`},
		{"varchar(9)", `' x"\'`},
		{"text", `'{NULL,"}'`},
		{"uuid", `'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'`},
		{"bytea", `'\x00ff22'`},
		{"date", `'0044-03-15 BC'`},
		{"timestamptz", `'2024-01-02 03:04:05.000006+02'`},
		{"bool", `true`},
		{"mood", `'a,b"c'`},
		{"short", `'abc'`},
		{"inet", `'10.0.0.1/8'`},
	} {
		table := fmt.Sprintf("k%d", i)
		db.Exec(t, fmt.Sprintf(`CREATE TABLE %s (id %s PRIMARY KEY, n int); INSERT INTO %s VALUES (%s, 7)`, table, c.typ, table, c.value))
		v := resolveOne(t, s, table, `SELECT n FROM `+table+` WHERE id = :id`)
		first := ask(t, s, v.First, []string{"5"})
		if len(first) != 1 {
			t.Errorf("%s: got keys %q", c.typ, first)
			continue
		}
		wantSame(t, ask(t, s, v.Rows, []string{first[0]}), []string{"0: 7"})
		wantSame(t, ask(t, s, v.Next, []string{first[0], "5"}), []string(nil))
	}
}

func TestArraysCarryAnyText(t *testing.T) {
	_, db := openSource(t, "")
	session := db.Session(t)
	rapid.Check(t, func(rt *rapid.T) {
		texts := rapid.SliceOfN(rapid.OneOf(
			rapid.SampledFrom([]string{"", "NULL", "null", `"`, `\`, "{}", ",", " ", "\t\n", "a'b", "é\U0010FFFF"}),
			rapid.StringMatching(`[ -~]{0,12}`),
		), 1, 6).Draw(rt, "texts")
		null := rapid.IntRange(0, len(texts)).Draw(rt, "null")
		var a arrayLiteral
		want := make([]string, 0, len(texts))
		for i, s := range texts {
			if i == null {
				a.add(rejot.NullValue())
				want = append(want, "-")
				continue
			}
			a.add(rejot.TextValue(s))
			want = append(want, "="+s)
		}
		rows := session.Query(t, `SELECT coalesce('=' || x, '-') FROM unnest(`+quoteLiteral(string(a.end()))+`::text[]) WITH ORDINALITY u(x, n) ORDER BY n`)
		got := make([]string, 0, len(rows))
		for _, r := range rows {
			got = append(got, r[0])
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("got %q, want %q", got, want)
		}
	})
}

func TestManyTuplesGoInChunks(t *testing.T) {
	s, _ := openSource(t, `CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t SELECT i, 'n' || i FROM generate_series(1, 12000) i WHERE i % 3 <> 0`)
	v := resolveOne(t, s, "t", `SELECT note FROM t WHERE id = :id`)
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	numbers := func(n int) iter.Seq2[[]rejot.Value, error] {
		return func(yield func([]rejot.Value, error) bool) {
			for i := range n {
				if !yield(valuesOf(strconv.Itoa(i+1)), nil) {
					return
				}
			}
		}
	}
	found := 0
	err = snap.Query(t.Context(), v.Rows, numbers(12_000), func(a rejot.Answer) error {
		found++
		if note, _ := a.Row[0].Text(); note != "n"+strconv.Itoa(a.Tuple+1) {
			return fmt.Errorf("tuple %d has %s", a.Tuple, note)
		}
		return nil
	})
	if err != nil || found != 8000 {
		t.Error(found, err)
	}
	mine := errors.New("mine")
	if err := snap.Query(t.Context(), v.Rows, numbers(100), func(rejot.Answer) error { return mine }); !errors.Is(err, mine) {
		t.Error(err)
	}
	failing := func(yield func([]rejot.Value, error) bool) { yield(nil, mine) }
	if err := snap.Query(t.Context(), v.Rows, failing, nil); !errors.Is(err, mine) {
		t.Error(err)
	}
	unknown := func(yield func([]rejot.Value, error) bool) { yield(make([]rejot.Value, 1), nil) }
	if err := snap.Query(t.Context(), v.Rows, unknown, nil); rejot.CodeOf(err) != rejot.Internal {
		t.Error(err)
	}
	if err := snap.Query(t.Context(), v.Rows, tuplesOf([]string{"1", "2"}), nil); rejot.CodeOf(err) != rejot.Internal {
		t.Error(err)
	}
	none := func(func([]rejot.Value, error) bool) {}
	if err := snap.Query(t.Context(), v.Rows, none, nil); err != nil {
		t.Error(err)
	}
	wantSame(t, askIn(t, snap, v.Rows, []string{"1"}), []string{"0: n1"})
	wantSame(t, len(askIn(t, snap, v.First, []string{"9"})), 9)
}

func TestQueryWithoutTuplesAsksTheServerNothing(t *testing.T) {
	s, db := openSource(t, `CREATE TABLE owner (id int PRIMARY KEY, name text); CREATE TABLE t (id int PRIMARY KEY, owner_id int)`)
	v := resolveOne(t, s, "t", `SELECT t.id, o.name FROM t JOIN owner o ON o.id = t.owner_id WHERE t.id = :id`)
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	asked := func() string {
		return fmt.Sprint(db.Query(t, `SELECT query, query_start FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'`))
	}
	at := slices.IndexFunc(v.Routes, func(r contract.Route) bool { return r.Keys != nil })
	for name, q := range map[string]*rejot.Query{"rows": v.Rows, "derived keys": v.Routes[at].Keys} {
		before := asked()
		if err := snap.Query(t.Context(), q, tuplesOf(), nil); err != nil {
			t.Fatal(err)
		}
		if after := asked(); after != before {
			t.Errorf("%s: got %s after %s", name, after, before)
		}
		askIn(t, snap, q, []string{"1"})
		if asked() == before {
			t.Errorf("%s: with a tuple nothing is asked", name)
		}
	}
}

func TestAlteredTables(t *testing.T) {
	s, db := openSource(t, `CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t VALUES (1, 2, 3)`)
	v := resolveOne(t, s, "t", `SELECT id, a FROM t WHERE id = :id`)
	all := resolveOne(t, s, "t", `SELECT t.* FROM t WHERE id = :id`)
	failure := func() error {
		snap, err := s.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = snap.Close() }()
		return snap.Query(t.Context(), v.Rows, tuplesOf([]string{"1"}), func(rejot.Answer) error { return nil })
	}
	ask(t, s, v.Rows, []string{"1"})
	ask(t, s, all.Rows, []string{"1"})
	db.Exec(t, `ALTER TABLE t ADD c text`)
	wantSame(t, ask(t, s, v.Rows, []string{"1"}), []string{"0: 1|2"})
	wantSame(t, ask(t, s, all.Rows, []string{"1"}), []string{"0: 1|2|3"})
	db.Exec(t, `ALTER TABLE t DROP COLUMN b`)
	wantSame(t, ask(t, s, v.Rows, []string{"1"}), []string{"0: 1|2"})

	db.Exec(t, `ALTER TABLE t ALTER a TYPE bigint`)
	if err := failure(); rejot.CodeOf(err) != rejot.Transient {
		t.Errorf("a stale plan: %v (%s)", err, rejot.CodeOf(err))
	}
	err := failure()
	if rejot.CodeOf(err) != rejot.Invalid || !strings.Contains(err.Error(), "publish 1.0") || rejot.MendOf(err) == "" {
		t.Errorf("another type: %v (%s)", err, rejot.CodeOf(err))
	}
	v = resolveOne(t, s, "t", `SELECT id, a FROM t WHERE id = :id`)
	wantSame(t, ask(t, s, v.Rows, []string{"1"}), []string{"0: 1|2"})

	db.Exec(t, `ALTER TABLE t DROP COLUMN a`)
	if err := failure(); rejot.CodeOf(err) != rejot.NotFound || !strings.Contains(err.Error(), `column`) {
		t.Errorf("a column that is gone: %v (%s)", err, rejot.CodeOf(err))
	}
}

func TestErrorsOfRowsHaveNoValues(t *testing.T) {
	s, db := openSource(t, `CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'secret')`)
	v := resolveOne(t, s, "t", `SELECT a::int AS a FROM t WHERE id = :id`)
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	err = snap.Query(t.Context(), v.Rows, tuplesOf([]string{"1"}), nil)
	if rejot.CodeOf(err) != rejot.Rejected || !strings.Contains(err.Error(), "22P02") {
		t.Error(err)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(e.Error(), "secret") {
			t.Errorf("%v has a value", e)
		}
	}
	_ = db
}

func TestStatus(t *testing.T) {
	s, db := openSource(t, accountSchema)
	st, err := s.Status(t.Context())
	if err != nil || st.End == (rejot.Place{}) || st.Confirmed != (rejot.Place{}) || st.WALStatus != "" {
		t.Errorf("without a slot: %+v %v", st, err)
	}
	db.Exec(t, `SELECT pg_create_logical_replication_slot('`+s.store.SlotName+`', 'pgoutput'); INSERT INTO account VALUES (1)`)
	st, err = s.Status(t.Context())
	if err != nil || st.WALStatus != "reserved" || st.Confirmed == (rejot.Place{}) || !st.Confirmed.Less(st.End) || st.RetainedBytes == 0 {
		t.Errorf("with a slot: %+v %v", st, err)
	}
	if err := s.flush(t.Context()); err != nil {
		t.Error(err)
	}
}
