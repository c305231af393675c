package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// named is a manifest with a slug and more fields.
func named(slug, more string) string {
	return fmt.Sprintf("{\"slug\": %q, \"manifestVersion\": 0%s}", slug, more)
}

const connectionForm = `{"slug": "db", "config": {"connectionType": "postgres", "host": %q, "port": %s, "user": "u", "password": %q, "database": "d"}}`

func withConnection(host, port, password string) string {
	return `, "connections": [` + fmt.Sprintf(connectionForm, host, port, password) + `], "dataStores": [{"connectionSlug": "db"}]`
}

func TestLoadGivesWhatTheProgramWorksWith(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, FileName, strings.Replace(base, `      ]}
    }
  ],
  "consumer`, `        ,{"operation": "update", "table": "account", "sql": "SELECT id FROM account WHERE id = :id"}
      ]}
    }
  ],
  "consumer`, 1))
	write(t, "deep/er/file", "")
	t.Chdir("deep/er")
	got, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	db := contract.Connection{Slug: "db", Type: "postgres", Host: "localhost", Port: 5432, User: "u", Password: contract.NewSecret("p"), Database: "d"}
	shop := contract.Connection{Slug: "shop", Type: "mysql", Host: "localhost", Port: 3306, User: "u", Password: contract.NewSecret("p"), Database: "d"}
	want := &Set{
		Slugs:       []string{"acme"},
		DataStores:  map[string]contract.DataStore{"db": {Connection: db, SlotName: "s", PublicationName: "p"}, "shop": {Connection: shop}},
		EventStores: []string{"db"},
		PublicSchemas: []*contract.PublicSchema{{
			Ref: rejot.Ref{Manifest: "acme", Name: "account", Major: 1}, Source: "db", OutputSchema: []byte(`{"type": "object"}`), DefinitionFile: "a.ts",
			Transformations: []contract.Transformation{{Operations: []string{"insert", "update"}, Table: "account", SQL: "SELECT id FROM account WHERE id = :id"}},
		}},
		Consumers: []*contract.Consumer{{
			Manifest: "acme", Name: "to-shop", SourceManifest: "acme", Schema: "account", Major: 1, Destination: "shop",
			SQL: "INSERT INTO a VALUES (:id)", DeleteSQL: "DELETE FROM a WHERE id = :id",
		}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b contract.Secret) bool { return a.Reveal() == b.Reveal() })); diff != "" {
		t.Error(diff)
	}
}

func TestNoManifestIsToldWithWhatMendsIt(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, paths := range [][]string{nil, {"nix.json"}} {
		_, err := Load(paths...)
		if err == nil || !strings.Contains(err.Error(), "MANIFEST_NOT_FOUND") || rejot.MendOf(err) == "" || rejot.CodeOf(err) != rejot.Invalid {
			t.Errorf("%v: got %v, mend %q", paths, err, rejot.MendOf(err))
		}
	}
}

func TestReferencesAreResolved(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("HOST_PART", "eu")
	t.Setenv("PORT", "6543")
	t.Setenv("TRICK", "${env:PORT}")
	write(t, "conf/secret", "from a file\r\n")
	for _, c := range []struct{ host, port, password, wantHost, wantPassword string }{
		{"db-${env:HOST_PART}.example.com", `"${env:PORT}"`, "file:secret", "db-eu.example.com", "from a file"},
		{"h", "6543", "${env:TRICK}-x", "h", "${env:PORT}-x"},
		{"h", "6543", "$env and ${PORT} and ${file:x}", "h", "$env and ${PORT} and ${file:x}"},
	} {
		write(t, "conf/m.json", named("a", withConnection(c.host, c.port, c.password)))
		s, err := Load("conf/m.json")
		if err != nil {
			t.Fatal(err)
		}
		got := s.DataStores["db"].Connection
		if got.Host != c.wantHost || got.Port != 6543 || got.Password.Reveal() != c.wantPassword {
			t.Errorf("got %s with password %q", got, got.Password.Reveal())
		}
	}
}

func TestReferencesThatLeadNowhereNameVariableAndConnection(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("WORD", "word")
	t.Setenv("EVIL", "a@b")
	write(t, "long", strings.Repeat("x", largestSecret+1))
	for _, c := range []struct{ host, port, password, want string }{
		{"h", "1", "${env:NO_SUCH}", "m.json:1: $.connections[0].config.password: connection db: the environment variable NO_SUCH is not set"},
		{"h", "1", "file:nix", "m.json:1: $.connections[0].config.password: connection db: open nix: no such file or directory"},
		{"h", "1", "file:long", "m.json:1: $.connections[0].config.password: connection db: long is longer than 65536 bytes, so it holds no secret"},
		{"h", `"${env:NO_SUCH}"`, "", "m.json:1: $.connections[0].config.port: connection db: the environment variable NO_SUCH is not set"},
		{"h", `"${env:WORD}"`, "", "m.json:1: $.connections[0].config.port: connection db: what ${env:WORD} stands for is no port (1 to 65535)"},
		{"${env:EVIL}", "1", "", "m.json:1: $.connections[0].config.host: connection db: what ${env:EVIL} stands for is no host"},
	} {
		write(t, "m.json", named("a", withConnection(c.host, c.port, c.password)))
		_, err := Load("m.json")
		compare(t, err, []string{c.want})
	}
}

func TestConnectionThatNothingUsesIsNotResolved(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "m.json", named("a", `, "connections": [`+fmt.Sprintf(connectionForm, "h", "1", "${env:NO_SUCH}")+`]`))
	s, err := Load("m.json")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"m.json:1: $.connections[0]: UNUSED_CONNECTION: no data store or event store uses connection db"}
	if diff := cmp.Diff(want, s.Notes); diff != "" {
		t.Error(diff)
	}
}

func TestLaterManifestsWin(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a.json", named("a", withConnection("one", "1", "p")+`, "eventStores": [{"connectionSlug": "db"}]`))
	write(t, "b.json", named("b", withConnection("two", "1", "p")+`, "eventStores": [{"connectionSlug": "db"}]`))
	write(t, "c.json", named("c", withConnection("two", "1", "p")))
	s, err := Load("a.json", "b.json", "c.json", "a.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.DataStores["db"].Connection.Host; got != "two" {
		t.Errorf("got host %s, want two", got)
	}
	if diff := cmp.Diff([]string{"b.json:1: $.connections[0]: connection db replaces the one of a.json:1"}, s.Notes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"db"}, s.EventStores); diff != "" {
		t.Error(diff)
	}
}

func TestTwoManifestsOfOneSlugAreRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a.json", named("a", ""))
	write(t, "b.json", named("a", ""))
	_, err := Load("a.json", "b.json")
	compare(t, err, []string{"b.json:1: $.slug: DUPLICATE_MANIFEST_SLUG: a is the slug of a.json:1 already"})
}

func TestFaultsOfAllManifestsAreToldTogether(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a.json", named("A", ""))
	write(t, "b.json", "{")
	write(t, "c.json", named("c", `, "dataStores": [{"connectionSlug": "x y"}]`))
	_, err := Load("a.json", "b.json", "c.json", "d.json")
	compare(t, err, []string{
		`a.json:1: $.slug: "A" ` + slugRule,
		"b.json:1: $: this is not JSON: unexpected end of JSON input",
		`c.json:1: $.dataStores[0].connectionSlug: "x y" ` + slugRule,
		"MANIFEST_NOT_FOUND: there is no file d.json",
	})
}

func TestWorkspacesAreReadOnceEach(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "org/root/"+FileName, named("root", `, "workspaces": ["../a/m.json", "sub/m.json"]`))
	write(t, "org/a/m.json", named("a", `, "workspaces": ["../root/sub/m.json"]`))
	write(t, "org/root/sub/m.json", named("sub", ""))
	s, err := Load("org/root")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"root", "a", "sub"}, s.Slugs); diff != "" {
		t.Error(diff)
	}
}

func TestWorkspacesDoNotLeadOut(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, "secret.json", named("secret", ""))
	write(t, "org/a/m.json", named("a", ""))
	for link, to := range map[string]string{"org/root/link.json": "../a/m.json", "org/root/folder": "../a"} {
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"../../secret.json":               "leads out of the folder of this workspace",
		"../a/../../secret.json":          "leads out of the folder of this workspace",
		filepath.Join(dir, "secret.json"): "has to be a path relative to this file",
		`..\\a\\m.json`:                   "has to be a path relative to this file",
		"link.json":                       "leads over a symbolic link",
		"folder/m.json":                   "leads over a symbolic link",
		"../a":                            "is not a manifest's file",
		"../..":                           "leads out of the folder of this workspace",
		"..":                              "is not a manifest's file",
		"nix.json":                        "MANIFEST_NOT_FOUND: there is no file nix.json",
	} {
		write(t, "org/root/m.json", named("root", `, "workspaces": ["`+path+`"]`))
		_, err := Load("org/root/m.json")
		compare(t, err, []string{"org/root/m.json:1: $.workspaces[0]: " + want})
	}
}

func TestWorkspacesReachAllOfARepository(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "repo/.git/HEAD", "")
	write(t, "repo/teams/a/m.json", named("a", `, "workspaces": ["../../shared/m.json"]`))
	write(t, "repo/shared/m.json", named("shared", `, "workspaces": ["../../out.json"]`))
	write(t, "out.json", named("out", ""))
	_, err := Load("repo/teams/a/m.json")
	compare(t, err, []string{"repo/shared/m.json:1: $.workspaces[0]: leads out of the folder of this workspace"})
}

func TestFilesThatAreTooLongOrNoFilesAreRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "long.json", named("a", strings.Repeat(" ", largestFile)))
	write(t, "dir/"+FileName+"/x", "")
	for path, want := range map[string]string{"long.json": "long.json is longer than 8 MB", "dir": "dir/rejot-manifest.json is not a file"} {
		_, err := Load(path)
		compare(t, err, []string{want})
	}
}
