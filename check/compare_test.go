package check

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"rejot.dev/rejot/manifest"
)

// object is JSON.
type object = map[string]any

const accountQuery = `SELECT a.id, a.first_name AS name, a.status, a.note, a.born AS born FROM account a WHERE a.id = :id AND a.active`

// before is a manifest with one public schema and one consumer of it.
func before() object {
	return object{
		"slug": "shop", "manifestVersion": 0,
		"connections": []any{
			object{"slug": "db", "config": object{"connectionType": "postgres", "host": "db.example", "port": 5432, "user": "u", "password": "${env:P}", "database": "shop"}},
			object{"slug": "db2", "config": object{"connectionType": "postgres", "host": "db2.example", "port": 5432, "user": "u", "password": "${env:P}", "database": "shop"}},
		},
		"dataStores": []any{store("db"), store("db2")},
		"publicSchemas": []any{object{
			"name": "account", "source": object{"dataStoreSlug": "db"}, "version": object{"major": 1, "minor": 0}, "owner": "team-accounts",
			"outputSchema": object{
				"type": "object", "additionalProperties": false, "required": []any{"id", "name", "status", "note", "born", "tags", "address"},
				"properties": object{
					"id":     object{"type": "integer"},
					"name":   object{"type": "string", "maxLength": 20},
					"status": object{"type": "string", "enum": []any{"new", "old"}},
					"note":   object{"type": []any{"string", "null"}, "x-sensitivity": "internal"},
					"born":   object{"type": "string", "format": "date-time"},
					"tags":   object{"type": "array", "items": object{"type": "string"}},
					"address": object{
						"type": "object", "required": []any{"city"},
						"properties": object{"city": object{"type": "string"}, "lines": object{"type": "array", "items": object{"type": "object", "properties": object{"text": object{"type": "string"}}}}},
					},
				},
			},
			"config": object{"publicSchemaType": "postgres", "transformations": []any{
				object{"operation": "insert", "table": "account", "sql": accountQuery},
				object{"operation": "insert", "table": "account_emails", "sql": "SELECT a.id FROM account a WHERE a.id = :account_id"},
			}},
		}},
		"consumerSchemas": []any{object{
			"name": "account-copy", "sourceManifestSlug": "shop", "publicSchema": object{"name": "account", "majorVersion": 1},
			"config": object{
				"consumerSchemaType": "postgres", "destinationDataStoreSlug": "db2",
				"sql": "INSERT INTO copy (id, name, status) VALUES (:id, :name, :status) ON CONFLICT (id) DO UPDATE SET name = :name", "deleteSql": "DELETE FROM copy WHERE id = :id",
			},
		}},
	}
}

func store(slug string) object {
	return object{"connectionSlug": slug, "config": object{"connectionType": "postgres", "slotName": "s_" + slug, "publicationName": "p_" + slug}}
}

func public(m object) object   { return m["publicSchemas"].([]any)[0].(object) }
func fieldsIn(m object) object { return public(m)["outputSchema"].(object)["properties"].(object) }
func field(m object, name string) object {
	return fieldsIn(m)[name].(object)
}
func address(m object) object { return field(m, "address")["properties"].(object) }
func query0(m object) object {
	return public(m)["config"].(object)["transformations"].([]any)[0].(object)
}

func transformation1(m object) object {
	return public(m)["config"].(object)["transformations"].([]any)[1].(object)
}

func formats(kind, old string) func(m object) {
	return func(m object) { fieldsIn(m)["name"] = withFormat(kind, old) }
}

func withFormat(kind, format string) object {
	if format == "" {
		return object{"type": kind}
	}
	return object{"type": kind, "format": format}
}

func consumer0(m object) object { return m["consumerSchemas"].([]any)[0].(object) }
func copyOf(m object) object {
	text, _ := json.Marshal(m)
	var out object
	_ = json.Unmarshal(text, &out) // it was made from an object
	return out
}

func replaceSQL(m object, old, now string) {
	query0(m)["sql"] = strings.Replace(query0(m)["sql"].(string), old, now, 1)
}

func parsed(t *testing.T, file string, m object) *manifest.Manifest {
	t.Helper()
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	out, err := manifest.Parse(file, text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A crossing is a change near a rule's border.
type crossing struct {
	rule    string
	name    string
	prepare func(m object) // of the state before
	change  func(m object)
	want    Verdict // empty: the rule finds nothing
	options Options
}

func version(m object, major, minor int) {
	public(m)["version"] = object{"major": major, "minor": minor}
}

func noConsumers(m object) { m["consumerSchemas"] = []any{} }

var crossings = []crossing{
	{rule: "SCHEMA_REMOVED", name: "no version is left", change: func(m object) { m["publicSchemas"], m["consumerSchemas"] = []any{}, []any{} }, want: Breaking},
	{rule: "SCHEMA_REMOVED", name: "another major version is left", change: func(m object) { version(m, 2, 0); noConsumers(m) }},

	{rule: "FIELD_ADDED", name: "a field is new", change: func(m object) { fieldsIn(m)["more"] = object{"type": "string"} }, want: Compatible},
	{rule: "FIELD_ADDED", name: "a field inside a field is new", change: func(m object) { address(m)["zip"] = object{"type": "string"} }},

	{rule: "FIELD_REMOVED", name: "a field that a consumer uses", change: func(m object) { delete(fieldsIn(m), "name") }, want: Unless},
	{rule: "FIELD_REMOVED", name: "a field that no consumer uses", change: func(m object) { delete(fieldsIn(m), "tags") }, want: Compatible},
	{rule: "FIELD_REMOVED", name: "no consumer is known", prepare: noConsumers, change: func(m object) { delete(fieldsIn(m), "tags") }, want: Unless},
	{rule: "FIELD_REMOVED", name: "no consumer is known, and all would be", prepare: noConsumers, change: func(m object) { delete(fieldsIn(m), "tags") }, want: Compatible, options: Options{Complete: true}},
	{
		rule: "FIELD_REMOVED", name: "a consumer counts fields",
		prepare: func(m object) {
			consumer0(m)["config"].(object)["sql"] = "INSERT INTO copy VALUES ($1, $2)"
			consumer0(m)["config"].(object)["deleteSql"] = "DELETE FROM copy WHERE id = $1"
		},
		change: func(m object) { delete(fieldsIn(m), "tags") }, want: Unless,
	},
	{rule: "FIELD_REMOVED", name: "a field inside a field", change: func(m object) { delete(address(m), "city") }},

	{rule: "FIELD_RENAMED", name: "the same expression under another name", change: rename("name", "full"), want: Unless},
	{rule: "FIELD_RENAMED", name: "the same expression under another name, which no consumer uses", change: rename("born", "birth"), want: Compatible},
	{rule: "FIELD_RENAMED", name: "another expression under another name", change: func(m object) {
		rename("name", "full")(m)
		replaceSQL(m, "a.first_name AS", "upper(a.first_name) AS")
	}},

	{rule: "FIELD_NAME_REUSED", name: "a name takes over another field's expression", change: func(m object) { replaceSQL(m, "a.note", "a.status AS note") }, want: Breaking},
	{rule: "FIELD_NAME_REUSED", name: "an expression that was no field", change: func(m object) { replaceSQL(m, "a.note", "a.remark AS note") }},
	{
		rule: "FIELD_NAME_REUSED", name: "a name that an earlier minor version had", change: func(m object) { fieldsIn(m)["nick"] = object{"type": "string"} }, want: Breaking,
		options: Options{History: func(string, string, int) map[string]string { return map[string]string{"nick": "a . nickname"} }},
	},
	{
		rule: "FIELD_NAME_REUSED", name: "a name that comes back as it was", change: func(m object) {
			fieldsIn(m)["nick"] = object{"type": "string"}
			replaceSQL(m, "a.note", "a.nickname AS nick, a.note")
		},
		options: Options{History: func(string, string, int) map[string]string { return map[string]string{"nick": "a . nickname"} }},
	},

	{rule: "FIELD_NAME_REUSED", name: "a consumer counts columns, and one is new before others", prepare: positional("INSERT INTO copy VALUES ($1, $2)"), change: func(m object) {
		replaceSQL(m, "a.id,", "a.id, a.nick,")
	}, want: Breaking},
	{rule: "FIELD_NAME_REUSED", name: "a consumer counts columns, and one is new behind others", prepare: positional("INSERT INTO copy VALUES ($1, $2)"), change: func(m object) {
		replaceSQL(m, " FROM", ", a.nick FROM")
	}},
	{rule: "FIELD_NAME_REUSED", name: "consumers name columns, and one is new before others", change: func(m object) {
		replaceSQL(m, "a.id,", "a.id, a.nick,")
	}},

	{rule: "TYPE_WIDENED", name: "integer to number", change: func(m object) { fieldsIn(m)["tags"] = object{"type": "number"} }, prepare: func(m object) { fieldsIn(m)["tags"] = object{"type": "integer"} }, want: Compatible},
	{rule: "TYPE_WIDENED", name: "a length limit goes", change: func(m object) { delete(field(m, "name"), "maxLength") }, want: Unless},
	{rule: "TYPE_WIDENED", name: "int32 to int64", prepare: func(m object) { fieldsIn(m)["name"] = object{"type": "integer", "format": "int32"} }, change: func(m object) { field(m, "name")["format"] = "int64" }, want: Unless},
	{rule: "TYPE_WIDENED", name: "uint32 to uint64", prepare: formats("integer", "uint32"), change: formats("integer", "uint64"), want: Unless},
	{rule: "TYPE_WIDENED", name: "uint32 to int64", prepare: formats("integer", "uint32"), change: formats("integer", "int64"), want: Unless},
	{rule: "TYPE_WIDENED", name: "double to any number", prepare: formats("number", "double"), change: formats("number", ""), want: Unless},
	{rule: "TYPE_WIDENED", name: "int64 to an integer without a format", prepare: formats("integer", "int64"), change: formats("integer", "")},
	{rule: "TYPE_NARROWED", name: "uint64 to uint32", prepare: formats("integer", "uint64"), change: formats("integer", "uint32"), want: Review},
	{rule: "TYPE_NARROWED", name: "any number to double", prepare: formats("number", ""), change: formats("number", "double"), want: Review},
	{rule: "TYPE_NARROWED", name: "int32 to uint64", prepare: formats("integer", "int32"), change: formats("integer", "uint64")},
	{rule: "TYPE_CHANGED", name: "int32 to uint64", prepare: formats("integer", "int32"), change: formats("integer", "uint64"), want: Breaking},
	{rule: "TYPE_CHANGED", name: "a number's format that is not known", prepare: formats("number", "double"), change: formats("number", "money"), want: Breaking},
	{rule: "TYPE_WIDENED", name: "the length limit is higher", change: func(m object) { field(m, "name")["maxLength"] = 30 }},
	{rule: "TYPE_WIDENED", name: "number to integer", prepare: func(m object) { fieldsIn(m)["tags"] = object{"type": "number"} }, change: func(m object) { fieldsIn(m)["tags"] = object{"type": "integer"} }},

	{rule: "TYPE_NARROWED", name: "number to integer", prepare: func(m object) { fieldsIn(m)["tags"] = object{"type": "number"} }, change: func(m object) { fieldsIn(m)["tags"] = object{"type": "integer"} }, want: Review},
	{rule: "TYPE_NARROWED", name: "an enumeration where there was none", change: func(m object) { field(m, "note")["enum"] = []any{"a", nil} }, want: Review},
	{rule: "TYPE_NARROWED", name: "a lower length limit", change: func(m object) { field(m, "name")["maxLength"] = 10 }},

	{rule: "PRECISION", name: "a higher limit", change: func(m object) { field(m, "name")["maxLength"] = 30 }, want: Unless},
	{rule: "PRECISION", name: "a lower limit", change: func(m object) { field(m, "name")["maxLength"] = 10 }, want: Review},
	{rule: "PRECISION", name: "a finer step", prepare: func(m object) { fieldsIn(m)["name"] = object{"type": "number", "multipleOf": 0.01} }, change: func(m object) { field(m, "name")["multipleOf"] = 0.001 }, want: Unless},
	{rule: "PRECISION", name: "a coarser step", prepare: func(m object) { fieldsIn(m)["name"] = object{"type": "number", "multipleOf": 0.01} }, change: func(m object) { field(m, "name")["multipleOf"] = 0.1 }, want: Review},
	{rule: "PRECISION", name: "the same limit", change: func(m object) { field(m, "name")["maxLength"] = 20.0 }},

	{rule: "TYPE_CHANGED", name: "text to boolean", change: func(m object) { fieldsIn(m)["name"] = object{"type": "boolean"} }, want: Breaking},
	{rule: "TYPE_CHANGED", name: "decimal text to any text", prepare: func(m object) { fieldsIn(m)["tags"] = object{"type": "string", "format": "decimal"} }, change: func(m object) { fieldsIn(m)["tags"] = object{"type": "string"} }, want: Breaking},
	{rule: "TYPE_CHANGED", name: "uuid to any text is wider", prepare: func(m object) { fieldsIn(m)["tags"] = object{"type": "string", "format": "uuid"} }, change: func(m object) { fieldsIn(m)["tags"] = object{"type": "string"} }},
	{rule: "TYPE_CHANGED", name: "another description", change: func(m object) { field(m, "name")["description"] = "the name" }},

	{rule: "NOT_NULL_TO_NULLABLE", name: "null is new", change: func(m object) { field(m, "name")["type"] = []any{"string", "null"} }, want: Unless},
	{rule: "NOT_NULL_TO_NULLABLE", name: "a field need not be there", change: func(m object) {
		public(m)["outputSchema"].(object)["required"] = []any{"id", "status", "note", "born", "tags", "address"}
	}, want: Unless},
	{rule: "NOT_NULL_TO_NULLABLE", name: "null as an alternative", change: func(m object) {
		fieldsIn(m)["name"] = object{"anyOf": []any{object{"type": "string", "maxLength": 20}, object{"type": "null"}}}
	}, want: Unless},
	{rule: "NOT_NULL_TO_NULLABLE", name: "null was possible before, in another form", change: func(m object) {
		fieldsIn(m)["note"] = object{"anyOf": []any{object{"type": "string"}, object{"type": "null"}}, "x-sensitivity": "internal"}
	}},

	{rule: "NULLABLE_TO_NOT_NULL", name: "null is gone", change: func(m object) { field(m, "note")["type"] = "string" }, want: Review},
	{rule: "NULLABLE_TO_NOT_NULL", name: "null stays", change: func(m object) { field(m, "note")["maxLength"] = 3 }},

	{rule: "KEY_CHANGED", name: "another column", change: func(m object) { replaceSQL(m, "a.id = :id", "a.number = :number") }, want: Breaking},
	{rule: "KEY_CHANGED", name: "another table", change: func(m object) { query0(m)["table"] = "customer" }, want: Breaking},
	{rule: "KEY_CHANGED", name: "another placeholder for the same column", change: func(m object) { replaceSQL(m, "a.id = :id", "a.id = :account") }},

	{rule: "KEY_TYPE", name: "the key is text", change: func(m object) { fieldsIn(m)["id"] = object{"type": "string"} }, want: Breaking},
	{rule: "KEY_TYPE", name: "another field is text", prepare: func(m object) { fieldsIn(m)["tags"] = object{"type": "integer"} }, change: func(m object) { fieldsIn(m)["tags"] = object{"type": "string"} }},

	{rule: "CARDINALITY_MANY", name: "one row is declared no more", prepare: func(m object) { query0(m)["rows"] = "one" }, change: func(m object) { delete(query0(m), "rows") }, want: Breaking},
	{rule: "CARDINALITY_MANY", name: "one row is declared still", prepare: func(m object) { query0(m)["rows"] = "one" }, change: func(m object) { replaceSQL(m, "a.note", "a.note AS note") }},
	{rule: "CARDINALITY_ONE", name: "one row is declared", change: func(m object) { query0(m)["rows"] = "one" }, want: Review},
	{rule: "CARDINALITY_ONE", name: "one row was declared before", prepare: func(m object) { query0(m)["rows"] = "one" }, change: func(m object) { replaceSQL(m, "a.note", "a.note AS note") }},

	{rule: "ENUM_VALUE_ADDED", name: "a value is new", change: func(m object) { field(m, "status")["enum"] = []any{"new", "old", "gone"} }, want: Unless},
	{rule: "ENUM_VALUE_ADDED", name: "anything is possible", change: func(m object) { delete(field(m, "status"), "enum") }, want: Unless},
	{rule: "ENUM_VALUE_ADDED", name: "a value is gone", change: func(m object) { field(m, "status")["enum"] = []any{"new"} }},
	{rule: "ENUM_VALUE_REMOVED", name: "a value is gone", change: func(m object) { field(m, "status")["enum"] = []any{"new"} }, want: Compatible},
	{rule: "ENUM_VALUE_REMOVED", name: "the values stand in another order", change: func(m object) { field(m, "status")["enum"] = []any{"old", "new"} }},

	{rule: "TIMESTAMP", name: "a moment to a day", change: func(m object) { field(m, "born")["format"] = "date" }, want: Breaking},
	{rule: "TIMESTAMP", name: "another zone", change: func(m object) { field(m, "born")["x-timezone"] = "local" }, want: Breaking},
	{rule: "TIMESTAMP", name: "a moment to a number", change: func(m object) { fieldsIn(m)["born"] = object{"type": "integer"} }},

	{rule: "JSON_SHAPE", name: "a field inside is gone", change: func(m object) { delete(address(m), "city") }, want: Compatible}, // no consumer uses address
	{rule: "JSON_SHAPE", name: "a field inside what a consumer uses is gone", prepare: usesAddress, change: func(m object) { delete(address(m), "city") }, want: Unless},
	{rule: "JSON_SHAPE", name: "a type inside", change: func(m object) { address(m)["city"] = object{"type": "integer"} }, want: Breaking},
	{rule: "JSON_SHAPE", name: "a field inside elements inside", change: func(m object) {
		address(m)["lines"].(object)["items"].(object)["properties"].(object)["more"] = object{"type": "string"}
	}, want: Compatible},
	{rule: "JSON_SHAPE", name: "a field inside one of several alternatives is gone", prepare: eitherAddress(nil), change: eitherAddress(func(company object) { delete(company, "name") }), want: Unless},
	{rule: "JSON_SHAPE", name: "a field inside one of several alternatives is new", prepare: eitherAddress(nil), change: eitherAddress(func(company object) { company["more"] = object{"type": "string"} }), want: Compatible},
	{rule: "JSON_SHAPE", name: "the alternatives stand in another order", prepare: eitherAddress(nil), change: func(m object) {
		list := field(m, "address")["anyOf"].([]any)
		list[0], list[1] = list[1], list[0]
	}},
	{rule: "JSON_SHAPE", name: "an alternative refers to what has lost a field", prepare: func(m object) {
		eitherAddress(nil)(m)
		public(m)["outputSchema"].(object)["$defs"] = object{"person": field(m, "address")["anyOf"].([]any)[0]}
		field(m, "address")["anyOf"].([]any)[0] = object{"$ref": "#/$defs/person"}
	}, change: func(m object) {
		delete(public(m)["outputSchema"].(object)["$defs"].(object)["person"].(object)["properties"].(object), "first")
	}, want: Unless},
	{rule: "JSON_SHAPE", name: "a new alternative", prepare: eitherAddress(nil), change: func(m object) {
		field(m, "address")["anyOf"] = append(field(m, "address")["anyOf"].([]any), object{"type": "object", "properties": object{"z": object{"type": "string"}}})
	}, want: Unless},
	{rule: "JSON_SHAPE", name: "a description inside", change: func(m object) { address(m)["city"].(object)["title"] = "City" }},

	{rule: "ARRAY_ELEMENT", name: "elements of another type", change: func(m object) { field(m, "tags")["items"] = object{"type": "integer"} }, want: Breaking},
	{rule: "ARRAY_ELEMENT", name: "another dimension", change: func(m object) {
		field(m, "tags")["items"] = object{"type": "array", "items": object{"type": "string"}}
	}, want: Breaking},
	{rule: "ARRAY_ELEMENT", name: "a field inside the elements", change: func(m object) {
		address(m)["lines"].(object)["items"].(object)["properties"].(object)["more"] = object{"type": "string"}
	}},

	{rule: "FILTER_NARROWED", name: "a condition is new", change: func(m object) { replaceSQL(m, "AND a.active", "AND a.active AND a.status = 'new'") }, want: Review},
	{rule: "FILTER_NARROWED", name: "a condition is gone", change: func(m object) { replaceSQL(m, " AND a.active", "") }},
	{rule: "FILTER_WIDENED", name: "a condition is gone", change: func(m object) { replaceSQL(m, " AND a.active", "") }, want: Review},
	{rule: "FILTER_WIDENED", name: "a condition is new", change: func(m object) { replaceSQL(m, "AND a.active", "AND a.active AND a.status = 'new'") }},
	{rule: "FILTER_WIDENED", name: "conditions in another order", change: func(m object) { replaceSQL(m, "a.id = :id AND a.active", "a.active and a.id=:id") }},

	{rule: "EXPRESSION_CHANGED", name: "a field's expression", change: func(m object) { replaceSQL(m, "a.first_name", "upper(a.first_name)") }, want: Review},
	{rule: "EXPRESSION_CHANGED", name: "the query of another table's transformation", change: func(m object) {
		transformation1(m)["sql"] = "SELECT a.id FROM account a WHERE a.owner = :account_id"
	}, want: Review},
	{rule: "EXPRESSION_CHANGED", name: "the layout of another table's transformation", change: func(m object) {
		transformation1(m)["sql"] = "select a.id\nfrom account a where a.id = :account_id"
	}},
	{rule: "EXPRESSION_CHANGED", name: "all columns of another table", prepare: func(m object) { replaceSQL(m, "a.note", "b.*") }, change: func(m object) { replaceSQL(m, "b.*", "c.*") }, want: Review},
	{rule: "EXPRESSION_CHANGED", name: "all columns of the same table", prepare: func(m object) { replaceSQL(m, "a.note", "b.*") }, change: func(m object) { replaceSQL(m, "b.*", "b . *") }},
	{rule: "EXPRESSION_CHANGED", name: "an expression without a name", prepare: func(m object) { replaceSQL(m, "a.note", "CASE WHEN a.x THEN 1 ELSE 2 END") }, change: func(m object) { replaceSQL(m, "ELSE 2", "ELSE 3") }, want: Review},
	{rule: "EXPRESSION_CHANGED", name: "another join", change: func(m object) { replaceSQL(m, "FROM account a", "FROM account a JOIN plan p ON p.id = a.plan") }, want: Review},
	{rule: "EXPRESSION_CHANGED", name: "a set operation", change: func(m object) { replaceSQL(m, "AND a.active", "UNION SELECT 1, '', '', '', ''") }, want: Review},
	{rule: "EXPRESSION_CHANGED", name: "keys are declared in another way", change: func(m object) { query0(m)["params"] = object{"id": "id"} }, want: Review},
	{rule: "EXPRESSION_CHANGED", name: "layout, comments and letters of keywords", change: func(m object) {
		query0(m)["sql"] = "-- the accounts\nselect a.id, a.first_name as name,\n a.status, a.note /* free */, a.born AS born\nfrom account a where a.id = :id and a.active"
	}},

	{rule: "TRANSFORMATION_REMOVED", name: "a table's transformation", change: func(m object) {
		c := public(m)["config"].(object)
		c["transformations"] = c["transformations"].([]any)[:1]
	}, want: Breaking},
	{rule: "TRANSFORMATION_REMOVED", name: "a table by another name", change: func(m object) {
		public(m)["config"].(object)["transformations"].([]any)[1].(object)["table"] = `public."account_emails"`
	}},

	{rule: "SOURCE_MOVED", name: "another data store", change: func(m object) { public(m)["source"].(object)["dataStoreSlug"] = "db2" }, want: Review},
	{rule: "SOURCE_MOVED", name: "the connection leads elsewhere", change: func(m object) {
		m["connections"].([]any)[0].(object)["config"].(object)["database"] = "other"
	}, want: Review},
	{rule: "SOURCE_MOVED", name: "another user", change: func(m object) {
		m["connections"].([]any)[0].(object)["config"].(object)["user"] = "other"
	}},

	{rule: "SENSITIVITY_RAISED", name: "internal to personal", change: func(m object) { field(m, "note")["x-sensitivity"] = "personal" }, want: Review},
	{rule: "SENSITIVITY_RAISED", name: "a word of one's own", change: func(m object) { field(m, "note")["x-sensitivity"] = "gdpr-9" }, want: Review},
	{rule: "SENSITIVITY_RAISED", name: "internal to public", change: func(m object) { field(m, "note")["x-sensitivity"] = "public" }},
	{rule: "OWNER_REMOVED", name: "nobody", change: func(m object) { delete(public(m), "owner") }, want: Review},
	{rule: "OWNER_REMOVED", name: "somebody else", change: func(m object) { public(m)["owner"] = "team-b" }},

	{rule: "VERSION_STEP", name: "a field is new, and the minor version is the same", change: func(m object) { fieldsIn(m)["more"] = object{"type": "string"}; version(m, 1, 0) }, want: Wrong},
	{rule: "VERSION_STEP", name: "a field is new, and the minor version is raised", change: func(m object) { fieldsIn(m)["more"] = object{"type": "string"} }},
	{rule: "VERSION_STEP", name: "nothing is changed, and the minor version is the same", change: func(m object) { version(m, 1, 0) }},
	{rule: "VERSION_STEP", name: "the owner alone is changed", change: func(m object) { delete(public(m), "owner"); version(m, 1, 0) }},
	{rule: "VERSION_STEP", name: "a major version is left out", change: func(m object) { version(m, 3, 0); noConsumers(m) }, want: Wrong},
	{rule: "VERSION_STEP", name: "the next major version", change: func(m object) { version(m, 2, 0); noConsumers(m) }},
	{rule: "VERSION_STEP", name: "the minor version went back", prepare: func(m object) { version(m, 1, 5) }, change: func(m object) { version(m, 1, 4) }, want: Wrong},

	{rule: "MAJOR_DROPPED", name: "with a reader", change: func(m object) { version(m, 2, 0) }, want: Unless},
	{rule: "MAJOR_DROPPED", name: "readers are not known", change: func(m object) { version(m, 2, 0); noConsumers(m) }, want: Unless},
	{rule: "MAJOR_DROPPED", name: "there are no readers", change: func(m object) { version(m, 2, 0); noConsumers(m) }, want: Compatible, options: Options{Complete: true}},
	{rule: "MAJOR_DROPPED", name: "a new major version beside the old one", change: func(m object) {
		next := copyOf(public(m))
		next["version"] = object{"major": 2, "minor": 0}
		m["publicSchemas"] = append(m["publicSchemas"].([]any), next)
	}},

	{rule: "MINOR_TOO_OLD", name: "a consumer uses a field that is new", change: func(m object) {
		fieldsIn(m)["more"] = object{"type": "string"}
		consumer0(m)["config"].(object)["sql"] = "INSERT INTO copy (id, name) VALUES (:id, :more)"
	}, want: Review},
	{rule: "MINOR_TOO_OLD", name: "nobody uses a field that is new", change: func(m object) { fieldsIn(m)["more"] = object{"type": "string"} }},
}

func rename(old, now string) func(m object) {
	return func(m object) {
		fieldsIn(m)[now] = fieldsIn(m)[old]
		delete(fieldsIn(m), old)
		replaceSQL(m, "AS "+old, "AS "+now)
	}
}

// eitherAddress makes address a person or a company, which a consumer uses.
func eitherAddress(change func(company object)) func(m object) {
	return func(m object) {
		usesAddress(m)
		company := object{"name": object{"type": "string"}, "number": object{"type": "string"}}
		if change != nil {
			change(company)
		}
		fieldsIn(m)["address"] = object{"anyOf": []any{
			object{"type": "object", "properties": object{"first": object{"type": "string"}, "last": object{"type": "string"}}},
			object{"type": "object", "properties": company},
		}}
	}
}

func usesAddress(m object) {
	consumer0(m)["config"].(object)["sql"] = "INSERT INTO copy (id, city) VALUES (:id, :address)"
}

// TestRuleFindsItsSideOfTheBorder has, for each rule of a contract's life, changes that it finds and the
// nearest that it does not.
func TestRuleFindsItsSideOfTheBorder(t *testing.T) {
	for _, c := range crossings {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			old := before()
			if c.prepare != nil {
				c.prepare(old)
			}
			now := copyOf(old)
			if v := public(now)["version"].(object); v["minor"].(float64) == 0 {
				version(now, 1, 1)
			}
			c.change(now)
			report, err := Compare(t.Context(), []*manifest.Manifest{parsed(t, "old.json", old)}, []*manifest.Manifest{parsed(t, "now.json", now)}, c.options)
			if err != nil {
				t.Fatal(err)
			}
			var got Verdict
			for _, f := range report.Findings {
				if f.Rule == c.rule {
					got = f.Verdict
				}
			}
			if got != c.want {
				t.Errorf("got verdict %q, want %q; all findings:\n%s", got, c.want, lines(report))
			}
		})
	}
}

func lines(r *Report) string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, string(f.Severity)+" "+f.Rule+" "+f.Contract+": "+f.Text)
	}
	return strings.Join(out, "\n")
}

// TestEveryRuleHasATestOnBothSides keeps the table whole. What needs a database is tested with one.
func TestEveryRuleHasATestOnBothSides(t *testing.T) {
	elsewhere := []string{
		"NONDETERMINISTIC", "CONSUMER_FIELD_UNKNOWN", // lint_test.go
		"UNLISTENED_TABLE", "IDENTITY_LOST", "MIGRATION_BREAKS", // e2e/check_test.go
	}
	found, quiet := map[string]bool{}, map[string]bool{}
	for _, c := range crossings {
		found[c.rule] = found[c.rule] || c.want != ""
		quiet[c.rule] = quiet[c.rule] || c.want == ""
	}
	for _, rule := range Rules() {
		if rule.Number > 34 || slices.Contains(elsewhere, rule.ID) {
			continue
		}
		if !found[rule.ID] || !quiet[rule.ID] {
			t.Errorf("%s: found %t, not found %t", rule.ID, found[rule.ID], quiet[rule.ID])
		}
	}
}
