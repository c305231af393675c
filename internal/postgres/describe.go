package postgres

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/sqltext"
)

// A QueryColumn is one column of a query's result, as the server tells it without running the query.
type QueryColumn struct {
	Name     string
	Type     rejot.Type
	Values   []string // of an enumeration, in its order
	Nullable bool     // false only where a table's column is declared NOT NULL and no outer join is in between
	Comment  string   // of the table's column
}

// A Describer is a session that tells the columns of queries. It changes nothing: it is read-only.
type Describer struct{ conn *pgconn.PgConn }

// OpenDescriber opens a session.
func OpenDescriber(ctx context.Context, c contract.Connection) (*Describer, error) {
	conn, err := Dial(ctx, c, Options{Application: "collect", Settings: map[string]string{"default_transaction_read_only": "on", "statement_timeout": "10s"}})
	if err != nil {
		return nil, err
	}
	return &Describer{conn}, nil
}

// Describe is DescribeQuery in the session.
func (d *Describer) Describe(ctx context.Context, sql string) ([]QueryColumn, error) {
	return DescribeQuery(ctx, d.conn, sql)
}

// Close ends the session.
func (d *Describer) Close(ctx context.Context) error { return d.conn.Close(ctx) }

// DescribeQuery prepares a query with placeholders and gives its columns; the query is not run. An expression counts as nullable.
// Code Invalid: the server refuses the query.
func DescribeQuery(ctx context.Context, conn *pgconn.PgConn, sql string) ([]QueryColumn, error) {
	statement, err := sqltext.Parse(sqltext.Postgres, sql)
	if err != nil {
		return nil, err
	}
	names := statement.Names()
	text := statement.Render(func(_ int, name string) string {
		for i, n := range names {
			if n == name {
				return "$" + strconv.Itoa(i+1)
			}
		}
		return "NULL"
	})
	const prepared = "rejot_describe"
	described, err := conn.Prepare(ctx, prepared, text, nil)
	if err != nil {
		return nil, refusedQuery(err)
	}
	defer func() { _ = conn.Deallocate(context.WithoutCancel(ctx), prepared) }() // the session may be over
	may, err := readNullable(ctx, conn, prepared, len(described.ParamOIDs))
	if err != nil {
		return nil, err
	}
	types := NewTypes()
	columns := make([]QueryColumn, len(described.Fields))
	for i, f := range described.Fields {
		c := QueryColumn{Name: f.Name, Nullable: true}
		if c.Type, err = types.Type(ctx, conn, f.DataTypeOID, f.TypeModifier); err != nil {
			return nil, err
		}
		if c.Values, err = enumeration(ctx, conn, f.DataTypeOID); err != nil {
			return nil, err
		}
		if f.TableOID != 0 {
			if c.Comment, c.Nullable, err = tableColumn(ctx, conn, f.TableOID, f.TableAttributeNumber); err != nil {
				return nil, err
			}
			c.Nullable = c.Nullable || may.all || may.tables[f.TableOID]
		}
		columns[i] = c
	}
	return columns, nil
}

// refusedQuery is Invalid where the query is at fault: what it names is not there, or it is no SQL (SQLSTATE class 42).
func refusedQuery(err error) error {
	out := Classify(err, "prepare the query")
	if state := StateOf(err); strings.HasPrefix(state, "42") && state != "42501" {
		return rejot.Errorf(rejot.Invalid, "%w", out)
	}
	return out
}

// tableColumn gives what the catalogue says of a column.
func tableColumn(ctx context.Context, conn *pgconn.PgConn, table uint32, number uint16) (comment string, nullable bool, err error) {
	rows, err := texts(ctx, conn, `SELECT a.attnotnull, coalesce(pg_catalog.col_description(a.attrelid, a.attnum), '') FROM pg_catalog.pg_attribute a
		WHERE a.attrelid = $1::oid AND a.attnum = $2::int2`, strconv.FormatUint(uint64(table), 10), strconv.FormatUint(uint64(number), 10))
	if err != nil {
		return "", true, Classify(err, "read a column")
	}
	if len(rows) != 1 {
		return "", true, nil // a system column
	}
	return rows[0][1], rows[0][0] != "t", nil
}

// enumeration gives the values of an enumeration, or of an array of one; of another type nothing.
func enumeration(ctx context.Context, conn *pgconn.PgConn, oid uint32) ([]string, error) {
	rows, err := texts(ctx, conn, `SELECT e.enumlabel FROM pg_catalog.pg_type t JOIN pg_catalog.pg_enum e ON e.enumtypid IN (t.oid, t.typelem)
		WHERE t.oid = $1::oid ORDER BY e.enumsortorder`, strconv.FormatUint(uint64(oid), 10))
	if err != nil {
		return nil, Classify(err, "read an enumeration")
	}
	var values []string
	for _, row := range rows {
		values = append(values, row[0])
	}
	return values, nil
}

// missingSides say which tables' columns an outer join may make NULL.
type missingSides struct {
	all    bool
	tables map[uint32]bool
}

// A joinNode is a node of EXPLAIN's answer, as far as it matters.
type joinNode struct {
	Type         string     `json:"Node Type"`
	Join         string     `json:"Join Type"`
	Relationship string     `json:"Parent Relationship"`
	Schema       string     `json:"Schema"`
	Relation     string     `json:"Relation Name"`
	Sets         any        `json:"Grouping Sets"`
	Plans        []joinNode `json:"Plans"`
}

// readNullable reads the outer joins off the generic plan. The planner has made inner joins of those that the query's own
// conditions turn into such; what it has, is the truth about NULLs.
func readNullable(ctx context.Context, conn *pgconn.PgConn, prepared string, params int) (missingSides, error) {
	if _, err := conn.Exec(ctx, "SET plan_cache_mode = force_generic_plan").ReadAll(); err != nil {
		return missingSides{}, Classify(err, "read the plan of the query")
	}
	defer func() { _, _ = conn.Exec(context.WithoutCancel(ctx), "RESET plan_cache_mode").ReadAll() }() // the session may be over
	arguments := ""
	if params > 0 {
		arguments = "(NULL" + strings.Repeat(", NULL", params-1) + ")"
	}
	rows, err := texts(ctx, conn, "EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE "+prepared+arguments)
	if err != nil {
		return missingSides{}, Classify(err, "read the plan of the query")
	}
	var plans []struct{ Plan joinNode }
	if err := json.Unmarshal([]byte(rows[0][0]), &plans); err != nil || len(plans) != 1 {
		return missingSides{}, rejot.Errorf(rejot.Corrupt, "read the plan of the query: it is no plan")
	}
	n := missingSides{tables: map[uint32]bool{}}
	var names []string
	n.walk(&plans[0].Plan, false, &names)
	if n.all {
		return n, nil
	}
	for i := 0; i < len(names); i += 2 {
		if err := n.add(ctx, conn, names[i], names[i+1]); err != nil {
			return n, err
		}
	}
	return n, nil
}

// walk collects the relations below the side of a join that may be missing. What cannot be told apart makes everything nullable.
func (n *missingSides) walk(p *joinNode, missing bool, names *[]string) {
	if p.Sets != nil {
		n.all = true // a grouping set leaves columns out
	}
	switch {
	case p.Relation != "" && missing:
		*names = append(*names, p.Schema, p.Relation)
	case len(p.Plans) == 0 && missing:
		n.all = true // a function, a constant, a CTE
	}
	outer, inner := false, false
	switch p.Join {
	case "", "Inner", "Semi", "Right Semi":
	case "Left", "Anti":
		inner = true
	case "Right", "Right Anti":
		outer = true
	default:
		outer, inner = true, true
	}
	for i := range p.Plans {
		child := &p.Plans[i]
		side := missing || child.Relationship == "Outer" && outer || child.Relationship == "Inner" && inner
		n.walk(child, side, names)
	}
}

// add notes a relation and the tables that it is a part of.
func (n *missingSides) add(ctx context.Context, conn *pgconn.PgConn, schema, name string) error {
	rows, err := texts(ctx, conn, `WITH RECURSIVE up AS (
		SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace WHERE s.nspname = $1 AND c.relname = $2
		UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN up ON up.oid = i.inhrelid) SELECT oid FROM up`, schema, name)
	if err != nil {
		return Classify(err, "read the plan of the query")
	}
	for _, row := range rows {
		n.tables[number(row[0])] = true
	}
	return nil
}
