package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/manifest"
)

func newConnectionCommand(a *app) *cobra.Command {
	return newGroup("connection", "Add, change, remove and list connections",
		newConnectionAddCommand(a), newConnectionUpdateCommand(a), newConnectionRemoveCommand(a),
		newListCommand(a, "connection", connectionTable, func(m *manifest.Manifest) any { return m.Connections }))
}

// A connectionFlags is where a connection leads, as flags say it.
type connectionFlags struct {
	manifest, text, kind, host, port, user, password, database string
}

func (f *connectionFlags) add(cmd *cobra.Command) {
	addManifestFlag(cmd, &f.manifest)
	flags := cmd.Flags()
	flags.StringVar(&f.text, "connection-string", "", "postgresql://user[:password]@host[:port]/database, or mysql://…; parts may be ${env:NAME}")
	flags.StringVar(&f.kind, "type", "postgres", "postgres, mysql or in-memory")
	flags.StringVar(&f.host, "host", "localhost", "host")
	flags.StringVar(&f.port, "port", "", "port; by default 5432, or 3306 of mysql")
	flags.StringVar(&f.user, "user", "", "user")
	flags.StringVar(&f.password, "password", "", "password, best as a reference: ${env:NAME} or file:PATH")
	flags.StringVar(&f.database, "database", "", "database")
	cmd.MarkFlagsMutuallyExclusive("connection-string", "type")
	for _, name := range []string{"host", "port", "user", "password", "database"} {
		cmd.MarkFlagsMutuallyExclusive("connection-string", name)
	}
}

// config changes what was configured by the flags that are given.
func (f *connectionFlags) config(cmd *cobra.Command, conf manifest.ConnectionConfig) (manifest.ConnectionConfig, error) {
	if f.text != "" {
		parsed, err := parseConnection(f.text)
		if err != nil {
			return conf, err
		}
		parsed.Roles = conf.Roles
		if parsed.TLS == nil {
			parsed.TLS = conf.TLS
		}
		return parsed, nil
	}
	given := cmd.Flags().Changed
	if conf.Type == "" || given("type") && f.kind != conf.Type {
		conf = manifest.ConnectionConfig{Type: f.kind}
		if f.kind == "in-memory" {
			return conf, nil
		}
		conf.Host, conf.Port = f.host, defaultPort(f.kind)
	}
	for _, s := range []struct {
		flag, value string
		field       *string
	}{{"host", f.host, &conf.Host}, {"user", f.user, &conf.User}, {"database", f.database, &conf.Database}} {
		if given(s.flag) {
			*s.field = s.value
		}
	}
	if given("password") {
		conf.Password = &f.password
	}
	if given("port") {
		port, err := parsePort(f.port)
		if err != nil {
			return conf, err
		}
		conf.Port = port
	}
	if conf.User == "" || conf.Database == "" {
		return conf, rejot.WithMend(rejot.Errorf(rejot.Invalid, "a connection needs a user and a database"), "give --connection-string, or --user and --database")
	}
	return conf, nil
}

func newConnectionAddCommand(a *app) *cobra.Command {
	var f connectionFlags
	var slug string
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Add a connection to a database",
		Example: `  rejot manifest connection add --slug db --connection-string 'postgresql://app:${env:DB_PASSWORD}@db.example.com:5432/app'
  rejot manifest connection add --slug shop --type mysql --host shop.example.com --user app --password '${env:SHOP_PASSWORD}' --database shop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkSlug("--slug", slug); err != nil {
				return err
			}
			conf, err := f.config(cmd, manifest.ConnectionConfig{})
			if err != nil {
				return err
			}
			return a.editManifest(f.manifest, func(m *manifest.Manifest) (string, error) {
				if slices.ContainsFunc(m.Connections, func(c manifest.Connection) bool { return c.Slug == slug }) {
					return "", rejot.WithMend(rejot.Errorf(rejot.Invalid, "there is a connection %s already", slug), "to change it: rejot manifest connection update %s", slug)
				}
				m.Connections = append(m.Connections, manifest.Connection{Slug: slug, Config: conf})
				a.notePassword(slug, conf)
				return "added connection " + slug + ", " + conf.String(), nil
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&slug, "slug", "", "the connection's name (required)")
	return cmd
}

func newConnectionUpdateCommand(a *app) *cobra.Command {
	var f connectionFlags
	cmd := &cobra.Command{
		Use:   "update SLUG",
		Short: "Change what flags name, or all with --connection-string",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.editManifest(f.manifest, func(m *manifest.Manifest) (string, error) {
				c, err := findConnection(m, args[0])
				if err != nil {
					return "", err
				}
				conf, err := f.config(cmd, c.Config)
				if err != nil {
					return "", err
				}
				c.Config = conf
				a.notePassword(c.Slug, conf)
				return "updated connection " + c.Slug + ", " + conf.String(), nil
			})
		},
	}
	f.add(cmd)
	return cmd
}

// notePassword tells of a password that will stand in the manifest for all to read.
func (a *app) notePassword(slug string, conf manifest.ConnectionConfig) {
	if conf.Password == nil || *conf.Password == "" || manifest.IsReference(*conf.Password) {
		return
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(strings.TrimPrefix(slug, "@"))) + "_PASSWORD"
	a.note("the password stands in the manifest as it is; better a reference: rejot manifest connection update %s --password '${env:%s}'", slug, name)
}

func newConnectionRemoveCommand(a *app) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "remove SLUG",
		Short: "Remove a connection that nothing uses",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.editManifest(path, func(m *manifest.Manifest) (string, error) { return removeConnection(m, args[0]) })
		},
	}
	addManifestFlag(cmd, &path)
	return cmd
}

func removeConnection(m *manifest.Manifest, slug string) (string, error) {
	if _, err := findConnection(m, slug); err != nil {
		return "", err
	}
	if slices.ContainsFunc(m.DataStores, func(s manifest.DataStore) bool { return s.Connection == slug }) {
		return "", rejot.WithMend(rejot.Errorf(rejot.Invalid, "connection %s is a data store", slug), "rejot manifest datastore remove %s", slug)
	}
	if slices.Contains(m.EventStores, manifest.EventStore{Connection: slug}) {
		return "", rejot.WithMend(rejot.Errorf(rejot.Invalid, "connection %s is an event store", slug), "rejot manifest eventstore remove %s", slug)
	}
	m.Connections = slices.DeleteFunc(m.Connections, func(c manifest.Connection) bool { return c.Slug == slug })
	return "removed connection " + slug, nil
}

// findConnection gives a connection to be read or changed.
func findConnection(m *manifest.Manifest, slug string) (*manifest.Connection, error) {
	for i := range m.Connections {
		if m.Connections[i].Slug == slug {
			return &m.Connections[i], nil
		}
	}
	if slug == "" {
		return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "no connection is named"), "--connection SLUG; they are shown by: rejot manifest connection list")
	}
	return nil, rejot.WithMend(rejot.Errorf(rejot.NotFound, "CONNECTION_NOT_FOUND: there is no connection %s", slug), "rejot manifest connection add --slug %s --connection-string postgresql://…", slug)
}

func connectionTable(m *manifest.Manifest) [][]string {
	rows := [][]string{{"connection", "type", "where", "password"}}
	for _, c := range m.Connections {
		password := ""
		if c.Config.Password != nil {
			password = *c.Config.Password
		}
		rows = append(rows, []string{c.Slug, c.Config.Type, c.Config.Where(), password})
	}
	return rows
}
