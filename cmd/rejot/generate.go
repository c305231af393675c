package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/check"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/generate"
	"rejot.dev/rejot/internal/sqltext"
	"rejot.dev/rejot/manifest"
)

type generateOptions struct {
	manifest string
	schema   string
	out      string
	pkg      string
}

func newGenerateCommand(a *app) *cobra.Command {
	var o generateOptions
	language := func(use, short string, makeCode func([]generate.Schema) ([]byte, error)) *cobra.Command {
		cmd := &cobra.Command{
			Use:   use,
			Short: short,
			Args:  cobra.NoArgs,
			RunE:  func(*cobra.Command, []string) error { return a.generate(o, makeCode) },
		}
		addManifestFlag(cmd, &o.manifest)
		cmd.Flags().StringVar(&o.schema, "schema", "", "one public schema, as NAME or NAME@MAJOR; by default all of the manifest and its workspaces")
		cmd.Flags().StringVar(&o.out, "out", "", "the file to write; by default the code is printed")
		return cmd
	}
	inGo := language("go", "A struct with json tags for the rows of each schema", func(s []generate.Schema) ([]byte, error) { return generate.Go(s, o.pkg) })
	inGo.Flags().StringVar(&o.pkg, "package", generate.DefaultPackage, "the name of the package")
	cmd := newGroup("generate", "Make types of public schemas' rows, for the code of consumers",
		language("typescript", "An interface for the rows of each schema", generate.TypeScript),
		language("python", "A TypedDict for the rows of each schema", generate.Python),
		inGo,
	)
	cmd.Long = `Makes types of the rows and keys of public schemas from their outputSchema. The same manifest always
gives the same file; it begins with the names and versions of the schemas that it was made from.`
	return cmd
}

func (a *app) generate(o generateOptions, makeCode func([]generate.Schema) ([]byte, error)) error {
	_, path, err := openManifest(o.manifest)
	if err != nil {
		return err
	}
	all, err := manifest.Workspace(path)
	if err != nil {
		return err
	}
	schemas, err := chosenSchemas(all, path, o.schema)
	if err != nil {
		return err
	}
	code, err := makeCode(schemas)
	if err != nil {
		return err
	}
	if o.out == "" {
		_, err := a.stdout.Write(code)
		return err
	}
	if err := writeGenerated(o.out, code); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s: %s\n", o.out, plural(len(schemas), "public schema"))
	return nil
}

// chosenSchemas gives the public schemas of manifests that wanted names, or all of them.
func chosenSchemas(all []*manifest.Manifest, path, wanted string) ([]generate.Schema, error) {
	name, major, hasMajor := cutLast(wanted, "@")
	if _, err := strconv.Atoi(major); !hasMajor || err != nil {
		name, major = wanted, ""
	}
	var chosen []generate.Schema
	var have []string
	for _, m := range all {
		for _, s := range m.PublicSchemas {
			have = append(have, fmt.Sprintf("%s@%d", s.Name, s.Version.Major))
			if wanted == "" || s.Name == name && (major == "" || major == strconv.Itoa(s.Version.Major)) {
				chosen = append(chosen, schemaOf(m.Slug, s))
			}
		}
	}
	switch {
	case chosen != nil:
		return chosen, nil
	case have == nil:
		return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s has no public schema, and neither have its workspaces", path), "rejot collect --write FILE…")
	}
	slices.Sort(have)
	err := rejot.Errorf(rejot.Invalid, "--schema %s: PUBLIC_SCHEMA_NOT_FOUND: %s has no such public schema", wanted, path)
	return nil, rejot.WithMend(err, "name one of %s", strings.Join(have, ", "))
}

func schemaOf(slug string, s manifest.PublicSchema) generate.Schema {
	ref := rejot.Ref{Manifest: slug, Name: s.Name, Major: s.Version.Major, Minor: s.Version.Minor}
	return generate.Schema{
		PublicSchema: &contract.PublicSchema{Ref: ref, OutputSchema: s.OutputSchema, DefinitionFile: s.DefinitionFile},
		Key:          keyNames(s.Config),
	}
}

// keyNames gives the columns that a schema's rows are found by, as far as they can be told without its database: those of the
// base table that its query compares with placeholders; nil where the query numbers them, or one is compared otherwise.
func keyNames(conf manifest.PublicSchemaConfig) []string {
	own := func(t manifest.Transformation) int { return len(t.Params) + len(t.Keys) } // 0: it tells nothing of another table
	ranked := slices.SortedStableFunc(slices.Values(conf.Transformations), func(x, y manifest.Transformation) int {
		return cmp.Compare(min(1, own(x)), min(1, own(y)))
	})
	if len(ranked) == 0 {
		return nil
	}
	dialect := sqltext.Postgres
	if conf.Type == "mysql" {
		dialect = sqltext.MySQL
	}
	st, err := sqltext.Parse(dialect, ranked[0].SQL)
	if err != nil || st.Positional() {
		return nil
	}
	compared := check.KeyColumns(ranked[0].SQL, ranked[0].Table, dialect == sqltext.Postgres)
	var names []string
	for _, name := range st.Names() {
		column := cmp.Or(ranked[0].Params[name], compared[name])
		if column == "" {
			return nil
		}
		if !slices.Contains(names, column) {
			names = append(names, column)
		}
	}
	return names
}

// writeGenerated writes a file that was made; a file that a person wrote is left alone.
func writeGenerated(path string, code []byte) error {
	before, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return rejot.Errorf(rejot.Invalid, "--out: %w", err)
	case bytes.Equal(before, code):
		return nil
	default:
		if first, _, _ := bytes.Cut(before, []byte("\n")); len(before) > 0 && !bytes.Contains(first, []byte("Code generated by rejot generate")) {
			return rejot.WithMend(rejot.Errorf(rejot.Invalid, "--out: %s was not made by rejot generate", path), "choose another file, or remove this one first")
		}
	}
	if err := os.WriteFile(path, code, 0o644); err != nil { //nolint:gosec // source code, for others to read
		return rejot.Errorf(rejot.Invalid, "--out: %w", err)
	}
	return nil
}
