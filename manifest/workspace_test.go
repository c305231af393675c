package manifest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
)

func slugsOf(t *testing.T, path string) ([]string, error) {
	t.Helper()
	all, err := Workspace(path)
	var slugs []string
	for _, m := range all {
		slugs = append(slugs, m.Slug)
	}
	return slugs, err
}

func TestWorkspacesAreReadFromWhereTheyStand(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "org/teams/all.json", named("all", `, "workspaces": ["a/m.json", "b/m.json"]`))
	write(t, "org/teams/a/m.json", named("a", `, "workspaces": ["deep/m.json", "../shared.json"]`))
	write(t, "org/teams/a/deep/m.json", named("deep", `, "workspaces": ["../../shared.json"]`))
	write(t, "org/teams/b/m.json", named("b", `, "workspaces": ["../shared.json"]`))
	write(t, "org/teams/shared.json", named("shared", ""))
	got, err := slugsOf(t, "org/teams/all.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"all", "a", "deep", "shared", "b"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWorkspacesThatLeadBackAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"to itself": {map[string]string{"all.json": `"./all.json"`}, []string{
			"all.json:1: $.workspaces[0]: MANIFEST_CYCLE: ./all.json leads back to itself",
		}},
		"to one that names it": {map[string]string{"all.json": `"a/m.json"`, "a/m.json": `"../all.json"`}, []string{
			"a/m.json:1: $.workspaces[0]: MANIFEST_CYCLE: ../all.json leads back to itself, by way of a/m.json",
		}},
		"further on": {map[string]string{"all.json": `"a/m.json"`, "a/m.json": `"../b/m.json"`, "b/m.json": `"../c.json", "../a/m.json"`, "c.json": ``}, []string{
			"b/m.json:1: $.workspaces[1]: MANIFEST_CYCLE: ../a/m.json leads back to itself, by way of ../b/m.json",
		}},
		"twice": {map[string]string{"all.json": `"a/m.json"`, "a/m.json": `"../all.json", "m.json"`}, []string{
			"a/m.json:1: $.workspaces[0]: MANIFEST_CYCLE: ../all.json leads back to itself, by way of a/m.json",
			"a/m.json:1: $.workspaces[1]: MANIFEST_CYCLE: m.json leads back to itself",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for file, workspaces := range c.files {
				slug := strings.TrimSuffix(strings.ReplaceAll(file, "/", "-"), ".json")
				write(t, file, named(slug, `, "workspaces": [`+workspaces+`]`))
			}
			_, err := Load("all.json")
			compare(t, err, c.want)
			if rejot.MendOf(first(err)) == "" {
				t.Error("no mend")
			}
		})
	}
}

// first gives the first of joined errors.
func first(err error) error {
	var joined interface{ Unwrap() []error }
	for errors.As(err, &joined) {
		err = joined.Unwrap()[0]
	}
	return err
}

func TestWorkspaceThatIsMissingIsNamedWithWhatMendsIt(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "all.json", named("all", `, "workspaces": ["a/m.json", "here.json"]`))
	write(t, "here.json", named("here", ""))
	got, err := slugsOf(t, "all.json")
	compare(t, err, []string{"all.json:1: $.workspaces[0]: MANIFEST_NOT_FOUND: there is no file a/m.json"})
	if mend := rejot.MendOf(first(err)); !strings.Contains(mend, "rejot manifest init --slug NAME --manifest a/m.json") {
		t.Errorf("mend %q", mend)
	}
	if diff := cmp.Diff([]string{"all", "here"}, got); diff != "" {
		t.Error(diff)
	}
}
