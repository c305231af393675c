package collect

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/dbtest"
	"rejot.dev/rejot/manifest"
)

var update = flag.Bool("update", false, "write golden files")

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// project writes the files of a txtar archive into a folder and makes it the working directory.
func project(t testing.TB, archive string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(archive)).Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	return dir
}

// collected runs files, or what is found in a folder, in the working directory.
func collected(t testing.TB, cfg Config, args ...string) (*Result, error) {
	t.Helper()
	f, err := Find(args)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Missing) > 0 {
		t.Fatalf("missing: %v", f.Missing)
	}
	cfg.Folder = "."
	if cfg.Limit == 0 {
		cfg.Limit = 30 * time.Second // a busy machine is no fault of a definition's
	}
	return New(cfg).Run(t.Context(), f.Files)
}

// told gives errors as a person reads them, without the lines around the place.
func told(err error, frames bool) string {
	if err == nil {
		return ""
	}
	var texts []string
	for _, line := range strings.Split(err.Error(), "\n") {
		if frames || !strings.Contains(line, "│") {
			texts = append(texts, line)
		}
	}
	return strings.Join(texts, "\n")
}

// wantMend fails where the mend is another.
func wantMend(t *testing.T, err error, want string) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("got %v, want errors that are joined", err)
	}
	var mends []string
	for _, e := range joined.Unwrap() {
		mends = append(mends, rejot.MendOf(e))
	}
	if diff := cmp.Diff(want, strings.Join(mends, "\n")); diff != "" {
		t.Error(diff)
	}
}

// titles lists definitions with their places.
func titles(r *Result) string {
	var b strings.Builder
	for _, d := range r.Definitions {
		b.WriteString(d.title() + " " + place{file: d.at.file, line: d.at.line}.String() + "\n")
	}
	return b.String()
}

func parsed(t testing.TB, text string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Parse("rejot-manifest.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// short is a limit for definitions that do not end.
const short = time.Second

// nodeModules links the packages that scripts/typescript brings into the working directory.
func nodeModules(t testing.TB, repository string, packages ...string) {
	t.Helper()
	if out, err := exec.Command(filepath.Join(repository, "scripts", "typescript")).CombinedOutput(); err != nil {
		if os.Getenv("CI") == "" {
			t.Skipf("no packages of npm: %s", out)
		}
		t.Fatalf("scripts/typescript: %v\n%s", err, out)
	}
	if err := os.MkdirAll("node_modules", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		from, as, ok := strings.Cut(p, "=")
		if !ok {
			as = from
		}
		if err := os.Symlink(filepath.Join(repository, ".cache", "typescript", "node_modules", from), filepath.Join("node_modules", as)); err != nil {
			t.Fatal(err)
		}
	}
}

// repository is the repository's folder; call it before the working directory changes.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
