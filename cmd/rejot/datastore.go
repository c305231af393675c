package main

import (
	"slices"

	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/manifest"
)

func newDataStoreCommand(a *app) *cobra.Command {
	return newGroup("datastore", "Add, remove and list data stores: databases as sources or destinations",
		newDataStoreAddCommand(a), newDataStoreRemoveCommand(a), newListCommand(a, "data store", dataStoreTable, func(m *manifest.Manifest) any { return m.DataStores }))
}

func newDataStoreAddCommand(a *app) *cobra.Command {
	var path, connection, slot, publication string
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Make a connection a data store",
		Long: `With --slot and --publication a Postgres database is a source: rejot sync makes both when it starts.
Without them it is a destination.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.editManifest(path, func(m *manifest.Manifest) (string, error) {
				return addDataStore(m, connection, slot, publication)
			})
		},
	}
	addManifestFlag(cmd, &path)
	cmd.Flags().StringVar(&connection, "connection", "", "the connection's slug (required)")
	cmd.Flags().StringVar(&slot, "slot", "", "name of the replication slot")
	cmd.Flags().StringVar(&publication, "publication", "", "name of the publication")
	return cmd
}

func addDataStore(m *manifest.Manifest, slug, slot, publication string) (string, error) {
	conn, err := findConnection(m, slug)
	if err != nil {
		return "", err
	}
	have := slices.IndexFunc(m.DataStores, func(s manifest.DataStore) bool { return s.Connection == slug })
	if have >= 0 && (m.DataStores[have].Config != nil || slot == "") {
		return "", rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s is a data store already", slug), "to change it: rejot manifest datastore remove %s", slug)
	}
	if (slot == "") != (publication == "") {
		return "", rejot.WithMend(rejot.Errorf(rejot.Invalid, "--slot and --publication come together"), "give both for a source, none for a destination")
	}
	store := manifest.DataStore{Connection: slug}
	kind := conn.Config.Type
	switch {
	case slot != "" && kind != "postgres":
		return "", rejot.Errorf(rejot.Invalid, "connection %s is of type %s, which has no slot and publication", slug, kind)
	case slot != "":
		store.Config = &manifest.DataStoreConfig{Type: kind, Slot: slot, Publication: publication}
	case kind == "in-memory":
		store.Config = &manifest.DataStoreConfig{Type: kind}
	}
	if have >= 0 {
		m.DataStores[have] = store
		return slug + " was a destination, and is a source too", nil
	}
	m.DataStores = append(m.DataStores, store)
	return "added data store " + slug, nil
}

func newDataStoreRemoveCommand(a *app) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "remove SLUG",
		Short: "Remove a data store; its connection stays",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.editManifest(path, func(m *manifest.Manifest) (string, error) { return removeDataStore(m, args[0]) })
		},
	}
	addManifestFlag(cmd, &path)
	return cmd
}

func removeDataStore(m *manifest.Manifest, slug string) (string, error) {
	i := slices.IndexFunc(m.DataStores, func(s manifest.DataStore) bool { return s.Connection == slug })
	if i < 0 {
		return "", rejot.WithMend(rejot.Errorf(rejot.NotFound, "there is no data store %s", slug), "rejot manifest datastore list")
	}
	for _, s := range m.PublicSchemas {
		if s.Source.DataStore == slug {
			return "", rejot.WithMend(rejot.Errorf(rejot.Invalid, "public schema %s reads data store %s", s.Name, slug), "remove the public schema first")
		}
	}
	for _, s := range m.ConsumerSchemas {
		if s.Config.Destination == slug {
			return "", rejot.WithMend(rejot.Errorf(rejot.Invalid, "consumer schema %s writes to data store %s", s.Name, slug), "remove the consumer schema first")
		}
	}
	m.DataStores = slices.Delete(m.DataStores, i, i+1)
	return "removed data store " + slug, nil
}

func dataStoreTable(m *manifest.Manifest) [][]string {
	rows := [][]string{{"data store", "use", "slot", "publication"}}
	for _, s := range m.DataStores {
		if s.Config == nil {
			rows = append(rows, []string{s.Connection, "destination", "", ""})
			continue
		}
		rows = append(rows, []string{s.Connection, "source, destination", s.Config.Slot, s.Config.Publication})
	}
	return rows
}

// newListCommand lists things of a manifest.
func newListCommand(a *app, thing string, rows func(*manifest.Manifest) [][]string, form func(*manifest.Manifest) any) *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List each " + thing + " of a manifest, without secrets",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			m, _, err := openManifest(path)
			if err != nil {
				return err
			}
			if m, err = m.Redacted(); err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(form(m))
			}
			a.printTable(thing, rows(m))
			return nil
		},
	}
	addManifestFlag(cmd, &path)
	addJSONFlag(cmd, &asJSON)
	return cmd
}
