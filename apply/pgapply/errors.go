package pgapply

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/internal/postgres"
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

// transient reports whether the server's error ends by itself: FAULTS D1 to D7. What is not the
// server's is the connection's.
func transient(err error) bool {
	var e *pgconn.PgError
	return !errors.As(err, &e) || postgres.CodeOf(e) == rejot.Transient
}

// slow reports whether a lock or a statement took too long: its consumer's trouble, and not the others'.
func slow(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == lockNotAvailable || e.Code == queryCanceled)
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
		return postgres.Classify(err, a.connection.String())
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
	out := rejot.Errorf(postgres.CodeOf(e), "%s: %s does not take its %s: %s (%s)", c, a.connection, k, e.Message, e.Code)
	switch {
	case e.Code == "42501":
		return rejot.WithMend(out, "GRANT the privileges that its %s needs to %s", k, postgres.Quote(a.connection.User))
	case e.Code == "42P18", e.Code == "42804", e.Code == "42883":
		return rejot.WithMend(out, "say what type a placeholder has, as in CAST(:id AS bigint)%s", in(c.Consumer))
	case postgres.CodeOf(e) == rejot.NotFound:
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
	if transient(e) && (at.what != event && at.what != set || !slow(e)) {
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
	case set:
		return &refusedSet{a.own[at.op.Target], e.Code}
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
	text := fmt.Sprintf("%s: its %s was refused: %s", t.Consumer, k, postgres.Reason(e))
	if names := t.Statements[k].Names; len(names) > 0 {
		shown := make([]string, 0, len(names))
		for _, n := range names {
			if p := apply.Placeholder(n); !slices.Contains(shown, p) {
				shown = append(shown, p)
			}
		}
		text += "; its placeholders are " + strings.Join(shown, ", ")
	}
	return &rejot.Error{Code: postgres.CodeOf(e), Text: text, Err: postgres.State(e.Code)}
}

// deferred says that a constraint that is checked at the end was violated.
func deferred(e *pgconn.PgError) error {
	return &rejot.Error{Code: postgres.CodeOf(e), Text: "the destination refused the commit: " + postgres.Reason(e), Err: postgres.State(e.Code)}
}
