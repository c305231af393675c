package main

import (
	"slices"

	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/manifest"
)

func newEventStoreCommand(a *app) *cobra.Command {
	return newGroup("eventstore", "Add, remove and list event stores",
		newEventStoreAddCommand(a), newEventStoreRemoveCommand(a), newListCommand(a, "event store", eventStoreTable, func(m *manifest.Manifest) any { return m.EventStores }))
}

func newEventStoreAddCommand(a *app) *cobra.Command {
	var path, slug string
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Make a connection an event store",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.editManifest(path, func(m *manifest.Manifest) (string, error) { return addEventStore(m, slug) })
		},
	}
	addManifestFlag(cmd, &path)
	cmd.Flags().StringVar(&slug, "connection", "", "the connection's slug (required)")
	return cmd
}

func addEventStore(m *manifest.Manifest, slug string) (string, error) {
	conn, err := findConnection(m, slug)
	switch {
	case err != nil:
		return "", err
	case conn.Config.Type == "mysql":
		return "", rejot.Errorf(rejot.Invalid, "connection %s is of type mysql, which cannot be an event store", slug)
	case slices.Contains(m.EventStores, manifest.EventStore{Connection: slug}):
		return "", rejot.Errorf(rejot.Invalid, "%s is an event store already", slug)
	}
	m.EventStores = append(m.EventStores, manifest.EventStore{Connection: slug})
	return "added event store " + slug, nil
}

func newEventStoreRemoveCommand(a *app) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "remove SLUG",
		Short: "Remove an event store; its connection stays",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.editManifest(path, func(m *manifest.Manifest) (string, error) {
				i := slices.Index(m.EventStores, manifest.EventStore{Connection: args[0]})
				if i < 0 {
					return "", rejot.WithMend(rejot.Errorf(rejot.NotFound, "there is no event store %s", args[0]), "rejot manifest eventstore list")
				}
				m.EventStores = slices.Delete(m.EventStores, i, i+1)
				return "removed event store " + args[0], nil
			})
		},
	}
	addManifestFlag(cmd, &path)
	return cmd
}

func eventStoreTable(m *manifest.Manifest) [][]string {
	rows := [][]string{{"event store"}}
	for _, s := range m.EventStores {
		rows = append(rows, []string{s.Connection})
	}
	return rows
}
