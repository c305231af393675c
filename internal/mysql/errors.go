package mysql

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

var errNotMySQL = errors.New("what answers there does not speak the protocol")

// A ServerError is what a server answered, without its text: that often holds a row's values. What
// is known to be a name can be had from it with Names.
type ServerError struct {
	Number int
	State  string
	text   string
}

// Error gives number and symbol.
func (e *ServerError) Error() string {
	if f, ok := failures[e.Number]; ok {
		return fmt.Sprintf("error %d %s", e.Number, f.symbol)
	}
	return fmt.Sprintf("error %d (SQLSTATE %s)", e.Number, e.State)
}

// Name gives the last thing in quotes in the server's text that known approves, which must not
// approve what may be a value; empty where there is none.
func (e *ServerError) Name(known func(string) bool) string {
	found := ""
	for _, quote := range []byte{'\'', '`'} {
		at := -1
		parts := strings.Split(e.text, string(quote))
		for i := 1; i < len(parts); i++ {
			if known(parts[i]) {
				at = i
			}
		}
		if at >= 0 {
			found = parts[at]
		}
	}
	return found
}

// Quoted gives the first thing in quotes in the server's text: what a statement that could not be
// prepared names. Of an execution's error it may be a value.
func (e *ServerError) Quoted() string {
	at := strings.IndexAny(e.text, "'`")
	if at < 0 {
		return ""
	}
	end := strings.LastIndexByte(e.text, e.text[at])
	if next := strings.IndexByte(e.text[at+1:], e.text[at]); next >= 0 && e.Number != 1064 {
		end = at + 1 + next
	}
	if end <= at {
		return ""
	}
	return e.text[at+1 : end]
}

// After gives the name in backquotes that follows a word in the server's text, under the same condition as Name.
func (e *ServerError) After(word string, known func(string) bool) string {
	rest := e.text
	for {
		_, after, ok := strings.Cut(rest, word+" `")
		if !ok {
			return ""
		}
		name, _, _ := strings.Cut(after, "`")
		if known(name) {
			return name
		}
		rest = after
	}
}

// A failure is what an error number means to us.
type failure struct {
	symbol string
	code   rejot.Code
}

// failures is an allow-list: a number that is not in it is judged by its SQLSTATE's class, and where
// that is none of ours it is Internal.
var failures = map[int]failure{
	// Trying again may help.
	1020: {"ER_CHECKREAD", rejot.Transient},
	1021: {"ER_DISK_FULL", rejot.Transient},
	1037: {"ER_OUTOFMEMORY", rejot.Transient},
	1038: {"ER_OUT_OF_SORTMEMORY", rejot.Transient},
	1040: {"ER_CON_COUNT_ERROR", rejot.Transient},
	1041: {"ER_OUT_OF_RESOURCES", rejot.Transient},
	1047: {"ER_UNKNOWN_COM_ERROR", rejot.Transient}, // a Galera node that has not joined
	1053: {"ER_SERVER_SHUTDOWN", rejot.Transient},
	1077: {"ER_NORMAL_SHUTDOWN", rejot.Transient},
	1079: {"ER_SHUTDOWN_COMPLETE", rejot.Transient},
	1114: {"ER_RECORD_FILE_FULL", rejot.Transient},
	1129: {"ER_HOST_IS_BLOCKED", rejot.Transient},
	1135: {"ER_CANT_CREATE_THREAD", rejot.Transient},
	1158: {"ER_NET_READ_ERROR", rejot.Transient},
	1159: {"ER_NET_READ_INTERRUPTED", rejot.Transient},
	1160: {"ER_NET_ERROR_ON_WRITE", rejot.Transient},
	1161: {"ER_NET_WRITE_INTERRUPTED", rejot.Transient},
	1180: {"ER_ERROR_DURING_COMMIT", rejot.Transient},
	1203: {"ER_TOO_MANY_USER_CONNECTIONS", rejot.Transient},
	1205: {"ER_LOCK_WAIT_TIMEOUT", rejot.Transient},
	1206: {"ER_LOCK_TABLE_FULL", rejot.Transient},
	1213: {"ER_LOCK_DEADLOCK", rejot.Transient},
	1226: {"ER_USER_LIMIT_REACHED", rejot.Transient},
	1243: {"ER_UNKNOWN_STMT_HANDLER", rejot.Transient},
	1290: {"ER_OPTION_PREVENTS_STATEMENT", rejot.Transient}, // read_only
	1317: {"ER_QUERY_INTERRUPTED", rejot.Transient},
	1412: {"ER_TABLE_DEF_CHANGED", rejot.Transient},
	1461: {"ER_MAX_PREPARED_STMT_COUNT_REACHED", rejot.Transient},
	1614: {"ER_XA_RBDEADLOCK", rejot.Transient},
	1615: {"ER_NEED_REPREPARE", rejot.Transient},
	1792: {"ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION", rejot.Transient},
	1836: {"ER_READ_ONLY_MODE", rejot.Transient},
	1927: {"ER_CONNECTION_KILLED", rejot.Transient},
	1969: {"ER_STATEMENT_TIMEOUT", rejot.Transient},
	3024: {"ER_QUERY_TIMEOUT", rejot.Transient},
	3101: {"ER_TRANSACTION_ROLLBACK_DURING_COMMIT", rejot.Transient},
	// A privilege.
	1044: {"ER_DBACCESS_DENIED_ERROR", rejot.Denied},
	1045: {"ER_ACCESS_DENIED_ERROR", rejot.Denied},
	1130: {"ER_HOST_NOT_PRIVILEGED", rejot.Denied},
	1142: {"ER_TABLEACCESS_DENIED_ERROR", rejot.Denied},
	1143: {"ER_COLUMNACCESS_DENIED_ERROR", rejot.Denied},
	1227: {"ER_SPECIFIC_ACCESS_DENIED_ERROR", rejot.Denied},
	1345: {"ER_VIEW_NO_EXPLAIN", rejot.Denied},
	1370: {"ER_PROCACCESS_DENIED_ERROR", rejot.Denied},
	1698: {"ER_ACCESS_DENIED_NO_PASSWORD_ERROR", rejot.Denied},
	1820: {"ER_MUST_CHANGE_PASSWORD", rejot.Denied},
	1862: {"ER_MUST_CHANGE_PASSWORD_LOGIN", rejot.Denied},
	3118: {"ER_ACCOUNT_HAS_BEEN_LOCKED", rejot.Denied},
	4151: {"ER_ACCOUNT_HAS_BEEN_LOCKED", rejot.Denied},
	// A thing that does not exist.
	1049: {"ER_BAD_DB_ERROR", rejot.NotFound},
	1051: {"ER_BAD_TABLE_ERROR", rejot.NotFound},
	1054: {"ER_BAD_FIELD_ERROR", rejot.NotFound},
	1109: {"ER_UNKNOWN_TABLE", rejot.NotFound},
	1146: {"ER_NO_SUCH_TABLE", rejot.NotFound},
	1305: {"ER_SP_DOES_NOT_EXIST", rejot.NotFound},
	1630: {"ER_FUNC_INEXISTENT_NAME_COLLISION", rejot.NotFound},
	1356: {"ER_VIEW_INVALID", rejot.NotFound},
	// A statement that is wrong.
	1052: {"ER_NON_UNIQ_ERROR", rejot.Invalid},
	1064: {"ER_PARSE_ERROR", rejot.Invalid},
	1065: {"ER_EMPTY_QUERY", rejot.Invalid},
	1110: {"ER_FIELD_SPECIFIED_TWICE", rejot.Invalid},
	1136: {"ER_WRONG_VALUE_COUNT_ON_ROW", rejot.Invalid},
	1149: {"ER_SYNTAX_ERROR", rejot.Invalid},
	1267: {"ER_CANT_AGGREGATE_2COLLATIONS", rejot.Invalid},
	1288: {"ER_NON_UPDATABLE_TABLE", rejot.Invalid},
	1295: {"ER_UNSUPPORTED_PS", rejot.Invalid},
	1442: {"ER_CANT_UPDATE_USED_TABLE_IN_SF_OR_TRG", rejot.Invalid},
	1471: {"ER_NON_INSERTABLE_TABLE", rejot.Invalid},
	1582: {"ER_WRONG_PARAMCOUNT_TO_NATIVE_FCT", rejot.Invalid},
	// A row that the destination refuses.
	1022: {"ER_DUP_KEY", rejot.Rejected},
	1048: {"ER_BAD_NULL_ERROR", rejot.Rejected},
	1062: {"ER_DUP_ENTRY", rejot.Rejected},
	1153: {"ER_NET_PACKET_TOO_LARGE", rejot.Rejected},
	1169: {"ER_DUP_UNIQUE", rejot.Rejected},
	1216: {"ER_NO_REFERENCED_ROW", rejot.Rejected},
	1217: {"ER_ROW_IS_REFERENCED", rejot.Rejected},
	1242: {"ER_SUBQUERY_NO_1_ROW", rejot.Rejected},
	1260: {"ER_CUT_VALUE_GROUP_CONCAT", rejot.Rejected},
	1264: {"ER_WARN_DATA_OUT_OF_RANGE", rejot.Rejected},
	1265: {"WARN_DATA_TRUNCATED", rejot.Rejected},
	1292: {"ER_TRUNCATED_WRONG_VALUE", rejot.Rejected},
	1300: {"ER_INVALID_CHARACTER_STRING", rejot.Rejected},
	1301: {"ER_WARN_ALLOWED_PACKET_OVERFLOWED", rejot.Rejected},
	1364: {"ER_NO_DEFAULT_FOR_FIELD", rejot.Rejected},
	1365: {"ER_DIVISION_BY_ZERO", rejot.Rejected},
	1366: {"ER_TRUNCATED_WRONG_VALUE_FOR_FIELD", rejot.Rejected},
	1367: {"ER_ILLEGAL_VALUE_FOR_TYPE", rejot.Rejected},
	1369: {"ER_VIEW_CHECK_FAILED", rejot.Rejected},
	1406: {"ER_DATA_TOO_LONG", rejot.Rejected},
	1411: {"ER_WRONG_VALUE_FOR_TYPE", rejot.Rejected},
	1441: {"ER_DATETIME_FUNCTION_OVERFLOW", rejot.Rejected},
	1451: {"ER_ROW_IS_REFERENCED_2", rejot.Rejected},
	1452: {"ER_NO_REFERENCED_ROW_2", rejot.Rejected},
	1526: {"ER_NO_PARTITION_FOR_GIVEN_VALUE", rejot.Rejected},
	1586: {"ER_DUP_ENTRY_WITH_KEY_NAME", rejot.Rejected},
	1644: {"ER_SIGNAL_EXCEPTION", rejot.Rejected},
	1690: {"ER_DATA_OUT_OF_RANGE", rejot.Rejected},
	1761: {"ER_FOREIGN_DUPLICATE_KEY_WITH_CHILD_INFO", rejot.Rejected},
	1762: {"ER_FOREIGN_DUPLICATE_KEY_WITHOUT_CHILD_INFO", rejot.Rejected},
	1916: {"ER_DATA_OVERFLOW", rejot.Rejected},
	1918: {"ER_BAD_DATA", rejot.Rejected},
	3140: {"ER_INVALID_JSON_TEXT", rejot.Rejected},
	3141: {"ER_INVALID_JSON_TEXT_IN_PARAM", rejot.Rejected},
	3819: {"ER_CHECK_CONSTRAINT_VIOLATED", rejot.Rejected},
	4025: {"ER_CONSTRAINT_FAILED", rejot.Rejected},
	4037: {"ER_JSON_EOS", rejot.Rejected},
	4038: {"ER_JSON_SYNTAX", rejot.Rejected},
	4040: {"ER_JSON_DEPTH", rejot.Rejected},
}

// codeOf judges an error by its number, and where that is unknown by its SQLSTATE's class.
func codeOf(number int, state string) rejot.Code {
	if f, ok := failures[number]; ok {
		return f.code
	}
	if len(state) < 2 {
		return rejot.Internal
	}
	switch state[:2] {
	case "08", "40":
		return rejot.Transient
	case "22", "23", "45":
		return rejot.Rejected
	case "42":
		return rejot.Invalid
	default:
		return rejot.Internal
	}
}

func serverError(e *mysql.MyError) error {
	se := &ServerError{Number: int(e.Code), State: strings.Clone(e.State), text: strings.Clone(e.Message)}
	return rejot.Errorf(codeOf(se.Number, se.State), "%w", se)
}

// Warning gives a warning's number the form of an error.
func Warning(number int, text string) *ServerError {
	return &ServerError{Number: number, State: "01000", text: text}
}

func lostError(name string, err error) error {
	return rejot.Errorf(rejot.Transient, "the connection %s was lost: %w", name, err)
}

// connectError says why there is no session.
func connectError(c contract.Connection, err error) error {
	var answer *mysql.MyError
	if !errors.As(err, &answer) {
		return rejot.Errorf(rejot.Transient, "connect to %s: %w", c, err)
	}
	err = serverError(answer)
	wrapped := rejot.Errorf(rejot.CodeOf(err), "connect to %s as %s: %w", c, c.User, err)
	switch rejot.CodeOf(err) {
	case rejot.Denied:
		return rejot.WithMend(wrapped, "check user and password of connection %s, and from which hosts the server lets this user in", c.Slug)
	case rejot.NotFound:
		return rejot.WithMend(wrapped, "create the database %s, or correct the connection %s", c.Database, c.Slug)
	default:
		return wrapped
	}
}
