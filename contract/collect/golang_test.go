package collect

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const goAccount = `package contracts

import "rejot.dev/rejot/contract"

type row struct {
	ID int64 ` + "`json:\"id\"`" + `
}

// Account is an account.
var Account = contract.Public("NAME", contract.Version{Major: 1}, contract.PublicOptions{
	Source: "db", Output: contract.SchemaOf[row](), Transformations: []contract.Transformation{contract.OnChange("account", "SELECT id FROM account WHERE id = :id")},
})
`

// goModule makes a user's module that depends on ours as it stands here.
func goModule(t *testing.T, archive string) {
	t.Helper()
	repo := repository(t)
	sum, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	project(t, "-- go.mod --\nmodule example.com/shop\n\ngo 1.26.0\n\nrequire rejot.dev/rejot v0.0.0\n\nreplace rejot.dev/rejot => "+repo+"\n-- go.sum --\n"+string(sum)+archive)
	t.Setenv("GOPROXY", "off")
}

func TestWhatAGoFileMayHave(t *testing.T) {
	goModule(t, `
-- internal/contracts/account.go --
`+goAccount+`
// Number is none.
var Number = 5

var hidden = Account
-- internal/contracts/more.go --
package contracts

import (
	"fmt"

	"rejot.dev/rejot/contract"
)

func init() { fmt.Print("said, and no answer", hidden) }

// Several are two.
var Several = []contract.Definition{
	contract.Consume("one", contract.ConsumerOptions{Reads: contract.Reads{Manifest: "other", Schema: "x", Major: 1}, Destination: "db", SQL: "INSERT INTO t VALUES (:id)"}),
	contract.Consume("two", contract.ConsumerOptions{Reads: contract.Reads{Manifest: "other", Schema: "x", Major: 1}, Destination: "db", Database: "mysql", SQL: "REPLACE INTO t VALUES (:id)"}),
}
-- internal/contracts/plain.go --
package contracts
-- internal/contracts/helper.go --
package contracts

import "rejot.dev/rejot/contract"

func help() contract.Version { return contract.Version{Major: 1} }

var _ = help
-- internal/helpers/helper.go --
package helpers

import "rejot.dev/rejot/contract"

// Version is no variable.
func Version() contract.Version { return contract.Version{Major: 1} }
`)
	r, err := collected(t, Config{}, "internal")
	if err != nil {
		t.Fatal(err)
	}
	want := "public schema NAME internal/contracts/account.go:10\nconsumer schema one internal/contracts/more.go:13\nconsumer schema two internal/contracts/more.go:14\n"
	if diff := cmp.Diff(want, titles(r)); diff != "" {
		t.Error(diff)
	}
	entries, err := os.ReadDir("internal/contracts")
	if err != nil || len(entries) != 4 {
		t.Errorf("something is left beside the files: %v, %v", entries, err)
	}
	if n := len(r.Depends["internal/contracts/account.go"]); n != 4 {
		t.Errorf("got %v", r.Depends)
	}
}

func TestWhatIsWrongWithAGoFileIsToldAtItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ file, want, mend string }{
		"does not compile": {
			"package contracts\n\nimport \"rejot.dev/rejot/contract\"\n\nvar A = contract.Public(\"a\")\n\nvar B = missing\n",
			"a/a.go:5:25: not enough arguments in call to contract.Public\nhave (string)\nwant (string, contract.Version, contract.PublicOptions)\na/a.go:7:9: undefined: missing", "\n",
		},
		"panics": {"package contracts\n\nvar A = broken()\n\nfunc broken() int {\n\tpanic(\"no such thing\")\n}\n", "a/a.go:6: panics: no such thing", ""},
		"ends":   {"package contracts\n\nimport \"os\"\n\nvar A = func() int { os.Exit(4); return 1 }()\n", "a/a.go: ends its program (exit status 4) ", ""},
		"ends as if all were well": {
			"package contracts\n\nimport \"os\"\n\nvar A = 1\n\nfunc init() { os.Exit(0) }\n", "a/a.go: does not let its contracts be told: its program ended with exit status 0",
			"call no os.Exit and leave os.Stdout as it is while the package's variables are made",
		},
		"has standard output for itself": {
			"package contracts\n\nimport \"os\"\n\nvar A = 1\n\nfunc init() { os.Stdout = os.Stderr }\n", "a/a.go: does not let its contracts be told: its program ended with exit status 0",
			"call no os.Exit and leave os.Stdout as it is while the package's variables are made",
		},
		"loops for ever":       {"package contracts\n\nvar A = func() int {\n\tfor {\n\t}\n}()\n", "a/a.go: did not end within 1s", ""},
		"is package main":      {"package main\n\nvar A = 1\n\nfunc main() {}\n", "a/a.go:1: is in package main, which cannot be imported", "put the contracts into a package of their own"},
		"exports nothing":      {"package contracts\n\nvar a = 1\n", "a/a.go: has no exported variable that is a schema", "var Account = contract.Public(…), or a slice of schemas"},
		"exports no schema":    {"package contracts\n\nvar A = 1\n", "a/a.go: has no exported variable that is a schema", "var Account = contract.Public(…), or a slice of schemas"},
		"a package is missing": {"package contracts\n\nimport \"example.org/gone\"\n\nvar A = gone.B\n", "a/a.go:3:8: no required module provides package example.org/gone", "go get example.org/gone"},
		"a type without schema": {
			strings.Replace(goAccount, "ID int64", "ID chan int", 1), "a/a.go:10: public schema NAME: JSON Schema has nothing for the Go type chan int", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			goModule(t, "-- a/a.go --\n"+c.file)
			limit := 10 * time.Second
			if name == "loops for ever" {
				limit = short
			}
			_, err := collected(t, Config{Limit: limit}, "a/a.go")
			got := told(err, false)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			wantMend(t, err, c.mend)
		})
	}
}

func TestOneGoFileThatIsWrongSaysNothingOfItsNeighbours(t *testing.T) {
	for name, c := range map[string]struct{ wrong, want string }{
		"does not compile": {"package contracts\n\nvar B int = \"\"\n", "a/wrong.go:3:13: cannot use \"\" (untyped string constant) as int value in variable declaration"},
		"panics":           {"package contracts\n\nvar B = func() int { panic(\"no\") }()\n", "a/wrong.go:3: panics: no"},
	} {
		t.Run(name, func(t *testing.T) {
			goModule(t, "\n-- a/account.go --\n"+goAccount+"-- a/wrong.go --\n"+c.wrong)
			_, err := collected(t, Config{}, "a/account.go", "a/wrong.go")
			if diff := cmp.Diff(c.want, told(err, false)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
