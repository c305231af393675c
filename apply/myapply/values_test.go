package myapply

import (
	"errors"
	"strings"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/mysql"
)

func scalarType(name string) rejot.Type { return rejot.Type{Name: name} }

func arrayOf(elem rejot.Type) rejot.Type {
	return rejot.Type{Name: elem.Name + "[]", Kind: rejot.Array, Elem: &elem}
}

func composite(fields ...rejot.Column) rejot.Type {
	return rejot.Type{Name: "public.thing", Kind: rejot.Composite, Fields: fields}
}

func TestValuesArriveExactly(t *testing.T) {
	long := strings.Repeat("9", 35)
	for _, c := range []struct {
		name, text string
		want       mysql.Param
	}{
		{"boolean", "t", mysql.Int(1)},
		{"boolean", "f", mysql.Int(0)},
		{"boolean", "true", mysql.Int(1)},
		{"smallint", "-32768", mysql.Int(-32768)},
		{"bigint", "-9223372036854775808", mysql.Int(-9223372036854775808)},
		{"bigint", "9007199254740993", mysql.Int(9007199254740993)},
		{"oid", "4294967295", mysql.Int(4294967295)},
		{"bigint unsigned", "18446744073709551615", mysql.Uint(18446744073709551615)},
		{"numeric(10,2)", "1.10", mysql.Decimal("1.10")},
		{"numeric", "-0.000", mysql.Decimal("-0.000")},
		{"numeric", long + "." + strings.Repeat("1", 30), mysql.Decimal(long + "." + strings.Repeat("1", 30))},
		{"numeric", "000" + strings.Repeat("9", 65), mysql.Decimal("000" + strings.Repeat("9", 65))},
		{"real", "0.1", mysql.Double(0.1)},
		{"double precision", "5e-324", mysql.Double(5e-324)},
		{"double precision", "1.7976931348623157e+308", mysql.Double(1.7976931348623157e308)},
		{"money", "$1,234.56", mysql.Decimal("1234.56")},
		{"money", "-$92,233,720,368,547,758.08", mysql.Decimal("-92233720368547758.08")},
		{"bytea", `\x`, mysql.Bytes([]byte{})},
		{"bytea", `\x00ff5c27`, mysql.Bytes([]byte{0, 0xff, '\\', '\''})},
		{"date", "0001-01-01", mysql.String("0001-01-01")},
		{"timestamp(3) without time zone", "2024-02-29 23:59:59.123", mysql.String("2024-02-29 23:59:59.123")},
		{"timestamp with time zone", "9999-12-31 23:59:59.999999+00", mysql.String("9999-12-31 23:59:59.999999")},
		{"time without time zone", "24:00:00", mysql.String("24:00:00")},
		{"time with time zone", "24:00:00+00", mysql.String("24:00:00+00")},
		{"interval", "1 mon -2 days +03:00:00", mysql.String("1 mon -2 days +03:00:00")},
		{"uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", mysql.String("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")},
		{"json", `{"a":1.10, "a": 1e400}`, mysql.String(`{"a":1.10, "a": 1e400}`)},
		{"jsonb", "null", mysql.String("null")},
		{"text", "", mysql.String("")},
		{"character(10)", "padded    ", mysql.String("padded    ")},
		{"bit(4)", "1010", mysql.String("1010")},
		{"public.vector", "[1,2]", mysql.String("[1,2]")},
		{"public.hstore", `"a"=>"1", "b\"c"=>NULL, ""=>""`, mysql.String(`{"a":"1","b\"c":null,"":""}`)},
		{"hstore", ``, mysql.String(`{}`)},
	} {
		typ := scalarType(c.name)
		got, err := converterOf(&typ)(c.text)
		if err != nil || got != c.want {
			t.Errorf("%s %q: got %v, %v", c.name, c.text, got, err)
		}
	}
}

func TestValuesThatCannotBeAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"boolean", "yes", errForm},
		{"bigint", "9223372036854775808", errForm},
		{"bigint", "1.0", errForm},
		{"bigint", "", errForm},
		{"numeric", "NaN", errNaN},
		{"numeric", "-Infinity", errNaN},
		{"numeric", "1e5", errForm},
		{"numeric", "1.", errForm},
		{"numeric", "--1", errForm},
		{"numeric", strings.Repeat("9", 66), errDigits},
		{"numeric", strings.Repeat("9", 40) + "." + strings.Repeat("9", 26), errDigits},
		{"numeric", "0." + strings.Repeat("1", 31), errHugeScale},
		{"real", "NaN", errNaN},
		{"double precision", "-Infinity", errNaN},
		{"double precision", "0x1p-2", errForm},
		{"double precision", "1_0", errForm},
		{"double precision", "1e400", errForm},
		{"money", "1.234,56 €", errForm},
		{"bytea", "abc", errForm},
		{"bytea", `\x0`, errForm},
		{"date", "infinity", errCalendar},
		{"date", "0044-03-15 BC", errCalendar},
		{"date", "10000-01-01", errCalendar},
		{"date", "5874897-12-31", errCalendar},
		{"date", "24-01-01", errForm},
		{"timestamp without time zone", "-infinity", errCalendar},
		{"timestamp without time zone", "0044-03-15 12:00:00 BC", errCalendar},
		{"timestamp with time zone", "294276-12-31 23:59:59.999999+00", errCalendar},
		{"timestamp with time zone", "2024-01-01 00:00:00+02", errForm},
		{"timestamp with time zone", "2024-01-01 00:00:00.1234567+00", errForm},
		{"hstore", `"a"=>"1","b"=>"2"`, errForm},
		{"hstore", `"a"=>`, errForm},
	} {
		typ := scalarType(c.name)
		if _, err := converterOf(&typ)(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s %q: error %v, want %v", c.name, c.text, err, c.want)
		}
	}
}

func TestNestedValuesBecomeJSON(t *testing.T) {
	item := composite(
		rejot.Column{Name: "n", Type: scalarType("bigint")}, rejot.Column{Name: "label", Type: scalarType("text")},
		rejot.Column{Name: "tags", Type: arrayOf(scalarType("text"))}, rejot.Column{Name: "ok", Type: scalarType("boolean")})
	for _, c := range []struct {
		typ        rejot.Type
		text, want string
	}{
		{arrayOf(scalarType("text")), `{}`, `[]`},
		{arrayOf(scalarType("text")), `{a,"b c",NULL,"NULL",null,"",é😀}`, `["a","b c",null,"NULL","null","","é😀"]`},
		{arrayOf(scalarType("text")), `{"a\"b\\c{},","x\ny"}`, `["a\"b\\c{},","xny"]`},
		{arrayOf(scalarType("text")), "{\"\t\n\x01\"}", `["\u0009\n\u0001"]`},
		{arrayOf(scalarType("bigint")), `{9223372036854775807,NULL,-1}`, `[9223372036854775807,null,-1]`},
		{arrayOf(scalarType("numeric(9,3)")), `{1.100,-0.5}`, `[1.100,-0.5]`},
		{arrayOf(scalarType("double precision")), `{1e+20,-0,0.1}`, `[1e+20,-0,0.1]`},
		{arrayOf(scalarType("boolean")), `{t,f,NULL}`, `[true,false,null]`},
		{arrayOf(scalarType("integer")), `{{{1,2},{3,4}},{{5,6},{7,8}}}`, `[[[1,2],[3,4]],[[5,6],[7,8]]]`},
		{arrayOf(scalarType("jsonb")), `{"{\"a\": [1, null]}","null"}`, `[{"a": [1, null]},null]`},
		{arrayOf(scalarType("timestamp with time zone")), `{"2024-01-01 00:00:00.5+00"}`, `["2024-01-01 00:00:00.5"]`},
		{arrayOf(scalarType("bytea")), `{"\\x00ff"}`, `["\\x00ff"]`},
		{arrayOf(scalarType("box")), `{(1,1),(0,0);(3,3),(2,2)}`, `["(1,1),(0,0)","(3,3),(2,2)"]`},
		{arrayOf(scalarType("money")), `{"$1,234.50"}`, `[1234.50]`},
		{arrayOf(rejot.Type{Name: "public.mood", Kind: rejot.Enum}), `{sad,"so so"}`, `["sad","so so"]`},
		{arrayOf(item), `{"(1,\"a b\",\"{x,NULL}\",t)",NULL}`, `[{"n":1,"label":"a b","tags":["x",null],"ok":true},null]`},
		{item, `(,"",,)`, `{"n":null,"label":"","tags":null,"ok":null}`},
		{item, `(-7,"q""u\\o,te()","{""a b"",c}",f)`, `{"n":-7,"label":"q\"u\\o,te()","tags":["a b","c"],"ok":false}`},
		{composite(rejot.Column{Name: `we"ird`, Type: scalarType("text")}), `()`, `{"we\"ird":null}`},
		{composite(), `()`, `{}`},
		{composite(rejot.Column{Name: "in", Type: item}), `("(1,""x """"y"""""",,)")`, `{"in":{"n":1,"label":"x \"y\"","tags":null,"ok":null}}`},
	} {
		got, err := converterOf(&c.typ)(c.text)
		if err != nil || got != mysql.String(c.want) {
			t.Errorf("%s %q: got %v, %v, want %s", c.typ.Name, c.text, got, err, c.want)
		}
	}
}

func TestNestedValuesThatCannotBeAreRefused(t *testing.T) {
	item := composite(rejot.Column{Name: "n", Type: scalarType("bigint")}, rejot.Column{Name: "label", Type: scalarType("text")})
	for _, c := range []struct {
		typ  rejot.Type
		text string
		want error
	}{
		{arrayOf(scalarType("integer")), `[2:3]={1,2}`, errBounds},
		{arrayOf(scalarType("integer")), `[0:1][1:1]={{1},{2}}`, errBounds},
		{arrayOf(scalarType("numeric")), `{1,NaN}`, errNaN},
		{arrayOf(scalarType("real")), `{Infinity}`, errNaN},
		{arrayOf(scalarType("date")), `{infinity}`, errCalendar},
		{arrayOf(scalarType("jsonb")), `{"{"}`, errJSONForm},
		{arrayOf(scalarType("text")), ``, errForm},
		{arrayOf(scalarType("text")), `{`, errForm},
		{arrayOf(scalarType("text")), `{a`, errForm},
		{arrayOf(scalarType("text")), `{a,}`, errForm},
		{arrayOf(scalarType("text")), `{,a}`, errForm},
		{arrayOf(scalarType("text")), `{"a}`, errForm},
		{arrayOf(scalarType("text")), `{"a\`, errForm},
		{arrayOf(scalarType("text")), `{a}}`, errForm},
		{arrayOf(scalarType("text")), `{{{{{{{1}}}}}}}`, errForm},
		{arrayOf(scalarType("text")), "{\xff}", errForm},
		{item, `(1)`, errForm},
		{item, `(1,2,3)`, errForm},
		{item, `1,2`, errForm},
		{item, `(1,"a)`, errForm},
		{item, `(1,a\)`, errForm},
		{item, `(x,y)`, errForm},
	} {
		if _, err := converterOf(&c.typ)(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s %q: error %v, want %v", c.typ.Name, c.text, err, c.want)
		}
	}
}
