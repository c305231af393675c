package repotest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "rejot.dev/rejot"

// root is the repository, as a test runs in its package's folder.
const root = "../.."

// A source is one Go file. Its name is relative to the root, with slashes.
type source struct {
	name string
	fset *token.FileSet
	file *ast.File
}

func (s source) room() string { return path.Dir(s.name) }

func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.name, s.fset.Position(n.Pos()).Line)
}

// isTest is true for what no program contains: test files and test rooms.
func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") || isTestRoom(s.room()) }

// isTestRoom knows storetest from store, and internal/dbtest with the rooms inside it.
func isTestRoom(room string) bool {
	return slices.ContainsFunc(strings.Split(room, "/"), func(part string) bool {
		return strings.HasSuffix(part, "test")
	})
}

func parse(name string, src any) (source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, filepath.Join(root, name), src, parser.ParseComments|parser.SkipObjectResolution)
	return source{name: name, fset: fset, file: file}, err
}

// tracked lists the files that are in the repository or would be with the next `git add`.
var tracked = sync.OnceValues(func() ([]string, error) {
	// A build machine may have checked out as another user, which git has to be told is fine.
	cmd := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	names := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	slices.Sort(names)
	return slices.Compact(names), watch(names)
})

// watch reads the folders of files: `go test` then runs these tests again when a file comes or goes. What
// git and go are asked for, it does not see.
func watch(files []string) error {
	seen := map[string]bool{}
	for _, name := range files {
		dir := path.Dir(name)
		if seen[dir] {
			continue
		}
		seen[dir] = true
		if _, err := os.ReadDir(filepath.Join(root, dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func trackedFiles(t *testing.T) []string {
	t.Helper()
	names, err := tracked()
	if err != nil {
		t.Fatal(err)
	}
	return names
}

var goFiles = sync.OnceValues(func() ([]source, error) {
	names, err := tracked()
	if err != nil {
		return nil, err
	}
	var all []source
	for _, name := range names {
		if !strings.HasSuffix(name, ".go") || strings.Contains("/"+name, "/testdata/") {
			continue
		}
		s, err := parse(name, nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted and not yet committed
		}
		if err != nil {
			return nil, err
		}
		if !ast.IsGenerated(s.file) {
			all = append(all, s)
		}
	}
	return all, nil
})

// sources are all Go files that people write.
func sources(t *testing.T) []source {
	t.Helper()
	all, err := goFiles()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A pkg is what `go list` says about a package.
type pkg struct {
	ImportPath string
	Name       string
	Imports    []string
}

var packages = sync.OnceValues(func() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})
