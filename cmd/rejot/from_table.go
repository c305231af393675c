package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/mysql"
	"rejot.dev/rejot/internal/postgres"
	"rejot.dev/rejot/manifest"
)

// A firstContract is what `rejot init --from-table` writes for a table.
type firstContract struct {
	table    string // as the server names it
	name     string // of the public schema
	columns  []postgres.KeyedColumn
	source   contract.Connection
	to       contract.Connection // zero: no consumer schema
	manifest string              // its slug
}

type fromTableOptions struct {
	table, source, to, folder, manifest string
}

// fromTable writes a public schema of a table and, with to, a consumer schema of it, as .sql files.
func (a *app) fromTable(ctx context.Context, o fromTableOptions) error {
	m, path, err := openManifest(o.manifest)
	if err != nil {
		return err
	}
	set, err := manifest.Load(path)
	if err != nil {
		return err
	}
	f := firstContract{manifest: m.Slug}
	if f.source, err = sourceOf(set, o.source); err != nil {
		return err
	}
	if o.to != "" {
		store, ok := set.DataStores[o.to]
		if !ok {
			err := rejot.Errorf(rejot.NotFound, "DATA_STORE_NOT_FOUND: %s has no data store %s", path, o.to)
			return rejot.WithMend(err, "rejot manifest datastore add --connection %s", o.to)
		}
		f.to = store.Connection
	}
	if f.table, f.columns, err = postgres.ReadTable(ctx, f.source, o.table); err != nil {
		return stopped(err)
	}
	if len(f.key()) == 0 {
		err := rejot.Errorf(rejot.Unsupported, "table %s has no primary key, and a public schema needs the key of its rows", f.table)
		return rejot.WithMend(err, "ALTER TABLE %s ADD PRIMARY KEY (…)", f.table)
	}
	f.name = strings.Trim(regexp.MustCompile(`[^a-z0-9_-]+`).ReplaceAllString(strings.ToLower(f.table), "-"), "-")
	return a.writeFirst(&f, o.folder)
}

// sourceOf gives the data store of a slug, or the only one that is a source.
func sourceOf(set *manifest.Set, slug string) (contract.Connection, error) {
	var sources []string
	for s, store := range set.DataStores {
		if store.SlotName != "" && (slug == "" || s == slug) {
			sources = append(sources, s)
		}
	}
	slices.Sort(sources)
	switch {
	case len(sources) == 0:
		err := rejot.Errorf(rejot.NotFound, "the manifest has no data store with a slot and a publication to read a table from")
		return contract.Connection{}, rejot.WithMend(err, "rejot manifest datastore add --connection SLUG --slot NAME --publication NAME")
	case len(sources) > 1:
		err := rejot.Errorf(rejot.Invalid, "several data stores may have the table: %s", strings.Join(sources, ", "))
		return contract.Connection{}, rejot.WithMend(err, "name one with --data-store")
	}
	return set.DataStores[sources[0]].Connection, nil
}

// writeFirst writes the files, where none are yet.
func (a *app) writeFirst(f *firstContract, folder string) error {
	files := [][2]string{{f.name + ".sql", f.public()}}
	if f.to.Slug != "" {
		files = append(files, [2]string{f.name + "-to-" + f.to.Slug + ".sql", f.consumer()})
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return rejot.Errorf(rejot.Invalid, "make folder %s: %w", folder, err)
	}
	for _, file := range files {
		path := filepath.Join(folder, file[0])
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s exists already", path), "choose another folder with --folder")
		}
		if err := os.WriteFile(path, []byte(file[1]), 0o600); err != nil {
			return rejot.Errorf(rejot.Invalid, "write %s: %w", path, err)
		}
		fmt.Fprintf(a.stdout, "created %s\n", path)
	}
	if f.to.Slug != "" {
		fmt.Fprintf(a.stdout, "\nThe table in %s, where it is not there yet:\n\n%s\n", f.to.Slug, indent(f.create()))
	}
	fmt.Fprintf(a.stdout, "\nNext:\n       rejot collect %s --write\n       rejot check --connect\n", folder)
	return nil
}

func indent(text string) string {
	return "       " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n       ")
}

func (f *firstContract) key() []postgres.KeyedColumn {
	var key []postgres.KeyedColumn
	for _, c := range f.columns {
		if c.Key > 0 {
			key = append(key, c)
		}
	}
	slices.SortFunc(key, func(a, b postgres.KeyedColumn) int { return a.Key - b.Key })
	return key
}

// public is the public schema: every column of the table, by its key.
func (f *firstContract) public() string {
	var names, where []string
	for _, c := range f.columns {
		name := plain(c.Name)
		if field(c.Name) != c.Name {
			name += " AS " + plain(field(c.Name))
		}
		names = append(names, name)
	}
	for _, c := range f.key() {
		where = append(where, plain(c.Name)+" = "+placeholder(c.Name))
	}
	return fmt.Sprintf("-- rejot: public-schema %s 1.0\n-- source: %s\n-- table: %s\n\nSELECT %s\nFROM %s\nWHERE %s\n",
		f.name, f.source.Slug, f.table, strings.Join(names, ", "), f.table, strings.Join(where, " AND "))
}

// consumer is a consumer schema that writes the same columns.
func (f *firstContract) consumer() string {
	quote := plain
	if f.to.Type == "mysql" {
		quote = mysql.Quote
	}
	table := quote(f.base())
	var names, values, sets, key, where []string
	for _, c := range f.columns {
		names, values = append(names, quote(c.Name)), append(values, placeholder(c.Name))
		if c.Key == 0 {
			sets = append(sets, quote(c.Name)+" = "+placeholder(c.Name))
		}
	}
	for _, c := range f.key() {
		key = append(key, quote(c.Name))
		where = append(where, quote(c.Name)+" = "+placeholder(c.Name))
	}
	conflict := "ON CONFLICT (" + strings.Join(key, ", ") + ") DO UPDATE SET " + strings.Join(sets, ", ")
	switch {
	case f.to.Type == "mysql" && len(sets) == 0:
		conflict = "ON DUPLICATE KEY UPDATE " + key[0] + " = " + key[0]
	case f.to.Type == "mysql":
		conflict = "ON DUPLICATE KEY UPDATE " + strings.Join(sets, ", ")
	case len(sets) == 0:
		conflict = "ON CONFLICT (" + strings.Join(key, ", ") + ") DO NOTHING"
	}
	return fmt.Sprintf("-- rejot: consumer-schema %s-to-%s\n-- reads: %s/%s 1\n-- destination: %s\n\nINSERT INTO %s (%s)\nVALUES (%s)\n%s;\n\n-- delete:\nDELETE FROM %s WHERE %s;\n",
		f.name, f.to.Slug, f.manifest, f.name, f.to.Slug, table, strings.Join(names, ", "), strings.Join(values, ", "), conflict, table, strings.Join(where, " AND "))
}

// base is the table's name without its schema.
func (f *firstContract) base() string {
	name := f.table[strings.LastIndexByte(f.table, '.')+1:]
	return strings.ReplaceAll(strings.Trim(name, `"`), `""`, `"`)
}

// create is the destination's table.
func (f *firstContract) create() string {
	quote, typ := plain, func(t string, _ bool) string { return t }
	if f.to.Type == "mysql" {
		quote, typ = mysql.Quote, mysqlType
	}
	var lines, key []string
	for _, c := range f.columns {
		line := quote(c.Name) + " " + typ(c.Type, c.Key > 0)
		if c.NotNull {
			line += " NOT NULL"
		}
		lines = append(lines, "  "+line)
	}
	for _, c := range f.key() {
		key = append(key, quote(c.Name))
	}
	lines = append(lines, "  PRIMARY KEY ("+strings.Join(key, ", ")+")")
	return fmt.Sprintf("CREATE TABLE %s (\n%s\n);", quote(f.base()), strings.Join(lines, ",\n"))
}

// simpleName is a name that Postgres takes without quotes, keywords apart.
var simpleName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// plain quotes a name where it must be.
func plain(name string) string {
	if simpleName.MatchString(name) && !slices.Contains(reserved, name) {
		return name
	}
	return postgres.Quote(name)
}

// reserved are Postgres' reserved words that make good column names (manual, appendix C).
var reserved = []string{
	"all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "both", "case", "cast", "check", "collate", "column", "constraint", "create", "default",
	"deferrable", "desc", "distinct", "do", "else", "end", "except", "false", "fetch", "for", "foreign", "from", "grant", "group", "having", "in", "initially", "intersect",
	"into", "lateral", "leading", "limit", "localtime", "not", "null", "offset", "on", "only", "or", "order", "placing", "primary", "references", "returning", "select", "some",
	"symmetric", "table", "then", "to", "trailing", "true", "union", "unique", "user", "using", "variadic", "when", "where", "window", "with",
}

// field is the name of a column's field: what a placeholder can be called.
func field(column string) string {
	name := notInFields.ReplaceAllString(column, "_")
	if name[0] >= '0' && name[0] <= '9' {
		return "_" + name
	}
	return name
}

var notInFields = regexp.MustCompile(`[^A-Za-z0-9_]+`)

func placeholder(column string) string { return ":" + field(column) }

// mysqlType proposes a column of MariaDB or MySQL for a type of Postgres. What is in a key needs a length.
func mysqlType(t string, key bool) string {
	base, args, _ := strings.Cut(t, "(")
	fixed := map[string]string{
		"bigint": "BIGINT", "integer": "INT", "smallint": "SMALLINT", "boolean": "TINYINT(1)", "real": "FLOAT", "double precision": "DOUBLE", "date": "DATE",
		"uuid": "CHAR(36)", "json": "JSON", "jsonb": "JSON", "money": "DECIMAL(19,2)", "time without time zone": "TIME(6)",
		"timestamp without time zone": "DATETIME(6)", "timestamp with time zone": "DATETIME(6)",
	}
	switch {
	case fixed[t] != "":
		return fixed[t]
	case strings.HasPrefix(t, "timestamp"):
		return "DATETIME(6)"
	case base == "numeric" && strings.Contains(args, ","):
		return "DECIMAL(" + args
	case base == "numeric":
		return "DECIMAL(65,30)"
	case base == "character varying" && args != "", base == "character" && args != "":
		return "VARCHAR(" + args
	case t == "bytea" && key:
		return "VARBINARY(255)"
	case t == "bytea":
		return "LONGBLOB"
	case strings.HasSuffix(t, "[]"):
		return "JSON"
	case key:
		return "VARCHAR(255) COLLATE utf8mb4_bin"
	default:
		return "LONGTEXT"
	}
}
