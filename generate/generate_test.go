package generate

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

var update = flag.Bool("update", false, "write what is made into testdata")

// fixture reads the schemas of a file in testdata.
func fixture(t *testing.T, name string) []Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Manifest, Name string
		Major, Minor   int
		Key            []string
		OutputSchema   json.RawMessage
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	var all []Schema
	for _, s := range list {
		ref := rejot.Ref{Manifest: s.Manifest, Name: s.Name, Major: s.Major, Minor: s.Minor}
		all = append(all, Schema{&contract.PublicSchema{Ref: ref, OutputSchema: s.OutputSchema}, s.Key})
	}
	return all
}

// languages make each its file.
var languages = []struct {
	ext  string
	make func([]Schema) ([]byte, error)
}{
	{"ts", TypeScript},
	{"py", Python},
	{"go", func(s []Schema) ([]byte, error) { return Go(s, "main") }},
}

var fixtures = []string{"accounts", "forms", "names"}

func TestWhatIsMadeIsAsInTestdata(t *testing.T) {
	for _, name := range fixtures {
		for _, l := range languages {
			t.Run(name+"."+l.ext, func(t *testing.T) {
				got, err := l.make(fixture(t, name))
				if err != nil {
					t.Fatal(err)
				}
				path := filepath.Join("testdata", name+"."+l.ext)
				if *update {
					if err := os.WriteFile(path, got, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Errorf("go test ./generate -update writes it (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestOrderOfSchemasDoesNotMatter(t *testing.T) {
	for _, l := range languages {
		schemas := fixture(t, "forms")
		want, err := l.make(schemas)
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(schemas)
		got, err := l.make(schemas)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != string(got) {
			t.Errorf("%s: the files differ", l.ext)
		}
	}
}

// run runs a command in a folder.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// made makes the files of one language in a folder.
func made(t *testing.T, ext string, as func(fixture string) string) string {
	t.Helper()
	dir := t.TempDir()
	i := slices.IndexFunc(languages, func(l struct {
		ext  string
		make func([]Schema) ([]byte, error)
	},
	) bool {
		return l.ext == ext
	})
	for _, name := range fixtures {
		code, err := languages[i].make(fixture(t, name))
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, as(name)), string(code))
	}
	return dir
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// goMain reads rows as the program sends them, and writes them again.
const goMain = `package main

import (
	"encoding/json"
	"fmt"
)

func again[T any](text string) {
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(out))
}

func main() {
	again[OrderV2]("{\"id\":\"9007199254740993\",\"total\":\"1.10\",\"small\":7,\"status\":\"open\",\"note\":null,\"lines\":[{\"sku\":\"a\",\"count\":1}],\"any\":{\"deep\":[1e400]}}")
	again[OrderV2Key]("{\"id\":1}")
	if OrderV2StatusOpen != "open" {
		panic("the constant is another")
	}
	again[TreeV0]("{\"name\":\"a\",\"children\":[{\"name\":\"b\",\"children\":[]}],\"parent\":null}")
}
`

func TestGoCodeCompilesAndReadsWhatIsSent(t *testing.T) {
	dir := made(t, "go", func(name string) string { return name + "/rows.go" })
	put(t, filepath.Join(dir, "go.mod"), "module example.com/made\n\ngo 1.26\n")
	put(t, filepath.Join(dir, "forms", "main.go"), goMain)
	put(t, filepath.Join(dir, "names", "main.go"), "package main\n\nfunc main() {}\n")
	put(t, filepath.Join(dir, "accounts", "main.go"), "package main\n\nfunc main() {}\n")
	run(t, dir, "go", "vet", "./...")
	got := strings.Split(strings.TrimSpace(run(t, dir, "go", "run", "./forms")), "\n")
	want := []string{
		`{"id":9007199254740993,"total":1.10,"small":7,"status":"open","note":null,"lines":[{"sku":"a","count":1}],"any":{"deep":[1e400]}}`,
		`{"id":1}`,
		`{"name":"a","children":[{"name":"b","children":[],"parent":null}],"parent":null}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// pyMain looks at what Python itself has understood.
const pyMain = `
import typing
import accounts, forms, names
order = forms.OrderV2
hints = typing.get_type_hints(order)
print(hints["id"], hints["status"], hints["note"])
print(sorted(order.__optional_keys__))
print(typing.get_type_hints(forms.TreeV0)["children"])
print(sorted(names.OddV1.__required_keys__))
for module in (accounts, forms, names):
    for name, value in vars(module).items():
        if typing.is_typeddict(value):
            typing.get_type_hints(value)
`

func TestPythonCodeRuns(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3")
	}
	dir := made(t, "py", func(name string) string { return name + ".py" })
	got := strings.Split(strings.TrimSpace(run(t, dir, "python3", "-c", pyMain)), "\n")
	want := []string{
		"int | str typing.Literal['open', 'paid'] str | None",
		"['when']",
		"list[forms.TreeV0]",
		"['class', 'with-dash']",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// tsMain uses the types as a consumer does. The lines after @ts-expect-error have to be refused.
const tsMain = `import { AccountV1 } from "./accounts.js";
import { OrderV2, OrderV2Key, TreeV0 } from "./forms.js";
import * as names from "./names.js";

export const order: OrderV2 = { id: "9007199254740993", total: 1.5, small: 1, status: "open", note: null, lines: [{ sku: "a", count: 1 }], any: 1 };
export const key: OrderV2Key = { id: 1 };
export const tree: TreeV0 = { name: "a", children: [{ name: "b", children: [], parent: null }], parent: null };
// @ts-expect-error: no such status
order.status = "lost";
// @ts-expect-error: a bounded number is never text
order.small = "1";
// @ts-expect-error: anything has to be looked at first
order.any.deep;
export const emails = (a: AccountV1): number => a.emails?.length ?? 0;
export const odd = (o: names.OddV1): string => o["with-dash"] + o.class;
`

func TestTypeScriptCodeIsTypeChecked(t *testing.T) {
	script := filepath.Join("..", "scripts", "typescript")
	if _, err := os.Stat(script); err != nil {
		t.Skip("the compiler is brought by scripts/typescript, which is not there")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node")
	}
	run(t, ".", script)
	compiler, err := filepath.Abs(filepath.Join("..", ".cache", "typescript", "node_modules", "typescript", "bin", "tsc"))
	if err != nil {
		t.Fatal(err)
	}
	dir := made(t, "ts", func(name string) string { return name + ".ts" })
	put(t, filepath.Join(dir, "main.ts"), tsMain)
	put(t, filepath.Join(dir, "package.json"), `{"type": "module"}`)
	put(t, filepath.Join(dir, "tsconfig.json"), `{"compilerOptions": {"noEmit": true, "strict": true, "exactOptionalPropertyTypes": true, "target": "es2022", "module": "nodenext", "types": []}}`)
	run(t, dir, "node", compiler)
}
