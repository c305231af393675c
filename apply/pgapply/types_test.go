package pgapply_test

import (
	"fmt"
	"strings"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply/pgapply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

// types are FAULTS 3.1's rows with their boundaries, as literals that the server reads.
var types = []struct {
	name   string
	values []string
}{
	{"boolean", []string{"true", "false"}},
	{"smallint", []string{"-32768", "32767"}},
	{"integer", []string{"-2147483648", "2147483647"}},
	{"bigint", []string{"-9223372036854775808", "9223372036854775807", "9007199254740993"}},
	{"numeric", []string{"1.10", "1.000", "NaN", "Infinity", "-Infinity", "0", "-0.00", strings.Repeat("9", 100000) + "." + strings.Repeat("7", 16383), "1e-1000"}},
	{"numeric(5,-2)", []string{"9999900"}},
	{"numeric(3,5)", []string{"0.00999"}},
	{"double precision", []string{"5e-324", "1.7976931348623157e308", "0.30000000000000004", "-0", "NaN", "Infinity", "-Infinity"}},
	{"real", []string{"1e-45", "3.4028235e38", "-0", "NaN", "0.1"}},
	{"money", []string{"-92233720368547758.08", "92233720368547758.07", "0"}},
	{"char(10)", []string{"padded", "", "héllo"}},
	{"varchar(40)", []string{"trailing  ", "", "é😀"}},
	{"text", []string{"", "NULL", "null", `\N`, `'quoted' "and" \back`, "a\tb\nc\r", "e\u0301 \u00e9 \U0010FFFF \u200d \ufeff \u2028 \u05d0", strings.Repeat("long ", 200000)}},
	{"name", []string{strings.Repeat("n", 63)}},
	{`"char"`, []string{"a", ""}},
	{"bytea", []string{"", `\x00ff`, `\xdeadbeef`}},
	{"date", []string{"4713-01-01 BC", "0044-03-15 BC", "5874897-12-31", "infinity", "-infinity", "2024-02-29"}},
	{"time", []string{"24:00:00", "00:00:00", "23:59:59.999999"}},
	{"time(3)", []string{"12:34:56.789"}},
	{"timetz", []string{"24:00:00-15:59:59", "00:00:00+15:59:59", "23:59:60"}},
	{"timestamp", []string{"4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999", "infinity", "-infinity", "2024-12-31 23:59:59.000001"}},
	{"timestamptz", []string{"4713-01-01 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00", "infinity", "2024-03-31 02:30:00.123456+02"}},
	{"interval", []string{"1 mon", "30 days", "-1 mon +2 days -03:04:05.000006", "178000000 years", "-178000000 years", "0"}},
	{"interval year to month", []string{"1 year 2 months"}},
	{"uuid", []string{"00000000-0000-0000-0000-000000000000", "FFFFFFFF-ffff-ffff-ffff-ffffffffffff"}},
	{"json", []string{`{"b": 1,  "a": 1.10, "a": 1e400}`, `"\u0000"`, "null", strings.Repeat("[", 500) + strings.Repeat("]", 500)}},
	{"jsonb", []string{`{"b": 1, "a": 1.10}`, "null", `"é"`, "1e400"}},
	{"jsonpath", []string{`$."a"[*] ? (@ > 1)`}},
	{"xml", []string{`<?xml version="1.0" standalone="yes"?><a><![CDATA[<b>]]></a>`, "just text", "<a/><b/>"}},
	{"tsvector", []string{`'a':1A 'it''s':2`, ""}},
	{"tsquery", []string{`'a' & !'b' <-> 'c':*`, ""}},
	{"inet", []string{"10.0.0.1/8", "0.0.0.0/0", "::1", "::ffff:1.2.3.4/96"}},
	{"cidr", []string{"10.0.0.0/8", "::/0"}},
	{"macaddr", []string{"08:00:2b:01:02:03"}},
	{"macaddr8", []string{"08:00:2b:01:02:03:04:05"}},
	{"bit(4)", []string{"1010", "0000"}},
	{"bit varying", []string{"", strings.Repeat("10", 500)}},
	{"point", []string{"(0.1,-0)", "(1e300,NaN)"}},
	{"line", []string{"{1,2,3}"}},
	{"lseg", []string{"[(0,0),(0.1,1)]"}},
	{"box", []string{"(1,1),(0,0.30000000000000004)"}},
	{"path", []string{"[(0,0),(1,1)]", "((0,0),(1,1))"}},
	{"polygon", []string{"((0,0),(1,1),(2,0))"}},
	{"circle", []string{"<(0,0),1.5>"}},
	{"mood", []string{"", "a,b", `it's "so"`, "😀", "NULL"}},
	{"positive", []string{"1", "9223372036854775807"}},
	{"pair", []string{`(,)`, `("a,""b""",)`, `("","{x,NULL}")`}},
	{"int4range", []string{"empty", "[1,10)", "(,)", "(,5)"}},
	{"numrange", []string{"[1.10,2.0]", "(1,)"}},
	{"tstzrange", []string{`["-infinity","infinity")`, `["2024-01-01 00:00:00+00",)`}},
	{"textrange", []string{`["a b","c,d")`, `["",)`}},
	{"int4multirange", []string{"{}", "{[1,3),[5,7)}"}},
	{"integer[]", []string{"{}", "{1,NULL,3}", "[2:3][0:1]={{1,2},{3,4}}", "{{1},{2}}"}},
	{"text[]", []string{`{NULL,"NULL","",a b,"c,d","e\"f\\g","{}"}`, `{"{x}"}`}},
	{"bytea[]", []string{`{"\\x00","\\xff",NULL}`}},
	{"timestamptz[]", []string{`{"2024-01-01 00:00:00+00",infinity}`}},
	{"jsonb[]", []string{`{"{\"a\": null}","null",NULL}`}},
	{"float8[]", []string{"{-0,NaN,5e-324}"}},
	{"pair[]", []string{`{"(a,\"{1,2}\")",NULL}`}},
	{"mood[]", []string{`{"","a,b",NULL}`}},
	{"oid", []string{"4294967295"}},
	{"xid8", []string{"18446744073709551615"}},
	{"pg_lsn", []string{"FFFFFFFF/FFFFFFFF", "0/0"}},
	{"tid", []string{"(4294967295,65535)"}},
	{"pg_snapshot", []string{"10:20:10,14,15"}},
	{"regclass", []string{"pg_class"}},
}

// Text binding is free of loss: what the source writes as text is, byte for byte, the value at the destination.
func TestEveryTypeArrivesUnchanged(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, `CREATE TYPE mood AS ENUM ('', 'a,b', 'it''s "so"', '😀', 'NULL')`, `CREATE DOMAIN positive AS bigint CHECK (VALUE > 0)`,
		`CREATE TYPE pair AS (a text, b text[])`, `CREATE TYPE textrange AS RANGE (subtype = text)`)
	session := db.Session(t)
	session.Exec(t, `SET datestyle = 'ISO, YMD'; SET intervalstyle = postgres; SET timezone = UTC; SET extra_float_digits = 3; SET bytea_output = hex; SET xmloption = content; SET lc_monetary = 'C'`)
	var consumers []*contract.Consumer
	var events []*rejot.Event
	for i, typ := range types {
		source, dest := fmt.Sprintf("source%d", i), fmt.Sprintf("dest%d", i)
		for _, table := range []string{source, dest} {
			session.Exec(t, fmt.Sprintf(`CREATE TABLE %s (id bigint, v %s)`, table, typ.name))
		}
		for id := range max(5, len(typ.values)) { // as many as a set has
			v := typ.values[id%len(typ.values)]
			session.Exec(t, fmt.Sprintf(`INSERT INTO %s VALUES (%d, '%s')`, source, id, strings.ReplaceAll(v, "'", "''")))
		}
		session.Exec(t, fmt.Sprintf(`INSERT INTO %s VALUES (-1, NULL)`, source))
		s, c := item()
		s.Schema.Name, s.Row = dest, []rejot.Column{s.Row[0], {Name: "v", Type: rejot.Type{Name: typ.name}}}
		c.Name, c.Schema, c.SQL, c.DeleteSQL = dest, dest, `INSERT INTO `+dest+` (id, v) VALUES (:id, :v)`, ""
		consumers = append(consumers, c)
		for _, r := range session.Query(t, fmt.Sprintf(`SELECT id, v, v IS NULL FROM %s`, source)) {
			ev := row(s, r[0], r[1])
			if r[2] == "t" && r[0] == "-1" {
				ev.Row[1] = rejot.NullValue()
			}
			events = append(events, ev)
		}
	}
	a := open(t, connection(db), consumers...)
	for i, typ := range types {
		if len(pgapply.Sets(a, consumers[i].ID())) == 0 {
			t.Errorf("%s: not proved for sets", typ.name)
		}
	}
	outcomes, err := step(t, a, 1, consumers, events...)
	if err != nil {
		t.Fatal(err)
	}
	if pgapply.RowByRow(a) {
		t.Error("a set was refused")
	}
	compare(t, session, outcomes)
	// And once more, row by row.
	for i := range types {
		session.Exec(t, fmt.Sprintf(`TRUNCATE dest%d`, i))
	}
	pgapply.NoSets(a)
	if outcomes, err = step(t, a, 2, consumers, events...); err != nil {
		t.Fatal(err)
	}
	compare(t, session, outcomes)
}

// compare compares the sources' rows with the destinations'.
func compare(t *testing.T, session *dbtest.Session, outcomes []rejot.Outcome) {
	t.Helper()
	for i, typ := range types {
		if outcomes[i].Err != nil {
			t.Errorf("%s: %v", typ.name, outcomes[i].Err)
			continue
		}
		// *= compares the bytes of rows.
		for _, r := range session.Query(t, fmt.Sprintf(`SELECT s.id, left(s.v::text, 100), left(d.v::text, 100) FROM source%[1]d s FULL JOIN dest%[1]d d USING (id)
			WHERE NOT (s.*::record *= d.*::record) OR s.v::text IS DISTINCT FROM d.v::text OR s.id IS NULL OR d IS NULL`, i)) {
			t.Errorf("%s: row %s was %s and is %s", typ.name, r[0], r[1], r[2])
		}
	}
}
