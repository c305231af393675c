package pglog

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"rejot.dev/rejot/derive"
)

// readOperators reads the equalities of all btree and hash families, which are a few hundred.
func (f *facts) readOperators(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT o.oid, a.amopfamily, a.amoplefttype, a.amoprighttype, o.oprleft, o.oprright,
		       'OPERATOR(' || pg_catalog.quote_ident(n.nspname) || '.' || o.oprname || ')',
		       EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid IN (o.oprleft, o.oprright) AND t.typtype = 'p')
		FROM pg_catalog.pg_amop a
		JOIN pg_catalog.pg_am m ON m.oid = a.amopmethod
		JOIN pg_catalog.pg_operator o ON o.oid = a.amopopr
		JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
		JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
		WHERE p.proisstrict AND p.provolatile = 'i' AND o.oprresult = 'pg_catalog.bool'::pg_catalog.regtype
		AND (m.amname = 'btree' AND a.amopstrategy = 3 OR m.amname = 'hash' AND a.amopstrategy = 1)`)
	if err != nil {
		return fmt.Errorf("read equality operators: %w", err)
	}
	var oid, family, familyLeft, familyRight, left, right uint32
	var text string
	var general bool
	_, err = pgx.ForEachRow(rows, []any{&oid, &family, &familyLeft, &familyRight, &left, &right, &text, &general}, func() error {
		o := f.operators[oid]
		if o == nil {
			o = &derive.Operator{ID: oid, Text: text, Left: left, Right: right, Builtin: oid < firstUserOID, General: general}
			f.operators[oid] = o
		}
		o.Families = append(o.Families, family)
		f.equal[[3]uint32{family, familyLeft, familyRight}] = oid
		f.equal[[3]uint32{family, left, right}] = oid
		return nil
	})
	if err != nil {
		return fmt.Errorf("read equality operators: %w", err)
	}
	return nil
}

// readColumns reads the columns of the tables. A NOT NULL that was never validated does not count.
func (f *facts) readColumns(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.attcollation, a.attgenerated <> '',
		       a.attnotnull AND NOT EXISTS (
		           SELECT FROM pg_catalog.pg_constraint c
		           WHERE c.conrelid = a.attrelid AND c.contype = 'n' AND NOT c.convalidated AND a.attnum = ANY (c.conkey))
		FROM pg_catalog.pg_attribute a
		WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped`, f.tables())
	if err != nil {
		return fmt.Errorf("read columns: %w", err)
	}
	var table, typ, collation uint32
	var number int
	var name string
	var generated, notNull bool
	_, err = pgx.ForEachRow(rows, []any{&table, &number, &name, &typ, &collation, &generated, &notNull}, func() error {
		c := &derive.Column{Number: number, Name: name, Type: derive.Type{ID: typ}, NotNull: notNull, Generated: generated}
		if collation != 0 {
			c.Collation = &derive.Collation{ID: collation}
		}
		f.relations[table].columns[number] = c
		return nil
	})
	if err != nil {
		return fmt.Errorf("read columns: %w", err)
	}
	return nil
}

// readKeys reads the unique indexes that hold for every row: valid, without condition, on plain columns.
func (f *facts) readKeys(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT i.indrelid, i.indisprimary,
		       (SELECT pg_catalog.array_agg(k.a::int ORDER BY k.o) FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k(a, o) WHERE k.o <= i.indnkeyatts),
		       (SELECT pg_catalog.array_agg(oc.opcfamily ORDER BY k.o) FROM pg_catalog.unnest(i.indclass::oid[]) WITH ORDINALITY k(a, o)
		        JOIN pg_catalog.pg_opclass oc ON oc.oid = k.a WHERE k.o <= i.indnkeyatts),
		       (SELECT pg_catalog.array_agg(k.a ORDER BY k.o) FROM pg_catalog.unnest(i.indcollation::oid[]) WITH ORDINALITY k(a, o) WHERE k.o <= i.indnkeyatts)
		FROM pg_catalog.pg_index i
		JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
		JOIN pg_catalog.pg_am m ON m.oid = c.relam
		WHERE i.indrelid = ANY ($1) AND i.indisunique AND i.indisvalid AND NOT i.indisexclusion
		AND i.indpred IS NULL AND i.indexprs IS NULL AND m.amname = 'btree'
		ORDER BY i.indrelid, i.indisprimary DESC, i.indexrelid`, f.tables())
	if err != nil {
		return fmt.Errorf("read unique indexes: %w", err)
	}
	var table uint32
	var primary bool
	var columns []int
	var families, collations []uint32
	_, err = pgx.ForEachRow(rows, []any{&table, &primary, &columns, &families, &collations}, func() error {
		u := derive.Unique{Primary: primary, Columns: slices.Clone(columns), Families: slices.Clone(families)}
		for _, c := range collations {
			if c == 0 {
				u.Collations = append(u.Collations, nil)
			} else {
				u.Collations = append(u.Collations, &derive.Collation{ID: c})
			}
		}
		if len(u.Families) == len(u.Columns) && len(u.Collations) == len(u.Columns) && !slices.Contains(u.Columns, 0) {
			f.relations[table].keys = append(f.relations[table].keys, u)
		}
		columns, families, collations = nil, nil, nil
		return nil
	})
	if err != nil {
		return fmt.Errorf("read unique indexes: %w", err)
	}
	return nil
}

// readMembers finds partitions and inheritance children at every depth.
func (f *facts) readMembers(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE m(root, member) AS (
		    SELECT oid, oid FROM pg_catalog.unnest($1::oid[]) t(oid)
		    UNION
		    SELECT m.root, i.inhrelid FROM m JOIN pg_catalog.pg_inherits i ON i.inhparent = m.member)
		SELECT root, member FROM m ORDER BY root, member <> root, member`, f.tables())
	if err != nil {
		return fmt.Errorf("read partitions: %w", err)
	}
	var root, member uint32
	_, err = pgx.ForEachRow(rows, []any{&root, &member}, func() error {
		f.members[root] = append(f.members[root], member)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read partitions: %w", err)
	}
	return f.readGenerated(ctx, tx)
}

// readGenerated finds columns that only a partition or child generates: its images lack them too.
func (f *facts) readGenerated(ctx context.Context, tx pgx.Tx) error {
	roots := map[uint32][]uint32{}
	var all []uint32
	for root, members := range f.members {
		for _, m := range members {
			roots[m] = append(roots[m], root)
			all = append(all, m)
		}
	}
	rows, err := tx.Query(ctx, `
		SELECT a.attrelid, a.attname FROM pg_catalog.pg_attribute a
		WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> ''`, all)
	if err != nil {
		return fmt.Errorf("read generated columns: %w", err)
	}
	var member uint32
	var name string
	_, err = pgx.ForEachRow(rows, []any{&member, &name}, func() error {
		for _, root := range roots[member] {
			for _, c := range f.relations[root].columns {
				c.Generated = c.Generated || c.Name == name
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read generated columns: %w", err)
	}
	return nil
}

// factsIdentityTypes have, for equal values, one text each: not numeric (1.0), float (-0), char (blanks),
// interval (one month), jsonb, nor what extensions bring.
func factsIdentityTypes() []string {
	return []string{"bool", "char", "int2", "int4", "int8", "oid", "text", "varchar", "uuid", "date", "timestamp", "timestamptz", "bytea"}
}

func (f *facts) readTypes(ctx context.Context, tx pgx.Tx) error {
	oids := f.oidsOf("vartype", "resulttype", "funcresulttype", "consttype", "opresulttype", "paramtype", "aggtype", "wintype",
		"casetype", "coalescetype", "array_typeid", "minmaxtype", "row_typeid", "colTypes")
	for _, r := range f.relations {
		for _, c := range r.columns {
			oids = append(oids, c.Type.ID)
		}
	}
	rows, err := tx.Query(ctx, `
		SELECT t.oid, t.typcollation,
		       CASE WHEN n.nspname = 'pg_catalog' AND t.typname NOT IN ('bpchar', 'bit', '_bpchar', '_bit')
		            THEN pg_catalog.format_type(t.oid, NULL)
		            ELSE pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname) END,
		       n.nspname = 'pg_catalog' AND t.typname = ANY ($2) OR t.typtype = 'e'
		FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
		WHERE t.oid = ANY ($1)`, oids, factsIdentityTypes())
	if err != nil {
		return fmt.Errorf("read types: %w", err)
	}
	var oid, collation uint32
	var text string
	var identity bool
	_, err = pgx.ForEachRow(rows, []any{&oid, &collation, &text, &identity}, func() error {
		f.types[oid] = derive.Type{ID: oid, Text: text, Identity: identity}
		f.defaults[oid] = collation
		return nil
	})
	if err != nil {
		return fmt.Errorf("read types: %w", err)
	}
	return nil
}

// readCollations reads all collations: there are some hundreds, and indexes name theirs too.
func (f *facts) readCollations(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT c.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.collname), c.collisdeterministic
		FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace`)
	if err != nil {
		return fmt.Errorf("read collations: %w", err)
	}
	var oid uint32
	var text string
	var deterministic bool
	_, err = pgx.ForEachRow(rows, []any{&oid, &text, &deterministic}, func() error {
		f.collations[oid] = &derive.Collation{ID: oid, Text: text, Deterministic: deterministic}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read collations: %w", err)
	}
	return nil
}

// readFunctions reads which functions are strict, and which may read what no log tells of: those that
// are neither the server's own nor immutable, those that are volatile, and those that run a text as a query.
func (f *facts) readFunctions(ctx context.Context, tx pgx.Tx) error {
	functions := f.oidsOf("funcid", "opfuncid", "aggfnoid", "winfnoid")
	operators := f.oidsOf("opno", "opnos")
	rows, err := tx.Query(ctx, `
		WITH used(fn) AS (
		    SELECT pg_catalog.unnest($1::oid[])
		    UNION SELECT o.oprcode FROM pg_catalog.pg_operator o WHERE o.oid = ANY ($2::oid[])
		), parts(fn) AS (
		    SELECT fn FROM used
		    UNION SELECT pg_catalog.unnest(ARRAY[a.aggtransfn, a.aggfinalfn, a.aggcombinefn]::oid[]) FROM pg_catalog.pg_aggregate a JOIN used ON a.aggfnoid = used.fn
		)
		SELECT p.oid, p.proisstrict, p.oid::pg_catalog.regprocedure::text, p.provolatile::text,
		       p.proname ~ '^(table|query|cursor|schema|database)_to_xml' AND p.oid < 16384
		FROM pg_catalog.pg_proc p JOIN parts ON p.oid = parts.fn
		ORDER BY 1`, functions, operators)
	if err != nil {
		return fmt.Errorf("read functions: %w", err)
	}
	var oid uint32
	var strict, xml bool
	var name, volatile string
	_, err = pgx.ForEachRow(rows, []any{&oid, &strict, &name, &volatile, &xml}, func() error {
		f.strict[oid] = strict
		switch {
		case xml:
			f.functions = append(f.functions, factsFunction{name, "reads tables that are named by a value"})
		case volatile == "v":
			f.functions = append(f.functions, factsFunction{name, "is volatile: it may read what nobody sees, or give another result each time"})
		case oid >= firstUserOID && volatile != "i":
			f.functions = append(f.functions, factsFunction{name, "is neither built in nor immutable: it may read tables that are not in the query"})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read functions: %w", err)
	}
	rows, err = tx.Query(ctx, `SELECT o.oid, o.oprcode::oid FROM pg_catalog.pg_operator o WHERE o.oid = ANY ($1)`, operators)
	if err != nil {
		return fmt.Errorf("read operators: %w", err)
	}
	var code uint32
	_, err = pgx.ForEachRow(rows, []any{&oid, &code}, func() error {
		f.code[oid] = code
		return nil
	})
	if err != nil {
		return fmt.Errorf("read operators: %w", err)
	}
	return nil
}
