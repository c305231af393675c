package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
)

// A State is a SQLSTATE as an error's cause, where the server's own error may hold a row's values.
type State string

// Error gives the state with its name in the manual.
func (s State) Error() string { return Condition(string(s)) }

// StateOf gives the SQLSTATE of a server's error in err's chain, or nothing.
func StateOf(err error) string {
	var e *pgconn.PgError
	var s State
	switch {
	case errors.As(err, &e):
		return e.Code
	case errors.As(err, &s):
		return string(s)
	}
	return ""
}

// Classify makes an *rejot.Error of an error that a session gave, where it is not one already; what
// begins its text and says what was done, on which thing. The text has no row's values.
func Classify(err error, what string) error {
	var own *rejot.Error
	var e *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return rejot.WithMend(rejot.Errorf(own.Code, "%s: %w", what, err), "%s", rejot.MendOf(err))
	case errors.As(err, &e):
		out := &rejot.Error{Code: CodeOf(e), Text: what + ": " + Reason(e), Err: State(e.Code)}
		if spoken(e.Code) {
			out.Err = err
		}
		return out
	case isUnverified(err) || isRefused(err):
		return rejot.Errorf(rejot.Invalid, "%s: %w", what, err)
	case isConnection(err):
		return rejot.Errorf(rejot.Transient, "%s: %w", what, err)
	}
	return rejot.Errorf(rejot.Internal, "%s: %w", what, err)
}

// isConnection reports whether err tells of the way to the server rather than of the server.
func isConnection(err error) bool {
	var network net.Error
	var connect *pgconn.ConnectError
	if errors.As(err, &network) || errors.As(err, &connect) || pgconn.Timeout(err) || pgconn.SafeToRetry(err) {
		return true
	}
	return slices.ContainsFunc([]error{
		io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, os.ErrDeadlineExceeded,
		context.Canceled, context.DeadlineExceeded, syscall.EPIPE, syscall.ECONNRESET, syscall.ECONNREFUSED,
	}, func(target error) bool { return errors.Is(err, target) })
}

// CodeOf sorts a server's error.
func CodeOf(e *pgconn.PgError) rejot.Code {
	if len(e.Code) != 5 {
		return rejot.Internal
	}
	switch e.Code {
	case "25006", "25P03", "26000", "55P03", "55006", "57014":
		return rejot.Transient
	case "42501":
		return rejot.Denied
	case "42P01", "42703", "42704", "42883", "3D000", "3F000":
		return rejot.NotFound
	}
	switch e.Code[:2] {
	case "08", "40", "53", "57", "58":
		return rejot.Transient
	case "28":
		return rejot.Denied
	case "0A", "55":
		return rejot.Unsupported
	case "42":
		return rejot.Invalid
	case "XX", "F0":
		return rejot.Internal
	}
	return rejot.Rejected
}

// spoken reports whether a state's messages speak of names, settings and the server alone, never of
// a row's values.
func spoken(code string) bool {
	return len(code) == 5 && slices.Contains([]string{"08", "0A", "25", "26", "28", "3D", "3F", "40", "42", "53", "55", "57", "58"}, code[:2])
}

// Reason describes a server's error without a row's values: by its state, by its message where that
// cannot hold one, and by the things that it names.
func Reason(e *pgconn.PgError) string {
	text := Condition(e.Code)
	if spoken(e.Code) && e.Message != "" {
		text = e.Message + " (" + text + ")"
	}
	var named []string
	if e.ConstraintName != "" {
		named = append(named, "constraint "+Quote(e.ConstraintName))
	}
	if e.TableName != "" {
		named = append(named, "table "+QuoteTable(e.SchemaName, e.TableName))
	}
	if e.ColumnName != "" {
		named = append(named, "column "+Quote(e.ColumnName))
	}
	if e.DataTypeName != "" {
		named = append(named, "type "+Quote(e.DataTypeName))
	}
	if len(named) > 0 {
		text += ", " + strings.Join(named, ", ")
	}
	return text
}
