package pglog

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/postgres"
)

// A relation is a table as the log has described it last.
type relation struct {
	id      uint32
	name    contract.TableName
	columns []relationColumn
	partial bool // the replica identity lacks a column
	targets []target
	above   []contract.TableName // the tables of the targets
	raw     []byte               // the description, to tell another one
}

type relationColumn struct {
	name     string
	key      bool // part of the replica identity
	typ      uint32
	modifier int32
}

// A target is a table that a relation's changes are changes of: itself, its partition root or an
// inheritance parent.
type target struct {
	table *rejot.Table
	from  []int // by column of table: the relation's column; nil where they are the same
}

func (t *target) arrange(room *[]rejot.Value, image []rejot.Value) []rejot.Value {
	if image == nil {
		return nil
	}
	*room = (*room)[:0]
	for _, i := range t.from {
		*room = append(*room, image[i])
	}
	return *room
}

// relation takes a description. One that a streamed block only repeats is not looked up again.
func (d *decoder) relation(ctx context.Context, w *wire) error {
	start := w.at
	rel := &relation{id: w.u32()}
	rel.name = contract.TableName{Schema: w.chars(), Name: w.chars()}
	if rel.name.Schema == "" {
		rel.name.Schema = "pg_catalog"
	}
	w.u8() // the replica identity; each column says whether it is part of it, also of a full one
	n := w.u16()
	for range n {
		if w.short {
			break
		}
		rel.columns = append(rel.columns, relationColumn{
			key: w.u8()&1 != 0, name: w.chars(), typ: w.u32(), modifier: int32(w.u32()), //nolint:gosec // a signed number on the wire
		})
	}
	if err := w.done('R'); err != nil {
		return err
	}
	rel.partial = slices.ContainsFunc(rel.columns, func(c relationColumn) bool { return !c.key })
	raw := w.data[start:]
	if known := d.rels[rel.id]; d.stream && known != nil && bytes.Equal(known.raw, raw) {
		return nil
	}
	if d.recall != nil {
		if known, err := d.recall.find(ctx, rel.id, raw); known != nil || err != nil {
			d.rels[rel.id] = known
			return err
		}
	}
	rel.raw = slices.Clone(raw)
	if err := d.describe(ctx, rel); err != nil {
		return err
	}
	d.rels[rel.id] = rel
	return nil
}

// A catalog answers what the log does not tell, over an ordinary connection: names of types, and which
// tables a partition or an inheritance child is part of. It belongs to one stream.
type catalog struct {
	dial   func(ctx context.Context, replication bool) (*pgconn.PgConn, error)
	conn   *pgconn.PgConn
	wanted map[contract.TableName]bool // nil: the root of whatever comes
	types  *postgres.Types
	tables map[contract.TableName]*rejot.Table
}

func newCatalog(dial func(context.Context, bool) (*pgconn.PgConn, error), wanted map[contract.TableName]bool) *catalog {
	return &catalog{dial: dial, wanted: wanted, types: postgres.NewTypes(), tables: map[contract.TableName]*rejot.Table{}}
}

func (c *catalog) close(ctx context.Context) {
	if c.conn != nil {
		hangUp(ctx, c.conn)
		c.conn = nil
	}
}

// use asks the catalogue, and once more where the connection was lost in between.
func (c *catalog) use(ctx context.Context, ask func(*pgconn.PgConn) error) error {
	for again := false; ; again = true {
		if c.conn == nil {
			conn, err := c.dial(ctx, false)
			if err != nil {
				return postgres.Classify(err, "connect to the source's catalogue")
			}
			c.conn = conn
		}
		err := ask(c.conn)
		if err == nil || !c.conn.IsClosed() || again {
			return postgres.Classify(err, "read the catalogue for the log")
		}
		c.close(ctx)
	}
}

func (c *catalog) query(ctx context.Context, sql string, args ...string) (rows [][][]byte, err error) {
	err = c.use(ctx, func(conn *pgconn.PgConn) error {
		rows, err = queryRows(ctx, conn, sql, args...)
		return err
	})
	return rows, err
}

// queryRows runs one statement with parameters as text.
func queryRows(ctx context.Context, conn *pgconn.PgConn, sql string, args ...string) ([][][]byte, error) {
	values := make([][]byte, len(args))
	for i, a := range args {
		values[i] = []byte(a)
	}
	res := conn.ExecParams(ctx, sql, values, nil, nil, nil).Read()
	return res.Rows, res.Err
}

// describe finds a relation's targets.
func (c *catalog) describe(ctx context.Context, rel *relation) error {
	own, err := c.columns(ctx, rel)
	if err != nil {
		return err
	}
	names, err := c.ancestry(ctx, rel)
	if err != nil {
		return err
	}
	rel.above = names[rel.id]
	for _, name := range rel.above {
		t := target{table: &rejot.Table{Schema: name.Schema, Name: name.Name, Columns: own}}
		if name != rel.name {
			if err := c.reorder(ctx, &t, rel, own); err != nil {
				return err
			}
		}
		// One table is one pointer for as long as it does not change: receivers keep layouts by it.
		if known := c.tables[name]; known != nil && slices.EqualFunc(known.Columns, t.table.Columns, sameColumn) {
			t.table = known
		}
		c.tables[name] = t.table
		rel.targets = append(rel.targets, t)
	}
	return nil
}

func sameColumn(a, b rejot.Column) bool { return a.Name == b.Name && a.Type.Name == b.Type.Name }

// ancestry gives the tables that each relation's changes belong to: of itself and everything above it what is
// wanted, or the topmost ones where all is.
func (c *catalog) ancestry(ctx context.Context, rels ...*relation) (map[uint32][]contract.TableName, error) {
	ids := make([]string, len(rels))
	for i, rel := range rels {
		ids[i] = itoa(rel.id)
	}
	rows, err := c.query(ctx, `
		WITH RECURSIVE up(of, id) AS (
			SELECT id, id FROM pg_catalog.unnest($1::pg_catalog.oid[]) id
			UNION SELECT up.of, i.inhparent FROM up JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.id AND NOT coalesce((pg_catalog.to_jsonb(i)->>'inhdetachpending')::bool, false))
		SELECT up.of, n.nspname, c.relname, NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = up.id)
		FROM up JOIN pg_catalog.pg_class c ON c.oid = up.id JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE up.id <> up.of ORDER BY up.of, up.id`, "{"+strings.Join(ids, ",")+"}")
	if err != nil {
		return nil, err
	}
	above := map[string][][][]byte{}
	for _, row := range rows {
		above[string(row[0])] = append(above[string(row[0])], row[1:])
	}
	found := map[uint32][]contract.TableName{}
	for i, rel := range rels {
		rows := above[ids[i]]
		if c.wanted[rel.name] || c.wanted == nil && len(rows) == 0 {
			found[rel.id] = append(found[rel.id], rel.name)
		}
		for _, row := range rows {
			name := contract.TableName{Schema: string(row[0]), Name: string(row[1])}
			if c.wanted[name] || c.wanted == nil && string(row[2]) == "t" {
				found[rel.id] = append(found[rel.id], name)
			}
		}
	}
	return found, nil
}

// reorder arranges t's columns as the table above has them. Where the two have other names at the moment
// (a renaming that the log has not come to yet), the relation's own order stays.
func (c *catalog) reorder(ctx context.Context, t *target, rel *relation, own []rejot.Column) error {
	rows, err := c.query(ctx, `
		SELECT a.attname, a.attgenerated <> '' FROM pg_catalog.pg_attribute a
		JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, t.table.Schema, t.table.Name)
	if err != nil {
		return err
	}
	var columns []rejot.Column
	var from []int
	for _, row := range rows {
		at := slices.IndexFunc(rel.columns, func(col relationColumn) bool { return col.name == string(row[0]) })
		switch {
		case at >= 0:
			columns, from = append(columns, own[at]), append(from, at)
		case string(row[1]) != "t":
			return nil
		}
	}
	t.table.Columns, t.from = columns, from
	return nil
}

// columns names the types of a relation's columns.
func (c *catalog) columns(ctx context.Context, rel *relation) ([]rejot.Column, error) {
	columns := make([]rejot.Column, len(rel.columns))
	for i, col := range rel.columns {
		columns[i].Name = col.name
		err := c.use(ctx, func(conn *pgconn.PgConn) error {
			typ, err := c.types.Type(ctx, conn, col.typ, col.modifier)
			columns[i].Type = typ
			return err
		})
		switch {
		case rejot.CodeOf(err) == rejot.NotFound: // it is dropped by now
			columns[i].Type = rejot.Type{Name: "type " + itoa(col.typ)}
		case err != nil:
			return nil, err
		}
	}
	return columns, nil
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
