package myapply_test

import (
	"fmt"
	"strings"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

var (
	textType = rejot.Type{Name: "text"}
	pair     = rejot.Type{Name: "public.pair", Kind: rejot.Composite, Fields: []rejot.Column{{Name: "n", Type: rejot.Type{Name: "bigint"}}, {Name: "s", Type: textType}}}
)

func array(elem rejot.Type) rejot.Type {
	return rejot.Type{Name: elem.Name + "[]", Kind: rejot.Array, Elem: &elem}
}

// arrivals are values as Postgres writes them, the column that they go into, and how MariaDB shows them there.
var arrivals = []struct {
	typ    rejot.Type
	column string
	text   string
	shown  string // an expression over v
	want   string
}{
	{rejot.Type{Name: "boolean"}, "tinyint(1)", "t", "v", "1"},
	{rejot.Type{Name: "boolean"}, "tinyint(1)", "f", "v", "0"},
	{rejot.Type{Name: "smallint"}, "smallint", "-32768", "v", "-32768"},
	{rejot.Type{Name: "bigint"}, "bigint", "9223372036854775807", "v", "9223372036854775807"},
	{rejot.Type{Name: "bigint"}, "bigint", "-9223372036854775808", "v", "-9223372036854775808"},
	{rejot.Type{Name: "bigint"}, "varchar(30)", "9007199254740993", "v", "9007199254740993"},
	{rejot.Type{Name: "numeric(20,4)"}, "decimal(65,30)", "1.1000", "v + 0", "1.100000000000000000000000000000"},
	{rejot.Type{Name: "numeric"}, "varchar(80)", "1.1000", "v", "1.1000"},
	{rejot.Type{Name: "numeric"}, "decimal(65,0)", strings.Repeat("9", 65), "v", strings.Repeat("9", 65)},
	{rejot.Type{Name: "numeric"}, "decimal(65,30)", "-" + strings.Repeat("9", 35) + "." + strings.Repeat("1", 30), "v", "-" + strings.Repeat("9", 35) + "." + strings.Repeat("1", 30)},
	{rejot.Type{Name: "real"}, "float", "0.1", "v", "0.1"},
	{rejot.Type{Name: "real"}, "float", "3.4028235e+38", "v = 3.4028234663852886e38", "1"},
	{rejot.Type{Name: "double precision"}, "double", "5e-324", "v", "5e-324"},
	{rejot.Type{Name: "double precision"}, "double", "1.7976931348623157e+308", "v", "1.7976931348623157e308"},
	{rejot.Type{Name: "double precision"}, "double", "0.30000000000000004", "v", "0.30000000000000004"},
	{rejot.Type{Name: "double precision"}, "double", "-0", "v = 0", "1"},
	{rejot.Type{Name: "money"}, "decimal(19,2)", "-$92,233,720,368,547,758.08", "v", "-92233720368547758.08"},
	{rejot.Type{Name: "bytea"}, "longblob", `\x00ff5c27deadbeef00`, "HEX(v)", "00FF5C27DEADBEEF00"},
	{rejot.Type{Name: "bytea"}, "varbinary(10)", `\x`, "CONCAT('<', HEX(v), '>')", "<>"},
	{rejot.Type{Name: "text"}, "longtext", "", "CONCAT('<', v, '>')", "<>"},
	{rejot.Type{Name: "text"}, "longtext", "é😀e\u0301\u200d\U0010ffff'\\\"\n", "HEX(v)", fmt.Sprintf("%X", "é😀e\u0301\u200d\U0010ffff'\\\"\n")},
	{rejot.Type{Name: "character(10)"}, "varchar(10)", "padded    ", "CONCAT('<', v, '>')", "<padded    >"},
	{rejot.Type{Name: "date"}, "date", "0001-01-01", "v", "0001-01-01"},
	{rejot.Type{Name: "date"}, "date", "9999-12-31", "v", "9999-12-31"},
	{rejot.Type{Name: "time without time zone"}, "time(6)", "24:00:00", "v", "24:00:00.000000"},
	{rejot.Type{Name: "time without time zone"}, "time(6)", "23:59:59.999999", "v", "23:59:59.999999"},
	{rejot.Type{Name: "timestamp without time zone"}, "datetime(6)", "9999-12-31 23:59:59.999999", "v", "9999-12-31 23:59:59.999999"},
	{rejot.Type{Name: "timestamp with time zone"}, "datetime(6)", "2024-02-29 12:00:00.5+00", "v", "2024-02-29 12:00:00.500000"},
	{rejot.Type{Name: "timestamp with time zone"}, "timestamp(6)", "2024-03-31 02:30:00+00", "UNIX_TIMESTAMP(v)", "1711852200.000000"},
	{rejot.Type{Name: "interval"}, "varchar(100)", "-178000000 years +1 mon -2 days +03:00:00", "v", "-178000000 years +1 mon -2 days +03:00:00"},
	{rejot.Type{Name: "uuid"}, "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "v", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
	{rejot.Type{Name: "uuid"}, "char(36)", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "v", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
	{rejot.Type{Name: "inet"}, "varchar(43)", "2001:db8::1/64", "v", "2001:db8::1/64"},
	{rejot.Type{Name: "json"}, "json", `{"b": 1.10, "a" :1e400,"b":null}`, "v", `{"b": 1.10, "a" :1e400,"b":null}`},
	{rejot.Type{Name: "json"}, "json", `"\u0000"`, "v", `"\u0000"`},
	{rejot.Type{Name: "jsonb"}, "json", `null`, "CONCAT(v IS NULL, v)", `0null`},
	{rejot.Type{Name: "public.mood", Kind: rejot.Enum}, "enum('sad','it''s, \"ok\"')", `it's, "ok"`, "v", `it's, "ok"`},
	{rejot.Type{Name: "int4range", Kind: rejot.Range}, "varchar(40)", "[1,10)", "v", "[1,10)"},
	{rejot.Type{Name: "bit(4)"}, "varchar(64)", "1010", "v", "1010"},
	{rejot.Type{Name: "xml"}, "longtext", `<?xml version="1.0"?><a><![CDATA[x]]></a>`, "v", `<?xml version="1.0"?><a><![CDATA[x]]></a>`},
	{array(textType), "json", `{a,NULL,"NULL","q\"\\",""}`, "v", `["a",null,"NULL","q\"\\",""]`},
	{array(rejot.Type{Name: "numeric"}), "json", `{{1.10,2},{3,NULL}}`, "JSON_EXTRACT(v, '$[0][0]')", `1.10`},
	{array(pair), "json", `{"(1,\"a b\")",NULL}`, "v", `[{"n":1,"s":"a b"},null]`},
	{pair, "json", `(,"")`, "v", `{"n":null,"s":""}`},
	{rejot.Type{Name: "public.hstore"}, "json", `"k"=>NULL, "a b"=>"c\"d"`, "v", `{"k":null,"a b":"c\"d"}`},
}

func oneValue(typ rejot.Type) (*rejot.Shape, *contract.Consumer) {
	s, c := item()
	s.Row = []rejot.Column{s.Key[0], {Name: "v", Type: typ}}
	c.SQL = `INSERT INTO item (id, v) VALUES (:id, :v) ON DUPLICATE KEY UPDATE v = :v`
	return s, c
}

func TestEveryTypeArrives(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	for i, e := range arrivals {
		t.Run(fmt.Sprintf("%d %s to %s", i, e.typ.Name, e.column), func(t *testing.T) {
			db.Exec(t, `DROP TABLE IF EXISTS item`, `CREATE TABLE item (id bigint PRIMARY KEY, v `+e.column+`) CHARACTER SET utf8mb4`)
			s, c := oneValue(e.typ)
			c.Name = fmt.Sprint("item", i)
			a := open(t, connection(db), c)
			null := row(s, "1", "")
			null.Row[1] = rejot.NullValue()
			mustStep(t, a, 1, c, null)
			wantRows(t, db, `SELECT v IS NULL FROM item`, "1")
			mustStep(t, a, 2, c, row(s, "1", e.text))
			wantRows(t, db, `SELECT `+e.shown+` FROM item`, e.want)
		})
	}
}

// What has no place is refused, and nothing near it is written.
func TestValuesWithoutAPlaceAreRefused(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	for i, e := range []struct {
		typ          rejot.Type
		column, text string
		code         rejot.Code
	}{
		{rejot.Type{Name: "integer"}, "tinyint", "300", rejot.Rejected},
		{rejot.Type{Name: "numeric"}, "decimal(5,2)", "12345.67", rejot.Rejected},
		{rejot.Type{Name: "numeric"}, "double", "NaN", rejot.Rejected},
		{rejot.Type{Name: "double precision"}, "float", "1e+300", rejot.Rejected},
		{rejot.Type{Name: "text"}, "varchar(3)", "😀😀😀😀", rejot.Rejected},
		{rejot.Type{Name: "text"}, "varchar(9) CHARACTER SET utf8mb3", "😀", rejot.Rejected},
		{rejot.Type{Name: "text"}, "varchar(9) CHARACTER SET latin1", "Ω", rejot.Rejected},
		{rejot.Type{Name: "text"}, "int", "12abc", rejot.Rejected},
		{rejot.Type{Name: "text"}, "date", "2024-02-30", rejot.Rejected},
		{rejot.Type{Name: "timestamp without time zone"}, "timestamp", "1969-12-31 23:59:59", rejot.Rejected},
		{rejot.Type{Name: "date"}, "date", "infinity", rejot.Rejected},
		{rejot.Type{Name: "mood", Kind: rejot.Enum}, "enum('sad')", "happy", rejot.Rejected},
		{rejot.Type{Name: "bytea"}, "varbinary(2)", `\x010203`, rejot.Rejected},
		{array(textType), "json", `[0:0]={a}`, rejot.Rejected},
		{rejot.Type{Name: "json"}, "json", strings.Repeat("[", 40) + strings.Repeat("]", 40), rejot.Rejected},
	} {
		t.Run(fmt.Sprintf("%d %s to %s", i, e.typ.Name, e.column), func(t *testing.T) {
			db.Exec(t, `DROP TABLE IF EXISTS item`, `CREATE TABLE item (id bigint PRIMARY KEY, v `+e.column+`) CHARACTER SET utf8mb4`)
			s, c := oneValue(e.typ)
			a := open(t, connection(db), c)
			err := refused(t, a, 1, c, e.code, row(s, "1", e.text))
			if len(e.text) > 3 && e.text != "infinity" && strings.Contains(err.Error(), e.text) {
				t.Errorf("the value is in: %v", err)
			}
			if !strings.Contains(err.Error(), "refuses") && !strings.Contains(err.Error(), ":v of its sql, of type "+e.typ.Name) {
				t.Errorf("type and placeholder are not in: %v", err)
			}
			wantRows(t, db, `SELECT count(*) FROM item`, "0")
		})
	}
}

// A key is compared exactly and by its index, whatever its type.
func TestKeysOfEveryTypeAreExact(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	for i, e := range []struct {
		typ            rejot.Type
		column         string
		text, neighbor string
	}{
		{rejot.Type{Name: "bigint"}, "bigint", "9007199254740993", "9007199254740992"},
		{rejot.Type{Name: "bigint"}, "varchar(30) COLLATE utf8mb4_bin", "9007199254740993", "9007199254740992"},
		{rejot.Type{Name: "numeric"}, "decimal(65,30)", "12345678901234567890.000000000000000000000000000001", "12345678901234567890"},
		{rejot.Type{Name: "numeric"}, "bigint", "9007199254740993", "9007199254740992"},
		{rejot.Type{Name: "bytea"}, "varbinary(20)", `\x00ff61`, `\x00ff41`},
		{rejot.Type{Name: "text"}, "varchar(20) COLLATE utf8mb4_bin", "Ann", "ann"},
		{rejot.Type{Name: "timestamp with time zone"}, "datetime(6)", "2024-01-01 00:00:00.000001+00", "2024-01-01 00:00:00+00"},
		{rejot.Type{Name: "date"}, "date", "2024-01-01", "2024-01-02"},
		{rejot.Type{Name: "uuid"}, "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"},
		{rejot.Type{Name: "double precision"}, "double", "0.30000000000000004", "0.3"},
	} {
		t.Run(fmt.Sprintf("%d %s to %s", i, e.typ.Name, e.column), func(t *testing.T) {
			db.Exec(t, `DROP TABLE IF EXISTS item`, `CREATE TABLE item (id `+e.column+` PRIMARY KEY) CHARACTER SET utf8mb4`)
			s, c := item()
			c.Name = fmt.Sprint("item", i)
			s.Key = []rejot.Column{{Name: "id", Type: e.typ}}
			s.Row = s.Key
			c.SQL = `INSERT INTO item (id) VALUES (:id) ON DUPLICATE KEY UPDATE id = id`
			a := open(t, connection(db), c)
			mustStep(t, a, 1, c, row(s, e.text), row(s, e.neighbor))
			wantRows(t, db, `SELECT count(*) FROM item`, "2")
			mustStep(t, a, 2, c, &rejot.Event{Shape: s, Op: rejot.DeleteKey, Key: []rejot.Value{rejot.TextValue(e.neighbor)}})
			wantRows(t, db, `SELECT count(*) FROM item`, "1")
			mustStep(t, a, 3, c, &rejot.Event{Shape: s, Op: rejot.DeleteKey, Key: []rejot.Value{rejot.TextValue(e.text)}})
			wantRows(t, db, `SELECT count(*) FROM item`, "0")
		})
	}
}
