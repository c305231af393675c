package collect

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
	"rejot.dev/rejot/internal/postgres"
	"rejot.dev/rejot/manifest"
)

// A realDescriber asks one database, whatever the data store's slug.
type realDescriber struct{ session *postgres.Describer }

func (d realDescriber) Describe(ctx context.Context, _, sql string) ([]Column, error) {
	described, err := d.session.Describe(ctx, sql)
	columns := make([]Column, len(described))
	for i, c := range described {
		columns[i] = Column{Name: c.Name, Type: c.Type.Name, Values: c.Values, Nullable: c.Nullable, Comment: c.Comment}
	}
	return columns, err
}

// TestOneContractInFourLanguagesIsTheSameInTheManifest also holds the manifests of the examples to their code.
func TestOneContractInFourLanguagesIsTheSameInTheManifest(t *testing.T) {
	examples := filepath.Join(repository(t), "examples")
	tables, err := os.ReadFile(filepath.Join(examples, "accounts", "source.sql"))
	if err != nil {
		t.Fatal(err)
	}
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, string(tables))
	session, err := postgres.OpenDescriber(t.Context(), contract.Connection{
		Slug: "source", Type: "postgres", Host: db.Host, Port: db.Port, User: db.User, Password: contract.NewSecret(db.Password), Database: db.Name,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close(context.WithoutCancel(t.Context())) }()
	entries := map[string]string{}
	for _, language := range []string{"typescript", "python", "go", "sql"} {
		t.Run(language, func(t *testing.T) {
			t.Chdir(filepath.Join(examples, "contracts", language))
			m, data, wrong := manifest.Partly(manifest.FileName)
			if wrong != nil {
				t.Fatal(wrong)
			}
			r, err := collected(t, Config{Manifest: m, Describe: realDescriber{session}}, ".")
			if err != nil {
				t.Fatal(err)
			}
			c := r.Collected()
			merged, err := manifest.Merge(manifest.FileName, data, c)
			if err != nil {
				t.Fatal(err)
			}
			if merged.Changed && !*update {
				t.Errorf("run the test with -update where this is right: %s", cmp.Diff(string(data), string(merged.Data)))
			}
			if *update {
				if err := merged.Write(manifest.FileName); err != nil {
					t.Fatal(err)
				}
			}
			entries[language] = withoutFiles(t, c)
		})
	}
	for language, text := range entries {
		if diff := cmp.Diff(entries["typescript"], text); diff != "" {
			t.Errorf("%s gives other bytes than typescript: %s", language, diff)
		}
	}
}

// withoutFiles gives entries as they are written, but for their definitionFile.
func withoutFiles(t *testing.T, c manifest.Collected) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	for _, s := range c.PublicSchemas {
		s.DefinitionFile = ""
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range c.ConsumerSchemas {
		s.DefinitionFile = ""
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}
