package check

import "strings"

// A Verdict says what a change means for those who read a public schema.
type Verdict string

// The verdicts.
const (
	Compatible Verdict = "compatible" // a minor step
	Breaking   Verdict = "breaking"   // a major step
	Unless     Verdict = "unless"     // breaking, unless every known consumer is proved safe
	Review     Verdict = "review"     // same shape, other content
	Wrong      Verdict = "error"      // never right
	Hint       Verdict = "hint"       // nothing is wrong yet
)

// A Severity says how loud a finding is. An error makes the program end with code 1.
type Severity string

// The severities, in the manifest's words.
const (
	Off     Severity = "off"
	Info    Severity = "info"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// severity is what a verdict has where the manifest says nothing else.
func (v Verdict) severity() Severity {
	switch v {
	case Compatible:
		return Info
	case Review, Hint:
		return Warning
	case Breaking, Unless, Wrong:
		return Error
	default:
		return Error
	}
}

// A Rule is one thing that is looked for.
type Rule struct {
	ID      string
	Number  int // in the table of docs/rules.md
	Verdict Verdict
	Short   string // what it is about, in a few words
	Fixed   bool   // no manifest may change its severity
}

// Page is where the rule is explained.
func (r Rule) Page() string { return "docs/rules.md#" + strings.ToLower(r.ID) }

// Severity is the rule's own.
func (r Rule) Severity() Severity { return r.Verdict.severity() }

// rules is never changed. 1 to 34 are about a contract's life, the others about what one manifest or one
// database says.
var rules = []Rule{
	{ID: "SCHEMA_REMOVED", Number: 1, Verdict: Breaking, Short: "a public schema is gone"},
	{ID: "FIELD_ADDED", Number: 2, Verdict: Compatible, Short: "a field is new"},
	{ID: "FIELD_REMOVED", Number: 3, Verdict: Unless, Short: "a field is gone"},
	{ID: "FIELD_RENAMED", Number: 4, Verdict: Unless, Short: "a field has another name"},
	{ID: "FIELD_NAME_REUSED", Number: 5, Verdict: Breaking, Short: "a name of a former field means something else"},
	{ID: "TYPE_WIDENED", Number: 6, Verdict: Unless, Short: "a field may hold more than before"},
	{ID: "TYPE_NARROWED", Number: 7, Verdict: Review, Short: "a field may hold less than before"},
	{ID: "PRECISION", Number: 8, Verdict: Unless, Short: "length, precision, scale or bounds of a field differ"},
	{ID: "TYPE_CHANGED", Number: 9, Verdict: Breaking, Short: "a field is of another family of types"},
	{ID: "NOT_NULL_TO_NULLABLE", Number: 10, Verdict: Unless, Short: "a field may be NULL now"},
	{ID: "NULLABLE_TO_NOT_NULL", Number: 11, Verdict: Compatible, Short: "a field is never NULL now"},
	{ID: "KEY_CHANGED", Number: 12, Verdict: Breaking, Short: "the key consists of other columns"},
	{ID: "KEY_TYPE", Number: 13, Verdict: Breaking, Short: "the key's type or collation differs"},
	{ID: "CARDINALITY_MANY", Number: 14, Verdict: Breaking, Short: "a key may have several rows now"},
	{ID: "CARDINALITY_ONE", Number: 15, Verdict: Review, Short: "a key has one row now"},
	{ID: "ENUM_VALUE_ADDED", Number: 16, Verdict: Unless, Short: "a field may hold a new value of an enumeration"},
	{ID: "ENUM_VALUE_REMOVED", Number: 17, Verdict: Compatible, Short: "a value of an enumeration is gone"},
	{ID: "TIMESTAMP", Number: 18, Verdict: Breaking, Short: "zone or unit of a time differ"},
	{ID: "JSON_SHAPE", Number: 19, Verdict: Unless, Short: "a value inside a field has another shape"},
	{ID: "ARRAY_ELEMENT", Number: 20, Verdict: Breaking, Short: "elements or dimensions of an array differ"},
	{ID: "FILTER_NARROWED", Number: 21, Verdict: Review, Short: "rows leave the public schema"},
	{ID: "FILTER_WIDENED", Number: 22, Verdict: Review, Short: "rows enter the public schema"},
	{ID: "EXPRESSION_CHANGED", Number: 23, Verdict: Review, Short: "a field's content is made in another way"},
	{ID: "NONDETERMINISTIC", Number: 24, Verdict: Wrong, Short: "the query gives another result each time"},
	{ID: "UNLISTENED_TABLE", Number: 25, Verdict: Wrong, Short: "changes of a table that is read are not published"},
	{ID: "TRANSFORMATION_REMOVED", Number: 26, Verdict: Breaking, Short: "a table's transformation is gone"},
	{ID: "IDENTITY_LOST", Number: 27, Verdict: Breaking, Short: "the log's old rows lack a column that is needed"},
	{ID: "SOURCE_MOVED", Number: 28, Verdict: Review, Short: "the rows come from another data store"},
	{ID: "SENSITIVITY_RAISED", Number: 29, Verdict: Review, Short: "a field is more sensitive than before"},
	{ID: "OWNER_REMOVED", Number: 29, Verdict: Review, Short: "nobody owns the public schema any more"},
	{ID: "VERSION_STEP", Number: 30, Verdict: Wrong, Short: "the version does not say what was changed"},
	{ID: "MAJOR_DROPPED", Number: 31, Verdict: Unless, Short: "a major version is gone"},
	{ID: "MIGRATION_BREAKS", Number: 32, Verdict: Wrong, Short: "a pending migration breaks a contract"},
	{ID: "CONSUMER_FIELD_UNKNOWN", Number: 33, Verdict: Wrong, Short: "a consumer uses a field that does not exist, or is of another type"},
	{ID: "MINOR_TOO_OLD", Number: 34, Verdict: Review, Short: "a consumer uses a field that older events lack"},

	{ID: "MANIFEST_INVALID", Number: 35, Verdict: Wrong, Short: "a manifest is wrong", Fixed: true},
	{ID: "MANIFEST_NOTE", Number: 36, Verdict: Compatible, Short: "good to know of a manifest"},
	{ID: "CHECK_UNKNOWN", Number: 37, Verdict: Wrong, Short: "the manifest's checks name no rule, or give no reason", Fixed: true},
	{ID: "PLAIN_PASSWORD", Number: 38, Verdict: Hint, Short: "a secret stands in the manifest"},
	{ID: "OUTPUT_SCHEMA_INVALID", Number: 39, Verdict: Wrong, Short: "the outputSchema is no JSON Schema of an object"},
	{ID: "OUTPUT_SCHEMA_OPEN", Number: 40, Verdict: Compatible, Short: "the outputSchema names no field"},
	{ID: "NOT_KEYED", Number: 41, Verdict: Wrong, Short: "no query of the public schema is bound to a key"},
	{ID: "DELETES_IGNORED", Number: 42, Verdict: Hint, Short: "a consumer has no deleteSql"},
	{ID: "PUBLIC_SCHEMA_EXTERNAL", Number: 43, Verdict: Compatible, Short: "a consumer's public schema is not loaded"},
	{ID: "DEFINITION_MISSING", Number: 44, Verdict: Hint, Short: "the file that a contract was collected from is gone"},
	{ID: "SQL_REFUSED", Number: 45, Verdict: Wrong, Short: "the database refuses a query or statement"},
	{ID: "OUTPUT_MISMATCH", Number: 46, Verdict: Wrong, Short: "the query's columns are not those of the outputSchema"},
	{ID: "AGGREGATE_ORDER", Number: 47, Verdict: Hint, Short: "an aggregate's order is the plan's"},
	{ID: "DESTINATION_CONSTRAINT", Number: 48, Verdict: Hint, Short: "the target refuses what the public schema may hold"},
	{ID: "NOT_IDEMPOTENT", Number: 49, Verdict: Hint, Short: "a row that is written twice fails or stands there twice"},
	{ID: "CASCADE_HIDDEN", Number: 50, Verdict: Hint, Short: "a cascade of MySQL is not in its log"},
	{ID: "SOURCE_UNSUPPORTED", Number: 51, Verdict: Hint, Short: "a data store cannot be asked yet"},
	{ID: "DERIVED", Number: 52, Verdict: Compatible, Short: "which keys a change affects"},
}

// Rules gives all rules, in the order of their numbers.
func Rules() []Rule { return append([]Rule(nil), rules...) }

// RuleOf finds a rule by its id.
func RuleOf(id string) (Rule, bool) {
	for _, r := range rules {
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}
