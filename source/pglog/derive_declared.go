package pglog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/internal/sqltext"
)

// A declaredTable is a table of which the developer said which keys its changes affect.
type declaredTable struct {
	table  derive.Table
	params map[string]string // placeholder to column
	keys   string
}

// readDeclared finds the declared tables and takes them from what has to be derived.
func (d *deriver) readDeclared(ctx context.Context, in *derive.Input) error {
	names := slices.Collect(maps.Keys(d.q.Params))
	for name := range d.q.Keys {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		table, err := d.table(ctx, name)
		if err != nil {
			return err
		}
		if d.facts.relations[table.ID] == nil {
			d.refused = append(d.refused, derive.Refusal{
				Code: "declared-unused", Table: table, Reason: "keys are declared for it, but the query does not read it",
				Mend: "remove the declaration, or name the table that the query reads",
			})
			continue
		}
		in.Declared[table.ID] = true
		d.declared = append(d.declared, declaredTable{table: table, params: d.q.Params[name], keys: d.q.Keys[name]})
	}
	return nil
}

// declaredRoutes adds the routes that the developer gave.
func (d *deriver) declaredRoutes(plan *derive.Plan) {
	if len(plan.Key) == 0 {
		return
	}
	for _, t := range d.declared {
		r := derive.Route{Table: t.table, Leaf: "declared", Way: []string{t.table.String(), "declared"}}
		var refusal *derive.Refusal
		switch {
		case t.keys == "all":
			r.All = true
		case t.keys != "":
			refusal = d.declaredKeys(plan, &r, t)
		default:
			refusal = d.declaredParams(plan, &r, t)
		}
		if refusal != nil {
			plan.Refused = append(plan.Refused, *refusal)
			continue
		}
		plan.AddRoute(r)
	}
}

func (d *deriver) columnNamed(table derive.Table, name string) *derive.Column {
	for _, c := range d.facts.relations[table.ID].columns {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// addColumn adds a column to what a route needs of its images, once, and gives its place.
func (d *deriver) addColumn(r *derive.Route, name string) (int, *derive.Refusal) {
	if i := slices.Index(r.Columns, name); i >= 0 {
		return i, nil
	}
	c := d.columnNamed(r.Table, name)
	if c == nil || c.Generated {
		why := "has no column " + strconv.Quote(name)
		if c != nil {
			why = "generates column " + strconv.Quote(name) + ", which its images lack"
		}
		return 0, &derive.Refusal{
			Code: "declared-column", Table: r.Table, Reason: "it " + why + ", which the declaration names",
			Mend: "name a stored column of " + r.Table.String(),
		}
	}
	r.Columns, r.Types = append(r.Columns, c.Name), append(r.Types, c.Type.Text)
	return len(r.Columns) - 1, nil
}

func (d *deriver) declaredParams(plan *derive.Plan, r *derive.Route, t declaredTable) *derive.Refusal {
	direct := true
	var keys, where []string
	for i, k := range plan.Key {
		name, ok := t.params[k.Placeholder]
		if !ok {
			return &derive.Refusal{
				Code: "declared-incomplete", Table: t.table, Reason: "params does not say which column is :" + k.Placeholder,
				Mend: "add " + strconv.Quote(k.Placeholder) + " and a column of " + t.table.String(),
			}
		}
		at, refusal := d.addColumn(r, name)
		if refusal != nil {
			return refusal
		}
		direct = direct && at == i && r.Types[at] == k.Type
		column := "t0.c" + strconv.Itoa(at)
		keys = append(keys, column+"::"+k.Type+"::text")
		where = append(where, column+" IS NOT NULL")
	}
	r.Direct = direct
	if !direct {
		r.SQL = "SELECT DISTINCT " + strings.Join(keys, ", ") + "\nFROM " + deriveImages(r.Types) + " t0\nWHERE " + strings.Join(where, " AND ")
	}
	return nil
}

// declaredKeys wraps the developer's SELECT, whose :placeholders are columns of the changed table and
// whose outputs are the key in its order, into a statement for all images at once.
func (d *deriver) declaredKeys(plan *derive.Plan, r *derive.Route, t declaredTable) *derive.Refusal {
	statement, err := sqltext.Parse(sqltext.Postgres, t.keys)
	if err != nil {
		return &derive.Refusal{Code: "declared-keys", Table: t.table, Reason: "keys is no statement: " + err.Error(), Mend: "write one SELECT, or \"all\""}
	}
	for _, name := range statement.Names() {
		if _, refusal := d.addColumn(r, name); refusal != nil {
			return refusal
		}
	}
	text := statement.Render(func(_ int, name string) string {
		return "t0.c" + strconv.Itoa(slices.Index(r.Columns, name))
	})
	if len(r.Columns) == 0 {
		return &derive.Refusal{
			Code: "declared-keys", Table: t.table, Reason: "keys names no column of the changed row",
			Mend: "write :column for columns of " + t.table.String() + ", or declare \"all\"",
		}
	}
	var names, keys []string
	for i, k := range plan.Key {
		n := "k" + strconv.Itoa(i)
		names = append(names, n)
		keys = append(keys, "k."+n+"::"+k.Type+"::text")
	}
	where := make([]string, 0, len(names))
	for _, n := range names {
		where = append(where, "k."+n+" IS NOT NULL")
	}
	r.SQL = fmt.Sprintf("SELECT DISTINCT %s\nFROM %s t0\nCROSS JOIN LATERAL (%s\n) k(%s)\nWHERE %s", strings.Join(keys, ", "),
		deriveImages(r.Types), text, strings.Join(names, ", "), strings.Join(where, " AND "))
	return nil
}
