package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/check"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/internal/postgres"
	"rejot.dev/rejot/manifest"
)

// checkWithin is how long a database may take to answer one question; counting rows has a limit of its own.
const checkWithin = 30 * time.Second

// A describer is a source that tells more than it needs itself.
type describer interface {
	Describe(ctx context.Context, s *contract.PublicSchema, each func(*derive.Plan, *postgres.Described)) error
	Differences(ctx context.Context, old, now *contract.PublicSchema, fields []string) (left, entered, changed int64, err error)
}

// databases opens what manifests name, each once, and remembers what could not be opened.
type databases struct {
	stores       map[string]contract.DataStore
	sources      map[string]opened[check.Source]
	destinations map[string]opened[check.Destination]
	closers      []func() error
}

// opened is a database, or why it could not be opened.
type opened[T any] struct {
	db  T
	err error
}

var _ check.Databases = (*databases)(nil)

// openDatabases resolves the references of the manifests; databases are opened when they are asked for.
func (a *app) openDatabases(paths []string) (*databases, error) {
	set, err := manifest.Load(paths...)
	if err != nil {
		return nil, err
	}
	return newDatabases(set.DataStores), nil
}

func newDatabases(stores map[string]contract.DataStore) *databases {
	return &databases{stores: stores, sources: map[string]opened[check.Source]{}, destinations: map[string]opened[check.Destination]{}}
}

func (d *databases) close() {
	for _, c := range d.closers {
		_ = c() // nothing is lost with it
	}
}

// Source opens a data store as a source.
func (d *databases) Source(ctx context.Context, slug string) (check.Source, error) {
	if have, ok := d.sources[slug]; ok {
		return have.db, have.err
	}
	db, err := d.openSource(ctx, slug)
	d.sources[slug] = opened[check.Source]{db, err}
	return db, err
}

func (d *databases) openSource(ctx context.Context, slug string) (check.Source, error) {
	s, err := reach(ctx, false, nil, func(ctx context.Context) (source, error) {
		return openSource(ctx, d.stores[slug], slog.New(slog.DiscardHandler))
	})
	if err != nil {
		return nil, err
	}
	d.closers = append(d.closers, s.Close)
	able, ok := s.(describer)
	if !ok {
		return nil, rejot.Errorf(rejot.Unsupported, "data store %s: this kind of source cannot be asked yet", slug)
	}
	return &checkSource{db: able, known: map[string]*check.Description{}}, nil
}

// Destination opens a data store as a destination.
func (d *databases) Destination(ctx context.Context, slug string) (check.Destination, error) {
	if have, ok := d.destinations[slug]; ok {
		return have.db, have.err
	}
	db, err := d.openDestination(ctx, d.stores[slug].Connection)
	if err == nil {
		db = &remembered{db, map[string]*check.Statements{}}
	}
	d.destinations[slug] = opened[check.Destination]{db, err}
	return db, err
}

func (d *databases) openDestination(ctx context.Context, c contract.Connection) (check.Destination, error) {
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	switch c.Type {
	case "postgres":
		catalog, err := postgres.OpenCatalog(ctx, c)
		if err != nil {
			return nil, err
		}
		after := context.WithoutCancel(ctx)
		d.closers = append(d.closers, func() error {
			ctx, cancel := context.WithTimeout(after, time.Second)
			defer cancel()
			return catalog.Close(ctx)
		})
		return newCheckPostgres(ctx, catalog)
	case "mysql":
		db, err := openCheckMySQL(ctx, c)
		if err != nil {
			return nil, err
		}
		d.closers = append(d.closers, db.session.Close)
		return db, nil
	default:
		return nil, rejot.Errorf(rejot.Unsupported, "data store %s: a %s database cannot be asked", c.Slug, c.Type)
	}
}

// checkSource turns what a source says into what rules read.
type checkSource struct {
	db    describer
	known map[string]*check.Description // by fingerprint and name
}

// Describe resolves a public schema.
func (s *checkSource) Describe(ctx context.Context, schema *contract.PublicSchema) (*check.Description, error) {
	id := schema.String() + schema.Fingerprint()
	if d := s.known[id]; d != nil {
		return d, nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	var out *check.Description
	err := s.db.Describe(ctx, schema, func(plan *derive.Plan, d *postgres.Described) {
		if out == nil {
			out = description(plan, d)
			return
		}
		out.Ways, out.Refused = append(out.Ways, ways(plan, d)...), append(out.Refused, plan.Refused...)
		out.Many = out.Many || plan.Many && len(plan.Key) > 0
		out.Changing = slices.Compact(slices.Sorted(slices.Values(append(out.Changing, d.Changing...))))
	})
	if err == nil {
		s.known[id] = out
	}
	declareRows(schema, out)
	return out, err
}

// declareRows believes a developer who says that a key has one row.
func declareRows(schema *contract.PublicSchema, d *check.Description) {
	if d != nil && slices.ContainsFunc(schema.Transformations, func(t contract.Transformation) bool { return t.Rows == "one" }) {
		d.Many = false
	}
}

// Differences counts rows.
func (s *checkSource) Differences(ctx context.Context, old, now *contract.PublicSchema, fields []string) (check.Difference, error) {
	left, entered, changed, err := s.db.Differences(ctx, old, now, fields)
	return check.Difference{Left: left, Entered: entered, Changed: changed}, err
}

func description(plan *derive.Plan, d *postgres.Described) *check.Description {
	out := &check.Description{Base: shortTable(plan.Base.String()), Many: plan.Many, Ways: ways(plan, d), Refused: plan.Refused, Changing: d.Changing}
	for i, c := range d.Columns {
		out.Columns = append(out.Columns, check.Column{Name: c.Name, Type: c.Type.Name, Nullable: d.May[i], Never: d.Never[i]})
		if i < len(plan.Outputs) && plan.Outputs[i].Key >= 0 {
			out.KeyNames = append(out.KeyNames, c.Name)
		}
	}
	for i, k := range plan.Key {
		typ := k.Type
		if i < len(d.Collations) && d.Collations[i] != "" {
			typ += " COLLATE " + d.Collations[i]
		}
		out.Key = append(out.Key, check.Column{Name: k.Column, Type: typ, Never: true})
	}
	return out
}

func shortTable(name string) string { return strings.TrimPrefix(name, "public.") }

// ways turns proofs into what a picture shows: the equalities from a changed row to the key.
func ways(plan *derive.Plan, d *postgres.Described) []check.Way {
	out := make([]check.Way, 0, len(plan.Routes))
	for i, r := range plan.Routes {
		w := check.Way{Table: shortTable(r.Table.String()), Leaf: r.Leaf, Direct: r.Direct, All: r.All, Given: len(r.Paths) == 0 && (!r.Direct || r.Table != plan.Base)}
		if i < len(d.FanOut) {
			w.FanOut = d.FanOut[i]
		}
		if len(r.Paths) > 0 {
			from := r.Paths[0].From.Table.Name
			for _, step := range r.Paths[0].Steps {
				var on []string
				for _, pair := range step.On {
					if text := from + "." + pair.From.Name + " = " + step.To.Table.Name + "." + pair.To.Name; !slices.Contains(on, text) {
						on = append(on, text)
					}
				}
				w.Steps = append(w.Steps, strings.Join(on, " and "))
				from = step.To.Table.Name
			}
		}
		out = append(out, w)
	}
	return out
}

// checkPostgres is a Postgres database as a destination.
type checkPostgres struct {
	catalog *postgres.Catalog
	own     error // why ReJot's own tables cannot be there
}

func newCheckPostgres(ctx context.Context, catalog *postgres.Catalog) (check.Destination, error) {
	own := catalog.Own(ctx)
	if own != nil && rejot.CodeOf(own) != rejot.Denied {
		return nil, own // nothing was refused: the database could not be asked
	}
	return &checkPostgres{catalog: catalog, own: own}, nil
}

// remembered asks a destination about each consumer schema once: many changes may have to be proved by it.
type remembered struct {
	db    check.Destination
	known map[string]*check.Statements
}

// Inspect prepares a consumer schema's statements.
func (r *remembered) Inspect(ctx context.Context, c *contract.Consumer) (*check.Statements, error) {
	id := strings.Join([]string{c.ID(), c.SQL, c.DeleteSQL, c.TruncateSQL}, "\x00")
	if st := r.known[id]; st != nil {
		return st, nil
	}
	st, err := r.db.Inspect(ctx, c)
	if err == nil {
		r.known[id] = st
	}
	return st, err
}

// Inspect prepares a consumer schema's statements and finds what its target takes.
func (p *checkPostgres) Inspect(ctx context.Context, c *contract.Consumer) (*check.Statements, error) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	out := &check.Statements{Plain: check.InsertsPlainly(c.SQL)}
	if p.own != nil {
		out.Refused = append(out.Refused, check.Refused{Reason: p.own.Error(), Mend: rejot.MendOf(p.own)})
	}
	for _, st := range statementsOf(c) {
		numbered, err := numberPlaceholders(st.sql, postgresDialect)
		if err != nil {
			continue // the manifest's own check tells
		}
		prepared, err := p.catalog.Prepare(ctx, numbered)
		if rejot.CodeOf(err) == rejot.Transient {
			return nil, err
		}
		if err != nil {
			out.Refused = append(out.Refused, check.Refused{Statement: st.name, Reason: err.Error(), Mend: grantMend(err, c)})
			continue
		}
		if st.name == "sql" {
			if err := p.targets(ctx, st.sql, prepared, out); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// grantMend is what to do about a statement that is refused.
func grantMend(err error, c *contract.Consumer) string {
	if rejot.CodeOf(err) == rejot.Denied {
		return "GRANT SELECT, INSERT, UPDATE, DELETE on the table to the connection's user"
	}
	where := "correct the statement"
	if c.DefinitionFile != "" {
		where += " in " + c.DefinitionFile
	}
	return where + ", or the table that it writes"
}

func (p *checkPostgres) targets(ctx context.Context, sql string, prepared *postgres.Prepared, out *check.Statements) error {
	if prepared.Table == "" {
		return nil
	}
	out.Table = shortTable(prepared.Schema + "." + prepared.Table)
	columns, err := p.catalog.Columns(ctx, prepared.Schema, prepared.Table)
	if err != nil {
		return err
	}
	facts := make([]tableColumn, len(columns))
	for i, c := range columns {
		facts[i] = tableColumn(c)
	}
	fillTargets(sql, facts, prepared.Params, out)
	return nil
}

// A tableColumn is a column of a target, whatever the database.
type tableColumn postgres.TableColumn

// fillTargets says of each placeholder which column takes it, and which columns nobody writes.
func fillTargets(sql string, columns []tableColumn, params []string, out *check.Statements) {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	places := check.Places(sql, names)
	for i, place := range places {
		t := check.Target{Field: place.Field, Direct: place.Direct}
		if len(params) == len(places) {
			t.Type = params[i]
		}
		if at := slices.IndexFunc(columns, func(c tableColumn) bool { return strings.EqualFold(c.Name, place.Column) }); at >= 0 {
			c := columns[at]
			t.Column = &check.Column{Name: c.Name, Type: c.Type, Nullable: !c.NotNull, Never: c.NotNull}
			t.Enum, t.Check, t.Key = c.Enum, c.Checked, c.Unique
		}
		out.Targets = append(out.Targets, t)
	}
	written := check.Written(sql)
	if len(written) == 0 {
		return
	}
	for _, c := range columns {
		if c.NotNull && !c.Default && !slices.ContainsFunc(written, func(w string) bool { return strings.EqualFold(w, c.Name) }) {
			out.Missing = append(out.Missing, c.Name)
		}
	}
}

// A namedStatement is one of a consumer's statements with its field's name.
type namedStatement struct{ name, sql string }

func statementsOf(c *contract.Consumer) []namedStatement {
	all := []namedStatement{{"sql", c.SQL}, {"deleteSql", c.DeleteSQL}, {"truncateSql", c.TruncateSQL}}
	return slices.DeleteFunc(all, func(s namedStatement) bool { return strings.TrimSpace(s.sql) == "" })
}
