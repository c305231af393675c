package myapply

import (
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/mysql"
)

// A converter makes a parameter of a source's canonical text. Its error never holds the text.
type converter func(text string) (mysql.Param, error)

// The errors of values. What a type cannot hold is an error and never something near it.
var (
	errForm      = errors.New("the value is not in the canonical form of its type")
	errNaN       = errors.New("MySQL has no NaN and no infinity")
	errDigits    = errors.New("the value has more digits than DECIMAL(65,30) holds")
	errCalendar  = errors.New("MySQL has no infinity, no years BC and none after 9999")
	errBounds    = errors.New("a JSON array begins at 1, and this array does not")
	errJSONForm  = errors.New("the value is not JSON")
	errHugeScale = errors.New("the value has more than 30 decimal places")
)

// The limits of DECIMAL.
const (
	decimalDigits = 65
	decimalScale  = 30
)

// converterOf chooses by the source's type. A type that is not known here arrives as its text.
func converterOf(t *rejot.Type) converter {
	switch t.Kind {
	case rejot.Array, rejot.Composite:
		write := writerOf(t)
		return func(text string) (mysql.Param, error) {
			b, err := write(nil, text)
			return mysql.String(string(b)), err
		}
	case rejot.Enum, rejot.Range:
		return asText
	case rejot.Scalar:
		return scalar(baseName(t.Name))
	default:
		return func(string) (mysql.Param, error) { return mysql.Null(), errors.New("a type of an unknown kind") }
	}
}

// baseName is a type's name without its schema, its modifiers and its quotes, in lower case:
// timestamp(3) with time zone is timestamp with time zone, public.hstore is hstore.
func baseName(name string) string {
	for {
		open := strings.IndexByte(name, '(')
		if open < 0 {
			break
		}
		end := strings.IndexByte(name[open:], ')')
		if end < 0 {
			break
		}
		name = name[:open] + name[open+end+1:]
	}
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		name = name[dot+1:]
	}
	return strings.ToLower(strings.Join(strings.Fields(name), " "))
}

func scalar(base string) converter {
	switch base {
	case "boolean", "bool":
		return asBool
	case "smallint", "integer", "bigint", "int", "int2", "int4", "int8", "tinyint", "mediumint", "year", "oid":
		return asInt
	case "tinyint unsigned", "smallint unsigned", "mediumint unsigned", "int unsigned", "bigint unsigned", "xid8":
		return asUint
	case "numeric", "decimal", "decimal unsigned":
		return asDecimal
	case "real", "float4", "float":
		return asReal
	case "double precision", "float8", "double":
		return asDouble
	case "money":
		return asMoney
	case "bytea", "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return asBytes
	case "date":
		return asDate
	case "timestamp without time zone", "timestamp with time zone", "timestamp", "timestamptz", "datetime":
		return asTimestamp
	case "hstore":
		return func(text string) (mysql.Param, error) {
			b, err := writeHstore(nil, text)
			return mysql.String(string(b)), err
		}
	default:
		return asText
	}
}

func asText(text string) (mysql.Param, error) { return mysql.String(text), nil }

func asBool(text string) (mysql.Param, error) {
	switch text {
	case "t", "true":
		return mysql.Int(1), nil
	case "f", "false":
		return mysql.Int(0), nil
	default:
		return mysql.Null(), errForm
	}
}

func asInt(text string) (mysql.Param, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return mysql.Null(), errForm
	}
	return mysql.Int(n), nil
}

func asUint(text string) (mysql.Param, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return mysql.Null(), errForm
	}
	return mysql.Uint(n), nil
}

func asDecimal(text string) (mysql.Param, error) {
	if err := checkNumber(text); err != nil {
		return mysql.Null(), err
	}
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	whole = strings.TrimLeft(whole, "0")
	switch {
	case len(fraction) > decimalScale:
		return mysql.Null(), errHugeScale
	case len(whole)+len(fraction) > decimalDigits:
		return mysql.Null(), errDigits
	}
	return mysql.Decimal(text), nil
}

// checkNumber takes digits with an optional sign and point, as numeric is written.
func checkNumber(text string) error {
	if notFinite(text) {
		return errNaN
	}
	whole, fraction, pointed := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	if !digits(whole) || pointed && !digits(fraction) {
		return errForm
	}
	return nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func notFinite(text string) bool {
	return text == "NaN" || text == "Infinity" || text == "-Infinity"
}

// asDouble is for what is a float at the source: the same number arrives. (The server itself stores -0 as 0.)
func asDouble(text string) (mysql.Param, error) {
	if notFinite(text) {
		return mysql.Null(), errNaN
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !isFloat(text) {
		return mysql.Null(), errForm
	}
	return mysql.Double(f), nil
}

// asReal reads the digits as a double's, so that 0.1 stays 0.1 wherever it goes. Those of the largest
// real would be beyond it.
func asReal(text string) (mysql.Param, error) {
	p, err := asDouble(text)
	if err != nil {
		return p, err
	}
	f, err := strconv.ParseFloat(text, 32)
	if err != nil {
		return mysql.Null(), errForm
	}
	if math.Abs(f) == math.MaxFloat32 {
		return mysql.Double(f), nil
	}
	return p, nil
}

// isFloat takes a JSON number, as floats are written; Go would also take 0x1p-2 and 1_0.
func isFloat(text string) bool {
	mantissa, exponent, scientific := strings.Cut(text, "e")
	if scientific && !digits(strings.TrimLeft(exponent, "+-")) {
		return false
	}
	return checkNumber(mantissa) == nil
}

// asMoney takes what lc_monetary C writes: $1,234.56 and -$0.05.
func asMoney(text string) (mysql.Param, error) {
	plain, err := plainMoney(text)
	if err != nil {
		return mysql.Null(), err
	}
	return asDecimal(plain)
}

func plainMoney(text string) (string, error) {
	sign := ""
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		sign, text = "-", rest
	}
	amount := strings.ReplaceAll(strings.TrimPrefix(text, "$"), ",", "")
	whole, cents, _ := strings.Cut(amount, ".")
	if !digits(whole) || len(cents) != 2 || !digits(cents) {
		return "", errForm
	}
	return sign + amount, nil
}

func asBytes(text string) (mysql.Param, error) {
	digits, ok := strings.CutPrefix(text, `\x`)
	if !ok {
		return mysql.Null(), errForm
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return mysql.Null(), errForm
	}
	return mysql.Bytes(b), nil
}

func asDate(text string) (mysql.Param, error) {
	return mysql.String(text), checkDate(text)
}

func checkDate(text string) error {
	switch {
	case strings.HasSuffix(text, "infinity") || strings.HasSuffix(text, " BC"):
		return errCalendar
	case len(text) > 10 && digits(text[:5]):
		return errCalendar
	case len(text) != 10 || text[4] != '-' || text[7] != '-' || !digits(text[:4]) || !digits(text[5:7]) || !digits(text[8:]):
		return errForm
	case text[:4] == "0000":
		return errCalendar
	}
	return nil
}

func asTimestamp(text string) (mysql.Param, error) {
	plain, err := plainTimestamp(text)
	return mysql.String(plain), err
}

// plainTimestamp takes 2024-01-31 12:30:00.123456 with or without the +00 of a session in UTC, and gives it without.
func plainTimestamp(text string) (string, error) {
	if strings.HasSuffix(text, "infinity") || strings.HasSuffix(text, " BC") {
		return "", errCalendar
	}
	date, clock, _ := strings.Cut(text, " ")
	if err := checkDate(date); err != nil {
		return "", err
	}
	clock = strings.TrimSuffix(clock, "+00")
	seconds, fraction, pointed := strings.Cut(clock, ".")
	ok := len(seconds) == 8 && seconds[2] == ':' && seconds[5] == ':' && digits(seconds[:2]) && digits(seconds[3:5]) && digits(seconds[6:])
	if !ok || pointed && (!digits(fraction) || len(fraction) > 6) {
		return "", errForm
	}
	return date + " " + clock, nil
}
