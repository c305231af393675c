package pglog

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/internal/pgtree"
)

// firstUserOID is where objects begin that are not the server's own.
const firstUserOID = 16384

// currentSetting is the oid of current_setting(text), by which a placeholder is written into the tree.
const currentSetting = 2077

// factsRelation is a relation of the query as the catalogue has it.
type factsRelation struct {
	table       derive.Table
	kind        string // pg_class.relkind
	persistence string
	security    bool // has row security
	active      bool // and it is active for this role
	children    bool // has or had inheritance children
	partition   bool
	text        string // qualified and quoted
	columns     map[int]*derive.Column
	keys        []derive.Unique
	view        *pgtree.Value // of a view
	underView   bool          // read by a view of the query
}

// facts is what the catalogue says of one query's tree.
type facts struct {
	tree       *pgtree.Value
	relations  map[uint32]*factsRelation
	types      map[uint32]derive.Type
	collations map[uint32]*derive.Collation
	defaults   map[uint32]uint32 // type to its own collation
	operators  map[uint32]*derive.Operator
	strict     map[uint32]bool   // functions
	code       map[uint32]uint32 // operator to function
	functions  []factsFunction   // to be refused
	members    map[uint32][]uint32
	equal      map[[3]uint32]uint32 // family, left, right: operator
}

// factsFunction is a function that may read what no log tells.
type factsFunction struct {
	name   string
	reason string
}

// readFacts reads the tree of view and everything that it names, in tx's snapshot.
func readFacts(ctx context.Context, tx pgx.Tx, view uint32) (*facts, error) {
	f := &facts{
		relations: map[uint32]*factsRelation{}, types: map[uint32]derive.Type{},
		collations: map[uint32]*derive.Collation{}, defaults: map[uint32]uint32{},
		operators: map[uint32]*derive.Operator{}, strict: map[uint32]bool{}, code: map[uint32]uint32{},
		members: map[uint32][]uint32{}, equal: map[[3]uint32]uint32{},
	}
	tree, err := readFactsTree(ctx, tx, view)
	if err != nil {
		return nil, err
	}
	f.tree = tree
	if err := f.readRelations(ctx, tx, []*pgtree.Value{tree}, false); err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context, pgx.Tx) error{
		f.readOperators, f.readColumns, f.readKeys, f.readMembers, f.readFunctions, f.readTypes, f.readCollations,
	} {
		if err := read(ctx, tx); err != nil {
			return nil, err
		}
	}
	f.link()
	return f, nil
}

func readFactsTree(ctx context.Context, tx pgx.Tx, view uint32) (*pgtree.Value, error) {
	var text string
	err := tx.QueryRow(ctx, `SELECT ev_action::text FROM pg_catalog.pg_rewrite WHERE ev_class = $1 AND ev_type = '1'`, view).Scan(&text)
	if err != nil {
		return nil, fmt.Errorf("read the query's tree: %w", err)
	}
	list, err := pgtree.Parse(text)
	if err != nil {
		return nil, err
	}
	if len(list.Items) != 1 {
		return nil, fmt.Errorf("read the query's tree: %d queries in one rule", len(list.Items))
	}
	return list.Items[0], nil
}

// readRelations reads the relations that the trees name, and the trees of views among them.
func (f *facts) readRelations(ctx context.Context, tx pgx.Tx, trees []*pgtree.Value, underView bool) error {
	oids := factsRelationsOf(trees)
	oids = slices.DeleteFunc(oids, func(o uint32) bool {
		r := f.relations[o]
		if r != nil {
			r.underView = r.underView || underView
		}
		return r != nil
	})
	if len(oids) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `
		SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relpersistence::text, c.relrowsecurity,
		       pg_catalog.row_security_active(c.oid), c.relhassubclass, c.relispartition,
		       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = ANY ($1)`, oids)
	if err != nil {
		return fmt.Errorf("read the query's relations: %w", err)
	}
	var r *factsRelation
	var views []*factsRelation
	var id uint32
	var schema, name, kind, persistence, text string
	var security, active, children, partition bool
	_, err = pgx.ForEachRow(rows, []any{&id, &schema, &name, &kind, &persistence, &security, &active, &children, &partition, &text}, func() error {
		r = &factsRelation{
			table: derive.Table{Schema: schema, Name: name, ID: id}, kind: kind, persistence: persistence, security: security,
			active: active, children: children, partition: partition, text: text, columns: map[int]*derive.Column{}, underView: underView,
		}
		f.relations[id] = r
		if kind == "v" {
			views = append(views, r)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the query's relations: %w", err)
	}
	var below []*pgtree.Value
	for _, v := range views {
		if v.view, err = readFactsTree(ctx, tx, v.table.ID); err != nil {
			return err
		}
		below = append(below, v.view)
	}
	return f.readRelations(ctx, tx, below, true)
}

// factsRelationsOf lists the relations that range entries of the trees name; a view's own entries "old"
// and "new" stand for no reading and name the view, which is not in its own FROM.
func factsRelationsOf(trees []*pgtree.Value) []uint32 {
	var oids []uint32
	for _, tree := range trees {
		tree.Walk(func(v *pgtree.Value) bool {
			if v.Kind == pgtree.Node && v.Has("rtekind") && v.Has("relid") && v.Int("rtekind") == rteRelation && !factsOwnEntry(v) {
				if oid := v.OID("relid"); !slices.Contains(oids, oid) {
					oids = append(oids, oid)
				}
			}
			return true
		})
	}
	return oids
}

// factsOwnEntry tells a view's "old" and "new" (before Postgres 16) from entries that are read.
func factsOwnEntry(rte *pgtree.Value) bool {
	if rte.Bool("inFromCl") || rte.Str("relkind") != "v" {
		return false
	}
	alias := rte.Get("alias").Str("aliasname")
	return alias == "old" || alias == "new"
}

// trees are the query's and those of the views in it.
func (f *facts) trees() []*pgtree.Value {
	trees := []*pgtree.Value{f.tree}
	for _, r := range f.relations {
		if r.view != nil {
			trees = append(trees, r.view)
		}
	}
	return trees
}

// oidsOf collects the numbers in the fields of those names.
func (f *facts) oidsOf(names ...string) []uint32 {
	seen := map[uint32]bool{}
	for _, tree := range f.trees() {
		tree.Walk(func(v *pgtree.Value) bool {
			if v.Kind != pgtree.Node {
				return true
			}
			for _, n := range names {
				field := v.Get(n)
				if oid := field.Number(); oid != 0 {
					seen[uint32(oid)] = true //nolint:gosec // the server wrote 32 bits
				}
				if field != nil && field.Mark == "o" {
					for _, item := range field.Items {
						seen[uint32(item.Number())] = true //nolint:gosec // as above
					}
				}
			}
			return true
		})
	}
	oids := make([]uint32, 0, len(seen))
	for o := range seen {
		oids = append(oids, o)
	}
	slices.Sort(oids)
	return oids
}

func (f *facts) tables() []uint32 {
	var oids []uint32
	for o, r := range f.relations {
		if r.kind != "v" {
			oids = append(oids, o)
		}
	}
	slices.Sort(oids)
	return oids
}

// link sets the types and collations that were read after the columns.
func (f *facts) link() {
	for _, r := range f.relations {
		for _, c := range r.columns {
			c.Type = f.types[c.Type.ID]
			if c.Collation != nil {
				c.Collation = f.collations[c.Collation.ID]
			}
		}
		for n := range r.keys {
			k := &r.keys[n]
			for _, number := range k.Columns {
				typ := uint32(0)
				if c := r.columns[number]; c != nil {
					typ = c.Type.ID
				}
				k.Types = append(k.Types, typ)
			}
			for i, c := range k.Collations {
				if c != nil {
					k.Collations[i] = f.collations[c.ID]
				}
			}
		}
	}
}

// equalFor finds the equality of a family for two types.
func (f *facts) equalFor(family, left, right uint32) *derive.Operator {
	return f.operators[f.equal[[3]uint32{family, left, right}]]
}
