package check

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A sqlType is a database's type, taken apart.
type sqlType struct {
	family string
	rank   int // within the family: a higher one holds every value of a lower one
	length int // of texts; precision of numbers and times; -1: none is said
	scale  int
	elem   *sqlType // of an array
	name   string

	unsigned bool
}

var typeForm = regexp.MustCompile(`^([^()]+?)\s*(?:\((\d+)(?:\s*,\s*(-?\d+))?\))?(?:\s+((?:with|without) time zone))?( unsigned)?( zerofill)?$`)

// typeFamilies sorts the types of Postgres, MySQL and MariaDB. What is not here is a family of its own.
var typeFamilies = map[string]sqlType{
	"smallint": {family: "integer", rank: 2}, "int2": {family: "integer", rank: 2}, "tinyint": {family: "integer", rank: 1}, "year": {family: "integer", rank: 2},
	"mediumint": {family: "integer", rank: 3}, "integer": {family: "integer", rank: 4}, "int": {family: "integer", rank: 4}, "int4": {family: "integer", rank: 4},
	"bigint": {family: "integer", rank: 6}, "int8": {family: "integer", rank: 6},
	"numeric": {family: "numeric"}, "decimal": {family: "numeric"},
	"real": {family: "float", rank: 1}, "float": {family: "float", rank: 1}, "float4": {family: "float", rank: 1}, "double precision": {family: "float", rank: 2}, "double": {family: "float", rank: 2},
	"character varying": {family: "text"}, "varchar": {family: "text"}, "text": {family: "text"}, "longtext": {family: "text", rank: 2}, "mediumtext": {family: "text", rank: 1}, "tinytext": {family: "text"},
	"citext": {family: "citext"}, "character": {family: "character"}, "char": {family: "character"}, "pg_catalog.bpchar": {family: "text"}, "bpchar": {family: "text"},
	"date": {family: "date"}, "time": {family: "time"}, "timestamp": {family: "timestamp"}, "datetime": {family: "timestamp"}, "interval": {family: "interval"},
	"json": {family: "json", rank: 2}, "jsonb": {family: "json", rank: 1}, "boolean": {family: "boolean"}, "bool": {family: "boolean"},
}

func parseType(name string) sqlType {
	name = strings.TrimSpace(strings.ToLower(name))
	if elem, ok := strings.CutSuffix(name, "[]"); ok {
		e := parseType(elem)
		return sqlType{family: "array", elem: &e, length: -1, name: name}
	}
	m := typeForm.FindStringSubmatch(name)
	if m == nil {
		return sqlType{family: name, length: -1, name: name}
	}
	t, ok := typeFamilies[m[1]]
	if !ok {
		t = sqlType{family: m[1]}
	}
	t.name, t.length = name, -1
	if m[1] == "tinytext" {
		t.length = 255
	}
	if m[2] != "" && t.family != "integer" { // an integer's is how MySQL would show it
		t.length, _ = strconv.Atoi(m[2]) // digits
		t.scale, _ = strconv.Atoi(m[3])  // digits, or nothing
	}
	if m[4] != "" {
		t.family += " " + m[4]
	}
	if t.family == "timestamp" || t.family == "time" {
		t.family += " without time zone"
	}
	if m[5] != "" {
		t.rank, t.unsigned = t.rank+1, true // it reaches further up
	}
	return t
}

func (t sqlType) isTime() bool {
	return slices.Contains([]string{"date", "time without time zone", "time with time zone", "timestamp without time zone", "timestamp with time zone"}, t.family)
}

// compareTypes says which rule a change of a type is, and how it is judged; none where they are the same
// to a reader.
func compareTypes(old, now string) (rule string, v Verdict) {
	return compareParsed(parseType(old), parseType(now))
}

func compareParsed(o, n sqlType) (rule string, v Verdict) {
	switch {
	case o.name == n.name:
		return "", ""
	case o.family == "array" && n.family == "array":
		if rule, _ := compareParsed(*o.elem, *n.elem); rule == "" {
			return "", ""
		}
		return "ARRAY_ELEMENT", Breaking
	case o.family == "array" || n.family == "array":
		return "ARRAY_ELEMENT", Breaking
	case o.isTime() && n.isTime():
		if o.family == n.family && o.length == n.length {
			return "", ""
		}
		return "TIMESTAMP", Breaking
	case o.family == "integer" && n.family == "numeric" && n.holdsIntegers(o):
		return "TYPE_WIDENED", Unless
	case o.family == "numeric" && n.family == "integer":
		return "TYPE_NARROWED", Review
	case o.family == "character" && n.family == "text" && (n.length < 0 || n.length >= max(o.length, 1)):
		return "TYPE_WIDENED", Unless
	case o.family != n.family:
		return "TYPE_CHANGED", Breaking
	case n.rank > o.rank:
		return "TYPE_WIDENED", Unless
	case n.rank < o.rank:
		return "TYPE_NARROWED", Review
	}
	return compareLengths(o, n)
}

// holdsIntegers reports whether a numeric holds every value of an integer type.
func (t sqlType) holdsIntegers(i sqlType) bool {
	digits := map[int]int{1: 3, 2: 5, 3: 7, 4: 10, 5: 10, 6: 19, 7: 20}[i.rank]
	return t.length < 0 || t.length-t.scale >= digits
}

func compareLengths(o, n sqlType) (rule string, v Verdict) {
	switch {
	case o.length == n.length && o.scale == n.scale:
		return "", ""
	case n.length < 0:
		return "TYPE_WIDENED", Unless
	case o.length < 0:
		return "TYPE_NARROWED", Review
	case n.length-n.scale > o.length-o.scale || n.scale > o.scale:
		return "PRECISION", Unless
	default:
		return "PRECISION", Review
	}
}

// takes reports whether a column of one type takes every value of another.
func takes(column, value string) bool {
	c, v := parseType(column), parseType(value)
	rule, verdict := compareParsed(v, c)
	if c.unsigned && !v.unsigned || rule != "" && verdict != Unless {
		return false
	}
	return c.length < 0 || v.length < 0 || c.length-c.scale >= v.length-v.scale && c.scale >= v.scale
}

// sameFamily reports whether a value of one type may be written into a column of another at all. A text
// takes everything, and what is not known is not judged.
func sameFamily(column, value string) bool {
	c, v := parseType(column), parseType(value)
	known := func(t sqlType) bool {
		return t.family == "integer" || t.family == "numeric" || t.family == "float" || t.family == "boolean" || t.isTime() || t.family == "array" || t.family == "uuid"
	}
	numbers := []string{"integer", "numeric", "float"}
	switch {
	case !known(c) || !known(v), c.family == v.family:
		return true
	case slices.Contains(numbers, c.family) && slices.Contains(numbers, v.family):
		return true
	case c.isTime() && v.isTime():
		return true
	case v.family == "boolean" && c.family == "integer": // MySQL has no other
		return true
	}
	return false
}
