package pglog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"rejot.dev/rejot/derive"
)

// identity is what a relation's old images carry.
type deriveIdentity struct {
	id      uint32
	text    string // qualified and quoted
	kind    string // relkind
	setting string // relreplident
	temp    string // relpersistence
	indexes []deriveIdentityIndex
}

// deriveIdentityIndex is an index that could be a replica identity.
type deriveIdentityIndex struct {
	name    string // quoted
	columns []string
	primary bool
	chosen  bool
}

// identities refuses tables whose old images lack a column that a route needs. Every partition and
// child has an identity of its own (FAULTS P17, P19, P20, P32).
func (d *deriver) identities(ctx context.Context, plan *derive.Plan) error {
	var members []uint32
	for _, t := range plan.Tables {
		members = append(members, d.facts.members[t.ID]...)
	}
	found, err := d.readIdentities(ctx, members)
	if err != nil {
		return err
	}
	for _, t := range plan.Tables {
		needed := deriveNeeded(plan, t)
		for _, member := range d.facts.members[t.ID] {
			if r := found[member].refuse(t, needed); r != nil {
				plan.Refused = append(plan.Refused, *r)
			}
			if r := deriveRefuseMember(t, found[member]); r != nil {
				plan.Refused = append(plan.Refused, *r)
			}
		}
	}
	return nil
}

func deriveNeeded(plan *derive.Plan, t derive.Table) []string {
	var needed []string
	for _, r := range plan.Routes {
		if r.Table != t {
			continue
		}
		for _, c := range r.Columns {
			if !slices.Contains(needed, c) {
				needed = append(needed, c)
			}
		}
	}
	return needed
}

func deriveRefuseMember(t derive.Table, m *deriveIdentity) *derive.Refusal {
	if m == nil || m.id == t.ID {
		return nil
	}
	switch {
	case m.kind == "f":
		return &derive.Refusal{
			Code: "relation", Table: t, Where: m.text, Reason: "its part " + m.text + " is a foreign table, whose changes are in another log",
			Mend: "detach it, or read its parts by name",
		}
	case m.temp != "p":
		return &derive.Refusal{
			Code: "relation", Table: t, Where: m.text, Reason: "its part " + m.text + " is temporary or unlogged, so its changes are not in the log",
			Mend: "ALTER TABLE " + m.text + " SET LOGGED",
		}
	}
	return nil
}

func (d *deriver) readIdentities(ctx context.Context, members []uint32) (map[uint32]*deriveIdentity, error) {
	rows, err := d.tx.Query(ctx, `
		SELECT c.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), c.relkind::text, c.relreplident::text,
		       c.relpersistence::text, pg_catalog.quote_ident(ic.relname), i.indisprimary, i.indisreplident,
		       (SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.o) FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k(a, o)
		        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.a AND a.attnotnull WHERE k.o <= i.indnkeyatts),
		       i.indnkeyatts::int
		FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN (pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid)
		     ON i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
		WHERE c.oid = ANY ($1)
		ORDER BY c.oid, i.indisprimary DESC NULLS LAST, i.indnkeyatts, i.indexrelid`, members)
	if err != nil {
		return nil, fmt.Errorf("read replica identities: %w", err)
	}
	found := map[uint32]*deriveIdentity{}
	var m deriveIdentity
	var index *string
	var primary, chosen *bool
	var columns []string
	var count *int
	_, err = pgx.ForEachRow(rows, []any{&m.id, &m.text, &m.kind, &m.setting, &m.temp, &index, &primary, &chosen, &columns, &count}, func() error {
		if found[m.id] == nil {
			one := m
			found[m.id] = &one
		}
		if index != nil && len(columns) == *count {
			found[m.id].indexes = append(found[m.id].indexes, deriveIdentityIndex{*index, slices.Clone(columns), *primary, *chosen})
		}
		columns = nil
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read replica identities: %w", err)
	}
	return found, nil
}

// refuse tells which of the needed columns old images lack, and the cheapest setting that has them.
func (m *deriveIdentity) refuse(t derive.Table, needed []string) *derive.Refusal {
	if m == nil || m.kind != "r" || m.setting == "f" {
		return nil
	}
	var carried []string
	for _, i := range m.indexes {
		if m.setting == "d" && i.primary || m.setting == "i" && i.chosen {
			carried = i.columns
		}
	}
	lacking := slices.DeleteFunc(slices.Clone(needed), func(c string) bool { return slices.Contains(carried, c) })
	if len(lacking) == 0 && len(carried) > 0 {
		return nil
	}
	r := &derive.Refusal{Code: "replica-identity", Table: t, Where: m.text, Mend: m.mend(needed)}
	r.Reason = "the log's old rows of " + m.text + " lack " + strings.Join(lacking, ", ") + ", which says whose a row was"
	if len(carried) == 0 {
		r.Reason = m.text + " has no replica identity, so the log does not say which row was changed or deleted"
	}
	return r
}

// mend is the cheapest setting: the primary key, then the smallest index that has the columns, then whole rows.
func (m *deriveIdentity) mend(needed []string) string {
	alter := "ALTER TABLE " + m.text + " REPLICA IDENTITY "
	for _, i := range m.indexes {
		if slices.ContainsFunc(needed, func(c string) bool { return !slices.Contains(i.columns, c) }) {
			continue
		}
		if i.primary {
			return alter + "DEFAULT"
		}
		return alter + "USING INDEX " + i.name
	}
	return alter + "FULL"
}
