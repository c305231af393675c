package pglog

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/postgres"
)

// keysAlias is the name under which a query finds its placeholders. It must be no name that a query could mean.
const keysAlias = `"rejot keys"`

// proved makes a view of an entry that is keyed, if everything about it is proved.
func (r *resolver) proved(ctx context.Context, e *entry) (*contract.View, error) {
	if len(e.plan.Refused) > 0 {
		return nil, e.refusals()
	}
	v := &contract.View{Schema: e.schema, Base: contract.TableName{Schema: e.plan.Base.Schema, Name: e.plan.Base.Name}}
	for _, step := range []func(context.Context, *entry, *contract.View) error{r.key, r.rows, r.order, r.routes, r.estimate} {
		if err := step(ctx, e, v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// key reads the columns of the key.
func (r *resolver) key(ctx context.Context, e *entry, v *contract.View) error {
	columns, err := r.types.Columns(ctx, r.conn.PgConn(), e.plan.Base.ID)
	if err != nil {
		return e.fail(err, "read the table's columns")
	}
	for _, k := range e.plan.Key {
		at := slices.IndexFunc(columns, func(c rejot.Column) bool { return c.Name == k.Column })
		if at < 0 {
			return rejot.Errorf(rejot.Transient, "%s: column %q is gone while the query is read", e, k.Column)
		}
		v.Key = append(v.Key, columns[at])
	}
	return nil
}

// rows wraps the developer's query, so that it answers many keys at once.
func (r *resolver) rows(ctx context.Context, e *entry, v *contract.View) error {
	var columns, arrays, names, outputs []string
	for _, f := range e.fields { // by name: what a SELECT * gains later is not public
		outputs = append(outputs, "q."+postgres.Quote(f.Name))
	}
	for i, k := range e.plan.Key {
		c := "c" + strconv.Itoa(i)
		names = append(names, c)
		columns = append(columns, "u."+c+"::"+e.query.Types[slices.Index(e.query.Names, k.Placeholder)]+" AS "+postgres.Quote(k.Placeholder))
		arrays = append(arrays, "$"+strconv.Itoa(i+1)+"::text[]")
	}
	text := e.text.Render(func(_ int, name string) string { return keysAlias + "." + postgres.Quote(name) })
	sql := fmt.Sprintf("SELECT %s.ord, %s\nFROM (SELECT u.ord, %s FROM ROWS FROM (%s) WITH ORDINALITY AS u(%s, ord)) %s\nCROSS JOIN LATERAL (\n%s\n) q",
		keysAlias, strings.Join(outputs, ", "), strings.Join(columns, ", "), deriveUnnests(arrays), strings.Join(names, ", "), keysAlias, text)
	v.Rows = &rejot.Query{Name: e.schema.String(), SQL: sql, Params: v.Key, Ordinal: true}
	if err := r.register(ctx, e, v.Rows, false); err != nil {
		return err
	}
	v.Shape = &rejot.Shape{Schema: e.schema.Ref, Row: v.Rows.Columns, Many: e.plan.Many && e.Rows != "one"}
	r.names(e, v)
	return nil
}

// register prepares a query, to have the server's word for it, and notes its columns.
func (r *resolver) register(ctx context.Context, e *entry, q *rejot.Query, whole bool) error {
	prepared, err := r.conn.PgConn().Prepare(ctx, "", q.SQL, nil)
	if err != nil {
		return e.refusedByServer(err)
	}
	// Privileges are checked when a plan is started, which an explanation does too.
	if err := r.conn.PgConn().ExecParams(ctx, "EXPLAIN "+q.SQL, make([][]byte, len(q.Params)), nil, nil, nil).Read().Err; err != nil {
		return e.refusedByServer(err)
	}
	known := resolvedQuery{whole: whole}
	for i, f := range prepared.Fields {
		known.types = append(known.types, f.DataTypeOID)
		if i == 0 && q.Ordinal {
			continue
		}
		typ, err := r.types.Type(ctx, r.conn.PgConn(), f.DataTypeOID, f.TypeModifier)
		if err != nil {
			return e.fail(err, "read the type of "+f.Name)
		}
		q.Columns = append(q.Columns, rejot.Column{Name: f.Name, Type: typ})
	}
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	r.source.resolved[q.SQL] = known
	return nil
}

// names gives the key its names in the shape: those of the source, unless the result means something
// else by them, and those that the result gives it.
func (r *resolver) names(e *entry, v *contract.View) {
	add := func(name string, key int) {
		v.Shape.Key = append(v.Shape.Key, rejot.Column{Name: name, Type: v.Key[key].Type})
		v.KeyNames = append(v.KeyNames, key)
	}
	for i, k := range v.Key {
		same := true
		for at, c := range v.Rows.Columns {
			if c.Name == k.Name {
				same = e.plan.Outputs[at].Key == i
			}
		}
		if same {
			add(k.Name, i)
		}
	}
	for at, c := range v.Rows.Columns {
		if key := e.plan.Outputs[at].Key; key >= 0 && c.Name != v.Key[key].Name {
			add(c.Name, key)
		}
	}
}

// order writes the queries that list the keys in their order.
func (r *resolver) order(ctx context.Context, e *entry, v *contract.View) error {
	var columns, after []string
	for i, k := range e.plan.Key {
		columns = append(columns, "b."+postgres.Quote(k.Column))
		after = append(after, "($"+strconv.Itoa(i+1)+"::text[])[1]::"+k.Type)
	}
	list := strings.Join(columns, ", ")
	text := func(where string, limit int) string {
		if confined := r.source.store.BackfillWhere; confined != "" { // in lines of its own: it may end with a comment
			where = strings.Replace(where, "\nWHERE ", "\nAND ", 1)
			where = "\nWHERE (" + confined + "\n)" + where
		}
		return "SELECT " + list + "\nFROM " + quoted(e.plan.Base) + " b" + where + "\nORDER BY " + list + "\nLIMIT ($" + strconv.Itoa(limit) + "::text[])[1]::bigint"
	}
	limit := rejot.Column{Name: "limit", Type: rejot.Type{Name: "bigint"}}
	name := e.schema.String() + ": the keys of " + e.plan.Base.String()
	v.First = &rejot.Query{Name: name, SQL: text("", 1), Params: []rejot.Column{limit}}
	v.Next = &rejot.Query{
		Name: name, SQL: text("\nWHERE ("+list+") > ("+strings.Join(after, ", ")+")", len(v.Key)+1),
		Params: append(slices.Clone(v.Key), limit),
	}
	if err := r.register(ctx, e, v.First, false); err != nil {
		return err
	}
	return r.register(ctx, e, v.Next, false)
}

// routes makes the routes of what was proved.
func (r *resolver) routes(ctx context.Context, e *entry, v *contract.View) error {
	for _, route := range e.plan.Routes {
		out := contract.Route{
			Table: contract.TableName{Schema: route.Table.Schema, Name: route.Table.Name}, Leaf: route.Leaf,
			Columns: route.Columns, Direct: route.Direct, All: route.All, Base: route.Direct && route.Table == e.plan.Base,
		}
		if !route.Direct && !route.All {
			out.Keys = &rejot.Query{Name: e.schema.String() + ": the keys that table " + route.Table.String() + " affects", SQL: route.SQL}
			for i, c := range route.Columns {
				out.Keys.Params = append(out.Keys.Params, rejot.Column{Name: c, Type: rejot.Type{Name: route.Types[i]}})
			}
			if err := r.register(ctx, e, out.Keys, true); err != nil {
				return err
			}
		}
		v.Routes = append(v.Routes, out)
		if out.Base && len(e.plan.Members[route.Table.ID]) > 1 {
			// A partition may be truncated while the others keep their rows: the view is cleared, and by
			// way of this route, which is not Base, every key that is left is evaluated.
			out.Base = false
			v.Routes = append(v.Routes, out)
		}
	}
	return nil
}

// estimate says how many keys there are by the server's statistics.
func (r *resolver) estimate(ctx context.Context, e *entry, v *contract.View) error {
	members := e.plan.Members[e.plan.Base.ID]
	if len(members) == 0 {
		members = []uint32{e.plan.Base.ID}
	}
	err := r.conn.QueryRow(ctx, `SELECT coalesce(sum(reltuples), 0)::int8 FROM pg_catalog.pg_class
		WHERE oid = ANY ($1) AND relkind <> 'p' AND reltuples > 0`, members).Scan(&v.Estimate)
	return postgres.Classify(err, e.String()+": estimate its rows")
}
