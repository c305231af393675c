package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/manifest"
)

func newWorkspaceCommand(a *app) *cobra.Command {
	return newGroup("workspace", "Create and show a workspace: a manifest that names others", newWorkspaceInitCommand(a), newWorkspaceInfoCommand(a))
}

func newWorkspaceInitCommand(a *app) *cobra.Command {
	var slug, path string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Create a manifest with an empty list of workspaces",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if slug == "" {
				return rejot.WithMend(rejot.Errorf(rejot.Invalid, "the workspace needs a slug"), "rejot workspace init --slug NAME")
			}
			if err := a.newManifest(path, &manifest.Manifest{Slug: slug, Workspaces: []string{}}); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "created %s\n\nNext: name manifests in its list \"workspaces\", as paths relative to it, like \"orders/%s\"\n", path, manifest.FileName)
			return nil
		},
	}
	cmd.Flags().StringVar(&slug, "slug", "", "the manifest's name (required)")
	cmd.Flags().StringVar(&path, "filename", "./"+manifest.FileName, "the file to create")
	return cmd
}

// A workspaceInfo is what workspace info tells of one manifest.
type workspaceInfo struct {
	Path            string `json:"path"`
	Slug            string `json:"slug"`
	PublicSchemas   int    `json:"publicSchemas"`
	ConsumerSchemas int    `json:"consumerSchemas"`
}

func newWorkspaceInfoCommand(a *app) *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Show the manifests of a workspace",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, path, err := openManifest(path)
			if err != nil {
				return err
			}
			all, err := manifest.Workspace(path)
			if err != nil {
				return err
			}
			list := make([]workspaceInfo, len(all))
			rows := [][]string{{"manifest", "file", "public schemas", "consumer schemas"}}
			for i, m := range all {
				list[i] = workspaceInfo{m.File(), m.Slug, len(m.PublicSchemas), len(m.ConsumerSchemas)}
				rows = append(rows, []string{m.Slug, m.File(), fmt.Sprint(len(m.PublicSchemas)), fmt.Sprint(len(m.ConsumerSchemas))})
			}
			if asJSON {
				return a.printJSON(list)
			}
			a.printTable("manifest", rows)
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "filename", "", "the workspace's manifest; by default "+manifest.FileName+" here or above")
	addJSONFlag(cmd, &asJSON)
	return cmd
}
