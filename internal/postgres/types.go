package postgres

import (
	"context"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
)

// Types reads types from the catalogue and keeps them. A type can be altered: make one for each
// time that contracts are resolved. It may be used from several goroutines.
type Types struct {
	mu    sync.Mutex
	known map[typeKey]rejot.Type
}

type typeKey struct {
	oid    uint32
	typmod int32
}

// NewTypes makes an empty one.
func NewTypes() *Types { return &Types{known: map[typeKey]rejot.Type{}} }

// Type gives a type by its oid and modifier (-1 for none). Its name can be cast to, whatever the
// search path is. A domain is given as its base type.
func (t *Types) Type(ctx context.Context, conn *pgconn.PgConn, oid uint32, typmod int32) (rejot.Type, error) {
	t.mu.Lock()
	known, ok := t.known[typeKey{oid, typmod}]
	t.mu.Unlock()
	if ok {
		return known, nil
	}
	found, err := t.read(ctx, conn, oid, typmod)
	if err != nil {
		return rejot.Type{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[typeKey{oid, typmod}] = found
	return found, nil
}

// typeSQL reads one type. A name in pg_catalog needs no schema; format_type adds that of others only
// where the search path does not have it. It knows char without a length by its own name.
const typeSQL = `
	SELECT CASE WHEN t.oid = 'pg_catalog.bpchar'::pg_catalog.regtype AND $2::int4 < 0 THEN 'pg_catalog.bpchar'
	            WHEN t.oid = 'pg_catalog.bit'::pg_catalog.regtype AND $2::int4 < 0 THEN 'pg_catalog."bit"'
	            WHEN n.nspname <> 'pg_catalog' AND pg_catalog.pg_type_is_visible(t.oid)
	            THEN pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.format_type(t.oid, $2::int4)
	            ELSE pg_catalog.format_type(t.oid, $2::int4) END,
	       t.typtype, t.typbasetype, t.typtypmod, t.typrelid,
	       coalesce((SELECT e.oid FROM pg_catalog.pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid), 0)
	FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = $1::oid`

func (t *Types) read(ctx context.Context, conn *pgconn.PgConn, oid uint32, typmod int32) (rejot.Type, error) {
	what := "read type " + strconv.FormatUint(uint64(oid), 10)
	rows, err := texts(ctx, conn, typeSQL, strconv.FormatUint(uint64(oid), 10), strconv.FormatInt(int64(typmod), 10))
	if err != nil {
		return rejot.Type{}, Classify(err, what)
	}
	if len(rows) != 1 {
		return rejot.Type{}, rejot.Errorf(rejot.NotFound, "%s: it does not exist", what)
	}
	row := rows[0]
	found := rejot.Type{Name: row[0]}
	elem, relation := number(row[5]), number(row[4])
	switch {
	case row[1] == "d":
		mod := typmod
		if own, err := strconv.ParseInt(row[3], 10, 32); err == nil && own >= 0 {
			mod = int32(own)
		}
		return t.Type(ctx, conn, number(row[2]), mod)
	case row[1] == "e":
		found.Kind = rejot.Enum
	case row[1] == "r", row[1] == "m":
		found.Kind = rejot.Range
	case row[1] == "c":
		found.Kind = rejot.Composite
		found.Fields, err = t.Columns(ctx, conn, relation)
	case elem != 0:
		found.Kind, found.Elem = rejot.Array, new(rejot.Type)
		*found.Elem, err = t.Type(ctx, conn, elem, typmod)
		found.Name = found.Elem.Name + "[]"
	}
	return found, err
}

// Columns gives the columns of a table or composite type by its oid in pg_class, in their order.
func (t *Types) Columns(ctx context.Context, conn *pgconn.PgConn, relation uint32) ([]rejot.Column, error) {
	rows, err := texts(ctx, conn, `SELECT attname, atttypid, atttypmod FROM pg_catalog.pg_attribute
		WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, strconv.FormatUint(uint64(relation), 10))
	if err != nil {
		return nil, Classify(err, "read columns")
	}
	columns := make([]rejot.Column, 0, len(rows))
	for _, row := range rows {
		mod, err := strconv.ParseInt(row[2], 10, 32)
		if err != nil {
			return nil, rejot.Errorf(rejot.Corrupt, "read columns: type modifier %q", row[2])
		}
		typ, err := t.Type(ctx, conn, number(row[1]), int32(mod))
		if err != nil {
			return nil, err
		}
		columns = append(columns, rejot.Column{Name: row[0], Type: typ})
	}
	return columns, nil
}

// number reads what the server wrote as an oid.
func number(s string) uint32 {
	n, _ := strconv.ParseUint(s, 10, 32) // the server writes no other, and 0 is no oid
	return uint32(n)
}

// texts runs one statement with text parameters and gives its rows as text.
func texts(ctx context.Context, conn *pgconn.PgConn, sql string, args ...string) ([][]string, error) {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	result := conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	rows := make([][]string, 0, len(result.Rows))
	for _, r := range result.Rows {
		row := make([]string, len(r))
		for i, v := range r {
			row[i] = string(v)
		}
		rows = append(rows, row)
	}
	return rows, nil
}
