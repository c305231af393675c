package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rejot.dev/rejot/httpapi"
	"rejot.dev/rejot/internal/dbtest"
)

// The types of FAULTS 3.1 with values at their borders, in the words of SQL.
var postgresTypes = []struct {
	typ    string
	values []string
}{
	{"boolean", []string{`true`, `false`}},
	{"smallint", []string{`'-32768'`, `'32767'`}},
	{"integer", []string{`'-2147483648'`, `'2147483647'`}},
	{"bigint", []string{`'-9223372036854775808'`, `'9223372036854775807'`, `'9007199254740993'`}},
	{"numeric", []string{`'1.10'`, `'1.000'`, `'NaN'`, `'Infinity'`, `'-Infinity'`, `repeat('9', 3000)::numeric`, `'0.' || repeat('1', 3000)`}},
	{"numeric(5,2)", []string{`'999.99'`, `'-0.01'`}},
	{"double precision", []string{`'5e-324'`, `'1.7976931348623157e308'`, `'-0'`, `'NaN'`, `'-Infinity'`, `0.1 + 0.2::float8`}},
	{"real", []string{`'1.4e-45'`, `'3.4028235e38'`, `'0.1'`, `'-0'`}},
	{"money", []string{`'-92233720368547758.07'`}},
	{"char(10)", []string{`'padded'`, `''`}},
	{"varchar(20)", []string{`'  x  '`, `''`}},
	{"text", []string{`''`, `'NULL'`, `E'\\"{},''\n\t\r'`, `U&'\+010FFFF\FEFF\2028e\0301\200D'`, `repeat('ab', 50000)`}},
	{`"char"`, []string{`'x'`}},
	{"name", []string{`repeat('n', 63)`}},
	{"citext", []string{`'MiXed'`}},
	{"bytea", []string{`''`, `'\x00ff5c22'`}},
	{"date", []string{`'4713-01-01 BC'`, `'0044-03-15 BC'`, `'5874897-12-31'`, `'infinity'`, `'-infinity'`}},
	{"timestamp", []string{`'0044-03-15 12:00:00.123456 BC'`, `'294276-12-31 23:59:59.999999'`, `'infinity'`, `'2024-02-29 23:59:60'`}},
	{"timestamptz", []string{`'0044-03-15 12:00:00.123456+00 BC'`, `'-infinity'`, `'2024-03-31 02:30:00+02'`}},
	{"timestamp(3)", []string{`'2024-01-01 00:00:00.9996'`}},
	{"time", []string{`'24:00:00'`, `'00:00:00.000001'`}},
	{"timetz", []string{`'23:59:60-15:59:59'`, `'00:00:00+15:59:59'`}},
	{"interval", []string{`'1 mon -30 days +00:00:00.000001'`, `'-178000000 years'`}},
	{"interval year to month", []string{`'-1-2'`}},
	{"uuid", []string{`'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'`}},
	{"json", []string{`'{"b": 1.10, "a":1e400 , "b":"\u0000"}'`, `'null'`, `repeat('[', 500) || repeat(']', 500)`}},
	{"jsonb", []string{`'{"b": 1.10, "a": [null, "\""]}'`, `'null'`}},
	{"jsonpath", []string{`'$.a[*] ? (@ > 1)'`}},
	{"xml", []string{`'<?xml version="1.0"?><a><![CDATA[<]]></a>'`, `'x<b/>y'`}},
	{"tsvector", []string{`$$'a b':1A 'it''s':2$$`}},
	{"tsquery", []string{`$$'a b' & !'c':*$$`}},
	{"hstore", []string{`'"k"=>NULL, "a b"=>"c\"d", "x"=>""'`, `''`}},
	{"ltree", []string{`'a.b.c'`}},
	{"inet", []string{`'192.168.0.1/24'`, `'::1'`, `'0.0.0.0/0'`}},
	{"cidr", []string{`'2001:db8::/32'`}},
	{"macaddr", []string{`'08:00:2b:01:02:03'`}},
	{"macaddr8", []string{`'08:00:2b:01:02:03:04:05'`}},
	{"bit(5)", []string{`'10101'`}},
	{"varbit", []string{`''`, `repeat('10', 500)::varbit`}},
	{"point", []string{`'(1e-300,-0)'`}},
	{"line", []string{`'{1,2,3}'`}},
	{"lseg", []string{`'[(0,0),(0.1,1)]'`}},
	{"box", []string{`'(1,1),(0,0)'`}},
	{"path", []string{`'((0,0),(1,1))'`, `'[(0,0),(1,1)]'`}},
	{"polygon", []string{`'((0,0),(1,1),(0.1,2))'`}},
	{"circle", []string{`'<(0,0),0.1>'`}},
	{"mood", []string{`''`, `'a,b"c'`, `'NULL'`, `'😀'`}},
	{"short", []string{`'abc'`}},
	{"pair", []string{`ROW(1, 'a,"b\')`, `ROW(NULL, NULL)`, `ROW(NULL, '')`}},
	{"int4range", []string{`'empty'`, `'(,)'`, `'[1,5]'`}},
	{"numrange", []string{`'(1.10,]'`}},
	{"tstzrange", []string{`'[2024-01-01 00:00+00,infinity)'`}},
	{"nummultirange", []string{`'{[1.10,2),(5,)}'`, `'{}'`}},
	{"integer[]", []string{`'{}'`, `'[2:3][0:1]={{1,2},{3,4}}'`, `'{1,NULL}'`}},
	{"text[]", []string{`ARRAY['NULL', NULL, '', 'a"b\c', '{', ',']`}},
	{"bytea[]", []string{`ARRAY['\x00'::bytea, NULL]`}},
	{"timestamptz[]", []string{`ARRAY['2024-01-01 00:00+00'::timestamptz]`}},
	{"jsonb[]", []string{`ARRAY['{"a": "\""}'::jsonb, 'null', NULL]`}},
	{"pair[]", []string{`ARRAY[ROW(1, 'a,"b\')::pair, NULL]`}},
	{"mood[]", []string{`ARRAY['a,b"c', '']::mood[]`}},
	{"oid", []string{`4294967295`}},
	{"xid8", []string{`'18446744073709551615'`}},
	{"pg_lsn", []string{`'FFFFFFFF/FFFFFFFF'`}},
	{"tid", []string{`'(4294967295,65535)'`}},
	{"pg_snapshot", []string{`'10:20:10,14,15'`}},
}

// TestEveryTypeArrivesInPostgres sends each type's values there as rows that exist, that come and that change, and
// compares what both servers write of them.
func TestEveryTypeArrivesInPostgres(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	var columns, names, places, sets []string
	most := 0
	for i, c := range postgresTypes {
		name := fmt.Sprintf("c%d", i)
		columns, names, places = append(columns, name+" "+c.typ), append(names, name), append(places, ":"+name)
		sets = append(sets, name+" = :"+name)
		most = max(most, len(c.values))
	}
	for _, db := range []*dbtest.Database{from, to} {
		db.Exec(t, `CREATE EXTENSION citext`, `CREATE EXTENSION hstore`, `CREATE EXTENSION ltree`,
			`CREATE TYPE mood AS ENUM ('', 'a,b"c', 'NULL', '😀')`, `CREATE DOMAIN short AS varchar(7) CHECK (VALUE <> '')`, `CREATE TYPE pair AS (n int, t text)`,
			`CREATE TABLE item (id int PRIMARY KEY, `+strings.Join(columns, ", ")+`)`)
	}
	insert := func(id, turn int) string {
		values := []string{fmt.Sprint(id)}
		for i, c := range postgresTypes {
			n := id + turn*i
			if n%(len(c.values)+1) == len(c.values) {
				values = append(values, "NULL")
				continue
			}
			values = append(values, "("+c.values[n%(len(c.values)+1)]+")::"+c.typ)
		}
		return `INSERT INTO item VALUES (` + strings.Join(values, ", ") + `)`
	}
	all := `SELECT id, ` + strings.Join(names, ", ") + ` FROM item ORDER BY id`
	for id := range most + 1 {
		from.Exec(t, insert(id, 0))
	}
	start(t, writeManifest(t, object{
		"connections": []object{connection("source", from, ""), connection("to", to, "")}, "dataStores": []object{sourceStore(), {"connectionSlug": "to"}},
		"publicSchemas": []object{publicSchema("s", "item", `SELECT id, `+strings.Join(names, ", ")+` FROM item WHERE id = :id`)},
		"consumerSchemas": []object{consumerSchema("c", "s", "to", "postgres", `INSERT INTO item (id, `+strings.Join(names, ", ")+`) VALUES (:id, `+strings.Join(places, ", ")+`)
			ON CONFLICT (id) DO UPDATE SET `+strings.Join(sets, ", "), `DELETE FROM item WHERE id = :id`)},
	}))
	sameRows(t, from, all, to, all)
	from.Exec(t, "BEGIN; DELETE FROM item; "+insert(0, 1)+"; "+insert(1, 1)+"; "+insert(2, 1)+"; COMMIT")
	sameRows(t, from, all, to, all)
	for id := 3; id < 60; id++ { // enough for a set
		from.Exec(t, insert(id, 1))
	}
	sameRows(t, from, all, to, all)
}

// Values of a Postgres type, a MariaDB column that takes them, and how MariaDB shows each there.
var arrivals = []struct {
	typ, column, shown string
	values             [][2]string
}{
	{"boolean", "tinyint(1)", "v", [][2]string{{`true`, "1"}, {`false`, "0"}}},
	{"smallint", "smallint", "v", [][2]string{{`-32768`, "-32768"}}},
	{"bigint", "bigint", "v", [][2]string{{`'-9223372036854775808'`, "-9223372036854775808"}, {`9007199254740993`, "9007199254740993"}}},
	{"numeric", "decimal(65,30)", "v", [][2]string{{`1.10`, "1.100000000000000000000000000000"}, {`'-' || repeat('9', 35)`, "-" + strings.Repeat("9", 35) + "." + strings.Repeat("0", 30)}}},
	{"numeric", "varchar(100)", "v", [][2]string{{`1.10`, "1.10"}, {`1.000`, "1.000"}}},
	{"double precision", "double", "v", [][2]string{{`'5e-324'`, "5e-324"}, {`0.1 + 0.2::float8`, "0.30000000000000004"}}},
	{"real", "float", "v", [][2]string{{`0.1`, "0.1"}}},
	{"money", "decimal(19,2)", "v", [][2]string{{`'-92233720368547758.07'`, "-92233720368547758.07"}}},
	{"text", "longtext", "concat('<', v, '>')", [][2]string{{`''`, "<>"}, {`E'\\"''\n😀'`, "<\\\"'\n😀>"}, {`repeat('ab', 50000)`, "<" + strings.Repeat("ab", 50000) + ">"}}},
	{"bytea", "longblob", "hex(v)", [][2]string{{`''`, ""}, {`'\x00ff5c22'`, "00FF5C22"}}},
	{"date", "date", "v", [][2]string{{`'0001-01-01'`, "0001-01-01"}, {`'9999-12-31'`, "9999-12-31"}}},
	{"timestamptz", "datetime(6)", "v", [][2]string{{`'2024-03-31 02:30:00.000001+02'`, "2024-03-31 00:30:00.000001"}}},
	{"timestamp", "datetime(6)", "v", [][2]string{{`'9999-12-31 23:59:59.999999'`, "9999-12-31 23:59:59.999999"}}},
	{"time", "time(6)", "v", [][2]string{{`'24:00:00'`, "24:00:00.000000"}}},
	{"timetz", "varchar(40)", "v", [][2]string{{`'23:59:60-15:59:59'`, "24:00:00-15:59:59"}}},
	{"interval", "varchar(80)", "v", [][2]string{{`'1 mon -30 days +00:00:00.000001'`, "1 mon -30 days +00:00:00.000001"}}},
	{"uuid", "uuid", "v", [][2]string{{`'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'`, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}}},
	{"json", "json", "v", [][2]string{{`'{"b": 1.10, "a":1e400 , "b":"\u0000"}'`, `{"b": 1.10, "a":1e400 , "b":"\u0000"}`}, {`'null'`, "null"}}},
	{"jsonb", "json", "v", [][2]string{{`'{"b": 1.10}'`, `{"b": 1.10}`}}},
	{"inet", "varchar(43)", "v", [][2]string{{`'192.168.0.1/24'`, "192.168.0.1/24"}}},
	{"varbit", "varchar(100)", "concat('<', v, '>')", [][2]string{{`''`, "<>"}, {`'1010'`, "<1010>"}}},
	{"point", "varchar(100)", "v", [][2]string{{`'(1e-300,-0)'`, "(1e-300,-0)"}}},
	{"mood", "varchar(20)", "concat('<', v, '>')", [][2]string{{`''`, "<>"}, {`'NULL'`, "<NULL>"}, {`'😀'`, "<😀>"}}},
	{"short", "varchar(7)", "v", [][2]string{{`'abc'`, "abc"}}},
	{"pair", "json", "v", [][2]string{{`ROW(1, 'a,"b\')`, `{"n":1,"t":"a,\"b\\"}`}, {`ROW(NULL, '')`, `{"n":null,"t":""}`}}},
	{"numrange", "varchar(80)", "v", [][2]string{{`'(1.10,]'`, "(1.10,)"}}},
	{"text[]", "json", "v", [][2]string{{`ARRAY['NULL', NULL, '', 'a"b\c']`, `["NULL",null,"","a\"b\\c"]`}, {`'{}'`, "[]"}}},
	{"pair[]", "json", "v", [][2]string{{`ARRAY[ROW(1, 'x')::pair, NULL]`, `[{"n":1,"t":"x"},null]`}}},
	{"hstore", "json", "v", [][2]string{{`'"k"=>NULL, "a b"=>"c\"d"'`, `{"k":null,"a b":"c\"d"}`}}},
	{"oid", "bigint", "v", [][2]string{{`4294967295`, "4294967295"}}},
	{"xid8", "bigint unsigned", "v", [][2]string{{`'18446744073709551615'`, "18446744073709551615"}}},
}

// placeless values have no place in their column.
var placeless = []struct{ typ, column, value string }{
	{"numeric", "decimal(65,30)", `'NaN'`},
	{"numeric", "decimal(65,0)", `repeat('9', 66)`},
	{"double precision", "double", `'Infinity'`},
	{"date", "date", `'0044-03-15 BC'`},
	{"date", "date", `'infinity'`},
	{"timestamptz", "datetime(6)", `'294276-12-31 23:59:59+00'`},
	{"integer[]", "json", `'[2:3]={1,2}'`},
	{"json", "json", `repeat('[', 500) || repeat(']', 500)`},
}

// TestEveryTypeArrivesInMariaDBOrIsRefused has a consumer for each column. One whose value has no place stops
// with the type and the column in its error, and the others are not kept from going on.
func TestEveryTypeArrivesInMariaDBOrIsRefused(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.MariaDB(t).NewDatabase(t)
	from.Exec(t, `CREATE EXTENSION hstore`, `CREATE TYPE mood AS ENUM ('', 'NULL', '😀')`, `CREATE DOMAIN short AS varchar(7)`, `CREATE TYPE pair AS (n int, t text)`)
	var schemas, consumers []object
	table := func(name, typ, column string) {
		from.Exec(t, fmt.Sprintf(`CREATE TABLE %s (id int PRIMARY KEY, v %s)`, name, typ), fmt.Sprintf(`INSERT INTO %s VALUES (0, NULL)`, name))
		to.Exec(t, fmt.Sprintf(`CREATE TABLE %s (id int PRIMARY KEY, v %s) CHARACTER SET utf8mb4`, name, column))
		schemas = append(schemas, publicSchema(name, name, fmt.Sprintf(`SELECT id, v FROM %s WHERE id = :id`, name)))
		consumers = append(consumers, consumerSchema(name, name, "to", "mysql",
			fmt.Sprintf(`INSERT INTO %s (id, v) VALUES (:id, :v) ON DUPLICATE KEY UPDATE v = VALUES(v)`, name), fmt.Sprintf(`DELETE FROM %s WHERE id = :id`, name)))
	}
	for i, a := range arrivals {
		table(fmt.Sprintf("a%d", i), a.typ, a.column)
	}
	for i, r := range placeless {
		table(fmt.Sprintf("r%d", i), r.typ, r.column)
	}
	p := start(t, writeManifest(t, object{
		"connections": []object{connection("source", from, ""), connection("to", to, "")}, "dataStores": []object{sourceStore(), {"connectionSlug": "to"}},
		"publicSchemas": schemas, "consumerSchemas": consumers,
	}))
	p.caughtUp(t)
	for i, r := range placeless {
		from.Exec(t, fmt.Sprintf(`INSERT INTO r%d VALUES (1, (%s)::%s)`, i, r.value, r.typ))
	}
	for i, a := range arrivals {
		for n, v := range a.values {
			from.Exec(t, fmt.Sprintf(`INSERT INTO a%d VALUES (%d, (%s)::%s)`, i, n+1, v[0], a.typ))
		}
	}
	for i, a := range arrivals {
		want := "[[0 NULL]"
		for n, v := range a.values {
			want += fmt.Sprintf(" [%d %s]", n+1, v[1])
		}
		want += "]"
		dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
			got := fmt.Sprint(to.Query(t, fmt.Sprintf(`SELECT id, %s FROM a%d ORDER BY id`, a.shown, i)))
			return got == want, fmt.Sprintf("%s in %s: got %.200s, want %.200s", a.typ, a.column, got, want)
		})
	}
	for i, r := range placeless {
		name := fmt.Sprintf("test/r%d", i)
		dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
			s, err := httpapi.NewClient(p.api).Status(t.Context())
			if err != nil {
				return false, err.Error()
			}
			for _, l := range s.Pipelines {
				if l.Consumer == name {
					return l.State == "stopped" && strings.Contains(l.Error, ":v"), r.typ + ": " + l.State + ": " + l.Error
				}
			}
			return false, name + " is not in the status"
		})
		if got := to.Query(t, fmt.Sprintf(`SELECT count(*) FROM r%d`, i))[0][0]; got != "1" {
			t.Errorf("%s in %s: the destination has %s rows", r.typ, r.column, got)
		}
	}
}
