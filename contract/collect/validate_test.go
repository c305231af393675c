package collect

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// files makes a contract of each .sql text.
func sqlArchive(files map[string]string) string {
	var b strings.Builder
	for name, text := range files {
		b.WriteString("-- " + name + " --\n" + text + "\n")
	}
	return b.String()
}

const (
	publicHead   = "-- rejot: public-schema account 1.0\n-- source: db\n-- table: account\n\n"
	consumerHead = "-- rejot: consumer-schema reports\n-- reads: m/account 1\n-- destination: db\n\n"
)

func TestDefinitionsAreComparedWithOneAnother(t *testing.T) {
	columns := []Column{{Name: "id", Type: "bigint"}, {Name: "firstName", Type: "text"}}
	for name, c := range map[string]struct {
		files      map[string]string
		want, mend string
	}{
		"two of one name and version": {
			map[string]string{"a.sql": publicHead + "SELECT :id", "b.sql": publicHead + "SELECT :id"},
			"b.sql:1: public schema account, major version 1, is defined at a.sql:1 already", "give one of them another name, or another major version",
		},
		"two majors": {map[string]string{"a.sql": publicHead + "SELECT :id", "b.sql": strings.Replace(publicHead, "1.0", "2.0", 1) + "SELECT :id"}, "", ""},
		"two consumers of one name": {
			map[string]string{"a.sql": consumerHead + "INSERT INTO t VALUES (:id)", "b.sql": consumerHead + "INSERT INTO t VALUES (:id)"},
			"b.sql:1: consumer schema reports is defined at a.sql:1 already", "give one of them another name, or another major version",
		},
		"a field that the public schema has not": {
			map[string]string{"a.sql": publicHead + "SELECT :id", "b.sql": consumerHead + "INSERT INTO t VALUES (:id, :first_name, :age)"},
			"b.sql:1: consumer schema reports: public schema account has no field first_name; it has id, firstName\nb.sql:1: consumer schema reports: public schema account has no field age; it has id, firstName",
			"did you mean :firstName\n",
		},
		"a field of another manifest": {map[string]string{"b.sql": strings.Replace(consumerHead, "m/", "other/", 1) + "INSERT INTO t VALUES (:x)"}, "", ""},
		"another major":               {map[string]string{"a.sql": publicHead + "SELECT :id", "b.sql": strings.Replace(consumerHead, "account 1", "account 2", 1) + "INSERT INTO t VALUES (:x)"}, "", ""},
		"positional placeholders":     {map[string]string{"a.sql": publicHead + "SELECT :id", "b.sql": consumerHead + "INSERT INTO t VALUES ($1)"}, "", ""},
		"a delete of other columns":   {map[string]string{"a.sql": publicHead + "SELECT :id", "b.sql": consumerHead + "INSERT INTO t VALUES (:id)\n-- delete:\nDELETE FROM t WHERE x = :key_of_the_source"}, "", ""},
		"statements without a row": {
			map[string]string{"b.sql": consumerHead + "INSERT INTO t DEFAULT VALUES\n-- delete:\nDELETE FROM t\n-- truncate:\nDELETE FROM t WHERE x = :x"},
			"b.sql:1: consumer schema reports: the sql has no placeholder, so that it writes no row\nb.sql:1: consumer schema reports: deleteSql has no placeholder, so that each delete would remove every row\nb.sql:1: consumer schema reports: truncateSql has the placeholder :x, and there is no row then",
			"name the fields of the public schema: VALUES (:id, …)\nWHERE id = :id; what removes all rows is truncateSql\n",
		},
		// Where a colon is no placeholder.
		"strings, comments, casts, quotes, slices, operators": {
			map[string]string{
				"a.sql": publicHead + "SELECT a.id, ':no', $$ :no $$, $x$ ':no $x$, E'\\':no', \":no\", x::text[], y[:2], y[1:n], j->>'a:b', j @> '{\"a\": 1}', f(b := 1) /* :no */ FROM account a WHERE a.id = :id -- :no",
				"b.sql": consumerHead + "INSERT INTO t VALUES (:id::text, (:firstName::text[])[1], ARRAY[:id,:id])",
				"c.sql": "-- rejot: consumer-schema shop\n-- type: mysql\n-- reads: m/account 1\n-- destination: db\n\nREPLACE INTO `t:no` VALUES (:id, ':no', \":no\", @x := :firstName) # :no",
			}, "", "",
		},
		"a cast does not hide a field": {
			map[string]string{"a.sql": publicHead + "SELECT :id", "b.sql": consumerHead + "INSERT INTO t VALUES (:id, :gone::text)"},
			"b.sql:1: consumer schema reports: public schema account has no field gone; it has id, firstName", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			project(t, sqlArchive(c.files))
			m := parsed(t, `{"slug":"m","manifestVersion":0}`)
			_, err := collected(t, Config{Manifest: m, Describe: &fakeDescriber{columns: columns}}, ".")
			if diff := cmp.Diff(c.want, told(err, false)); diff != "" {
				t.Fatal(diff)
			}
			if err != nil {
				wantMend(t, err, c.mend)
			}
		})
	}
}

func TestAFieldIsLookedForInTheManifestWhereItsSchemaIsNotCollected(t *testing.T) {
	project(t, "-- b.sql --\n"+consumerHead+"INSERT INTO t VALUES (:id, :gone)")
	for name, c := range map[string]struct{ schema, want string }{
		"closed": {`{"type":"object","properties":{"id":{"type":"object","properties":{"gone":{}}}},"additionalProperties":false}`, "b.sql:1: consumer schema reports: public schema account has no field gone; it has id"},
		"open":   {`{"type":"object","properties":{"id":{}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := parsed(t, `{"slug":"m","manifestVersion":0,"publicSchemas":[{"name":"account","source":{"dataStoreSlug":"db"},"outputSchema":`+c.schema+`,"version":{"major":1,"minor":0},
				"config":{"publicSchemaType":"postgres","transformations":[{"operation":"insert","table":"t","sql":"SELECT :id"}]}}]}`)
			_, err := collected(t, Config{Manifest: m}, "b.sql")
			if diff := cmp.Diff(c.want, told(err, false)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFindGivesFilesOnceAndSorted(t *testing.T) {
	project(t, `
-- s/b.py --
import rejot_contract
-- s/a.ts --
import "@rejot-dev/contract/public-schema";
-- s/z/c.sql --

-- rejot: public-schema x 1.0
-- s/d.go --
package d
import "rejot.dev/rejot/contract"
-- s/d_test.go --
package d
import "rejot.dev/rejot/contract"
-- s/venv/pyvenv.cfg --
-- s/venv/x.py --
import rejot_contract
-- s/.hidden/x.py --
import rejot_contract
-- s/notes.txt --
@rejot-dev/contract/
-- pkg/module.py --
`)
	f, err := Find([]string{"s/z/c.sql", "s", "gone.ts", "pkg.module.py", "pkg.gone.py", "./s/b.py"})
	if err != nil {
		t.Fatal(err)
	}
	want := []File{{"s/z/c.sql", false}, {"s/a.ts", true}, {"s/b.py", true}, {"s/d.go", true}, {"pkg/module.py", false}}
	if diff := cmp.Diff(want, f.Files); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"gone.ts", "pkg.gone.py"}, f.Missing); diff != "" {
		t.Error(diff)
	}
	if _, err := Find([]string{"s/notes.txt"}); err == nil || !strings.Contains(err.Error(), "s/notes.txt: a definition stands in a .ts, .js, .py, .go or .sql file") {
		t.Errorf("got %v", err)
	}
}

func TestOnlyWhatWasLookedIntoCountsAsLookedAt(t *testing.T) {
	dir := project(t, `
-- s/a.ts --
import "@rejot-dev/contract/public-schema";
-- s/plain.sql --
SELECT 1
-- s/build/c.js --
import "@rejot-dev/contract/public-schema";
-- s/.hidden/c.py --
import rejot_contract
-- s/test_c.py --
import rejot_contract
-- s/long.sql --
-- elsewhere/c.py --
import rejot_contract
`)
	if err := errors.Join(os.Truncate("s/long.sql", largestSource+1), os.Symlink("../elsewhere", "s/other"), os.Symlink("../elsewhere/c.py", "s/other.py"), os.Symlink("s", "link")); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"s", "link"} {
		f, err := Find([]string{folder})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]File{{folder + "/a.ts", true}}, f.Files); diff != "" {
			t.Error(diff)
		}
		want := map[string]bool{filepath.Join(dir, folder, "a.ts"): true, filepath.Join(dir, folder, "plain.sql"): true}
		if diff := cmp.Diff(want, f.Looked); diff != "" {
			t.Error(diff)
		}
	}
}
