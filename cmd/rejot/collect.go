package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract/collect"
	"rejot.dev/rejot/manifest"
)

type collectOptions struct {
	write, check, print, verbose, prune bool
	manifest, logLevel, python          string
	files                               []string // as they were named
	looked                              int      // how many were evaluated
}

func newCollectCommand(a *app) *cobra.Command {
	var o collectOptions
	cmd := &cobra.Command{
		Use:   "collect FILE…",
		Short: "Find public and consumer schemas in code and write them into the manifest",
		Long: `Find public and consumer schemas in TypeScript, Python, Go and .sql files, and write them into the manifest.

A folder stands for the files below it that look like definitions. Of Python, package.module.py names a module.
What others wrote into the manifest stays: entries of files that were not named, and entries without a definitionFile.`,
		Example: `  rejot collect schemas --write
  rejot collect schemas --check
  rejot collect schemas/account.ts schemas/reports.sql --print`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return rejot.WithMend(rejot.Errorf(rejot.Invalid, "name a file or a folder with definitions"), "rejot collect FILE… --write")
			}
			return a.collect(cmd.Context(), args, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.write, "write", false, "write what was collected into the manifest")
	f.BoolVar(&o.check, "check", false, "print how the manifest differs from the code; exit with 1 where it does")
	f.BoolVar(&o.print, "print", false, "print what was collected as JSON, as it stands in a manifest")
	f.BoolVar(&o.prune, "prune", false, "remove entries of files that were not named, and fields that no definition has")
	f.BoolVar(&o.verbose, "verbose", false, "say what is passed over, and show what definitions print")
	f.StringVar(&o.logLevel, "log-level", "user", "user, error, warn, info, debug or trace")
	f.StringVar(&o.python, "python-executable", "python3", "the Python interpreter")
	addManifestFlag(cmd, &o.manifest)
	return cmd
}

func (a *app) collect(ctx context.Context, args []string, o collectOptions) error {
	level := strings.ToLower(o.logLevel)
	if _, ok := levels[level]; !ok {
		return rejot.Errorf(rejot.Invalid, "--log-level %s is not one of user, error, warn, info, debug, trace", o.logLevel)
	}
	path, m, data, err := a.readForCollect(o.manifest)
	if err != nil {
		return err
	}
	found, err := collect.Find(args)
	if err != nil {
		return err
	}
	for _, name := range found.Missing {
		a.note("%s does not exist, and is skipped", name)
	}
	describer := newQueryDescriber(m)
	defer describer.close(ctx)
	conf := collect.Config{Folder: filepath.Dir(path), Python: o.python, Manifest: m, Describe: describer}
	if o.verbose || level == "debug" || level == "trace" {
		conf.Log = func(text string) { a.note("%s", text) }
	}
	result, err := collect.New(conf).Run(ctx, found.Files)
	if err != nil {
		return err
	}
	result.Files = append(result.Files, entriesLookedAt(path, m, found.Looked)...)
	merged, err := mergeCollected(path, data, result, o.prune)
	if err != nil {
		return err
	}
	o.files, o.looked = args, len(found.Files)
	return a.useCollected(path, data, result.Collected(), merged, o)
}

// readForCollect reads the manifest that definitions go into. What is wrong in it is told, and keeps nothing from being collected.
func (a *app) readForCollect(path string) (string, *manifest.Manifest, []byte, error) {
	if path == "" {
		dir, err := os.Getwd()
		if err != nil {
			return "", nil, nil, rejot.Errorf(rejot.Invalid, "find a manifest: %w", err)
		}
		if path, err = manifest.Find(dir); err != nil {
			return "", nil, nil, err
		}
		if short, err := filepath.Rel(dir, path); err == nil {
			path = short
		}
	}
	m, data, wrong := manifest.Partly(path)
	if m == nil {
		return path, nil, data, wrong
	}
	if wrong != nil {
		for _, e := range apart(wrong) {
			a.note("stays as it is: %s", e)
		}
	}
	return path, m, data, nil
}

// entriesLookedAt gives the files of the manifest's entries that were looked at in a folder that was named, also where they no
// longer look like definitions.
func entriesLookedAt(path string, m *manifest.Manifest, looked map[string]bool) []string {
	var files []string
	add := func(file string) {
		at, err := filepath.Abs(filepath.Join(filepath.Dir(path), filepath.FromSlash(file)))
		if err == nil && looked[at] {
			files = append(files, file)
		}
	}
	for _, s := range m.PublicSchemas {
		add(s.DefinitionFile)
	}
	for _, s := range m.ConsumerSchemas {
		add(s.DefinitionFile)
	}
	return files
}

func mergeCollected(path string, data []byte, result *collect.Result, prune bool) (*manifest.Merged, error) {
	c := result.Collected()
	c.Prune = prune
	c.Exists = func(file string) bool {
		_, err := os.Stat(filepath.Join(filepath.Dir(path), filepath.FromSlash(file)))
		return err == nil
	}
	return manifest.Merge(path, data, c)
}

// useCollected does what the flags ask for. Where JSON is printed, nothing else goes to standard output.
func (a *app) useCollected(path string, data []byte, c manifest.Collected, merged *manifest.Merged, o collectOptions) error {
	say := a.stdout
	if o.print {
		say = a.stderr
		if err := a.printJSON(struct {
			PublicSchemas   []manifest.PublicSchema   `json:"publicSchemas"`
			ConsumerSchemas []manifest.ConsumerSchema `json:"consumerSchemas"`
		}{append([]manifest.PublicSchema{}, c.PublicSchemas...), append([]manifest.ConsumerSchema{}, c.ConsumerSchemas...)}); err != nil {
			return err
		}
	}
	for _, note := range merged.Notes {
		a.note("%s", note)
	}
	if o.check && merged.Changed {
		fmt.Fprintf(say, "%s", diff.Diff(path, data, path+" as the code has it", merged.Data))
	}
	count := fmt.Sprintf("%s and %s in %s", plural(len(c.PublicSchemas), "public schema"), plural(len(c.ConsumerSchemas), "consumer schema"), plural(o.looked, "file"))
	switch {
	case o.write && merged.Changed:
		if err := merged.Write(path); err != nil {
			return err
		}
		fmt.Fprintf(say, "%s: written, with %s\n", path, count)
	case o.write || o.check && !merged.Changed:
		fmt.Fprintf(say, "%s: agrees with %s\n", path, count)
	case o.check:
		fmt.Fprintf(a.stderr, "%s: differs from %s\n  mend: rejot collect %s --write\n", path, count, strings.Join(o.files, " "))
		return errFound
	case !o.print:
		fmt.Fprintf(say, "%s: found %s\n", path, count)
		a.note("nothing was asked for: --write, --check or --print")
	}
	return nil
}
