package pgapply

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
)

// SQLSTATEs that decide something. PostgreSQL manual, appendix A.
const (
	divisionByZero      = "22012"
	lockNotAvailable    = "55P03"
	queryCanceled       = "57014" // by statement_timeout
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
	restrictViolation   = "23001"
	exclusionViolation  = "23P01"
)

// transient reports whether the server's error ends by itself: FAULTS D1 to D7.
func transient(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) || len(e.Code) != 5 {
		return true // not the server's: the connection's
	}
	switch e.Code {
	case "25006", "25P03", lockNotAvailable, "55006", "26000", queryCanceled:
		return true
	}
	switch e.Code[:2] {
	case "08", "40", "53", "57", "58":
		return true
	}
	return false
}

// code sorts the server's errors.
func code(e *pgconn.PgError) rejot.Code {
	switch {
	case transient(e):
		return rejot.Transient
	case e.Code == "42501", strings.HasPrefix(e.Code, "28"):
		return rejot.Denied
	case slices.Contains([]string{"42P01", "42703", "42883", "42704", "3F000", "3D000"}, e.Code):
		return rejot.NotFound
	case strings.HasPrefix(e.Code, "0A"):
		return rejot.Unsupported
	case strings.HasPrefix(e.Code, "42"):
		return rejot.Invalid
	case strings.HasPrefix(e.Code, "XX"):
		return rejot.Internal
	default:
		return rejot.Rejected
	}
}

// named makes an error of ours of one that happened in our own statements or on the connection.
func (a *Applier) named(err error) error {
	var own *rejot.Error
	var e *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return err
	case errors.As(err, &e):
		// Our own statements carry no row, so the server's words are harmless.
		return &rejot.Error{Code: code(e), Text: fmt.Sprintf("%s: %s (%s)", a.connection, e.Message, e.Code), Err: err}
	default:
		return &rejot.Error{Code: rejot.Transient, Text: fmt.Sprintf("%s: %v", a.connection, err), Err: err}
	}
}

// unprepared says what is wrong with a consumer's statement before it has met a value.
func (a *Applier) unprepared(c *consumer, k apply.Kind, err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return a.named(err)
	}
	out := rejot.Errorf(code(e), "%s: %s does not take its %s: %s (%s)", c, a.connection, k, e.Message, e.Code)
	switch {
	case e.Code == "42501":
		return rejot.WithMend(out, "GRANT the privileges that its %s needs to %s", k, ident(a.connection.User))
	case e.Code == "42P18", e.Code == "42804", e.Code == "42883":
		return rejot.WithMend(out, "say what type a placeholder has, as in CAST(:id AS bigint)%s", in(c.Consumer))
	case code(e) == rejot.NotFound:
		return rejot.WithMend(out, "create it in the destination, or correct the %s%s", k, in(c.Consumer))
	default:
		return rejot.WithMend(out, "correct the %s%s", k, in(c.Consumer))
	}
}

// refused makes of a result in a flight what package apply decides on, or an error that ends the apply.
func (a *Applier) refused(f *flight, at expected, err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) || !fromServer(err) {
		return f.failed(err)
	}
	// A lock or a statement that takes too long is its consumer's trouble and not the others'.
	if transient(e) && (at.what != event || e.Code != lockNotAvailable && e.Code != queryCanceled) {
		return f.failed(err)
	}
	switch at.what {
	case cursor:
		if e.Code == divisionByZero {
			return &rejot.Error{Code: rejot.Conflict, Text: fmt.Sprintf("%s: the cursor of %s is elsewhere: another instance has written", a.connection, at.name), Err: err}
		}
		return f.failed(err)
	case event:
		reorder := slices.Contains([]string{uniqueViolation, foreignKeyViolation, restrictViolation, exclusionViolation}, e.Code)
		failure := &apply.Failure{Consumer: at.op.Target.Consumer.ID(), Err: rejection(at.op.Target, at.op.Kind, e), Reorder: reorder}
		if at.op.Kind != apply.Truncate {
			failure.Key = apply.KeyText(at.op.Key)
		}
		return failure
	case parking:
		if e.Code == divisionByZero {
			return errUnparked
		}
		return f.failed(err)
	case check, commit:
		return &apply.Failure{Consumer: a.writer(table{e.SchemaName, e.TableName}), Err: deferred(e)}
	case control:
		return f.failed(err)
	default:
		return f.failed(err)
	}
}

// rejection says which statement the destination refused and why, without a value: the server's
// words may hold one, so they are left out unless they speak of the statement alone.
func rejection(t *apply.Target, k apply.Kind, e *pgconn.PgError) error {
	text := fmt.Sprintf("%s: its %s was refused: %s", t.Consumer, k, reason(e))
	if names := t.Statements[k].Names; len(names) > 0 {
		shown := make([]string, 0, len(names))
		for _, n := range names {
			if p := apply.Placeholder(n); !slices.Contains(shown, p) {
				shown = append(shown, p)
			}
		}
		text += "; its placeholders are " + strings.Join(shown, ", ")
	}
	return &rejot.Error{Code: code(e), Text: text, Err: state(e.Code)}
}

// deferred says that a constraint that is checked at the end was violated.
func deferred(e *pgconn.PgError) error {
	return &rejot.Error{Code: code(e), Text: "the destination refused the commit: " + reason(e), Err: state(e.Code)}
}

// A state is a SQLSTATE as an error's cause; the server's own error holds values.
type state string

// Error gives the state with its name.
func (s state) Error() string { return condition(string(s)) }

// reason describes an error by its state and by the things that it names.
func reason(e *pgconn.PgError) string {
	text := condition(e.Code)
	if strings.HasPrefix(e.Code, "42") && e.Code != "42P04" {
		text += ": " + e.Message
	}
	if e.ConstraintName != "" {
		text += ", constraint " + ident(e.ConstraintName)
	}
	if e.TableName != "" {
		text += ", table " + table{e.SchemaName, e.TableName}.String()
	}
	if e.ColumnName != "" {
		text += ", column " + ident(e.ColumnName)
	}
	if e.DataTypeName != "" {
		text += ", type " + ident(e.DataTypeName)
	}
	return text
}

// condition gives a SQLSTATE with its name in the manual, as far as a consumer's statement is likely to meet it.
func condition(code string) string {
	if name := conditions[code]; name != "" {
		return code + " " + name
	}
	return code
}

// conditions is never changed.
var conditions = map[string]string{
	"0A000": "feature_not_supported", "21000": "cardinality_violation",
	"22000": "data_exception", "22001": "string_data_right_truncation", "22003": "numeric_value_out_of_range", "22007": "invalid_datetime_format",
	"22008": "datetime_field_overflow", "22009": "invalid_time_zone_displacement_value", "22012": "division_by_zero", "22021": "character_not_in_repertoire",
	"22023": "invalid_parameter_value", "2200G": "most_specific_type_mismatch", "2200N": "invalid_xml_content", "22P02": "invalid_text_representation",
	"22P03": "invalid_binary_representation", "22P05": "untranslatable_character", "22030": "duplicate_json_object_key_value", "22032": "invalid_json_text",
	"23000": "integrity_constraint_violation", "23001": "restrict_violation", "23502": "not_null_violation", "23503": "foreign_key_violation",
	"23505": "unique_violation", "23514": "check_violation", "23P01": "exclusion_violation", "2D000": "invalid_transaction_termination",
	"3F000": "invalid_schema_name", "42501": "insufficient_privilege", "42601": "syntax_error", "42703": "undefined_column", "42704": "undefined_object",
	"42804": "datatype_mismatch", "42883": "undefined_function", "42P01": "undefined_table", "42P10": "invalid_column_reference", "42P18": "indeterminate_datatype",
	"44000": "with_check_option_violation", "54000": "program_limit_exceeded", "55P03": "lock_not_available", "57014": "query_canceled, by statement_timeout", "55000": "object_not_in_prerequisite_state",
	"P0001": "raise_exception, by a trigger or function", "P0002": "no_data_found", "P0003": "too_many_rows", "P0004": "assert_failure", "XX000": "internal_error",
}
