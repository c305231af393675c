package myapply

import (
	"context"
	"errors"
	"fmt"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/mysql"
)

// A consumer is a consumer schema with its statements.
type consumer struct {
	target  *apply.Target
	texts   [apply.Kinds]string // with question marks; empty where there is none
	inBlock [apply.Kinds]string // with a block's columns
	stmts   [apply.Kinds]*mysql.Stmt
	blocks  [apply.Kinds]string // what was prepared, with a block's columns
	guard   []string            // columns of the upsert's guard, see guard.go
	// careful says that its statements give warnings that are harmless, so that each has to be
	// looked at before the next one runs.
	careful bool
	// slow says that a block failed with what executions did not.
	slow bool
}

// newConsumer lexes a consumer's statements.
func newConsumer(c *contract.Consumer) (*consumer, error) {
	own := &consumer{target: &apply.Target{Consumer: c}}
	if c.SQL == "" {
		return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s has no sql", c), "give it the statement that writes a row")
	}
	switch c.OnError {
	case "", "pause", quarantine:
	default:
		return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s has the unknown onError %q", c, c.OnError), "use pause or quarantine")
	}
	for k := range apply.Kind(apply.Kinds) {
		sql := apply.SQL(c, k)
		if sql == "" {
			continue
		}
		text, inBlock, names, err := placeholders(sql)
		if err != nil {
			err = rejot.Errorf(rejot.Invalid, "%s: its %s: %w", c, k, err)
			if rejot.MendOf(err) == "" {
				err = rejot.WithMend(err, "correct its %s", k)
			}
			return nil, err
		}
		own.target.Statements[k] = &apply.Statement{Names: names}
		own.texts[k], own.inBlock[k] = text, inBlock
	}
	return own, nil
}

// prepareConsumers lets the server read every consumer's statements. What is wrong with one is in its
// target; the error is of the connection.
func (a *Applier) prepareConsumers(ctx context.Context) error {
	var err error
	if a.catalog, err = a.readCatalog(ctx); err != nil {
		return err
	}
	for _, c := range a.consumers {
		c.careful, c.slow = false, false
		c.stmts = [apply.Kinds]*mysql.Stmt{}
		c.target.Broken = nil
		var errs []error
		for k := range apply.Kind(apply.Kinds) {
			if c.texts[k] == "" {
				continue
			}
			err := a.prepare(ctx, c, k)
			if a.session.Broken() || rejot.CodeOf(err) == rejot.Transient {
				return err
			}
			errs = append(errs, err)
		}
		c.target.Broken = errors.Join(errs...)
		c.target.NoSwap = a.catalog.noSwap(c.texts[apply.Upsert], c.texts[apply.Delete])
	}
	_, err = a.session.Exec(ctx, "COMMIT") // lets go of the tables' definitions
	return err
}

// prepare lets the server read one statement, and refuses what would not be part of our transaction.
func (a *Applier) prepare(ctx context.Context, c *consumer, k apply.Kind) error {
	who, text := c.target.Consumer, c.texts[k]
	c.blocks[k] = c.inBlock[k]
	if k == apply.Upsert {
		var err error
		if text, c.guard, err = a.catalog.guarded(who, text, c.texts[apply.Delete]); err != nil {
			return err
		}
		if c.blocks[k], _, err = a.catalog.guarded(who, c.inBlock[k], c.texts[apply.Delete]); err != nil {
			return err
		}
	}
	st, err := a.session.Prepare(ctx, text)
	if err != nil {
		return a.unprepared(who, k, text, err)
	}
	c.stmts[k] = st
	if st.Params() != len(c.target.Statements[k].Names) {
		err := rejot.Errorf(rejot.Invalid, "%s: its %s has parameters that are not placeholders", who, k)
		return rejot.WithMend(err, "write :name where a value goes, and no ?")
	}
	// What the server explains is a SELECT, INSERT, REPLACE, UPDATE or DELETE, and nothing that commits.
	explained, err := a.session.Prepare(ctx, "EXPLAIN FORMAT=JSON "+text) // without a format, EXPLAIN COMMIT describes a table

	var answer *mysql.ServerError
	switch {
	case a.session.Broken():
		return err
	case errors.As(err, &answer) && answer.Number != viewNoExplain || st.Columns() > 0:
		return refuseKind(who, k, st.Columns() > 0)
	case err == nil:
		if err := explained.Close(ctx); err != nil {
			return err
		}
	}
	if t := a.catalog.unsafe(text); t != "" {
		err := rejot.Errorf(rejot.Unsupported, "%s: its %s names table %s, whose storage engine has no transactions", who, k, t)
		return rejot.WithMend(err, "ALTER TABLE %s ENGINE=InnoDB", mysql.Quote(t))
	}
	c.target.Statements[k].Rank = a.catalog.rank(text)
	switch {
	case !a.session.MariaDB():
		c.target.SetWay(k, apply.Pipeline, "MySQL has no anonymous blocks")
	case len(c.target.Statements[k].Names) == 0:
		c.target.SetWay(k, apply.Pipeline, "it has no parameters")
	default:
		c.target.SetWay(k, apply.Block, "")
	}
	return nil
}

const (
	syntaxError   = 1064
	viewNoExplain = 1345 // it was read, and the user may not see the view's tables
)

func refuseKind(who *contract.Consumer, k apply.Kind, rows bool) error {
	if rows {
		return rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s: its %s gives rows, where one that writes is wanted", who, k),
			"write an INSERT, REPLACE, UPDATE or DELETE without RETURNING")
	}
	err := rejot.Errorf(rejot.Invalid, "%s: its %s is none of INSERT, REPLACE, UPDATE and DELETE, and could commit by itself", who, k)
	if k == apply.Truncate {
		return rejot.WithMend(err, "use DELETE FROM: the server commits at a TRUNCATE TABLE")
	}
	return rejot.WithMend(err, "use one of these, so that rows and cursor are written in one transaction")
}

// unprepared says why the server refuses a statement, and what to do.
func (a *Applier) unprepared(who *contract.Consumer, k apply.Kind, text string, err error) error {
	var answer *mysql.ServerError
	if !errors.As(err, &answer) || rejot.CodeOf(err) == rejot.Transient {
		return err
	}
	named := fmt.Errorf("%s: %s refuses its %s: %w", who, a.connection, k, err)
	code := rejot.CodeOf(err)
	thing := answer.Quoted() // nothing is bound yet, so that it comes from the statement
	switch code {            //nolint:exhaustive // the others have no mend of their own
	case rejot.Internal:
		code = rejot.Invalid
	case rejot.NotFound:
		named = rejot.Errorf(code, "%s: %s refuses its %s: there is no %s: %w", who, a.connection, k, thing, err)
		return rejot.WithMend(named, "create %s, or correct the %s", thing, k)
	case rejot.Denied:
		named = rejot.Errorf(code, "%w", named)
		return rejot.WithMend(named, "GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s", a.catalog.target(text), mysql.Quote(a.connection.User))
	}
	if answer.Number == syntaxError && thing != "" {
		return rejot.WithMend(rejot.Errorf(code, "%w, near %q", named, firstWords(thing)), "correct its %s", k)
	}
	return rejot.WithMend(rejot.Errorf(code, "%w", named), "correct its %s", k)
}

// firstWords keeps of a text what fits into a line.
func firstWords(s string) string {
	const most = 40
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most]) + "…"
}
