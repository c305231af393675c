package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/manifest"
)

func newManifestCommand(a *app) *cobra.Command {
	sync := newSyncCommand(a)
	sync.Use = "sync PATH…"
	sync.Short = "Same as rejot sync"
	return newGroup("manifest", "Create, show and change a manifest",
		newManifestInitCommand(a), newManifestInfoCommand(a), newConnectionCommand(a), newDataStoreCommand(a), newEventStoreCommand(a), sync)
}

func newManifestInitCommand(a *app) *cobra.Command {
	var slug, path string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Create a manifest",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if slug == "" {
				return rejot.WithMend(rejot.Errorf(rejot.Invalid, "the manifest needs a slug"), "rejot manifest init --slug NAME")
			}
			return a.createManifest(path, slug)
		},
	}
	cmd.Flags().StringVar(&slug, "slug", "", "the manifest's name, unique among all that work together (required)")
	cmd.Flags().StringVar(&path, "manifest", "./"+manifest.FileName, "the file to create")
	return cmd
}

func newManifestInfoCommand(a *app) *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Show what a manifest has, without its secrets",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			m, path, err := openManifest(path)
			if err != nil {
				return err
			}
			if m, err = m.Redacted(); err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(m)
			}
			a.printManifest(path, m)
			return nil
		},
	}
	addManifestFlag(cmd, &path)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func (a *app) printManifest(path string, m *manifest.Manifest) {
	fmt.Fprintf(a.stdout, "%s: manifest %s\n", path, m.Slug)
	a.printTable("connection", connectionTable(m))
	a.printTable("data store", dataStoreTable(m))
	a.printTable("event store", eventStoreTable(m))
	rows := [][]string{{"public schema", "version", "data store", "transformations", "definition"}}
	for _, s := range m.PublicSchemas {
		rows = append(rows, []string{s.Name, fmt.Sprintf("%d.%d", s.Version.Major, s.Version.Minor), s.Source.DataStore, fmt.Sprint(len(s.Config.Transformations)), s.DefinitionFile})
	}
	a.printTable("public schema", rows)
	rows = [][]string{{"consumer schema", "reads", "destination", "deletes", "definition"}}
	for _, s := range m.ConsumerSchemas {
		deletes := "yes"
		if s.Config.DeleteSQL == "" {
			deletes = "ignored"
		}
		rows = append(rows, []string{s.Name, fmt.Sprintf("%s/%s %d", s.SourceManifest, s.PublicSchema.Name, s.PublicSchema.Major), s.Config.Destination, deletes, s.DefinitionFile})
	}
	a.printTable("consumer schema", rows)
	rows = [][]string{{"workspace"}}
	for _, w := range m.Workspaces {
		rows = append(rows, []string{w})
	}
	a.printTable("workspace", rows)
}

// printTable prints rows under a heading row; where there are none, that there is no thing.
func (a *app) printTable(thing string, rows [][]string) {
	if len(rows) == 1 {
		fmt.Fprintf(a.stdout, "no %s\n", thing)
		return
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	for i, r := range rows {
		row := table.Row{}
		for _, cell := range r {
			row = append(row, cell)
		}
		if i == 0 {
			t.AppendHeader(row)
			continue
		}
		t.AppendRow(row)
	}
	fmt.Fprintln(a.stdout, t.Render())
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func addManifestFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "manifest", "", "the manifest; by default "+manifest.FileName+" here or above")
}

func addJSONFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON")
}

// openManifest reads the manifest at path, or the one that is found from here upwards.
func openManifest(path string) (*manifest.Manifest, string, error) {
	if path == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, "", rejot.Errorf(rejot.Invalid, "find a manifest: %w", err)
		}
		if path, err = manifest.Find(dir); err != nil {
			return nil, "", err
		}
		if short, err := filepath.Rel(dir, path); err == nil {
			path = short
		}
	}
	m, err := manifest.Read(path)
	return m, path, err
}

// editManifest changes a manifest and says what was done.
func (a *app) editManifest(path string, edit func(*manifest.Manifest) (done string, err error)) error {
	m, path, err := openManifest(path)
	if err != nil {
		return err
	}
	done, err := edit(m)
	if err != nil {
		return err
	}
	if err := m.Write(path); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s: %s\n", path, done)
	return nil
}
