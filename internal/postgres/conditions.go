package postgres

// Condition gives a SQLSTATE with its name in the manual, as far as one of our statements is likely to meet it.
func Condition(code string) string {
	if name := conditions[code]; name != "" {
		return code + " " + name
	}
	return code
}

// conditions is never changed. PostgreSQL manual, appendix A.
var conditions = map[string]string{
	"08000": "connection_exception", "08003": "connection_does_not_exist", "08006": "connection_failure", "08P01": "protocol_violation",
	"0A000": "feature_not_supported", "21000": "cardinality_violation",
	"22000": "data_exception", "22001": "string_data_right_truncation", "22003": "numeric_value_out_of_range", "22007": "invalid_datetime_format",
	"22008": "datetime_field_overflow", "22009": "invalid_time_zone_displacement_value", "22012": "division_by_zero", "22021": "character_not_in_repertoire",
	"22023": "invalid_parameter_value", "2200G": "most_specific_type_mismatch", "2200N": "invalid_xml_content", "22P02": "invalid_text_representation",
	"22P03": "invalid_binary_representation", "22P05": "untranslatable_character", "22030": "duplicate_json_object_key_value", "22032": "invalid_json_text",
	"23000": "integrity_constraint_violation", "23001": "restrict_violation", "23502": "not_null_violation", "23503": "foreign_key_violation",
	"23505": "unique_violation", "23514": "check_violation", "23P01": "exclusion_violation",
	"25006": "read_only_sql_transaction", "25P02": "in_failed_sql_transaction", "25P03": "idle_in_transaction_session_timeout",
	"26000": "invalid_sql_statement_name", "28000": "invalid_authorization_specification", "28P01": "invalid_password",
	"2D000": "invalid_transaction_termination", "3D000": "invalid_catalog_name", "3F000": "invalid_schema_name",
	"40001": "serialization_failure", "40003": "statement_completion_unknown", "40P01": "deadlock_detected",
	"42501": "insufficient_privilege", "42601": "syntax_error", "42702": "ambiguous_column", "42703": "undefined_column", "42704": "undefined_object",
	"42710": "duplicate_object", "42803": "grouping_error", "42804": "datatype_mismatch", "42809": "wrong_object_type", "42883": "undefined_function",
	"42P01": "undefined_table", "42P02": "undefined_parameter", "42P10": "invalid_column_reference", "42P18": "indeterminate_datatype",
	"44000": "with_check_option_violation",
	"53000": "insufficient_resources", "53100": "disk_full", "53200": "out_of_memory", "53300": "too_many_connections", "53400": "configuration_limit_exceeded",
	"54000": "program_limit_exceeded", "54001": "statement_too_complex", "54011": "too_many_columns", "54023": "too_many_arguments",
	"55000": "object_not_in_prerequisite_state", "55006": "object_in_use", "55P03": "lock_not_available",
	"57014": "query_canceled", "57P01": "admin_shutdown", "57P02": "crash_shutdown", "57P03": "cannot_connect_now", "57P04": "database_dropped", "57P05": "idle_session_timeout",
	"58000": "system_error", "58030": "io_error", "58P01": "undefined_file",
	"P0001": "raise_exception, by a trigger or function", "P0002": "no_data_found", "P0003": "too_many_rows", "P0004": "assert_failure",
	"XX000": "internal_error", "XX001": "data_corrupted", "XX002": "index_corrupted",
}
