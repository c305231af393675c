package pglog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/internal/postgres"
)

// countWithin is how long the comparison of two versions of a public schema may take.
const countWithin = "120s"

// resolving opens a session in which public schemas are resolved. Temporary views are rolled back.
func (s *Source) resolving(ctx context.Context) (*resolver, func(), error) {
	conn, err := postgres.DialConn(ctx, s.store.Connection, postgres.Options{Application: "check", Settings: map[string]string{
		"default_transaction_read_only": "off", "statement_timeout": "1min", "lock_timeout": "30s", "jit": "off",
	}})
	if err != nil {
		return nil, nil, err
	}
	end := func() { hangUp(context.WithoutCancel(ctx), conn.PgConn()) }
	return &resolver{source: s, conn: conn, types: postgres.NewTypes()}, end, nil
}

// Describe tells what the server says of each query of a public schema, whether or not everything about it is
// proved: each hears of the plan, with what is refused, and of the columns. A query of a further table
// that adds nothing is left out. The error is of queries that the server does not take at all.
func (s *Source) Describe(ctx context.Context, schema *contract.PublicSchema, each func(*derive.Plan, *postgres.Described)) error {
	r, end, err := s.resolving(ctx)
	if err != nil {
		return err
	}
	defer end()
	views, others, err := r.chosen(ctx, schema)
	if err != nil {
		return err
	}
	problems := make([]error, 0, len(views))
	for _, e := range append(views, others...) {
		plan, d, err := r.describe(ctx, e)
		if err != nil {
			return e.fail(err, "describe the query")
		}
		if e.keyed() && len(plan.Refused) == 0 {
			_, err = r.proved(ctx, e) // has the server prepare everything, and check privileges
			problems = append(problems, err)
		}
		each(plan, d)
	}
	return errors.Join(problems...)
}

// chosen gives the queries that are views of their own, and those that are neither keyed nor part of one.
func (r *resolver) chosen(ctx context.Context, schema *contract.PublicSchema) (views, alone []*entry, err error) {
	entries, declared, err := r.entries(ctx, schema)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		e.query.Params, e.query.Keys = declared.forTable(e.table)
		if err := r.derive(ctx, e); err != nil {
			return nil, nil, err
		}
	}
	views, others := choose(entries)
	for _, o := range others {
		if !slices.ContainsFunc(views, func(v *entry) bool { return v.reads(o.table) }) {
			alone = append(alone, o)
			continue
		}
		if err := r.join(ctx, o, views); err != nil {
			return nil, nil, err
		}
	}
	return views, alone, nil
}

// describe reads a query's tree once more, for what resolving does not need.
func (r *resolver) describe(ctx context.Context, e *entry) (plan *derive.Plan, out *postgres.Described, err error) {
	out = &postgres.Described{}
	for _, f := range e.fields {
		typ, err := r.types.Type(ctx, r.conn.PgConn(), f.DataTypeOID, f.TypeModifier)
		if err != nil {
			return nil, nil, err
		}
		out.Columns = append(out.Columns, rejot.Column{Name: f.Name, Type: typ})
	}
	out.May, out.Never = make([]bool, len(e.fields)), make([]bool, len(e.fields))
	tx, err := r.conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadWrite})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, tx.Rollback(context.WithoutCancel(ctx))) }()
	d := &deriver{tx: tx, q: e.query}
	if plan, err = d.plan(ctx); err != nil || d.facts == nil {
		return plan, out, err
	}
	in, err := d.input()
	if err != nil {
		return plan, out, nil // the plan refuses it for that
	}
	for i := range min(len(out.Columns), len(in.Query.Outputs)) {
		out.May[i], out.Never[i] = describeNull(in.Query, i, 0)
	}
	out.Changing = d.changing()
	if base := d.facts.relations[plan.Base.ID]; base != nil {
		for _, k := range plan.Key {
			out.Collations = append(out.Collations, d.collationOf(base, k.Column))
		}
	}
	out.FanOut, err = d.fanOut(ctx, plan)
	return plan, out, err
}

// collationOf names a column's collation where it is not its type's own.
func (d *deriver) collationOf(r *factsRelation, column string) string {
	for _, c := range r.columns {
		if c.Name == column && c.Collation != nil && c.Collation.ID != d.facts.defaults[c.Type.ID] {
			return c.Collation.Text
		}
	}
	return ""
}

// describeChanging are functions of the server that are stable, and still give another result in another
// transaction: the clock, the session, the transaction. pg_proc.dat.
func describeChanging() map[uint32]string {
	return map[uint32]string{
		1299: "now()", 2647: "transaction_timestamp()", 2648: "statement_timestamp()", 2649: "clock_timestamp()", 274: "timeofday()",
		745: "current_user", 746: "session_user", 861: "current_database()", 2026: "pg_backend_pid()", 2943: "txid_current()", 1598: "random()", 3432: "gen_random_uuid()",
	}
}

// changing finds functions of the tree, and of the views in it, that give another result each time.
func (d *deriver) changing() []string {
	known := describeChanging()
	var found []string
	for _, tree := range d.facts.trees() {
		for _, value := range describeClock(tree) {
			if !slices.Contains(found, value) {
				found = append(found, value)
			}
		}
	}
	for _, oid := range d.facts.oidsOf("funcid") {
		if name := known[oid]; name != "" {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// fanOut estimates, per route, how many keys one changed row affects.
func (d *deriver) fanOut(ctx context.Context, plan *derive.Plan) ([]float64, error) {
	stats := describeStats{d: d, plan: plan}
	out := make([]float64, len(plan.Routes))
	for i, r := range plan.Routes {
		switch {
		case r.Direct:
			out[i] = 1
		case r.All:
			rows, err := stats.rows(ctx, plan.Base.ID)
			if err != nil {
				return nil, err
			}
			out[i] = rows
		default:
			for _, p := range r.Paths {
				n, err := stats.path(ctx, p)
				if err != nil {
					return nil, err
				}
				if n == 0 {
					out[i] = 0
					break
				}
				out[i] += n
			}
		}
	}
	return out, nil
}

// describeStats reads the server's statistics.
type describeStats struct {
	d    *deriver
	plan *derive.Plan
}

// rows estimates a table's rows with those of its parts; 0 where it was never analysed.
func (s describeStats) rows(ctx context.Context, table uint32) (float64, error) {
	members := s.d.facts.members[table]
	if len(members) == 0 {
		members = []uint32{table}
	}
	var n float64
	err := s.d.tx.QueryRow(ctx, `SELECT coalesce(sum(reltuples), 0)::float8 FROM pg_catalog.pg_class WHERE oid = ANY ($1) AND relkind <> 'p' AND reltuples > 0`, members).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read statistics: %w", err)
	}
	return n, nil
}

// path multiplies what each step finds.
func (s describeStats) path(ctx context.Context, p derive.Path) (float64, error) {
	total := 1.0
	steps := p.Steps
	if p.Key != nil {
		steps = steps[:len(steps)-1] // the base is not joined: the row before has its key
	}
	for _, step := range steps {
		n, err := s.step(ctx, step)
		if err != nil || n == 0 {
			return 0, err
		}
		total *= n
	}
	return total, nil
}

// step estimates the rows that one row is joined with: one where a unique key is met, else all rows over the
// distinct values of the most selective column.
func (s describeStats) step(ctx context.Context, step derive.Step) (float64, error) {
	for _, u := range step.To.Keys {
		if !slices.ContainsFunc(u.Columns, func(number int) bool {
			return !slices.ContainsFunc(step.On, func(o derive.Pair) bool { return o.To.Number == number })
		}) {
			return 1, nil
		}
	}
	rows, err := s.rows(ctx, step.To.Table.ID)
	if err != nil || rows == 0 {
		return 0, err
	}
	var distinct float64
	for _, o := range step.On {
		var n float64
		err := s.d.tx.QueryRow(ctx, `SELECT coalesce((SELECT s.n_distinct FROM pg_catalog.pg_stats s
			WHERE s.schemaname = $1 AND s.tablename = $2 AND s.attname = $3 ORDER BY s.inherited DESC LIMIT 1), 0)::float8`,
			step.To.Table.Schema, step.To.Table.Name, o.To.Name).Scan(&n)
		if err != nil {
			return 0, fmt.Errorf("read statistics: %w", err)
		}
		if n < 0 {
			n = -n * rows
		}
		distinct = max(distinct, n)
	}
	if distinct == 0 {
		return 0, nil
	}
	return max(1, rows/distinct), nil
}

// Differences counts, at one snapshot, the keys whose rows two versions of a public schema do not have in
// common: that have rows in the old one alone, in the new one alone, and other rows in fields.
func (s *Source) Differences(ctx context.Context, old, now *contract.PublicSchema, fields []string) (left, entered, changed int64, err error) {
	r, end, err := s.resolving(ctx)
	if err != nil {
		return 0, 0, 0, err
	}
	defer end()
	was, err := r.first(ctx, old)
	if err != nil {
		return 0, 0, 0, err
	}
	is, err := r.first(ctx, now)
	if err != nil {
		return 0, 0, 0, err
	}
	if was.plan.Base != is.plan.Base || !slices.EqualFunc(was.plan.Key, is.plan.Key, func(a, b derive.KeyColumn) bool { return a.Column == b.Column }) {
		return 0, 0, 0, rejot.Errorf(rejot.Unsupported, "%s: the two versions have different keys, so that their rows cannot be compared", now)
	}
	if _, err := r.conn.Exec(ctx, "SET statement_timeout = '"+countWithin+"'"); err != nil {
		return 0, 0, 0, is.fail(err, "compare its rows with the former query's")
	}
	err = r.conn.QueryRow(ctx, differenceSQL(was, is, fields)).Scan(&left, &entered, &changed)
	return left, entered, changed, is.fail(err, "compare its rows with the former query's")
}

// first gives the query that a public schema mainly consists of.
func (r *resolver) first(ctx context.Context, schema *contract.PublicSchema) (*entry, error) {
	views, _, err := r.chosen(ctx, schema)
	if err != nil {
		return nil, err
	}
	if len(views) == 0 {
		return nil, rejot.Errorf(rejot.Invalid, "%s: it has no query that is keyed by its table", schema)
	}
	return views[0], nil
}

// differenceSQL evaluates both queries for each key and compares a digest of their rows, sorted.
func differenceSQL(was, is *entry, fields []string) string {
	side := func(e *entry, name string) string {
		columns := make([]string, len(fields))
		for i, f := range fields {
			columns[i] = "q." + postgres.Quote(f)
		}
		row := "pg_catalog.concat(ROW(" + strings.Join(columns, ", ") + ")::text)"
		text := e.text.Render(func(_ int, placeholder string) string {
			i := slices.IndexFunc(e.plan.Key, func(k derive.KeyColumn) bool { return k.Placeholder == placeholder })
			return "(" + keysAlias + ".k" + strconv.Itoa(i) + "::" + e.query.Types[slices.Index(e.query.Names, placeholder)] + ")"
		})
		return fmt.Sprintf("LEFT JOIN LATERAL (SELECT pg_catalog.md5(pg_catalog.string_agg(%s, E'\\n' ORDER BY %[1]s)) AS h FROM (\n%s\n) q) %s ON true", row, text, name)
	}
	keys := make([]string, len(is.plan.Key))
	for i, k := range is.plan.Key {
		keys[i] = "b." + postgres.Quote(k.Column) + " AS k" + strconv.Itoa(i)
	}
	return fmt.Sprintf(`SELECT count(*) FILTER (WHERE "rejot old".h IS NOT NULL AND "rejot new".h IS NULL),
		count(*) FILTER (WHERE "rejot old".h IS NULL AND "rejot new".h IS NOT NULL), count(*) FILTER (WHERE "rejot old".h <> "rejot new".h)
		FROM (SELECT %s FROM %s b) %s
		%s
		%s`, strings.Join(keys, ", "), quoted(is.plan.Base), keysAlias, side(was, `"rejot old"`), side(is, `"rejot new"`))
}
