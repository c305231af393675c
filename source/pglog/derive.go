package pglog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot/derive"
)

// A deriveQuery is a transformation's query as derivePlan reads it.
type deriveQuery struct {
	SQL   string   // the user's text
	Names []string // distinct placeholder names, in order of first occurrence

	// Text renders SQL with each occurrence of placeholder i of Names replaced by repl(i).
	Text func(repl func(i int) string) string

	Types  []string                     // type of each placeholder as Describe gave it, castable
	Table  string                       // the transformation's table as the user wrote it
	Params map[string]map[string]string // declared: further table → placeholder → its column
	Keys   map[string]string            // declared: further table → SELECT text, or "all"

	mutant derive.Mutant // for tests
}

// deriveView is the name of the temporary view. It must be no name that a query could mean.
const deriveView = `"rejot derives keys"`

// derivePlan proves q for its table. conn is an idle connection of the evaluating role; it opens
// its own transaction and rolls it back. An error means that the server could not be asked, or
// that it does not accept the query; what is merely not proved is in the plan's Refused.
func derivePlan(ctx context.Context, conn *pgx.Conn, q deriveQuery) (plan *derive.Plan, err error) {
	// A session may be read-only by default, for everything else that it does.
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadWrite})
	var server *pgconn.PgError
	if errors.As(err, &server) && server.Code == "0A000" { // no read-write transaction during recovery
		return (&deriver{base: derive.Table{Name: q.Table}}).refusedPlan(notPrimary(derive.Table{Name: q.Table})), nil
	}
	if err != nil {
		return nil, fmt.Errorf("derive keys: %w", err)
	}
	defer func() {
		if rollback := tx.Rollback(context.WithoutCancel(ctx)); rollback != nil && err == nil {
			err = fmt.Errorf("derive keys: roll back: %w", rollback)
		}
	}()
	d := &deriver{tx: tx, q: q}
	plan, err = d.plan(ctx)
	if err != nil {
		return nil, fmt.Errorf("derive keys: %w", err)
	}
	return plan, nil
}

// deriver is one run of derivePlan.
type deriver struct {
	tx       pgx.Tx
	q        deriveQuery
	facts    *facts
	base     derive.Table
	names    []string         // of the result's columns
	declared []declaredTable  // in the order of their names
	refused  []derive.Refusal // before the proof
}

func (d *deriver) plan(ctx context.Context) (*derive.Plan, error) {
	base, err := d.table(ctx, d.q.Table)
	if err != nil {
		return nil, err
	}
	d.base = base
	if refusal, err := d.createView(ctx); err != nil || refusal != nil {
		return d.refusedPlan(refusal), err
	}
	var view uint32
	if err := d.tx.QueryRow(ctx, `SELECT $1::text::pg_catalog.regclass::oid`, "pg_temp."+deriveView).Scan(&view); err != nil {
		return nil, fmt.Errorf("find the temporary view: %w", err)
	}
	if d.facts, err = readFacts(ctx, d.tx, view); err != nil {
		return nil, err
	}
	in, err := d.input()
	if err != nil {
		return d.refusedPlan(&derive.Refusal{
			Code: "unknown-tree", Table: base, Reason: err.Error(),
			Mend: "declare keys for each table by hand, and report the query",
		}), nil
	}
	if err := d.readDeclared(ctx, in); err != nil {
		return nil, err
	}
	plan := derive.Prove(in)
	for i := range plan.Outputs {
		if i < len(d.names) {
			plan.Outputs[i].Name = d.names[i]
		}
	}
	d.finish(plan)
	if err := d.statements(ctx, plan); err != nil {
		return nil, err
	}
	if err := d.identities(ctx, plan); err != nil {
		return nil, err
	}
	return plan, nil
}

func (d *deriver) refusedPlan(r *derive.Refusal) *derive.Plan {
	if r == nil {
		return nil
	}
	return &derive.Plan{Base: d.base, Many: true, Refused: []derive.Refusal{*r}}
}

// table resolves a table's name as the session's search path does.
func (d *deriver) table(ctx context.Context, name string) (derive.Table, error) {
	t := derive.Table{}
	err := d.tx.QueryRow(ctx, `
		SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = pg_catalog.to_regclass($1)`, name).Scan(&t.ID, &t.Schema, &t.Name)
	if errors.Is(err, pgx.ErrNoRows) {
		return t, fmt.Errorf("table %q does not exist on the search path: name it with its schema", name)
	}
	if err != nil {
		return t, fmt.Errorf("find table %q: %w", name, err)
	}
	return t, nil
}

func deriveSetting(i int) string { return "rejot.derive_" + strconv.Itoa(i) }

// deriveUnlimited gives a name of the type that has no length: "character" alone would be one character.
func deriveUnlimited(typ string) string {
	switch typ {
	case "character", "char":
		return "pg_catalog.bpchar"
	case "character[]", "char[]":
		return "pg_catalog.bpchar[]"
	case "bit", "bit[]":
		return "pg_catalog." + typ
	}
	return typ
}

// createView creates the temporary view whose rule holds the query's resolved tree.
func (d *deriver) createView(ctx context.Context) (*derive.Refusal, error) {
	text := d.q.Text(func(i int) string {
		return "(pg_catalog.current_setting('" + deriveSetting(i) + "'))::" + deriveUnlimited(d.q.Types[i])
	})
	text = strings.TrimRight(strings.TrimSpace(text), ";")
	described, err := d.tx.Conn().PgConn().Prepare(ctx, "", text, nil)
	if err != nil {
		return nil, fmt.Errorf("the server does not accept the query: %w", err)
	}
	columns := make([]string, 0, len(described.Fields))
	for i, f := range described.Fields {
		d.names = append(d.names, f.Name)
		columns = append(columns, "c"+strconv.Itoa(i))
	}
	if len(columns) == 0 {
		return nil, errors.New("the query has no result columns")
	}
	create := "CREATE TEMPORARY VIEW " + deriveView + " (" + strings.Join(columns, ", ") + ") AS " + text + "\n"
	_, err = d.tx.Exec(ctx, create, pgx.QueryExecModeSimpleProtocol)
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		if err != nil {
			return nil, fmt.Errorf("create the temporary view: %w", err)
		}
		return nil, nil
	}
	switch server.Code {
	case "42501": // insufficient_privilege: the query itself was accepted before
		return &derive.Refusal{
			Code: "no-temp", Table: d.base, Reason: "the role may not create temporary objects, which reading the query's tree needs",
			Mend: "GRANT TEMPORARY ON DATABASE … TO the evaluating role, or declare keys for each table",
		}, nil
	case "25006": // read_only_sql_transaction
		return notPrimary(d.base), nil
	}
	return nil, fmt.Errorf("the server does not accept the query as a view: %w", err)
}

func notPrimary(base derive.Table) *derive.Refusal {
	return &derive.Refusal{
		Code: "not-primary", Table: base, Reason: "the server allows only reading, and reading the query's tree needs a temporary view",
		Mend: "connect to the primary",
	}
}

// input turns the tree into derive's input.
func (d *deriver) input() (*derive.Input, error) {
	t := &factsTree{facts: d.facts, params: map[string]int{}}
	for i := range d.q.Names {
		t.params[deriveSetting(i)] = i
	}
	query := t.query(d.facts.tree, nil, "")
	if t.err != nil {
		return nil, t.err
	}
	return &derive.Input{
		Query: query, Names: d.q.Names, Base: d.base, Declared: map[uint32]bool{},
		Equal: d.facts.equalFor, Mutant: d.q.mutant,
	}, nil
}

// finish adds what only the source knows: members, refused relations and functions.
func (d *deriver) finish(plan *derive.Plan) {
	plan.Refused = append(plan.Refused, d.refused...)
	d.declaredRoutes(plan)
	for _, table := range plan.Tables {
		plan.Members[table.ID] = d.facts.members[table.ID]
		if r := d.refuseRelation(d.facts.relations[table.ID]); r != nil {
			plan.Refused = append(plan.Refused, *r)
		}
	}
	for _, fn := range d.facts.functions {
		plan.Refused = append(plan.Refused, derive.Refusal{
			Code: "function", Table: d.base, Where: fn.name, Reason: fn.name + " " + fn.reason,
			Mend: "use an immutable function, or write what it reads into the query",
		})
	}
}

// refuseRelation refuses relations of which no log tells.
func (d *deriver) refuseRelation(r *factsRelation) *derive.Refusal {
	refusal := &derive.Refusal{Code: "relation", Table: r.table, Mend: "read an ordinary table, or publish without it"}
	switch {
	case r.table.Schema == "pg_catalog", r.table.Schema == "information_schema", r.table.Schema == "pg_toast", r.table.ID < firstUserOID:
		refusal.Reason = "it is a system catalogue, whose changes are not in the log"
	case r.kind == "f":
		refusal.Reason = "it is a foreign table, whose changes are in another log"
	case r.kind == "m":
		refusal.Reason = "it is a materialised view, whose refreshes are not in the log"
		refusal.Mend = "read what it is made from"
	case r.kind != "r" && r.kind != "p":
		refusal.Reason = "it is no table (relkind " + r.kind + ")"
	case r.persistence == "t":
		refusal.Reason = "it is a temporary table"
	case r.persistence == "u":
		refusal.Reason = "it is unlogged"
		refusal.Mend = "ALTER TABLE " + r.text + " SET LOGGED"
	case r.active:
		refusal.Reason = "its row security is active for the evaluating role, which would see fewer rows than there are"
		refusal.Mend = "give the role BYPASSRLS, or a policy is read by nobody"
	case r.security && r.underView:
		refusal.Reason = "it has row security and is read by a view, whose owner's policies are not in the tree"
		refusal.Mend = "read the table without the view, as a role with BYPASSRLS"
	default:
		return nil
	}
	return refusal
}
