package rejot

import (
	"errors"
	"fmt"
)

// A Code says what kind of failure an error is, for callers that decide on it: whether to try
// again, which exit code or HTTP status to give.
type Code uint8

// The codes. The zero Code is Internal: nobody has classified the failure, so nothing is assumed of it.
const (
	Internal    Code = iota
	Invalid          // the manifest, a contract or a command is wrong; its owner has to change it
	NotFound         // a thing that was named does not exist (table, column, slot, consumer)
	Conflict         // somebody else has written meanwhile: a cursor is not where it was
	Fenced           // another instance has taken over
	Gone             // the log no longer reaches back to a position, or it is another history
	Transient        // may succeed when tried again: connection, deadlock, serialization, shutdown
	Denied           // a privilege is missing, or a password is refused
	Unsupported      // the database, a type or a value cannot do what is asked
	Corrupt          // bytes are not what their writer wrote
	Rejected         // the destination refused one event (constraint, type, trigger)
)

var codeNames = [...]string{"internal", "invalid", "not found", "conflict", "fenced", "gone", "transient", "denied", "unsupported", "corrupt", "rejected"}

// String gives the code's name as status and logs show it.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// An Error is a failure with its kind and, where there is one, the command or statement that mends
// it. Neither text holds a row's value or a secret.
type Error struct {
	Code Code
	Text string // what failed, on which thing, why
	Mend string // what to do; may be empty
	Err  error  // the cause; may be nil
}

// Error gives the text without the mend, so that wrapping reads well.
func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a code. A %w in the format makes the cause.
func Errorf(code Code, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Text: err.Error(), Err: errors.Unwrap(err)}
}

// WithMend adds to err what to do about it. A nil err stays nil.
func WithMend(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Code: CodeOf(err), Text: err.Error(), Mend: fmt.Sprintf(format, args...), Err: err}
}

// CodeOf gives the code of the outermost Error in err's chain, Internal where there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// MendOf gives the first mend in err's chain, or nothing.
func MendOf(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Mend != "" {
			return e.Mend
		}
		err = e.Err
	}
	return ""
}
