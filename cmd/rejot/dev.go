package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/check"
	"rejot.dev/rejot/httpapi"
	"rejot.dev/rejot/manifest"
)

type devOptions struct {
	manifests []string
	host      string
	port      int
	python    string
	mask      bool
}

func newDevCommand(app *app) *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev [FILE…]",
		Short: "Watch contracts in code, run them, and show each change as it flows",
		Long: `Collects the definitions in the files and folders into the manifest, checks them and runs the pipelines. When a
file changes, all of this is done again in the same process: a definition that is wrong is told, and the pipelines go on as
they were until it is right. Each change is shown with what the source wrote, the row that it became and the statement
that wrote it. Without files, the manifest alone is watched.

It is for a developer's own databases: values are shown. --mask shows their form alone.`,
		RunE: func(cmd *cobra.Command, files []string) error { return app.dev(cmd.Context(), files, o) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.manifests, "manifest", nil, "a manifest; may be given several times, and definitions go into the first; by default "+manifest.FileName+" here or above")
	f.StringVar(&o.host, "hostname", "localhost", "address of the HTTP API")
	f.IntVar(&o.port, "api-port", 3000, "port of the HTTP API; 0 takes a free one")
	f.StringVar(&o.python, "python-executable", "python3", "the Python interpreter")
	f.BoolVar(&o.mask, "mask", false, "show the form of values instead of values")
	return cmd
}

// A developer is a run of `rejot dev`: at most one program at a time, another one whenever contracts change.
type developer struct {
	*app
	files []string
	o     devOptions
	show  *flow
	log   *slog.Logger
	found string // what the check last told

	mu      sync.Mutex
	program *program // nil before the first one could be opened
	text    []byte   // of the manifests that it runs
	stop    func()   // ends it and waits
}

func (a *app) dev(ctx context.Context, files []string, o devOptions) error {
	if len(o.manifests) == 0 {
		path, _, _, err := a.readForCollect("")
		if err != nil {
			return err
		}
		o.manifests = []string{path}
	}
	d := &developer{app: a, files: files, o: o, show: newFlow(a, o.mask)}
	d.log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return rejot.Errorf(rejot.Unsupported, "watch files: %w", err)
	}
	defer watcher.Close() //nolint:errcheck // nothing depends on it any more
	if err := d.watch(watcher); err != nil {
		return err
	}
	server, err := httpapi.Listen(ctx, o.host, o.port, d)
	if err != nil {
		return err
	}
	d.show.say("API on http://%s", server.Addr())
	apiCtx, cancel := context.WithCancel(ctx)
	api := make(chan error, 1)
	go func() { api <- server.Serve(apiCtx) }()
	d.again(ctx)
	err = d.follow(ctx, watcher)
	cancel()
	d.end()
	return errors.Join(err, <-api)
}

// watch watches the folders of the manifests and of the definitions, with those below.
func (d *developer) watch(w *fsnotify.Watcher) error {
	for _, m := range d.o.manifests {
		if err := w.Add(filepath.Dir(m)); err != nil {
			return rejot.Errorf(rejot.NotFound, "watch the folder of %s: %w", m, err)
		}
	}
	for _, f := range d.files {
		if info, err := os.Stat(f); err != nil || !info.IsDir() {
			if err := w.Add(filepath.Dir(f)); err != nil {
				return rejot.Errorf(rejot.NotFound, "watch the folder of %s: %w", f, err)
			}
			continue
		}
		if err := watchBelow(w, f); err != nil {
			return err
		}
	}
	return nil
}

func watchBelow(w *fsnotify.Watcher, folder string) error {
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if name := entry.Name(); path != folder && (name == "node_modules" || strings.HasPrefix(name, ".")) {
			return fs.SkipDir
		}
		return w.Add(path)
	})
	if err != nil {
		return rejot.Errorf(rejot.NotFound, "watch %s: %w", folder, err)
	}
	return nil
}

// settled is how long no file must change before the change is taken to be whole: editors write in steps.
const settled = 50 * time.Millisecond

// follow does everything again whenever files have changed.
func (d *developer) follow(ctx context.Context, w *fsnotify.Watcher) error {
	timer := time.NewTimer(settled)
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-w.Events:
			if event.Has(fsnotify.Create) {
				if info, err := os.Stat(event.Name); err == nil && info.IsDir() {
					if err := watchBelow(w, event.Name); err != nil {
						d.printErrors(err)
					}
				}
			}
			timer.Reset(settled)
		case err := <-w.Errors:
			return rejot.Errorf(rejot.Internal, "watch files: %w", err)
		case <-timer.C:
			d.again(ctx)
		}
	}
}

// again collects, checks and, where the manifests have changed, runs them. What is wrong is told, and what runs goes on.
func (d *developer) again(ctx context.Context) {
	if len(d.files) > 0 {
		quiet := *d.app
		quiet.stdout = &bytes.Buffer{} // what is written is told below
		if err := quiet.collect(ctx, d.files, collectOptions{write: true, manifest: d.o.manifests[0], logLevel: "user", python: d.o.python}); err != nil {
			d.fault(err)
			return
		}
	}
	text, err := d.read()
	if err != nil {
		d.fault(err)
		return
	}
	d.mu.Lock()
	same := d.program != nil && bytes.Equal(text, d.text)
	d.mu.Unlock()
	if same {
		return
	}
	if !d.check() {
		return
	}
	if err := d.start(ctx, text); err != nil && ctx.Err() == nil {
		d.fault(err)
	}
}

func (d *developer) fault(err error) {
	d.printErrors(err)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.program != nil {
		d.show.say("the pipelines go on as they were")
	}
}

// read gives the bytes of all manifests.
func (d *developer) read() ([]byte, error) {
	var all []byte
	for _, path := range d.o.manifests {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, rejot.Errorf(rejot.NotFound, "MANIFEST_NOT_FOUND: %w", err)
		}
		all = append(append(all, text...), 0)
	}
	return all, nil
}

// check tells the findings of the offline check, and whether the manifests can be run.
func (d *developer) check() bool {
	manifests, problems, err := manifest.Inspect(d.o.manifests...)
	if err != nil {
		d.fault(err)
		return false
	}
	report := check.Lint(manifests, problems, false)
	report.Finish(manifests)
	var found bytes.Buffer
	printer := *d.app
	printer.stdout = &found
	if err := printer.printReport(report, manifests, checkOptions{}); err != nil {
		d.printErrors(err)
	}
	if text := found.String(); text != d.found && len(report.Findings) > 0 {
		d.show.print(text)
		d.found = text
	}
	return !report.Failed()
}

// start opens the manifests' program, and then puts it in the place of the one that runs.
func (d *developer) start(ctx context.Context, text []byte) error {
	set, err := manifest.Load(d.o.manifests...)
	if err != nil {
		return err
	}
	began := time.Now()
	p, err := openProgram(ctx, set, d.log, false)
	if err != nil {
		return err
	}
	p.tap(d.show, d.log)
	d.end()
	runCtx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := p.engine.Run(runCtx); err != nil && runCtx.Err() == nil {
			d.printErrors(err)
		}
		if err := p.close(); err != nil {
			d.printErrors(err)
		}
	}()
	d.mu.Lock()
	d.program, d.text = p, text
	d.stop = func() {
		cancel()
		<-ended
	}
	d.mu.Unlock()
	d.show.say("%d pipelines run, after %s", p.pipelines(), time.Since(began).Round(time.Millisecond))
	return nil
}

// end stops the program that runs.
func (d *developer) end() {
	d.mu.Lock()
	stop := d.stop
	d.stop = nil
	d.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// Status tells how the present program stands, for the API.
func (d *developer) Status() httpapi.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.program == nil {
		return httpapi.Status{State: "initial", Pipelines: []httpapi.Pipeline{}}
	}
	return d.program.Status()
}

// Resume tries a consumer again at once.
func (d *developer) Resume(id string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.program == nil {
		return 0
	}
	return d.program.Resume(id)
}
