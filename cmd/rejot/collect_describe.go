package main

import (
	"context"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/contract/collect"
	"rejot.dev/rejot/internal/postgres"
	"rejot.dev/rejot/manifest"
)

// A queryDescriber asks the manifest's data stores for the columns of queries. Each is connected to when it is first asked.
type queryDescriber struct {
	manifest *manifest.Manifest
	open     map[string]*postgres.Describer
	failed   map[string]error
}

var _ collect.Describer = (*queryDescriber)(nil)

func newQueryDescriber(m *manifest.Manifest) *queryDescriber {
	return &queryDescriber{manifest: m, open: map[string]*postgres.Describer{}, failed: map[string]error{}}
}

// Describe gives the columns of a query.
func (d *queryDescriber) Describe(ctx context.Context, slug, sql string) ([]collect.Column, error) {
	db, err := d.database(ctx, slug)
	if err != nil {
		return nil, err
	}
	described, err := db.Describe(ctx, sql)
	if err != nil {
		return nil, err
	}
	columns := make([]collect.Column, len(described))
	for i, c := range described {
		columns[i] = collect.Column{Name: c.Name, Type: c.Type.Name, Values: c.Values, Nullable: c.Nullable, Comment: c.Comment}
	}
	return columns, nil
}

// database gives a session. What keeps it from being opened is no fault of a query's, and is tried once; only a database that is
// never asked is, as no later time is better.
func (d *queryDescriber) database(ctx context.Context, slug string) (*postgres.Describer, error) {
	if err := d.failed[slug]; err != nil {
		return nil, err
	}
	if db := d.open[slug]; db != nil {
		return db, nil
	}
	conn, err := d.manifest.Resolve(slug)
	var db *postgres.Describer
	if err == nil {
		db, err = openDescriber(ctx, conn)
	}
	if err != nil {
		code := rejot.Transient
		if rejot.CodeOf(err) == rejot.Unsupported {
			code = rejot.Unsupported
		}
		d.failed[slug] = rejot.WithMend(rejot.Errorf(code, "%w", err), "%s", rejot.MendOf(err))
		return nil, d.failed[slug]
	}
	d.open[slug] = db
	return db, nil
}

// openDescriber connects to a database that is asked for columns.
func openDescriber(ctx context.Context, c contract.Connection) (*postgres.Describer, error) {
	if c.Type != "postgres" {
		err := rejot.Errorf(rejot.Unsupported, "connection %s: a %s database cannot be asked for the columns of a query yet", c.Slug, c.Type)
		return nil, rejot.WithMend(err, "define the public schema in TypeScript, Python or Go, which say its columns themselves")
	}
	return postgres.OpenDescriber(ctx, c)
}

func (d *queryDescriber) close(ctx context.Context) {
	for _, db := range d.open {
		_ = db.Close(context.WithoutCancel(ctx)) // it was only read from
	}
}
