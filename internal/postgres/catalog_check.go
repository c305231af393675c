package postgres

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// A Described is what the server says of a query, beside what is proved of it.
type Described struct {
	Columns []rejot.Column
	// May and Never tell, for each column, that it may be NULL, or that it never is. Of what neither is
	// said, such as an expression, nothing is known.
	May, Never []bool
	FanOut     []float64 // per route: the keys that one changed row affects, by statistics; 0: unknown
	Collations []string  // per column of the key; empty: its type's own
	Changing   []string  // functions in the query, or in the views that it reads, that give another result each time
}

// A Catalog asks a database what it makes of statements. It changes nothing: its session is read-only.
type Catalog struct {
	conn       *pgconn.PgConn
	connection contract.Connection
	types      *Types
}

// OpenCatalog opens a session.
func OpenCatalog(ctx context.Context, c contract.Connection) (*Catalog, error) {
	conn, err := Dial(ctx, c, Options{Application: "check", Settings: map[string]string{
		"default_transaction_read_only": "on", "statement_timeout": "1min", "lock_timeout": "10s", "plan_cache_mode": "force_generic_plan",
	}})
	if err != nil {
		return nil, err
	}
	return &Catalog{conn: conn, connection: c, types: NewTypes()}, nil
}

// Close ends the session.
func (c *Catalog) Close(ctx context.Context) error { return c.conn.Close(ctx) }

// A Prepared statement is one that the server takes.
type Prepared struct {
	Params        []string // the types of its parameters
	Schema, Table string   // what it writes; empty where that is not known
}

// Prepare has the server read, plan and check the privileges of a statement whose parameters are $1, $2, ….
// It is not executed.
func (c *Catalog) Prepare(ctx context.Context, sql string) (*Prepared, error) {
	const name = "rejot_check"
	described, err := c.conn.Prepare(ctx, name, sql, nil)
	if err != nil {
		return nil, Classify(err, "the server does not accept it")
	}
	defer func() { _ = c.conn.Deallocate(ctx, name) }() // the session ends soon, and its name is used again
	out := &Prepared{}
	for _, oid := range described.ParamOIDs {
		typ, err := c.types.Type(ctx, c.conn, oid, -1)
		if err != nil {
			return nil, err
		}
		out.Params = append(out.Params, typ.Name)
	}
	if isUtility(sql) {
		return out, nil
	}
	list := ""
	if n := len(described.ParamOIDs); n > 0 {
		list = "(" + strings.Repeat("NULL, ", n-1) + "NULL)"
	}
	rows, err := texts(ctx, c.conn, "EXPLAIN (FORMAT JSON, VERBOSE, COSTS OFF) EXECUTE "+name+list)
	if err != nil {
		return nil, Classify(err, "the server does not accept it")
	}
	var plans []struct{ Plan planNode }
	if len(rows) == 1 && json.Unmarshal([]byte(rows[0][0]), &plans) == nil && len(plans) == 1 {
		out.Schema, out.Table = plans[0].Plan.target()
	}
	return out, nil
}

// isUtility reports whether a statement is TRUNCATE, which the server does not explain.
func isUtility(sql string) bool {
	words := strings.Fields(sql)
	return len(words) > 0 && strings.EqualFold(words[0], "truncate")
}

// A planNode is what is read of a plan.
type planNode struct {
	Type   string `json:"Node Type"`
	Schema string
	Table  string `json:"Relation Name"`
	Plans  []planNode
}

// target is the table of the outermost node that writes.
func (n planNode) target() (schema, table string) {
	if n.Type == "ModifyTable" {
		return n.Schema, n.Table
	}
	for _, p := range n.Plans {
		if schema, table := p.target(); table != "" {
			return schema, table
		}
	}
	return "", ""
}

// A TableColumn is a column with what a row that is written has to have there.
type TableColumn struct {
	Name    string
	Type    string
	NotNull bool
	Default bool     // or an identity, or generated
	Enum    []string // the values of its enumeration, or of its domain's
	Checked bool     // a CHECK constraint, or its domain's, speaks of it
	Unique  bool     // part of a unique index
}

// Columns gives a table's columns.
func (c *Catalog) Columns(ctx context.Context, schema, table string) ([]TableColumn, error) {
	rows, err := texts(ctx, c.conn, `
		SELECT a.attname, pg_catalog.format_type(coalesce(nullif(t.typbasetype, 0), t.oid), CASE WHEN t.typbasetype <> 0 THEN t.typtypmod ELSE a.atttypmod END),
		       a.attnotnull OR t.typnotnull, a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
		       coalesce((SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e
		                 WHERE e.enumtypid = coalesce(nullif(t.typbasetype, 0), t.oid)), 'null')::text,
		       EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contype = 'c' AND (k.conrelid = a.attrelid AND a.attnum = ANY (k.conkey) OR k.contypid = t.oid AND k.contypid <> 0)),
		       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY (i.indkey::int2[]))
		FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class r ON r.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
		JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
		WHERE n.nspname = $1 AND r.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, schema, table)
	if err != nil {
		return nil, Classify(err, "read the columns of "+QuoteTable(schema, table))
	}
	columns := make([]TableColumn, 0, len(rows))
	for _, r := range rows {
		col := TableColumn{Name: r[0], Type: r[1], NotNull: r[2] == "t", Default: r[3] == "t", Checked: r[5] == "t", Unique: r[6] == "t"}
		if err := json.Unmarshal([]byte(r[4]), &col.Enum); err != nil {
			return nil, rejot.Errorf(rejot.Corrupt, "read the columns of %s: %w", QuoteTable(schema, table), err)
		}
		columns = append(columns, col)
	}
	return columns, nil
}

// Own reports what keeps the connection's user from having ReJot's own tables made there; nothing where
// they are there, or may be made.
func (c *Catalog) Own(ctx context.Context) error {
	rows, err := texts(ctx, c.conn, `SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
		OR EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'rejot' AND pg_catalog.has_schema_privilege(oid, 'USAGE')), current_user, pg_catalog.current_database()`)
	if err != nil {
		return Classify(err, "read the privileges in "+c.connection.String())
	}
	if rows[0][0] == "t" {
		return nil
	}
	err = rejot.Errorf(rejot.Denied, "%s: its user may not make the schema rejot, where cursors are kept", c.connection)
	return rejot.WithMend(err, "GRANT CREATE ON DATABASE %s TO %s", Quote(rows[0][2]), Quote(rows[0][1]))
}
