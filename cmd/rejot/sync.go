package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/httpapi"
	"rejot.dev/rejot/manifest"
)

type syncOptions struct {
	host     string
	port     int
	logLevel string
	resolver string
	wait     bool
}

func newSyncCommand(app *app) *cobra.Command {
	var o syncOptions
	var point pointOptions
	cmd := &cobra.Command{
		Use:   "sync MANIFEST…",
		Short: "Keep destinations equal to public schemas: the service",
		Long: `Reads the change logs of the sources that the manifests' public schemas name and keeps the
destinations of their consumer schemas equal to them, until it is stopped.

Exit codes: 0 stopped by a signal, 2 a manifest or a contract is wrong, 3 a pipeline stands still or a
database could not be reached.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, paths []string) error {
			if point.given() {
				return app.point(cmd.Context(), paths, point, o)
			}
			return app.sync(cmd.Context(), paths, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.host, "hostname", "localhost", "address of the HTTP API")
	f.IntVar(&o.port, "api-port", 3000, "port of the HTTP API; 0 takes a free one")
	f.StringVar(&o.logLevel, "log-level", "info", "user, error, warn, info, debug or trace")
	f.StringVar(&o.resolver, "resolver", "localhost", "how other services are found: localhost or env")
	f.BoolVar(&o.wait, "wait", false, "wait for databases that cannot be reached at the start")
	point.add(f)
	return cmd
}

// levels are the original's words; user is what a person at a terminal wants to see.
var levels = map[string]slog.Level{
	"user": slog.LevelInfo, "error": slog.LevelError, "warn": slog.LevelWarn, "info": slog.LevelInfo, "debug": slog.LevelDebug, "trace": slog.LevelDebug,
}

// logger writes what is at least of a level to standard error.
func (a *app) logger(word string) (*slog.Logger, error) {
	level, ok := levels[strings.ToLower(word)]
	if !ok {
		return nil, rejot.Errorf(rejot.Invalid, "--log-level %s is not one of user, error, warn, info, debug, trace", word)
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level})), nil
}

func (a *app) sync(ctx context.Context, paths []string, o syncOptions) error {
	log, err := a.logger(o.logLevel)
	if err != nil {
		return err
	}
	set, err := manifest.Load(paths...)
	if err != nil {
		return err
	}
	for _, note := range set.Notes {
		log.Info(note)
	}
	if len(set.EventStores) > 0 {
		log.Info("event stores are named and not used yet: events go directly, and the source's own log is the queue")
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryAim)
	}
	p, err := openProgram(ctx, set, log, o.wait)
	if err != nil {
		return stopped(err)
	}
	return errors.Join(a.serve(ctx, p, o, log), p.close())
}

// serve runs an open program with its API and its progress.
func (a *app) serve(ctx context.Context, p *program, o syncOptions, log *slog.Logger) error {
	server, err := httpapi.Listen(ctx, o.host, o.port, p)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "rejot: %d consumer schemas, %d sources, %d destinations; API on http://%s\n", p.pipelines(), len(p.sources), len(p.destinations), server.Addr())
	for _, c := range p.external {
		log.Warn("consumer schema is not run: its public schema stands in a manifest that is not loaded", "consumer", c.Name, "manifest", c.SourceManifest)
	}
	apiCtx, stop := context.WithCancel(ctx)
	defer stop()
	api := make(chan error, 1)
	go func() { api <- server.Serve(apiCtx) }()
	shown := a.showProgress(apiCtx, p, log)
	err = p.engine.Run(ctx)
	still := p.engine.Failed()
	stop()
	<-shown
	if err == nil && still != nil {
		err = fmt.Errorf("a pipeline stands still: %w", still)
	}
	return errors.Join(stopped(err), <-api)
}

func (p *program) pipelines() int {
	n := 0
	for range p.engine.Status() {
		n++
	}
	return n
}
