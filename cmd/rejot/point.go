package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/spf13/pflag"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/manifest"
)

// pointOptions are the flags of rejot sync without a manifest: one query of one database, to one sink.
type pointOptions struct {
	source            string
	sink              string
	publicSchema      string
	consumerSchema    string
	backfillFrom      string
	backfillKeys      []string
	publication       string
	createPublication bool
	keepPublication   bool // the original's way to say the opposite
}

const (
	// pointManifest is the slug of the manifest that the flags stand for.
	pointManifest = "point-to-point"
	// The original's names, which are used where no other is given.
	pointPublication = "rejot_publication"
	pointSlot        = "rejot_slot"
	// outputName is what ends the names of what serves standard output. It does not outlive the program.
	outputName = "_stdout"
	// outputSink is the connection string of standard output.
	outputSink = "stdout://"
)

func (o *pointOptions) add(f *pflag.FlagSet) {
	f.StringVar(&o.source, "source", "", "without a manifest: the source, as postgresql://user[:password]@host[:port]/database; parts may be ${env:NAME}")
	f.StringVar(&o.sink, "sink", outputSink, "without a manifest: postgresql://… or mysql://…, a file's path or file://…, or - for standard output")
	f.StringVar(&o.publicSchema, "public-schema", "", "without a manifest: the file of the query")
	f.StringVar(&o.consumerSchema, "consumer-schema", "", "without a manifest: the file of the statement, where the sink is a database")
	f.StringVar(&o.backfillFrom, "backfill-from", "", "without a manifest: copy at first only rows of the base table for which this condition holds")
	f.StringSliceVar(&o.backfillKeys, "backfill-primary-key", nil, "without a manifest: the base table's key, as schema.table.column[:alias]")
	f.StringVar(&o.publication, "pg-publication-name", pointPublication, "without a manifest: name of the publication")
	f.BoolVar(&o.createPublication, "pg-create-publication", true, "without a manifest: create the publication where there is none")
	f.BoolVar(&o.keepPublication, "no-pg-create-publication", false, "the same as --pg-create-publication=false")
	_ = f.MarkHidden("no-pg-create-publication") // the flag is there
}

// given reports whether the flags say that there is no manifest.
func (o *pointOptions) given() bool {
	return o.source != "" || o.publicSchema != "" || o.consumerSchema != "" || o.sink != outputSink || o.backfillFrom != "" || o.backfillKeys != nil
}

// check looks at what the flags tell by themselves.
func (o *pointOptions) check(paths []string) error {
	wrong := func(mend, format string, args ...any) error {
		return rejot.WithMend(rejot.Errorf(rejot.Invalid, format, args...), "%s", mend)
	}
	switch {
	case len(paths) > 0:
		return wrong("name manifests, or give --source, --sink and --public-schema", "a manifest and --source do not go together")
	case o.source == "":
		return wrong("--source postgresql://user[:password]@host[:port]/database", "--source is missing")
	case o.publicSchema == "":
		return wrong("--public-schema FILE.sql", "--public-schema is missing")
	case (o.backfillFrom == "") != (o.backfillKeys == nil):
		return wrong("give both, or none to copy all rows", "--backfill-from and --backfill-primary-key come together")
	case !publicationName.MatchString(o.publication):
		return wrong("use a to z, 0 to 9 and _, 50 at most", "--pg-publication-name: %q cannot name a slot as well", o.publication)
	}
	return nil
}

// publicationName is shorter than Postgres allows, since slots are named after it.
var publicationName = regexp.MustCompile(`^[a-z0-9_]{1,50}$`)

// point runs what the flags say, as sync runs manifests.
func (a *app) point(ctx context.Context, paths []string, o pointOptions, s syncOptions) error {
	if err := o.check(paths); err != nil {
		return err
	}
	log, err := a.logger(s.logLevel)
	if err != nil {
		return err
	}
	set, err := reach(ctx, s.wait, log, o.set)
	if err != nil {
		return stopped(err)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryAim)
	}
	p, err := openProgram(ctx, set, log, s.wait)
	if err != nil {
		return stopped(err)
	}
	if err := o.checkKey(ctx, p, set); err != nil {
		return errors.Join(stopped(err), p.close())
	}
	quiet := *a
	if set.DataStores["sink"].Connection.Database == outputPath {
		quiet.stdout = a.stderr // standard output is for the lines alone
	}
	err = quiet.serve(ctx, p, s, log)
	return errors.Join(err, p.close(), o.leave(ctx, set, log))
}

// set makes what manifests would have said.
func (o *pointOptions) set(ctx context.Context) (*manifest.Set, error) {
	from, err := resolveConnection("--source", "source", o.source)
	if err != nil {
		return nil, err
	}
	if from.Type != "postgres" {
		return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "--source: a %s database cannot be a source without a manifest", from.Type), "--source postgresql://…")
	}
	to, err := o.resolveSink()
	if err != nil {
		return nil, err
	}
	query, err := readPublicSQL(o.publicSchema)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(filepath.Base(o.publicSchema), filepath.Ext(o.publicSchema))
	consumer := &contract.Consumer{
		Manifest: pointManifest, Name: name + "-from-" + from.Database, SourceManifest: pointManifest, Schema: name, Major: 1, Destination: "sink",
		DefinitionFile: o.consumerSchema,
	}
	if err := o.addStatements(consumer, to); err != nil {
		return nil, err
	}
	slot, publication := o.names(to)
	if !o.createPublication || o.keepPublication {
		if err := needPublication(ctx, from, publication); err != nil {
			return nil, err
		}
	}
	table, err := o.baseTable(ctx, from, query)
	if err != nil {
		return nil, err
	}
	store := contract.DataStore{Connection: from, SlotName: slot, PublicationName: publication, BackfillWhere: o.backfillFrom}
	return &manifest.Set{
		Slugs:      []string{pointManifest},
		DataStores: map[string]contract.DataStore{"source": store, "sink": {Connection: to}},
		PublicSchemas: []*contract.PublicSchema{{
			Ref: rejot.Ref{Manifest: pointManifest, Name: name, Major: 1}, Source: "source", OutputSchema: []byte(`{"type":"object"}`), DefinitionFile: o.publicSchema,
			Transformations: []contract.Transformation{{Operations: []string{"insert", "update", "delete"}, Table: table, SQL: query.text, Rows: query.rows}},
		}},
		Consumers: []*contract.Consumer{consumer},
	}, nil
}

// names gives the names of slot and publication. A slot serves one program, and one that serves standard output
// does not outlive it, so that it must not be another's.
func (o *pointOptions) names(to contract.Connection) (slot, publication string) {
	slot, publication = o.publication, o.publication
	if o.publication == pointPublication {
		slot = pointSlot
	}
	if to.Database != outputPath {
		return slot, publication
	}
	if o.publication == pointPublication {
		publication += outputName
	}
	return slot + outputName, publication
}

// addStatements reads the consumer schema's file, where the sink is a database.
func (o *pointOptions) addStatements(c *contract.Consumer, to contract.Connection) error {
	if to.Type == fileConnection {
		if o.consumerSchema != "" {
			return rejot.WithMend(rejot.Errorf(rejot.Invalid, "--consumer-schema is for a database, and --sink is none"), "leave it out: each line has the whole row")
		}
		return nil
	}
	if o.consumerSchema == "" {
		return rejot.WithMend(rejot.Errorf(rejot.Invalid, "--consumer-schema is missing, which a database needs"), "--consumer-schema FILE.sql")
	}
	return readConsumerSQL(o.consumerSchema, to.Type, c)
}

const (
	// fileConnection is the type of a connection that leads to a file. Its path stands for the database.
	fileConnection = "file"
	// outputPath is the path of standard output.
	outputPath = "-"
)

// resolveSink reads --sink.
func (o *pointOptions) resolveSink() (contract.Connection, error) {
	path := o.sink
	switch {
	case path == outputSink, path == "stdout", path == outputPath:
		return contract.Connection{Slug: "sink", Type: fileConnection, Database: outputPath}, nil
	case strings.HasPrefix(path, "file://"):
		var err error
		if path, err = url.PathUnescape(strings.TrimPrefix(path, "file://")); err != nil {
			return contract.Connection{}, rejot.WithMend(rejot.Errorf(rejot.Invalid, "--sink has a %% that no two hexadecimal digits follow"), "write %%25 for %%")
		}
	case strings.Contains(path, "://"):
		return resolveConnection("--sink", "sink", path)
	}
	if path == "" {
		return contract.Connection{}, rejot.WithMend(rejot.Errorf(rejot.Invalid, "--sink names no file"), "--sink FILE, or - for standard output")
	}
	return contract.Connection{Slug: "sink", Type: fileConnection, Database: path}, nil
}

// resolveConnection reads a connection string with its references.
func resolveConnection(flag, slug, text string) (contract.Connection, error) {
	conf, err := parseConnection(text)
	if err != nil {
		return contract.Connection{}, rejot.WithMend(rejot.Errorf(rejot.CodeOf(err), "%s: %w", flag, err), "%s", rejot.MendOf(err))
	}
	m := &manifest.Manifest{Slug: slug, Connections: []manifest.Connection{{Slug: slug, Config: conf}}}
	data, err := m.Encode()
	if err != nil {
		return contract.Connection{}, err
	}
	if m, err = manifest.Parse(flag, data); err != nil {
		return contract.Connection{}, err
	}
	return m.Resolve(slug)
}

// checkKey holds --backfill-primary-key against the key that the database has told.
func (o *pointOptions) checkKey(ctx context.Context, p *program, set *manifest.Set) error {
	if o.backfillKeys == nil {
		return nil
	}
	views, err := p.sources["source"].Resolve(ctx, set.PublicSchemas[0])
	if err != nil {
		return err
	}
	var columns []string
	for _, k := range views[0].Key {
		columns = append(columns, k.Name)
	}
	for _, key := range o.backfillKeys {
		k := parseBackfillKey(key)
		if k.table != "" && !k.isOf(views[0].Base) {
			continue // of a joined table, which follows from the base table's rows
		}
		if !contains(columns, k.column) {
			err := rejot.Errorf(rejot.Invalid, "--backfill-primary-key names %s, and the key of %s is %s", k.column, views[0].Base, strings.Join(columns, ", "))
			return rejot.WithMend(err, "--backfill-primary-key %s.%s", views[0].Base, cmp.Or(strings.Join(columns, ","), "COLUMN"))
		}
	}
	return nil
}

// leave removes the slot that served standard output: nothing will go on where it stands, and the source would keep
// its log for it.
func (o *pointOptions) leave(ctx context.Context, set *manifest.Set, log *slog.Logger) error {
	if set.DataStores["sink"].Connection.Database != outputPath {
		return nil
	}
	store := set.DataStores["source"]
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reachWithin)
	defer cancel()
	if err := dropSlot(ctx, store.Connection, store.SlotName); err != nil {
		return stopped(rejot.WithMend(fmt.Errorf("remove the slot that served standard output: %w", err), "SELECT pg_drop_replication_slot('%s')", store.SlotName))
	}
	log.Debug("the slot was removed", "slot", store.SlotName)
	return nil
}
