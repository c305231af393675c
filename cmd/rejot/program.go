package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/engine"
	"rejot.dev/rejot/httpapi"
	"rejot.dev/rejot/internal/spill"
	"rejot.dev/rejot/manifest"
)

const (
	// reachWithin is how long a database may take to answer before it is called unreachable.
	reachWithin = 8 * time.Second
	// memoryForKeys is what keys and events may take before they go to disk.
	memoryForKeys = 16 << 20
	// memoryAim is where the garbage collector begins to work harder, so that the process stays
	// under 150 MB whatever the size of a transaction. GOMEMLIMIT in the environment wins.
	memoryAim = 64 << 20
)

// A program is everything that manifests describe, opened.
type program struct {
	manifests    []string
	engine       *engine.Engine
	pairs        []pairing
	sources      map[string]source // by the data store's slug
	destinations map[string]destination
	resolved     map[*contract.PublicSchema]resolution // nil until a source has been asked
	external     []*contract.Consumer                  // whose public schema stands in a manifest that is not loaded
	started      time.Time
}

// A resolution is what a source made of a public schema when the program was opened.
type resolution struct {
	views []*contract.View
	err   error
}

// A job of a program: one consumer schema with its public schema.
type pairing struct {
	consumer *contract.Consumer
	schema   *contract.PublicSchema
}

// pair finds the public schema of each consumer schema.
func pair(set *manifest.Set) (pairs []pairing, external []*contract.Consumer, err error) {
	known := map[string]bool{}
	for _, slug := range set.Slugs {
		known[slug] = true
	}
	served := map[rejot.Ref]*contract.PublicSchema{} // one for all its consumers
	for _, c := range set.Consumers {
		var found *contract.PublicSchema
		for _, s := range set.PublicSchemas {
			if c.Reads(s.Ref) {
				found = s
			}
		}
		if found == nil {
			found = upcasted(set, c, served)
		}
		switch {
		case found != nil:
			pairs = append(pairs, pairing{c, found})
		case !known[c.SourceManifest]:
			external = append(external, c)
		default:
			e := rejot.Errorf(rejot.Invalid, "%s: PUBLIC_SCHEMA_NOT_FOUND: manifest %s has no public schema %s of major version %d", c, c.SourceManifest, c.Schema, c.Major)
			err = errors.Join(err, e)
		}
	}
	return pairs, external, err
}

// upcasted gives a public schema that still serves the older major version that c reads.
func upcasted(set *manifest.Set, c *contract.Consumer, served map[rejot.Ref]*contract.PublicSchema) *contract.PublicSchema {
	for _, s := range set.PublicSchemas {
		if s.Ref.Manifest != c.SourceManifest || s.Ref.Name != c.Schema {
			continue
		}
		if old := s.Upcasted(c.Major); old != nil {
			if served[old.Ref] == nil {
				served[old.Ref] = old
			}
			return served[old.Ref]
		}
	}
	return nil
}

// openProgram opens what the manifests describe and checks it against the databases. With wait, a
// database that is unreachable is waited for.
func openProgram(ctx context.Context, set *manifest.Set, log *slog.Logger, wait bool) (*program, error) {
	pairs, external, err := pair(set)
	if err != nil {
		return nil, err
	}
	if len(pairs) == 0 {
		err := rejot.Errorf(rejot.Invalid, "there is nothing to do: no consumer schema reads a public schema of these manifests")
		return nil, rejot.WithMend(err, "name the manifest of the public schemas as well: rejot sync PRODUCER/rejot-manifest.json CONSUMER/rejot-manifest.json")
	}
	p := &program{manifests: set.Slugs, pairs: pairs, external: external, sources: map[string]source{}, destinations: map[string]destination{}, started: time.Now()}
	if err := p.open(ctx, set, pairs, log, opening{wait: wait, resolve: !wait}); err != nil {
		return nil, errors.Join(err, p.close())
	}
	if err := p.check(ctx, pairs); err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.wire(pairs, log)
	return p, nil
}

// An opening says what is done while databases are opened.
type opening struct {
	wait    bool // for those that are unreachable
	resolve bool // public schemas, which is too early where something is waited for
}

// open opens all databases at the same time, so that one that does not answer costs its own time only.
func (p *program) open(ctx context.Context, set *manifest.Set, pairs []pairing, log *slog.Logger, o opening) error {
	sources := map[string]contract.DataStore{}
	consumers := map[string][]*contract.Consumer{}
	for _, pr := range pairs {
		store, ok := set.DataStores[pr.schema.Source]
		if !ok || store.SlotName == "" {
			err := rejot.Errorf(rejot.Invalid, "%s: DATA_STORE_MISSING_CONFIG: data store %s is a source and has no slot and publication", pr.schema, pr.schema.Source)
			return rejot.WithMend(err, "rejot manifest datastore add --connection %s --slot rejot_%[1]s --publication rejot_%[1]s", pr.schema.Source)
		}
		sources[pr.schema.Source] = store
		consumers[pr.consumer.Destination] = append(consumers[pr.consumer.Destination], pr.consumer)
	}
	var errs []error
	results := make(chan func() error)
	n := 0
	for slug, store := range sources {
		n++
		go func() {
			s, err := reach(ctx, o.wait, log, func(ctx context.Context) (source, error) { return openSource(ctx, store, log) })
			var resolved map[*contract.PublicSchema]resolution
			if err == nil && o.resolve {
				resolved = resolve(ctx, s, schemasOf(slug, pairs))
			}
			results <- func() error {
				if err == nil {
					p.sources[slug] = s
				}
				p.learn(resolved)
				return err
			}
		}()
	}
	for slug, list := range consumers {
		n++
		go func() {
			d, err := reach(ctx, o.wait, log, func(ctx context.Context) (destination, error) {
				return openDestination(ctx, set.DataStores[slug].Connection, list, log)
			})
			results <- func() error {
				if err == nil {
					p.destinations[slug] = d
				}
				return err
			}
		}()
	}
	for range n {
		errs = append(errs, (<-results)())
	}
	return errors.Join(errs...)
}

// reach opens a database within reachWithin, or, with wait, whenever it can be reached.
func reach[T any](ctx context.Context, wait bool, log *slog.Logger, open func(context.Context) (T, error)) (T, error) {
	once := func() (T, error) {
		ctx, cancel := context.WithTimeout(ctx, reachWithin)
		defer cancel()
		v, err := open(ctx)
		if err != nil && (!wait || rejot.CodeOf(err) != rejot.Transient) {
			err = backoff.Permanent(err)
		}
		return v, err
	}
	notify := func(err error, next time.Duration) {
		log.Warn("waiting for a database", "error", err, "next", next.Round(time.Millisecond))
	}
	v, err := backoff.Retry(ctx, once, backoff.WithMaxElapsedTime(0), backoff.WithNotify(notify))
	var permanent *backoff.PermanentError
	if errors.As(err, &permanent) {
		err = permanent.Unwrap()
	}
	return v, err
}

// schemasOf are the public schemas of a source that consumers read.
func schemasOf(slug string, pairs []pairing) []*contract.PublicSchema {
	var list []*contract.PublicSchema
	for _, pr := range pairs {
		if pr.schema.Source == slug && !slices.Contains(list, pr.schema) {
			list = append(list, pr.schema)
		}
	}
	return list
}

// resolve has a source resolve public schemas.
func resolve(ctx context.Context, s source, schemas []*contract.PublicSchema) map[*contract.PublicSchema]resolution {
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	resolved := map[*contract.PublicSchema]resolution{}
	for _, schema := range schemas {
		views, err := s.Resolve(ctx, schema)
		resolved[schema] = resolution{views, err}
	}
	return resolved
}

func (p *program) learn(resolved map[*contract.PublicSchema]resolution) {
	if p.resolved == nil {
		p.resolved = map[*contract.PublicSchema]resolution{}
	}
	maps.Copy(p.resolved, resolved)
}

// check sees that every public schema is resolved and compares what consumers ask for with what they will get.
func (p *program) check(ctx context.Context, pairs []pairing) error {
	var errs []error
	for slug, s := range p.sources {
		schemas := schemasOf(slug, pairs)
		if _, done := p.resolved[schemas[0]]; !done {
			p.learn(resolve(ctx, s, schemas))
		}
	}
	seen := map[*contract.PublicSchema]bool{}
	for _, pr := range pairs {
		r := p.resolved[pr.schema]
		switch {
		case r.err == nil:
			errs = append(errs, p.destinations[pr.consumer.Destination].Check(pr.consumer.ID(), r.views[0].Shape))
		case !seen[pr.schema]:
			errs = append(errs, r.err)
		}
		seen[pr.schema] = true
	}
	return errors.Join(errs...)
}

// wire connects the stages.
func (p *program) wire(pairs []pairing, log *slog.Logger) {
	pool := spill.NewPool(os.TempDir(), memoryForKeys)
	p.engine = &engine.Engine{}
	producers := map[string]*engine.Producer{}
	ends := map[string]*engine.Destination{}
	for _, pr := range pairs {
		from, to := pr.schema.Source, pr.consumer.Destination
		if producers[from] == nil {
			producers[from] = engine.NewProducer(from, p.sources[from], pool, log)
			p.engine.Producers = append(p.engine.Producers, producers[from])
		}
		if ends[to] == nil {
			ends[to] = engine.NewDestination(to, p.destinations[to], log)
			p.engine.Destinations = append(p.engine.Destinations, ends[to])
		}
		producers[from].Add(pr.consumer, pr.schema, ends[to])
		producers[from].Resolved(pr.schema, p.resolved[pr.schema].views)
	}
}

func (p *program) close() error {
	var errs []error
	for _, s := range p.sources {
		errs = append(errs, s.Close())
	}
	for _, d := range p.destinations {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// Status tells how the program stands, for the API.
func (p *program) Status() httpapi.Status {
	s := httpapi.Status{State: "started", Manifests: p.manifests, Started: p.started, Pipelines: []httpapi.Pipeline{}}
	for _, g := range p.engine.Stages() {
		s.Stages = append(s.Stages, httpapi.Stage{Name: g.Name, Seconds: g.Time.Seconds()})
	}
	for _, l := range p.engine.Status() {
		line := httpapi.Pipeline{
			Consumer: l.Consumer, PublicSchema: fmt.Sprintf("%s %d.%d", l.Schema.Name, l.Schema.Major, l.Schema.Minor), Source: l.Source,
			Destination: l.Destination, State: string(l.State), Since: l.Since, Position: l.Position.String(), Place: l.Position.Horizon.String(),
			LagBytes: l.LagBytes, LagSeconds: l.Lag.Seconds(), Upserts: l.Upserts, Deletes: l.Deletes, Batches: l.Batches, RetryAt: l.RetryAt,
			Backfill: httpapi.Backfill{Done: l.Backfill.Done, Rows: l.Backfill.Rows, Estimate: l.Backfill.Estimate},
		}
		for _, w := range p.destinations[l.Destination].Ways(l.Consumer) {
			line.Apply = append(line.Apply, httpapi.Way{Statement: w.Statement, Way: w.Name, Reason: w.Reason})
		}
		if l.Err != nil {
			line.Error, line.Mend = l.Err.Error(), rejot.MendOf(l.Err)
		}
		s.Pipelines = append(s.Pipelines, line)
	}
	return s
}

// Resume tries a consumer again at once.
func (p *program) Resume(id string) int { return p.engine.Resume(id) }
