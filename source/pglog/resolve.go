package pglog

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/internal/postgres"
	"rejot.dev/rejot/internal/sqltext"
)

// A resolver resolves public schemas, on a session of its own that may create a temporary view.
type resolver struct {
	source *Source
	conn   *pgx.Conn
	types  *postgres.Types
}

// Resolve asks the database about public schemas. What is wrong with any of them is in the error,
// each problem with what mends it; the views are then incomplete.
func (s *Source) Resolve(ctx context.Context, schemas []*contract.PublicSchema) ([]*contract.View, error) {
	conn, err := postgres.DialConn(ctx, s.store.Connection, postgres.Options{Application: "resolve", Settings: map[string]string{
		"default_transaction_read_only": "off", "statement_timeout": "1min", "lock_timeout": "30s", "jit": "off",
	}})
	if err != nil {
		return nil, err
	}
	defer hangUp(context.WithoutCancel(ctx), conn.PgConn())
	r := &resolver{source: s, conn: conn, types: postgres.NewTypes()}
	var views []*contract.View
	var problems []error
	for _, schema := range schemas {
		found, err := r.schema(ctx, schema)
		if err != nil && (ctx.Err() != nil || conn.IsClosed()) {
			return nil, err
		}
		views = append(views, found...)
		problems = append(problems, err)
	}
	return views, errors.Join(problems...)
}

// An entry is one transformation with what the database says of it.
type entry struct {
	contract.Transformation
	schema   *contract.PublicSchema
	table    derive.Table
	text     *sqltext.Statement
	query    deriveQuery
	fields   []pgconn.FieldDescription
	plan     *derive.Plan
	complete bool // its rows tell their key
}

func (e *entry) keyed() bool { return e.plan != nil && len(e.plan.Key) > 0 }

func (r *resolver) schema(ctx context.Context, schema *contract.PublicSchema) ([]*contract.View, error) {
	entries, declared, err := r.entries(ctx, schema)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		e.query.Params, e.query.Keys = declared.forTable(e.table)
		if err := r.derive(ctx, e); err != nil {
			return nil, err
		}
	}
	views, others := choose(entries)
	problems := make([]error, 0, len(entries))
	for _, o := range others {
		problems = append(problems, r.join(ctx, o, views))
	}
	var resolved []*contract.View
	for _, e := range views {
		v, err := r.proved(ctx, e)
		if err == nil && len(resolved) > 0 {
			err = unite(resolved[0], v)
		}
		if err == nil {
			resolved = append(resolved, v)
		}
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if len(resolved) == 0 {
		err := rejot.Errorf(rejot.Invalid, "%s: it has no query that is keyed by its table", schema)
		return nil, rejot.WithMend(err, "give it a transformation with the query that yields its rows, its placeholders being a unique key of its table")
	}
	return resolved, nil
}

// declarations are what the developer said of tables that a query reads.
type declarations []declaration

type declaration struct {
	table derive.Table
	contract.Transformation
}

// forTable gives the declarations that a query of another table is derived with, by the tables' names.
func (d declarations) forTable(own derive.Table) (params map[string]map[string]string, keys map[string]string) {
	params, keys = map[string]map[string]string{}, map[string]string{}
	for _, x := range d {
		switch {
		case x.table == own:
		case x.Keys != "":
			keys[x.Table] = x.Keys
		default:
			params[x.Table] = x.Params
		}
	}
	return params, keys
}

// entries reads the transformations; those of one table and text are one.
func (r *resolver) entries(ctx context.Context, schema *contract.PublicSchema) (entries []*entry, declared declarations, err error) {
	var problems []error
	for _, t := range schema.Transformations {
		if len(t.Operations) > 0 && !slices.ContainsFunc(t.Operations, func(op string) bool { return op != "delete" }) && len(schema.Transformations) > 1 {
			continue // what a delete affects, the query that yields the rows tells
		}
		table, err := r.table(ctx, schema, t.Table)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if t.Keys != "" || len(t.Params) > 0 {
			declared = append(declared, declaration{table, t})
		}
		if t.SQL == "" {
			continue
		}
		if slices.ContainsFunc(entries, func(e *entry) bool { return e.table == table && e.SQL == t.SQL }) {
			continue
		}
		e, err := r.entry(ctx, schema, table, t)
		problems = append(problems, err)
		entries = append(entries, e)
	}
	return entries, declared, errors.Join(problems...)
}

// table finds a table as the developer wrote it.
func (r *resolver) table(ctx context.Context, schema *contract.PublicSchema, name string) (derive.Table, error) {
	t := derive.Table{}
	err := r.conn.QueryRow(ctx, `
		SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = pg_catalog.to_regclass($1::text)`, name).Scan(&t.ID, &t.Schema, &t.Name)
	if errors.Is(err, pgx.ErrNoRows) {
		err = rejot.Errorf(rejot.NotFound, "%s: there is no table %s in %s", schema, name, r.source.store.Connection)
		return t, rejot.WithMend(err, "correct the transformation's table, or name it with its schema")
	}
	return t, postgres.Classify(err, schema.String()+": find table "+name)
}

// entry has the server read a query.
func (r *resolver) entry(ctx context.Context, schema *contract.PublicSchema, table derive.Table, t contract.Transformation) (*entry, error) {
	e := &entry{Transformation: t, schema: schema, table: table}
	var err error
	if e.text, err = sqltext.Parse(sqltext.Postgres, t.SQL); err != nil {
		return nil, e.fail(err, "read the query")
	}
	names := e.text.Names()
	number := func(_ int, name string) string { return "$" + strconv.Itoa(slices.Index(names, name)+1) }
	prepared, err := r.conn.PgConn().Prepare(ctx, "", e.text.Render(number), nil)
	if err != nil {
		return nil, e.refusedByServer(err)
	}
	e.fields = prepared.Fields
	if err := e.checkFields(); err != nil {
		return nil, err
	}
	e.query = deriveQuery{SQL: t.SQL, Names: names, Table: postgres.QuoteTable(table.Schema, table.Name), Text: func(repl func(int) string) string {
		return e.text.Render(func(_ int, name string) string { return repl(slices.Index(names, name)) })
	}}
	for _, oid := range prepared.ParamOIDs {
		typ, err := r.types.Type(ctx, r.conn.PgConn(), oid, -1)
		if err != nil {
			return nil, e.fail(err, "read the placeholders' types")
		}
		e.query.Types = append(e.query.Types, typ.Name)
	}
	return e, nil
}

// derive proves which keys a change affects.
func (r *resolver) derive(ctx context.Context, e *entry) error {
	plan, err := derivePlan(ctx, r.conn, e.query)
	if err != nil {
		return e.fail(err, "find which keys a change affects")
	}
	e.plan = plan
	e.complete = e.keyed()
	for i := range plan.Key {
		e.complete = e.complete && slices.ContainsFunc(plan.Outputs, func(o derive.Output) bool { return o.Key == i })
	}
	return nil
}

// fail says of which transformation an error tells.
func (e *entry) fail(err error, what string) error {
	return postgres.Classify(err, e.String()+": "+what)
}

// String names the transformation for people.
func (e *entry) String() string { return e.schema.String() + ": table " + e.table.String() }

// refusedByServer says what is wrong with a query that the server does not take.
func (e *entry) refusedByServer(err error) error {
	out := e.fail(err, "the server does not accept the query")
	switch state := postgres.StateOf(err); {
	case rejot.CodeOf(out) == rejot.Transient:
		return out
	case state == "42501":
		return rejot.WithMend(out, "GRANT SELECT on the tables that the query reads to the connection's user")
	case state == "42P18", state == "42804", state == "42883":
		return rejot.WithMend(out, "say what type a placeholder has, as in CAST(:id AS bigint)")
	default:
		return rejot.WithMend(out, "correct the query, or the table that it reads")
	}
}

// checkFields refuses columns that a row cannot tell apart.
func (e *entry) checkFields() error {
	seen := map[string]bool{}
	for _, f := range e.fields {
		if seen[f.Name] {
			err := rejot.Errorf(rejot.Invalid, "%s: two columns of the result are named %q", e, f.Name)
			return rejot.WithMend(err, "give one of them another name with AS")
		}
		seen[f.Name] = true
	}
	if len(e.fields) == 0 {
		return rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s: the query has no columns", e), "select the columns that are public")
	}
	return nil
}
