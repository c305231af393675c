package main

import (
	"context"
	"log/slog"
	"os"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/apply/fileapply"
	"rejot.dev/rejot/apply/myapply"
	"rejot.dev/rejot/apply/pgapply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/engine"
	"rejot.dev/rejot/source/pglog"
)

// A source is an open data store that public schemas are read from.
type source interface {
	engine.Source
	// Status tells how the source's log stands.
	Status(ctx context.Context) (sourceStatus, error)
	// Drop removes what the program has made there: slot and publication.
	Drop(ctx context.Context) error
	Close() error
}

// A sourceStatus tells how far a source's log goes and what is kept of it for us.
type sourceStatus struct {
	End       rejot.Place
	Confirmed rejot.Place
	Retained  uint64 // bytes
	Slot      string // state of the slot, in the server's words; empty where there is none
}

// A destination is an open data store that consumer schemas write to.
type destination interface {
	rejot.Applier
	// Check compares the placeholders of a consumer schema, by its ID, with the fields that it will get.
	Check(consumer string, shape *rejot.Shape) error
	// Ways tells how a consumer's statements are run.
	Ways(consumer string) []apply.Way
	// Drop removes a consumer's cursor, or everything of ours where consumer is empty.
	Drop(ctx context.Context, consumer string) error
}

func openSource(ctx context.Context, store contract.DataStore, log *slog.Logger) (source, error) {
	switch store.Connection.Type {
	case "postgres":
		s, err := pglog.Open(ctx, pglog.Config{Store: store, Log: log})
		if err != nil {
			return nil, err
		}
		return pgSource{s}, nil
	default:
		return nil, rejot.Errorf(rejot.Unsupported, "data store %s: a %s database cannot be a source yet", store.Connection.Slug, store.Connection.Type)
	}
}

func openDestination(ctx context.Context, c contract.Connection, consumers []*contract.Consumer, log *slog.Logger) (destination, error) {
	switch c.Type {
	case "postgres":
		return pgapply.Open(ctx, pgapply.Config{Connection: c, Consumers: consumers, Log: log})
	case "mysql":
		return myapply.Open(ctx, myapply.Config{Connection: c, Consumers: consumers, Log: log})
	case fileConnection:
		return fileapply.Open(ctx, fileapply.Config{Path: c.Database, Stdout: os.Stdout, Consumers: consumers})
	default:
		return nil, rejot.Errorf(rejot.Unsupported, "data store %s: a %s database cannot be a destination", c.Slug, c.Type)
	}
}

// pgSource fits pglog to what the program asks of every source.
type pgSource struct{ *pglog.Source }

// Resolve resolves one public schema.
func (s pgSource) Resolve(ctx context.Context, schema *contract.PublicSchema) ([]*contract.View, error) {
	return s.Source.Resolve(ctx, []*contract.PublicSchema{schema})
}

// Begin prepares slot and publication.
func (s pgSource) Begin(ctx context.Context, tables []contract.TableName, keep bool, oldest rejot.Position) (rejot.Position, error) {
	return s.Source.Begin(ctx, pglog.Setup{Tables: tables, Keep: keep, Oldest: oldest})
}

// Status tells how the slot stands.
func (s pgSource) Status(ctx context.Context) (sourceStatus, error) {
	st, err := s.Source.Status(ctx)
	if err != nil {
		return sourceStatus{}, err
	}
	return sourceStatus{End: st.End, Confirmed: st.Confirmed, Retained: st.RetainedBytes, Slot: st.WALStatus}, nil
}
