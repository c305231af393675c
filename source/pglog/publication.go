package pglog

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/postgres"
)

// A publicationState is what the catalogue says of the publication.
type publicationState struct {
	exists bool
	id     string
	owned  bool // by our very role
	all    bool // FOR ALL TABLES, or for a schema's
	root   bool // publishes partitions through their root
	off    []string
	tables []contract.TableName // listed by name
}

// publicationQuery reads a publication; from 15 on it may also be for all tables of a schema.
func publicationQuery(version int) string {
	schemas := ""
	if version >= 150000 {
		schemas = " OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = p.oid)"
	}
	return `
		SELECT p.oid, o.rolname = current_user, p.puballtables` + schemas + `,
			p.pubviaroot, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate
		FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_roles o ON o.oid = p.pubowner WHERE p.pubname = $1::pg_catalog.name`
}

func readPublication(ctx context.Context, conn *pgconn.PgConn, name string, version int) (*publicationState, error) {
	rows, err := queryRows(ctx, conn, publicationQuery(version), name)
	if err != nil {
		return nil, postgres.Classify(err, "read publication "+name)
	}
	p := &publicationState{}
	if len(rows) == 0 {
		return p, nil
	}
	yes := func(i int) bool { return string(rows[0][i]) == "t" }
	p.exists, p.id = true, string(rows[0][0])
	p.owned, p.all, p.root = yes(1), yes(2), yes(3)
	for i, what := range []string{"insert", "update", "delete", "truncate"} {
		if !yes(4 + i) {
			p.off = append(p.off, what)
		}
	}
	rows, err = queryRows(ctx, conn, `
		SELECT n.nspname, c.relname FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE r.prpubid = $1::pg_catalog.oid`+notExcluded, p.id)
	for _, row := range rows {
		p.tables = append(p.tables, contract.TableName{Schema: string(row[0]), Name: string(row[1])})
	}
	return p, postgres.Classify(err, "read the tables of publication "+name)
}

// notExcluded leaves out tables that later versions list as excepted.
const notExcluded = ` AND NOT coalesce((pg_catalog.to_jsonb(r)->>'prexcept')::bool, false)`

// publish brings the publication into the form that s needs, and gives the tables that must be in it from now on.
func (r *reader) publish(ctx context.Context, conn *pgconn.PgConn, s Setup, st *sourceState) (published []contract.TableName, err error) {
	name := r.cfg.publication
	need, err := r.neededTables(ctx, conn, s.Tables)
	if err != nil {
		return nil, err
	}
	p, err := readPublication(ctx, conn, name, st.version)
	if err != nil {
		return nil, err
	}
	if !p.exists {
		return need, r.createPublication(ctx, conn, s, st, need)
	}
	if err := p.serves(name); err != nil {
		return nil, err
	}
	if p.all {
		if err := r.checkCovered(ctx, conn, need); err != nil {
			return nil, err
		}
		return r.kept(need, p, s), r.checkColumns(ctx, conn, p)
	}
	add, drop := without(need, p.tables), without(p.tables, need)
	if err := r.checkKept(add, s, st); err != nil {
		return nil, err
	}
	if len(add) > 0 {
		if err := r.alter(ctx, conn, "ALTER PUBLICATION "+postgres.Quote(name)+" ADD TABLE "+tableList(add)); err != nil {
			return nil, err
		}
		if err := r.seal(ctx, conn); err != nil {
			return nil, err
		}
	}
	if len(drop) > 0 && p.owned && !s.Keep {
		if err := r.alter(ctx, conn, "ALTER PUBLICATION "+postgres.Quote(name)+" DROP TABLE "+tableList(drop)); err != nil {
			return nil, err
		}
	}
	return r.kept(need, p, s), r.checkColumns(ctx, conn, p)
}

// kept gives what checkKept is to look for next time: what is needed and, where some of that is not known, all
// that may be among it, which is whatever is published or was before.
func (r *reader) kept(need []contract.TableName, p *publicationState, s Setup) []contract.TableName {
	if !s.Keep {
		return need
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(need, p.tables, slices.Collect(maps.Keys(r.published)))
}

// checkKept refuses a table that an earlier Begin saw in the publication and that is not there any more: what
// changed meanwhile is not in the log (P14).
func (r *reader) checkKept(add []contract.TableName, s Setup, st *sourceState) error {
	if !st.slot || s.Oldest.IsZero() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range add {
		if r.published[t] {
			return gone(r.cfg.slot, "does not have what changed in table %s since it was taken out of publication %s", t, r.cfg.publication)
		}
	}
	return nil
}

// serves refuses a publication that leaves something out.
func (p *publicationState) serves(name string) error {
	if len(p.off) > 0 {
		err := rejot.Errorf(rejot.Invalid, "publication %s does not publish %s", name, strings.Join(p.off, ", "))
		return rejot.WithMend(err, "ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate')", postgres.Quote(name))
	}
	if p.root {
		err := rejot.Errorf(rejot.Invalid, "publication %s publishes partitions through their root, which hides that one of them is truncated", name)
		return rejot.WithMend(err, "ALTER PUBLICATION %s SET (publish_via_partition_root = false)", postgres.Quote(name))
	}
	return nil
}

// createPublication creates it. A slot that is older would stop at the first change that it decodes, since
// the log is read with the catalogue of its time.
func (r *reader) createPublication(ctx context.Context, conn *pgconn.PgConn, s Setup, st *sourceState, need []contract.TableName) error {
	if st.slot && !s.Oldest.IsZero() {
		return gone(r.cfg.slot, "has lost its publication %s; what has changed since cannot be read", r.cfg.publication)
	}
	statement := "CREATE PUBLICATION " + postgres.Quote(r.cfg.publication)
	if len(need) > 0 {
		statement += " FOR TABLE " + tableList(need)
	}
	if err := r.alter(ctx, conn, statement); err != nil {
		return err
	}
	if !st.slot {
		return nil
	}
	r.cfg.log.WarnContext(ctx, "the slot is older than its publication, and no destination needs it; it is created anew", "slot", r.cfg.slot)
	st.slot = false
	return r.dropSlot(ctx, conn)
}

// alter runs a statement on the publication, and prints it for somebody who may where our role may not.
func (r *reader) alter(ctx context.Context, conn *pgconn.PgConn, statement string) error {
	_, err := queryRows(ctx, conn, statement)
	if err == nil {
		r.cfg.log.InfoContext(ctx, "publication changed", "statement", statement)
		return nil
	}
	err = postgres.Classify(err, "prepare publication "+r.cfg.publication)
	if rejot.CodeOf(err) == rejot.Denied {
		return rejot.WithMend(err, "let the tables' owner run: %s", statement)
	}
	return err
}

// without gives what of a is not in b.
func without(a, b []contract.TableName) []contract.TableName {
	var out []contract.TableName
	for _, t := range a {
		if !slices.Contains(b, t) {
			out = append(out, t)
		}
	}
	return out
}

func tableList(tables []contract.TableName) string {
	var b strings.Builder
	for i, t := range tables {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("ONLY " + postgres.QuoteTable(t.Schema, t.Name))
	}
	return b.String()
}

// neededTables checks the tables, with their partitions, and adds the inheritance children of those that are not partitioned. A
// partitioned table stands for its partitions, also for later ones.
func (r *reader) neededTables(ctx context.Context, conn *pgconn.PgConn, tables []contract.TableName) ([]contract.TableName, error) {
	var need []contract.TableName
	for _, t := range tables {
		rows, err := queryRows(ctx, conn, `
			WITH RECURSIVE tree(id, kind, part) AS (
				SELECT c.oid, c.relkind, false FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = $1::pg_catalog.name AND c.relname = $2::pg_catalog.name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
				UNION SELECT c.oid, c.relkind, tree.part OR tree.kind = 'p' FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.id
				JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid)
			SELECT n.nspname, c.relname, c.relkind, c.relpersistence, c.oid < 16384, tree.part
			FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.id JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`, t.Schema, t.Name)
		if err != nil {
			return nil, postgres.Classify(err, "look up table "+t.String())
		}
		if len(rows) == 0 {
			return nil, rejot.Errorf(rejot.NotFound, "the source has no table %s", t)
		}
		for _, row := range rows {
			name := contract.TableName{Schema: string(row[0]), Name: string(row[1])}
			if why := unloggable(string(row[2]), string(row[3]), string(row[4]) == "t"); why != "" {
				return nil, rejot.Errorf(rejot.Unsupported, "%s is %s, whose changes are not in the log", name, why)
			}
			if string(row[5]) != "t" && !slices.Contains(need, name) {
				need = append(need, name)
			}
		}
	}
	return need, nil
}

func unloggable(kind, persistence string, system bool) string {
	switch {
	case kind == "v":
		return "a view"
	case kind == "m":
		return "a materialized view"
	case kind == "f":
		return "a foreign table"
	case persistence == "u":
		return "an unlogged table"
	case persistence == "t":
		return "a temporary table"
	case system:
		return "a system table"
	}
	return ""
}

// checkCovered finds what a publication of others leaves out.
func (r *reader) checkCovered(ctx context.Context, conn *pgconn.PgConn, need []contract.TableName) error {
	var problems []error
	for _, t := range need {
		rows, err := queryRows(ctx, conn, `
			WITH RECURSIVE tree(id) AS (
				SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1::pg_catalog.name AND c.relname = $2::pg_catalog.name
				UNION SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.id)
			SELECT n.nspname, c.relname FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.id AND c.relkind = 'r' JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_publication_tables p WHERE p.pubname = $3::pg_catalog.name AND p.schemaname = n.nspname AND p.tablename = c.relname)`,
			t.Schema, t.Name, r.cfg.publication)
		if err != nil {
			return postgres.Classify(err, "read the tables of publication "+r.cfg.publication)
		}
		for _, row := range rows {
			name := contract.TableName{Schema: string(row[0]), Name: string(row[1])}
			err := rejot.Errorf(rejot.Invalid, "publication %s lacks table %s", r.cfg.publication, name)
			problems = append(problems, rejot.WithMend(err, "ALTER PUBLICATION %s ADD TABLE %s, or name another publication in the manifest", postgres.Quote(r.cfg.publication), tableList([]contract.TableName{name})))
		}
	}
	return errors.Join(problems...)
}

// checkColumns refuses row filters and column lists, from 15 on: they turn one kind of change into another, or hide it.
func (r *reader) checkColumns(ctx context.Context, conn *pgconn.PgConn, p *publicationState) error {
	rows, err := queryRows(ctx, conn, `
		SELECT n.nspname, c.relname, pg_catalog.to_jsonb(r)->>'prqual' IS NOT NULL
		FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE r.prpubid = $1::pg_catalog.oid AND (pg_catalog.to_jsonb(r)->>'prqual' IS NOT NULL OR pg_catalog.to_jsonb(r)->>'prattrs' IS NOT NULL)`, p.id)
	if err != nil {
		return postgres.Classify(err, "read the tables of publication "+r.cfg.publication)
	}
	var problems []error
	for _, row := range rows {
		name := contract.TableName{Schema: string(row[0]), Name: string(row[1])}
		what := "a column list, which hides columns"
		if string(row[2]) == "t" {
			what = "a row filter, which hides rows"
		}
		err := rejot.Errorf(rejot.Invalid, "publication %s has for table %s %s", r.cfg.publication, name, what)
		problems = append(problems, rejot.WithMend(err, "ALTER PUBLICATION %s DROP TABLE %s; then start again", postgres.Quote(r.cfg.publication), tableList([]contract.TableName{name})))
	}
	return errors.Join(problems...)
}

// dropPublication removes it, where it is our role's and lists tables: others are somebody's own.
func (r *reader) dropPublication(ctx context.Context, conn *pgconn.PgConn, version int) error {
	p, err := readPublication(ctx, conn, r.cfg.publication, version)
	if err != nil || !p.owned || p.all {
		return err
	}
	_, err = queryRows(ctx, conn, "DROP PUBLICATION IF EXISTS "+postgres.Quote(r.cfg.publication))
	return postgres.Classify(err, "drop publication "+r.cfg.publication)
}
