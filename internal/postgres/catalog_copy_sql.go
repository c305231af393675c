package postgres

// notExtension leaves out what an extension brings.
const notExtension = ` AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.objid = o.oid AND x.deptype = 'e')`

// copyQueries give a name and a statement a row, in the order in which they are tried first. The server
// itself writes each definition; with an empty search path it qualifies every name.
func copyQueries() []string {
	const relation = ` FROM pg_catalog.pg_class o JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace WHERE ` + ownSchemas + notExtension
	const named = `pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(o.relname)`
	return []string{
		`SELECT 'schema ' || nspname, 'CREATE SCHEMA IF NOT EXISTS ' || pg_catalog.quote_ident(nspname) FROM pg_catalog.pg_namespace n WHERE ` + ownSchemas,
		`SELECT 'extension ' || e.extname, 'CREATE EXTENSION IF NOT EXISTS ' || pg_catalog.quote_ident(e.extname) || ' WITH SCHEMA ' || pg_catalog.quote_ident(n.nspname)
			FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql'`,
		`SELECT 'collation ' || o.collname, 'CREATE COLLATION ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(o.collname) || ' (provider = '
			|| CASE o.collprovider WHEN 'i' THEN 'icu' ELSE 'libc' END || ', locale = ' || pg_catalog.quote_literal(coalesce(pg_catalog.to_jsonb(o) ->> 'colllocale', pg_catalog.to_jsonb(o) ->> 'colliculocale', o.collcollate))
			|| ', deterministic = ' || o.collisdeterministic || ')'
			FROM pg_catalog.pg_collation o JOIN pg_catalog.pg_namespace n ON n.oid = o.collnamespace WHERE ` + ownSchemas + notExtension,
		`SELECT 'type ' || o.typname, 'CREATE TYPE ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(o.typname) || ' AS ENUM ('
			|| (SELECT coalesce(pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder), '') FROM pg_catalog.pg_enum e WHERE e.enumtypid = o.oid) || ')'
			FROM pg_catalog.pg_type o JOIN pg_catalog.pg_namespace n ON n.oid = o.typnamespace WHERE o.typtype = 'e' AND ` + ownSchemas + notExtension,
		`SELECT 'domain ' || o.typname, 'CREATE DOMAIN ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(o.typname) || ' AS ' || pg_catalog.format_type(o.typbasetype, o.typtypmod)
			|| coalesce(' DEFAULT ' || o.typdefault, '') || CASE WHEN o.typnotnull THEN ' NOT NULL' ELSE '' END
			|| coalesce((SELECT pg_catalog.string_agg(' CONSTRAINT ' || pg_catalog.quote_ident(k.conname) || ' ' || pg_catalog.pg_get_constraintdef(k.oid), '') FROM pg_catalog.pg_constraint k WHERE k.contypid = o.oid AND k.contype = 'c'), '')
			FROM pg_catalog.pg_type o JOIN pg_catalog.pg_namespace n ON n.oid = o.typnamespace WHERE o.typtype = 'd' AND ` + ownSchemas + notExtension,
		`SELECT 'type ' || o.relname, 'CREATE TYPE ' || ` + named + ` || ' AS (' || ` + columnList("false") + ` || ')'` + relation + ` AND o.relkind = 'c'`,
		`SELECT 'sequence ' || o.relname, 'CREATE SEQUENCE ' || ` + named + ` || ' AS ' || pg_catalog.format_type(s.seqtypid, NULL) || ' INCREMENT ' || s.seqincrement || ' START ' || s.seqstart
			FROM pg_catalog.pg_class o JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace JOIN pg_catalog.pg_sequence s ON s.seqrelid = o.oid
			WHERE ` + ownSchemas + notExtension + ` AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = o.oid AND d.deptype = 'i')`,
		tablesSQL(relation, named),
		`SELECT 'default of ' || o.relname || '.' || a.attname, 'ALTER TABLE ' || ` + named + ` || ' ALTER COLUMN ' || pg_catalog.quote_ident(a.attname) || ' SET DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid)
			FROM pg_catalog.pg_class o JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = o.oid AND NOT a.attisdropped AND a.attgenerated = ''
			JOIN pg_catalog.pg_attrdef d ON d.adrelid = o.oid AND d.adnum = a.attnum WHERE o.relkind IN ('r', 'p') AND ` + ownSchemas + notExtension,
		`SELECT 'owner of ' || o.relname, 'ALTER SEQUENCE ' || ` + named + ` || ' OWNED BY ' || d.refobjid::pg_catalog.regclass || '.' || pg_catalog.quote_ident(a.attname)
			FROM pg_catalog.pg_class o JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace JOIN pg_catalog.pg_depend d ON d.objid = o.oid AND d.deptype = 'a' AND d.refobjsubid > 0
			JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid WHERE o.relkind = 'S' AND ` + ownSchemas,
		`SELECT 'constraint ' || k.conname, 'ALTER TABLE ' || ` + named + ` || ' ADD CONSTRAINT ' || pg_catalog.quote_ident(k.conname) || ' ' || pg_catalog.pg_get_constraintdef(k.oid)
			FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class o ON o.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
			WHERE k.contype IN ('p', 'u', 'x', 'c', 'f') AND k.coninhcount = 0 AND k.conparentid = 0 AND ` + ownSchemas + notExtension + ` ORDER BY pg_catalog.strpos('puxcf', k.contype::text), k.conname`,
		`SELECT 'index ' || ic.relname, pg_catalog.regexp_replace(pg_catalog.pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
			FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class o ON o.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
			WHERE o.relkind IN ('r', 'p') AND NOT ic.relispartition AND ` + ownSchemas + notExtension + ` AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))`,
		`SELECT 'replica identity of ' || o.relname, 'ALTER TABLE ' || ` + named + ` || ' REPLICA IDENTITY ' || CASE o.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
			ELSE 'USING INDEX ' || (SELECT pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = o.oid AND i.indisreplident) END` + relation + ` AND o.relkind = 'r' AND o.relreplident IN ('f', 'n', 'i')`,
		`SELECT 'row security of ' || o.relname, 'ALTER TABLE ' || ` + named + ` || ' ENABLE ROW LEVEL SECURITY'` + relation + ` AND o.relkind IN ('r', 'p') AND o.relrowsecurity`,
		`SELECT 'function ' || o.proname, pg_catalog.pg_get_functiondef(o.oid) FROM pg_catalog.pg_proc o JOIN pg_catalog.pg_namespace n ON n.oid = o.pronamespace WHERE o.prokind IN ('f', 'p', 'w') AND ` + ownSchemas + notExtension,
		`SELECT 'view ' || o.relname, 'CREATE ' || CASE o.relkind WHEN 'm' THEN 'MATERIALIZED ' ELSE '' END || 'VIEW ' || ` + named + ` || ' AS ' || pg_catalog.rtrim(pg_catalog.pg_get_viewdef(o.oid), ';')
			|| CASE o.relkind WHEN 'm' THEN ' WITH NO DATA' ELSE '' END` + relation + ` AND o.relkind IN ('v', 'm') ORDER BY o.oid`,
		`SELECT 'trigger ' || t.tgname, pg_catalog.pg_get_triggerdef(t.oid) FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class o ON o.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
			WHERE NOT t.tgisinternal AND NOT o.relispartition AND ` + ownSchemas + notExtension,
	}
}

// columnList writes the columns of o. NOT NULL, identities and generated columns belong to tables alone.
func columnList(table string) string {
	return `coalesce((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname) || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
		|| CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || (SELECT pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(cc.collname) FROM pg_catalog.pg_collation cc JOIN pg_catalog.pg_namespace cn ON cn.oid = cc.collnamespace WHERE cc.oid = a.attcollation) ELSE '' END
		|| CASE WHEN ` + table + ` AND a.attgenerated <> '' THEN ' GENERATED ALWAYS AS (' || (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = o.oid AND d.adnum = a.attnum) || ')' || CASE a.attgenerated WHEN 's' THEN ' STORED' ELSE ' VIRTUAL' END ELSE '' END
		|| CASE WHEN ` + table + ` AND a.attidentity <> '' THEN ' GENERATED ' || CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END || ' AS IDENTITY' ELSE '' END
		|| CASE WHEN ` + table + ` AND a.attnotnull THEN ' NOT NULL' ELSE '' END, ', ' ORDER BY a.attnum)
		FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped), '')`
}

// tablesSQL gives tables, their partitions and their children.
func tablesSQL(relation, named string) string {
	parent := `(SELECT i.inhparent::pg_catalog.regclass::text FROM pg_catalog.pg_inherits i WHERE i.inhrelid = o.oid ORDER BY i.inhseqno LIMIT 1)`
	return `SELECT 'table ' || o.relname, 'CREATE ' || CASE o.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END || 'TABLE ' || ` + named + ` ||
		CASE WHEN o.relispartition THEN ' PARTITION OF ' || ` + parent + ` || ' ' || pg_catalog.pg_get_expr(o.relpartbound, o.oid)
		ELSE ' (' || ` + columnList("true") + ` || ')' || coalesce(' INHERITS (' || ` + parent + ` || ')', '') END
		|| CASE o.relkind WHEN 'p' THEN ' PARTITION BY ' || pg_catalog.pg_get_partkeydef(o.oid) ELSE '' END` + relation + ` AND o.relkind IN ('r', 'p') ORDER BY o.relispartition, o.oid`
}
