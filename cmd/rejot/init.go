package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/manifest"
)

func newInitCommand(a *app) *cobra.Command {
	var slug, path string
	var from fromTableOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Create a manifest here, or a first contract for a table",
		Long: `Creates a manifest, asking for what it needs.

With --from-table it writes a first contract instead, for a table of a data store that the manifest has already: a
.sql file with a public schema of all its columns and, with --to, one with a consumer schema that writes them there.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from.table != "" {
				if cmd.Flags().Changed("manifest") {
					from.manifest = path
				}
				return a.fromTable(cmd.Context(), from)
			}
			if slug == "" {
				var err error
				if slug, err = a.askSlug(); err != nil {
					return err
				}
			}
			return a.createManifest(path, slug)
		},
	}
	cmd.Flags().StringVar(&slug, "slug", "", "the manifest's name, unique among all that work together")
	cmd.Flags().StringVar(&path, "manifest", "./"+manifest.FileName, "the file to create")
	cmd.Flags().StringVar(&from.table, "from-table", "", "write a first contract for this table")
	cmd.Flags().StringVar(&from.source, "data-store", "", "the data store that has the table; by default the only source")
	cmd.Flags().StringVar(&from.to, "to", "", "the data store that a consumer schema is written for")
	cmd.Flags().StringVar(&from.folder, "folder", "contracts", "where the .sql files go")
	return cmd
}

// notInSlugs are the characters that a slug cannot have.
var notInSlugs = regexp.MustCompile(`[^a-z0-9-]+`)

// askSlug proposes the folder's name.
func (a *app) askSlug() (string, error) {
	if !a.terminal {
		return "", rejot.WithMend(rejot.Errorf(rejot.Invalid, "the manifest needs a slug"), "rejot init --slug NAME")
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", rejot.Errorf(rejot.Invalid, "name of this folder: %w", err)
	}
	proposal := strings.Trim(notInSlugs.ReplaceAllString(strings.ToLower(filepath.Base(dir)), "-"), "-")
	fmt.Fprintf(a.stdout, "Slug of this manifest [%s]: ", proposal)
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil {
		return "", rejot.Errorf(rejot.Invalid, "no answer: %w", err)
	}
	if line = strings.TrimSpace(line); line != "" {
		return line, nil
	}
	return proposal, nil
}

// createManifest writes an empty manifest and prints what comes next.
func (a *app) createManifest(path, slug string) error {
	if err := a.newManifest(path, &manifest.Manifest{
		Slug: slug, Connections: []manifest.Connection{}, DataStores: []manifest.DataStore{}, EventStores: []manifest.EventStore{},
		PublicSchemas: []manifest.PublicSchema{}, ConsumerSchemas: []manifest.ConsumerSchema{}, Workspaces: []string{},
	}); err != nil {
		return err
	}
	flag := ""
	if filepath.Base(path) != manifest.FileName {
		flag = " --manifest " + path
	}
	fmt.Fprintf(a.stdout, `created %s

Next:
  1. a connection to a database:
       rejot manifest connection add%[2]s --slug db --connection-string 'postgresql://USER:${env:DB_PASSWORD}@HOST:5432/DATABASE'
  2. the database as a source, with a slot and a publication that rejot will make; without both it is a destination:
       rejot manifest datastore add%[2]s --connection db --slot rejot_db --publication rejot_db
  3. a first contract for a table, as .sql files, and from there into the manifest:
       rejot init%[2]s --from-table TABLE
       rejot collect%[2]s contracts --write
  4. the service:
       rejot sync %[1]s
`, path, flag)
	return nil
}

// newManifest writes a manifest where no file is yet.
func (a *app) newManifest(path string, m *manifest.Manifest) error {
	if err := checkSlug("--slug", m.Slug); err != nil {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return rejot.Errorf(rejot.Invalid, "create the manifest: %w", err)
		}
		return rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s exists already", path), "choose another file with a flag, or: rejot manifest info --manifest %s", path)
	}
	return m.Write(path)
}

func checkSlug(flag, slug string) error {
	if manifest.ValidSlug(slug) {
		return nil
	}
	err := rejot.Errorf(rejot.Invalid, "%s: %q is no slug", flag, slug)
	return rejot.WithMend(err, "use a to z, 0 to 9 and -, or @owner/name")
}
