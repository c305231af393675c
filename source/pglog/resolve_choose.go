package pglog

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/internal/postgres"
)

// choose tells the queries that are views of their own from those that are not keyed. A query of a
// table that a chosen one reads anyway, with the same columns, adds nothing: the original's style has
// one transformation for each table. The one whose rows tell their key goes first.
func choose(entries []*entry) (views, others []*entry) {
	byRank := slices.Clone(entries)
	slices.SortStableFunc(byRank, func(a, b *entry) int { return cmp.Compare(rank(a), rank(b)) })
	for _, e := range byRank {
		switch {
		case !e.keyed():
			others = append(others, e)
		case !slices.ContainsFunc(views, func(v *entry) bool { return v.reads(e.table) && v.sameColumns(e) }):
			views = append(views, e)
		}
	}
	return views, others
}

func rank(e *entry) int {
	switch {
	case e.complete:
		return 0
	case e.keyed():
		return 1
	}
	return 2
}

func (e *entry) reads(t derive.Table) bool { return slices.Contains(e.plan.Tables, t) }

func (e *entry) sameColumns(o *entry) bool {
	if len(e.fields) != len(o.fields) {
		return false
	}
	for i, f := range e.fields {
		if f.Name != o.fields[i].Name || f.DataTypeOID != o.fields[i].DataTypeOID {
			return false
		}
	}
	return true
}

func (e *entry) refuses(t derive.Table) bool {
	return slices.ContainsFunc(e.plan.Refused, func(r derive.Refusal) bool { return r.Table == t })
}

// join makes a query that is not keyed by its own table part of a view: where the view's own query
// proves what the table's changes affect, there is nothing to add; where it does not, but o binds
// the view's key to columns of its own table, o is the developer's word for it.
func (r *resolver) join(ctx context.Context, o *entry, views []*entry) error {
	var problems []error
	joined := false
	for _, v := range views {
		if !v.reads(o.table) {
			continue
		}
		joined = true
		if !v.refuses(o.table) {
			continue
		}
		params, err := r.bound(ctx, o, v)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if params != nil {
			v.query.Params[o.query.Table] = params
			problems = append(problems, r.derive(ctx, v))
		}
	}
	if !joined {
		problems = append(problems, o.refusals())
	}
	return errors.Join(problems...)
}

// bound gives, for each placeholder of v, the column of o's table that o's query binds to the same
// column of v's key; nil where it does not.
func (r *resolver) bound(ctx context.Context, o, v *entry) (map[string]string, error) {
	query := o.query
	query.Table, query.Params, query.Keys = v.query.Table, nil, nil
	plan, err := derivePlan(ctx, r.conn, query)
	if err != nil {
		return nil, o.fail(err, "find which keys a change affects")
	}
	columns, err := r.types.Columns(ctx, r.conn.PgConn(), o.table.ID)
	if err != nil {
		return nil, o.fail(err, "read the table's columns")
	}
	params := map[string]string{}
	for _, own := range v.plan.Key {
		at := slices.IndexFunc(plan.Key, func(k derive.KeyColumn) bool { return k.Column == own.Column })
		if at < 0 {
			return nil, nil
		}
		column, ok := o.columnOf(plan.Key[at].Placeholder, columns)
		if !ok {
			return nil, nil
		}
		params[own.Placeholder] = column
	}
	return params, nil
}

// columnOf gives the column of the changed table that a placeholder means.
func (e *entry) columnOf(placeholder string, columns []rejot.Column) (string, bool) {
	if column, ok := e.Params[placeholder]; ok {
		return column, true
	}
	if e.text.Positional() {
		n, err := strconv.Atoi(placeholder)
		if err != nil || n < 1 || n > len(columns) {
			return "", false
		}
		return columns[n-1].Name, true
	}
	return placeholder, slices.ContainsFunc(columns, func(c rejot.Column) bool { return c.Name == placeholder })
}

// refusals makes an error of each thing that is not proved.
func (e *entry) refusals() error {
	problems := make([]error, 0, len(e.plan.Refused))
	for _, refusal := range e.plan.Refused {
		where := refusal.Table.String()
		if refusal.Where != "" {
			where += " (" + refusal.Where + ")"
		}
		err := rejot.Errorf(rejot.Invalid, "%s: table %s: %s", e.schema, where, refusal.Reason)
		if refusal.Mend != "" {
			err = rejot.WithMend(err, "%s", refusal.Mend)
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// unite gives a public schema's further view the shape of its first, or says why it cannot have it.
func unite(first, v *contract.View) error {
	same := func(a, b []rejot.Column) bool {
		return slices.EqualFunc(a, b, func(x, y rejot.Column) bool { return x.Name == y.Name && x.Type.Name == y.Type.Name })
	}
	if !same(first.Shape.Row, v.Shape.Row) || !same(first.Shape.Key, v.Shape.Key) {
		err := rejot.Errorf(rejot.Invalid, "%s: the queries of tables %s and %s yield other columns or other keys than one another",
			v.Schema, first.Base, v.Base)
		return rejot.WithMend(err, "give both the same columns and key, or make two public schemas of them")
	}
	first.Shape.Many = first.Shape.Many || v.Shape.Many
	v.Shape = first.Shape
	return nil
}

// quoted quotes a table of a plan.
func quoted(t derive.Table) string { return postgres.QuoteTable(t.Schema, t.Name) }
