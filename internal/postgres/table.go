package postgres

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// A KeyedColumn is one column of a table, with its place in the key.
type KeyedColumn struct {
	Name    string
	Type    string // as the server writes it: numeric(10,2)
	NotNull bool
	Key     int // its place in the primary key, from 1; 0 where it is not in it
}

// ReadTable gives the columns of a table, whose name may be qualified and quoted as SQL has it, and the name that the server gives it.
// Code NotFound: there is no such table.
func ReadTable(ctx context.Context, c contract.Connection, table string) (name string, columns []KeyedColumn, err error) {
	conn, err := Dial(ctx, c, Options{Application: "init", Settings: map[string]string{"default_transaction_read_only": "on", "statement_timeout": "10s"}})
	if err != nil {
		return "", nil, err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing was written
	rows, err := readColumns(ctx, conn, table)
	if err != nil {
		return "", nil, Classify(err, "read table "+table)
	}
	if len(rows) == 0 {
		err := rejot.Errorf(rejot.NotFound, "%s has no table %s", c, table)
		return "", nil, rejot.WithMend(err, "write its name as SQL does, with its schema where the search_path has it not")
	}
	for _, row := range rows {
		key, err := strconv.Atoi(string(row[4]))
		if err != nil {
			return "", nil, rejot.Errorf(rejot.Corrupt, "read table %s: %w", table, err)
		}
		columns = append(columns, KeyedColumn{Name: string(row[1]), Type: string(row[2]), NotNull: string(row[3]) == "t", Key: key})
	}
	return string(rows[0][0]), columns, nil
}

func readColumns(ctx context.Context, conn *pgconn.PgConn, table string) ([][][]byte, error) {
	result := conn.ExecParams(ctx, `SELECT c.oid::pg_catalog.regclass, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
			coalesce(pg_catalog.array_position(i.indkey::pg_catalog.int2[], a.attnum) + 1, 0)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
		WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind IN ('r', 'p') ORDER BY a.attnum`, [][]byte{[]byte(table)}, nil, nil, nil).Read()
	return result.Rows, result.Err
}
