package myapply

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/internal/mysql"
)

// reorders are the violations that another order of the events may avoid.
var reorders = []int{
	1022, 1062, 1169, 1586, // a unique key
	1216, 1217, 1451, 1452, 1761, 1762, // a foreign key
}

// harmless are the warnings that change nothing of what is written, or that the statement asks for:
// a duplicate that INSERT IGNORE leaves out, deprecated syntax, a remark about the binlog.
var harmless = []int{1062, 1287, 1592, 1681, 3719, 3778}

// moveFailed judges the error of a cursor's statement.
func (a *Applier) moveFailed(m rejot.Move, err error) error {
	var answer *mysql.ServerError
	if errors.As(err, &answer) && answer.Number == duplicateEntry {
		return a.conflict(m)
	}
	var coded *rejot.Error
	if errors.As(err, &coded) && coded.Code == rejot.Conflict {
		return err
	}
	return rejot.Errorf(rejot.CodeOf(err), "move the cursor of %s in %s: %w", m.To.Consumer, a.connection, err)
}

const (
	duplicateEntry = 1062
	badNull        = 1048
)

// failed judges the error of a consumer's statement: what ends by itself ends the run, the rest is
// the consumer's own.
func (a *Applier) failed(op *apply.Op, err error) error {
	var answer *mysql.ServerError
	if !errors.As(err, &answer) {
		return err // of the way to the server, or of our own
	}
	code := rejot.CodeOf(err)
	if code == rejot.Transient {
		return rejot.Errorf(code, "%s in %s: %w", op.Target.Consumer, a.connection, err)
	}
	if code == rejot.Internal {
		code = rejot.Rejected // it is not known, and it came of this row
	}
	f := &apply.Failure{Consumer: op.Target.Consumer.ID(), Key: keyOf(op), Reorder: slices.Contains(reorders, answer.Number)}
	own := a.own(op.Target)
	if own.slow = false; own.stmts[apply.Upsert] != nil { // it was the row, and not the block
		own.target.SetWay(apply.Upsert, apply.Block, "")
	}
	guard := own.guard
	if column := answer.Name(func(name string) bool { return slices.Contains(guard, name) }); answer.Number == badNull && op.Kind == apply.Upsert && column != "" {
		f.Reorder = true
		f.Err = rejot.WithMend(rejot.Errorf(code, "%s: a row for its %s has a value that must be unique and that another row in %s holds", op.Target.Consumer, op.Kind, a.connection),
			"mend the row at its source, or the unique keys here; then: rejot resume %s", op.Target.Consumer.Name)
		return f
	}
	f.Err = a.refused(op, code, answer)
	return f
}

// refused says what was refused, by which rule, in names only.
func (a *Applier) refused(op *apply.Op, code rejot.Code, answer *mysql.ServerError) error {
	about := ""
	if rule := answer.Name(a.isConstraint); rule != "" {
		about = ", constraint " + rule
	}
	if rule := answer.After("CONSTRAINT", a.isConstraint); rule != "" {
		about = ", constraint " + rule
	}
	if column := answer.Name(func(name string) bool { return a.catalog.columns[name] }); about == "" && column != "" {
		about = ", column " + column
	}
	names := slices.Clone(op.Target.Statements[op.Kind].Names)
	for i := range names {
		names[i] = apply.Placeholder(names[i])
	}
	slices.Sort(names)
	err := rejot.Errorf(code, "%s: %s refuses its %s with %s: %w%s", op.Target.Consumer, a.connection, op.Kind,
		strings.Join(slices.Compact(names), ", "), answer, about)
	return rejot.WithMend(err, "mend the row at its source, or the statement or the table here; then: rejot resume %s", op.Target.Consumer.Name)
}

// isConstraint approves a key's name; MySQL 8 puts its table before it.
func (a *Applier) isConstraint(name string) bool {
	if a.catalog.constraints[name] {
		return true
	}
	tableName, key, ok := strings.Cut(name, ".")
	return ok && a.catalog.tables[strings.ToLower(tableName)] != nil && a.catalog.constraints[key]
}

// again says that an attempt has to be made again in another way, as the one that was taken does not
// tell what happened: warnings that were lost among executions on their way, a block that failed.
type again struct {
	own  *consumer
	slow bool // without blocks; else looking at the warnings of each execution
}

func (g *again) Error() string { return "the attempt has to be made again" }

// otherwise prepares for the attempt that err asks for, and reports whether it does.
func otherwise(err error) bool {
	var g *again
	switch {
	case !errors.As(err, &g):
		return false
	case g.slow && !g.own.slow:
		g.own.slow = true
		g.own.target.SetWay(apply.Upsert, apply.Pipeline, "a block failed with what executions may not")
		return true
	case !g.slow && !g.own.careful:
		g.own.careful = true
		return true
	default:
		return false
	}
}

// warnings reads what the statement before gave, and makes an error of what is not harmless.
func (a *Applier) warnings(ctx context.Context, op *apply.Op) error {
	rows, err := a.session.Query(ctx, "SHOW WARNINGS")
	if err != nil {
		return err
	}
	for _, row := range rows {
		text, _ := row[1].Text()
		number, err := strconv.Atoi(text)
		if err != nil {
			return rejot.Errorf(rejot.Corrupt, "%s: a warning has no number", a.connection)
		}
		if slices.Contains(harmless, number) {
			continue
		}
		message, _ := row[2].Text()
		return &apply.Failure{
			Consumer: op.Target.Consumer.ID(), Key: keyOf(op),
			Err: a.refused(op, rejot.Rejected, mysql.Warning(number, message)),
		}
	}
	return nil
}
