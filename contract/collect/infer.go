package collect

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// A jsonType is what a database's type is in JSON Schema. The zero jsonType is any value.
type jsonType struct{ name, format, encoding string }

// postgresTypes has the types whose values are no plain text. Numbers that JSON's readers would round are text.
var postgresTypes = map[string]jsonType{
	"smallint": {name: "integer"}, "integer": {name: "integer"}, "bigint": {name: "integer"}, "oid": {name: "integer"}, "xid8": {name: "integer"},
	"real": {name: "number"}, "double precision": {name: "number"},
	"numeric": {name: "string", format: "decimal"},
	"boolean": {name: "boolean"},
	"uuid":    {name: "string", format: "uuid"},
	"date":    {name: "string", format: "date"},
	"time":    {name: "string", format: "time"}, "time without time zone": {name: "string", format: "time"}, "time with time zone": {name: "string", format: "time"},
	"timestamp": {name: "string", format: "date-time"}, "timestamp without time zone": {name: "string", format: "date-time"}, "timestamp with time zone": {name: "string", format: "date-time"},
	"json": {}, "jsonb": {},
	"bytea": {name: "string", encoding: "base16"},
}

// mysqlTypes are for MariaDB as well.
var mysqlTypes = map[string]jsonType{
	"tinyint": {name: "integer"}, "smallint": {name: "integer"}, "mediumint": {name: "integer"}, "int": {name: "integer"}, "bigint": {name: "integer"}, "year": {name: "integer"},
	"float": {name: "number"}, "double": {name: "number"},
	"decimal": {name: "string", format: "decimal"}, "numeric": {name: "string", format: "decimal"},
	"date": {name: "string", format: "date"}, "datetime": {name: "string", format: "date-time"}, "timestamp": {name: "string", format: "date-time"},
	"json":   {},
	"binary": {name: "string", encoding: "base16"}, "varbinary": {name: "string", encoding: "base16"},
	"tinyblob": {name: "string", encoding: "base16"}, "blob": {name: "string", encoding: "base16"}, "mediumblob": {name: "string", encoding: "base16"}, "longblob": {name: "string", encoding: "base16"},
}

// modifier is a length or precision inside or after a type's name.
var modifier = regexp.MustCompile(`\s*\([^)]*\)`)

// typeOf gives a type by its name. What is not known is text, as every value travels.
func typeOf(database, name string) jsonType {
	bare := strings.ToLower(strings.TrimPrefix(modifier.ReplaceAllString(name, ""), "pg_catalog."))
	known := postgresTypes
	if database == "mysql" {
		known = mysqlTypes
		bare = strings.TrimSuffix(strings.TrimSuffix(bare, " zerofill"), " unsigned")
	}
	if t, ok := known[bare]; ok {
		return t
	}
	return jsonType{name: "string"}
}

// schemaOf makes the JSON Schema of a query's rows.
func schemaOf(database string, columns []Column) (json.RawMessage, error) {
	if len(columns) == 0 {
		return nil, rejot.Errorf(rejot.Invalid, "the query returns no columns")
	}
	b := bytes.NewBufferString(`{"type":"object","properties":{`)
	var required [][]byte
	for i, c := range columns {
		if slices.ContainsFunc(columns[:i], func(o Column) bool { return o.Name == c.Name }) {
			return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "the query returns two columns with the name %s", c.Name), "name each column: AS …")
		}
		if c.Name == "" || c.Name == "?column?" {
			return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "column %d of the query has no name", i+1), "name each column: AS …")
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encoded(c.Name))
		b.WriteByte(':')
		writeColumn(b, database, c)
		required = append(required, encoded(c.Name))
	}
	b.WriteString(`},"required":[`)
	b.Write(bytes.Join(required, []byte(",")))
	b.WriteString(`],"additionalProperties":false,"$schema":`)
	b.Write(encoded(contract.Draft))
	b.WriteByte('}')
	return b.Bytes(), nil
}

func writeColumn(b *bytes.Buffer, database string, c Column) {
	b.WriteByte('{')
	if elem, ok := strings.CutSuffix(c.Type, "[]"); ok && database == "postgres" {
		writeType(b, jsonType{name: "array"}, c.Nullable)
		b.WriteString(`,"items":`)
		// No catalogue says whether an element may be null.
		writeColumn(b, database, Column{Type: strings.TrimSuffix(elem, "[]"), Values: c.Values, Nullable: true})
	} else {
		t := typeOf(database, c.Type)
		writeType(b, t, c.Nullable)
		if len(c.Values) > 0 && t.name == "string" {
			writeValues(b, c)
		}
	}
	if c.Comment != "" {
		if b.Bytes()[b.Len()-1] != '{' {
			b.WriteByte(',')
		}
		b.WriteString(`"description":`)
		b.Write(encoded(c.Comment))
	}
	b.WriteByte('}')
}

func writeType(b *bytes.Buffer, t jsonType, nullable bool) {
	switch {
	case t.name == "":
		return // any value, null as well
	case nullable:
		b.WriteString(`"type":["` + t.name + `","null"]`)
	default:
		b.WriteString(`"type":"` + t.name + `"`)
	}
	if t.format != "" {
		b.WriteString(`,"format":"` + t.format + `"`)
	}
	if t.encoding != "" {
		b.WriteString(`,"contentEncoding":"` + t.encoding + `"`)
	}
}

// writeValues lists an enumeration.
func writeValues(b *bytes.Buffer, c Column) {
	list := make([][]byte, 0, len(c.Values)+1)
	for _, v := range c.Values {
		list = append(list, encoded(v))
	}
	if c.Nullable {
		list = append(list, []byte("null"))
	}
	b.WriteString(`,"enum":[`)
	b.Write(bytes.Join(list, []byte(",")))
	b.WriteByte(']')
}

// encoded makes a JSON text. A Go string always encodes.
func encoded(s string) []byte {
	raw, _ := encodedJSON(s) // a text always encodes
	return raw
}

// encodedJSON is json.Marshal with < and > as they are, as they stand in SQL.
func encodedJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}
