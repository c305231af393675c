package pglog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot/derive"
)

// statements writes the SQL of the routes that need one, and has the server prepare each: one that
// it refuses counts as not derived.
func (d *deriver) statements(ctx context.Context, plan *derive.Plan) error {
	routes := plan.Routes
	plan.Routes = nil
	for _, r := range routes {
		if !r.Direct && !r.All && r.SQL == "" {
			r.SQL = d.routeSQL(plan, r)
		}
		if r.SQL != "" {
			refused, err := d.prepare(ctx, r)
			if err != nil {
				return err
			}
			if refused != nil {
				plan.Refused = append(plan.Refused, *refused)
				continue
			}
		}
		plan.AddRoute(r)
	}
	return nil
}

func (d *deriver) prepare(ctx context.Context, r derive.Route) (*derive.Refusal, error) {
	save, err := d.tx.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin a savepoint: %w", err)
	}
	_, err = save.Conn().PgConn().Prepare(ctx, "", r.SQL, nil)
	var server *pgconn.PgError
	if err != nil && !errors.As(err, &server) {
		return nil, fmt.Errorf("prepare the statement of %s: %w", r.Table, err)
	}
	if rollback := save.Rollback(ctx); rollback != nil {
		return nil, fmt.Errorf("roll back a savepoint: %w", rollback)
	}
	if server == nil {
		return nil, nil
	}
	return &derive.Refusal{
		Code: "not-derived", Table: r.Table, Where: r.Leaf, Reason: "the server refuses the statement from its rows to the keys: " + server.Message,
		Mend: "say which keys a change of it affects with params, keys or \"all\"",
	}, nil
}

// routeSQL writes a route's paths, united.
func (d *deriver) routeSQL(plan *derive.Plan, r derive.Route) string {
	texts := make([]string, 0, len(r.Paths))
	for _, p := range r.Paths {
		texts = append(texts, d.pathSQL(plan, r, p))
	}
	return strings.Join(texts, "\nUNION\n")
}

// deriveImages is the relation of the changed rows' images, with columns c0, c1, …
func deriveImages(types []string) string {
	var columns, arrays, names []string
	for i, t := range types {
		n := strconv.Itoa(i)
		columns = append(columns, "u.c"+n+"::"+t+" AS c"+n)
		arrays = append(arrays, "$"+strconv.Itoa(i+1)+"::text[]")
		names = append(names, "c"+n)
	}
	return "(SELECT " + strings.Join(columns, ", ") + " FROM ROWS FROM (" + deriveUnnests(arrays) + ") AS u(" + strings.Join(names, ", ") + "))"
}

func deriveUnnests(arrays []string) string {
	calls := make([]string, 0, len(arrays))
	for _, a := range arrays {
		calls = append(calls, "pg_catalog.unnest("+a+")")
	}
	return strings.Join(calls, ", ")
}

func deriveQuote(name string) string { return pgx.Identifier{name}.Sanitize() }

// pathSQL writes one way from the images to the key.
func (d *deriver) pathSQL(plan *derive.Plan, r derive.Route, p derive.Path) string {
	column := func(row int, c *derive.Column) string {
		if row == 0 {
			return "t0.c" + strconv.Itoa(slices.Index(r.Columns, c.Name))
		}
		return "t" + strconv.Itoa(row) + "." + deriveQuote(c.Name)
	}
	var from strings.Builder
	from.WriteString(deriveImages(r.Types) + " t0")
	last := len(p.Steps)
	if p.Key != nil {
		last-- // the base itself is not needed
	}
	for i, step := range p.Steps[:last] {
		var on []string
		for _, o := range step.On {
			on = append(on, d.pairSQL(o, column(i, o.From), column(i+1, o.To)))
		}
		from.WriteString("\nJOIN " + d.relationSQL(step.To) + " t" + strconv.Itoa(i+1) + " ON " + strings.Join(on, " AND "))
	}
	var keys, where []string
	for i, k := range plan.Key {
		if p.Key != nil {
			c := column(last, p.Key[i])
			keys, where = append(keys, c+"::text"), append(where, c+" IS NOT NULL")
		} else {
			keys = append(keys, "t"+strconv.Itoa(last)+"."+deriveQuote(k.Column)+"::text")
		}
	}
	sql := "SELECT DISTINCT " + strings.Join(keys, ", ") + "\nFROM " + from.String()
	if len(where) > 0 {
		sql += "\nWHERE " + strings.Join(where, " AND ")
	}
	return sql
}

func (d *deriver) relationSQL(r *derive.Relation) string {
	text := d.facts.relations[r.Table.ID].text
	if r.Only {
		return "ONLY " + text
	}
	return text
}

// pairSQL writes an equality with the operator of the tree, the implicit relabellings of the tree, and
// its collation where a column's own, or that of an image's type, is another.
func (d *deriver) pairSQL(o derive.Pair, from, to string) string {
	if o.FromType.ID != o.From.Type.ID {
		from += "::" + o.FromType.Text
	}
	if o.ToType.ID != o.To.Type.ID {
		to += "::" + o.ToType.Text
	}
	if o.Collation != nil && d.collates(o) {
		from += " COLLATE " + o.Collation.Text
	}
	if o.Flipped {
		from, to = to, from
	}
	return from + " " + o.Op.Text + " " + to
}

func (d *deriver) collates(o derive.Pair) bool {
	for _, c := range []*derive.Column{o.From, o.To} {
		if c.Collation == nil || c.Collation.ID != o.Collation.ID || d.facts.defaults[c.Type.ID] != o.Collation.ID {
			return true
		}
	}
	return false
}
