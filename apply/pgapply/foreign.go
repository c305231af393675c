package pgapply

import (
	"context"
	"slices"

	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/internal/postgres"
)

// A table is named by its schema and name. The zero table is one that is not known.
type table struct{ schema, name string }

func (t table) String() string { return postgres.QuoteTable(t.schema, t.name) }

// foreign are the foreign keys of the destination.
type foreign struct {
	ranks    *apply.Ranks[table]
	cascades map[table]table // parent → a child that a delete of the parent's row changes
}

// foreignKeys reads them. A partition's are those of its root.
func (a *Applier) foreignKeys(ctx context.Context) (*foreign, error) {
	rows, err := a.exec(ctx, `SELECT cn.nspname, c.relname, pn.nspname, p.relname, k.confdeltype IN ('c', 'n', 'd')
		FROM pg_constraint k
		JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
		JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
		WHERE k.contype = 'f' AND k.conparentid = 0
		ORDER BY 1, 2, 3, 4`)
	if err != nil {
		return nil, err
	}
	parents := map[table][]table{}
	f := &foreign{ranks: apply.NewRanks(parents), cascades: map[table]table{}}
	for _, row := range rows {
		child, parent := table{string(row[0]), string(row[1])}, table{string(row[2]), string(row[3])}
		parents[child] = append(parents[child], parent)
		if string(row[4]) == "t" {
			f.cascades[parent] = child
		}
	}
	return f, nil
}

// rank gives every statement its place among the foreign keys.
func (a *Applier) rank(ctx context.Context) error {
	f, err := a.foreignKeys(ctx)
	if err != nil {
		return err
	}
	for _, c := range a.consumers {
		c.target.NoSwap = ""
		for k, st := range c.target.Statements {
			if st == nil {
				continue
			}
			t := c.writes[k]
			if t == (table{}) {
				t = c.writes[apply.Upsert]
			}
			st.Rank = f.ranks.Of(t)
			if child, ok := f.cascades[t]; ok && k == int(apply.Delete) {
				c.target.NoSwap = "table " + child.String() + " refers to " + t.String() + " with CASCADE, SET NULL or SET DEFAULT"
			}
		}
		if c.writes[apply.Delete] == (table{}) && c.target.Statements[apply.Delete] != nil {
			c.target.NoSwap = "which table its deleteSql writes is not known"
		}
	}
	return nil
}

// warn tells of tables that several consumers write: the last one wins, which may be wanted.
func (a *Applier) warn() {
	writers := map[table][]string{}
	for _, c := range a.consumers {
		if t := c.writes[apply.Upsert]; t != (table{}) {
			writers[t] = append(writers[t], c.ID())
		}
	}
	for t, ids := range writers {
		if len(ids) > 1 {
			a.log.Warn("several consumer schemas write one table", "table", t.String(), "consumers", ids)
		}
	}
}

// writer finds the one consumer that writes a table; empty where there is none or more than one.
func (a *Applier) writer(t table) string {
	found := ""
	for _, c := range a.consumers {
		if t != (table{}) && slices.Contains(c.writes[:], t) {
			if found != "" {
				return ""
			}
			found = c.ID()
		}
	}
	return found
}
