package repotest

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows lists, per room, the rooms it may import. A room that is not listed fails. "." is the root; "a/..." stands for a and
// all rooms below, but for a test room only where it is named. Rooms may be listed before they are built; _test.go files
// may import what they like.
var arrows = map[string][]string{
	".": {},

	"contract":         {".", "internal/sqltext"}, // a user's contract in Go compiles at once
	"contract/collect": {".", "contract", "manifest", "bindings", "internal/sqltext"},
	"manifest":         {".", "contract", "internal/sqltext"},
	"bindings":         {},
	"check":            {".", "contract", "manifest", "derive", "internal/sqltext"},
	"generate":         {".", "contract"},

	"derive":        {".", "contract"},
	"source/pglog":  {".", "contract", "derive", "internal/..."},
	"source/binlog": {".", "contract", "derive", "internal/..."},
	"publish":       {".", "contract", "derive", "internal/spill", "internal/sqltext", "internal/failpoint"},

	"store":           {".", "contract", "internal/failpoint"},
	"store/filestore": {".", "contract", "store", "internal/..."},
	"store/pgstore":   {".", "contract", "store", "internal/..."},
	"store/natsstore": {".", "contract", "store", "internal/..."},

	"apply":           {".", "contract", "internal/failpoint"},
	"apply/pgapply":   {".", "contract", "apply", "internal/..."},
	"apply/myapply":   {".", "contract", "apply", "internal/..."},
	"apply/fileapply": {".", "contract", "apply"},

	"lease":  {".", "contract", "internal/failpoint"},
	"engine": {".", "contract", "publish", "lease", "internal/failpoint", "internal/spill"}, // never an implementation
	"verify": {".", "contract", "publish", "internal/failpoint"},

	"httpapi":       {".", "contract", "store", "httpapi/webui", "internal/failpoint"},
	"httpapi/webui": {},
	"mcpserver":     {".", "contract", "manifest", "check", "verify"},
	"cmd/rejot":     {"..."}, // all but test rooms; implementations in adapters.go alone

	"internal/postgres":  {".", "contract", "internal/pgtree", "internal/sqltext"}, // a session is made from a contract.Connection
	"internal/mysql":     {".", "contract", "internal/sqltext"},
	"internal/pgtree":    {"."},
	"internal/sqltext":   {"."},
	"internal/spill":     {".", "internal/failpoint"},
	"internal/failpoint": {"."},

	"examples/...": {"contract", "internal/dbtest/..."}, // a demo starts the servers that tests start
	"bench/...":    {"...", "internal/dbtest/..."},
	"e2e/...":      {"internal/dbtest/..."}, // what a user has is the program
}

// modules lists the rooms whose programs may import a module of others. A module that is not listed may stand in tests alone.
var modules = map[string][]string{
	"github.com/jackc/pgx/v5": {"internal/postgres", "source/pglog", "store/pgstore", "apply/pgapply", "internal/dbtest/...", "bench/...", "examples/..."},
	"github.com/go-mysql-org/go-mysql": {
		"internal/mysql", "source/binlog", "apply/myapply", "internal/dbtest", "bench/...", "examples/...",
	},
	"github.com/nats-io/nats.go":               {"store/natsstore"},
	"github.com/cenkalti/backoff":              {"engine", "cmd/rejot"},
	"github.com/spf13/cobra":                   {"cmd/rejot"},
	"github.com/spf13/pflag":                   {"cmd/rejot"},
	"github.com/jedib0t/go-pretty":             {"cmd/rejot", "examples/...", "bench/..."},
	"golang.org/x/term":                        {"cmd/rejot"},
	"github.com/evanw/esbuild":                 {"contract/collect"},
	"github.com/dop251/goja":                   {"contract/collect"},
	"github.com/fsnotify/fsnotify":             {"cmd/rejot"},
	"github.com/santhosh-tekuri/jsonschema/v6": {"publish", "check", "manifest", "cmd/rejot"},
	"golang.org/x/sync":                        {"engine", "cmd/rejot", "source/...", "httpapi", "verify", "check"},
	"golang.org/x/sys":                         {"store/filestore", "internal/spill"},
	"github.com/google/go-cmp":                 {},
	"pgregory.net/rapid":                       {},
	"go.uber.org/goleak":                       {},
	"github.com/rogpeppe/go-internal":          {"cmd/rejot"},
}

// implementations of the interfaces in flow.go.
var implementations = []string{
	"source/pglog", "source/binlog", "store/filestore", "store/pgstore", "store/natsstore", "apply/pgapply", "apply/myapply", "apply/fileapply",
}

// adapters is the one file that imports implementations.
const adapters = "cmd/rejot/adapters.go"

func TestArrows(t *testing.T) {
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no packages found")
	}
	for _, p := range all {
		from := room(p.ImportPath)
		if _, ok := arrowsOf(from); !ok {
			t.Errorf("room %s is not drawn in arrows", from)
			continue
		}
		for _, imported := range p.Imports {
			if problem := arrow(from, imported); problem != "" {
				t.Error(problem)
			}
		}
	}
}

// arrow says what is wrong with an import, or nothing.
func arrow(from, imported string) string {
	if to := room(imported); to != "" {
		allowed, _ := arrowsOf(from)
		switch {
		case isTestRoom(to) && !slices.ContainsFunc(allowed, func(p string) bool { return isTestRoom(p) && match(p, to) }):
			return from + " imports the test room " + to + ": only tests do"
		case !slices.ContainsFunc(allowed, func(p string) bool { return match(p, to) }):
			return from + " imports " + to + ": turn the arrow round, or draw it in arrows with its reason"
		}
		return ""
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") || isTestRoom(from) {
		return "" // the standard library, or nothing that gets into the program
	}
	for module, rooms := range modules {
		if match(module+"/...", imported) && slices.ContainsFunc(rooms, func(p string) bool { return match(p, from) }) {
			return ""
		}
	}
	return from + " imports " + imported + ": that module stands elsewhere, see modules"
}

// arrowsOf gives what a room may import. A test room may import what it tests, and what tests share.
func arrowsOf(from string) ([]string, bool) {
	if isTestRoom(from) {
		return []string{".", "contract", "derive", path.Dir(from), "internal/...", "internal/dbtest/..."}, true
	}
	if found, ok := arrows[from]; ok {
		return found, true
	}
	for pattern, found := range arrows {
		if match(pattern, from) {
			return found, true
		}
	}
	return nil, false
}

// room is a package's folder; it is empty for a package of others.
func room(importPath string) string {
	if importPath == module {
		return "."
	}
	rest, ok := strings.CutPrefix(importPath, module+"/")
	if !ok {
		return ""
	}
	return rest
}

// match compares a room with a pattern: "a/..." is a and all below it, "..." is everything.
func match(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if above, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == above || strings.HasPrefix(name, above+"/")
	}
	return pattern == name
}

func TestArrowFindsWhatIsNotDrawn(t *testing.T) {
	for _, c := range []struct {
		from, imported string
		ok             bool
	}{
		{"engine", module + "/publish", true},
		{"engine", module + "/source/pglog", false},
		{"publish", module, true},
		{".", module + "/contract", false},
		{"source/pglog", module + "/internal/pgtree", true},
		{"source/pglog", module + "/internal/dbtest", false},
		{"cmd/rejot", module + "/source/pglog", true},
		{"cmd/rejot", module + "/source/sourcetest", false},
		{"derive/derivetest", module + "/derive", true},
		{"derive/derivetest", module + "/engine", false},
		{"source/pglog", "github.com/jackc/pgx/v5/pgconn", true},
		{"source/pglog", "github.com/jackc/pgx/v4", false},
		{"engine", "github.com/jackc/pgx/v5", false},
		{"engine", "github.com/google/go-cmp/cmp", false},
		{"engine", "net/http", true},
		{"examples/accounts/demo", module + "/internal/dbtest/dbserver", true},
	} {
		if problem := arrow(c.from, c.imported); (problem == "") != c.ok {
			t.Errorf("%s imports %s: got %q", c.from, c.imported, problem)
		}
	}
}

func TestImplementationsAreKnownToOneFile(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || s.room() != "cmd/rejot" || s.name == adapters {
			continue
		}
		for _, imported := range s.file.Imports {
			importPath, err := strconv.Unquote(imported.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(implementations, room(importPath)) {
				t.Errorf("%s imports %s: only %s does", s.at(imported), importPath, adapters)
			}
		}
	}
}
