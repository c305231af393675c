package collect

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
)

const pythonAccount = `from rejot_contract.public_schema import (
    PublicSchemaConfig, Source, Version, create_postgres_public_schema_transformation, create_public_schema,
)

account = create_public_schema(
    "NAME",
    source=Source(dataStoreSlug="db"),
    output_schema={"type": "object", "properties": {"id": {"type": "integer"}}},
    version=Version(major=1, minor=0),
    config=PublicSchemaConfig(
        publicSchemaType="postgres",
        transformations=create_postgres_public_schema_transformation("insertOrUpdate", "account", "SELECT id FROM account WHERE id = :id"),
    ),
)
`

func TestWhatAPythonFileMayHave(t *testing.T) {
	dir := project(t, `
-- schemas/account.py --
`+pythonAccount+`
print("said, and no answer")
_private = account
number = 5
-- schemas/all.py --
from schemas.account import account as handed_on
from rejot_contract.consumer_schema import ConsumerSchemaConfig, PublicSchema, SourceManifest, create_consumer_schema

several = [
    create_consumer_schema(
        "reads",
        SourceManifest(manifestSlug="other", publicSchema=PublicSchema(name="x", majorVersion=1)),
        ConsumerSchemaConfig(consumerSchemaType="postgres", destinationDataStoreSlug="db", sql="INSERT INTO t VALUES (:id)", deleteSql="DELETE FROM t WHERE id = :id"),
    ),
]
by_hand = {
    "name": "by hand", "source": {"dataStoreSlug": "db"}, "outputSchema": {}, "version": {"major": 1, "minor": 0},
    "config": {"publicSchemaType": "postgres", "transformations": [{"operation": "insert", "table": "t", "sql": "SELECT id FROM t WHERE id = :id"}]},
}
other = {"nothing": [1, 2]}
-- schemas/model.py --
from rejot_contract.public_schema import PublicSchemaConfig, Source, Version, create_mysql_public_schema_transformation, create_public_schema

class Account:  # what pydantic's models have
    @classmethod
    def model_json_schema(cls):
        return {"type": "object", "title": "Account"}

model = create_public_schema(
    "of a model", Source("db"), Account, Version(2, 1),
    PublicSchemaConfig("mysql", create_mysql_public_schema_transformation("delete", "t", "SELECT id FROM t WHERE id = :id", rows="one")),
    owner="me", upcast=[{"from": 1, "sql": "SELECT :id"}],
)
`)
	r, err := collected(t, Config{}, "schemas.account.py", "schemas/all.py", filepath.Join(dir, "schemas", "model.py"))
	if err != nil {
		t.Fatal(err)
	}
	want := "public schema NAME schemas/account.py:5\nconsumer schema reads schemas/all.py:5\npublic schema by hand schemas/all.py:11\n" +
		"public schema of a model " + filepath.Join(dir, "schemas/model.py") + ":8\n"
	if diff := cmp.Diff(want, titles(r)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"schemas/account.py", "schemas/all.py", "schemas/model.py"}, r.Files); diff != "" {
		t.Error(diff)
	}
	last := r.Definitions[3].Public
	if last.Owner != "me" || last.Config.Transformations[0].Rows != "one" || len(last.Upcast) != 1 || string(last.OutputSchema) != `{"type": "object", "title": "Account"}` {
		t.Errorf("got %+v", last)
	}
}

func TestWhatIsWrongWithAPythonFileIsToldAtItsPlace(t *testing.T) {
	type bad struct{ file, want, mend string }
	files := map[string]bad{}
	for _, c := range map[string]bad{
		"raises":             {"def broken():\n    raise ValueError('no such thing')\n\naccount = broken()\n", "a.py:2: raises ValueError: no such thing\n     1 │ def broken():\n>    2 │     raise ValueError('no such thing')\n     3 │ ", ""},
		"loops for ever":     {"while True: pass\n", "a.py:1: did not end within 2s", ""},
		"and catches it":     {"import time\nwhile True:\n    try:\n        time.sleep(9)\n    except BaseException:\n        pass\n", "a.py: did not end within 2s", ""},
		"a module is absent": {"import nothere.sub\n", "a.py:1: imports nothere, which is not installed for PYTHON", "pip install nothere, or name the interpreter that has it: --python-executable PATH"},
		"has no schema":      {"account = 5\n", "a.py: has no public variable that is a schema", "account = create_public_schema(…), or a list of schemas"},
		"does not parse":     {"x = (\n", "a.py:1:5: SyntaxError: '(' was never closed", ""},
		"ends":               {"import sys\nsys.exit(3)\n", "a.py:2: ends the interpreter", ""},
		"ends at once":       {"import os\nos._exit(3)\n", "a.py: ends the interpreter", ""},
		"calls itself":       {"def f():\n    f()\nf()\n", "a.py:2: calls itself without end", ""},
		"no JSON":            {"account = {'outputSchema': {'x': object()}}\n", "a.py:1: account is no JSON: Object of type object is not JSON serializable", ""},
		"no transformation": {
			"from rejot_contract.public_schema import *\na = create_public_schema('a', Source('db'), {}, Version(1, 0), PublicSchemaConfig('postgres', []))\n",
			"a.py:2: raises InvalidPublicSchemaError: Public schema must have at least one transformation", "",
		},
		"an empty part": {
			"from rejot_contract import *\na = create_consumer_schema('a', SourceManifest('', PublicSchema('x', 1)), create_postgres_consumer_schema_config('d', 'x'))\n",
			"a.py:2: raises InvalidConsumerSchemaError: Source manifest slug cannot be empty", "",
		},
	} {
		files["a"+strconv.Itoa(len(files))+".py"] = c
	}
	archive, args := "", []string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		archive += "-- " + name + " --\n" + files[name].file
		args = append(args, name)
	}
	project(t, archive+"-- b.py --\n"+pythonAccount)
	r, err := collected(t, Config{Limit: 2 * time.Second}, append(args, "b.py")...)
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		t.Fatal(err)
	}
	if len(joined.Unwrap()) != len(args) {
		t.Fatalf("got %d errors for %d files: %v", len(joined.Unwrap()), len(args), err)
	}
	for i, e := range joined.Unwrap() {
		c := files[args[i]]
		got := strings.Replace(told(e, strings.Contains(c.want, "│")), args[i], "a.py", 1)
		if before, _, ok := strings.Cut(c.want, "PYTHON"); ok {
			got, c.want = got[:min(len(before), len(got))], before
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(c.mend, rejot.MendOf(e)); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff("public schema NAME b.py:5\n", titles(r)); diff != "" {
		t.Errorf("a file after those: %s", diff)
	}
}

func TestAPythonThatIsNotThereIsTold(t *testing.T) {
	project(t, "-- a.py --\n"+pythonAccount)
	_, err := collected(t, Config{Python: "python-of-nobody"}, "a.py")
	if rejot.CodeOf(err) != rejot.Invalid || rejot.MendOf(err) == "" {
		t.Errorf("got %v, mend %q", err, rejot.MendOf(err))
	}
}

func TestNothingIsLeftBesideAPythonFile(t *testing.T) {
	project(t, "-- a.py --\n"+pythonAccount)
	if _, err := collected(t, Config{}, "."); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(".")
	if err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v", entries, err)
	}
}
