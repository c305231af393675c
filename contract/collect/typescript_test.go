package collect

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// account is a contract file that is well.
const account = `import { createPublicSchema } from "@rejot-dev/contract/public-schema";
import { createPostgresPublicSchemaTransformations, PostgresPublicSchemaConfigBuilder } from "@rejot-dev/adapter-postgres";

export default createPublicSchema("NAME", {
  source: { dataStoreSlug: "db" },
  version: { major: 1, minor: 0 },
  outputSchema: { type: "object", properties: { id: { type: "integer" } }, additionalProperties: false },
  config: new PostgresPublicSchemaConfigBuilder()
    .addTransformation(createPostgresPublicSchemaTransformations("insertOrUpdate", "account", "SELECT id FROM account WHERE id = :id"))
    .build(),
});
`

func named(name string) string { return strings.ReplaceAll(account, "NAME", name) }

func TestWhatATypeScriptFileMayExport(t *testing.T) {
	project(t, `
-- one.ts --
`+named("one")+`
-- array.ts --
import one from "./one.ts";
export default [{ ...one, name: "in an array" }, { inner: { ...one, name: "one level deep" }, deeper: { still: { ...one, name: "too deep" } }, n: 1 }, null];
-- object.js --
// @rejot-dev/contract/
import one from "./one";
export default { a: { ...one, name: "in an object" }, b: 5 };
-- common.cjs --
// @rejot-dev/contract/
const one = require("./one").default;
module.exports = { a: { ...one, name: "common" } };
-- sql/query.sql --
SELECT id FROM account WHERE id = :id
-- text.ts --
import { createPublicSchema } from "@rejot-dev/contract/public-schema";
import sql from "./sql/query.sql";
import { table } from "names";

export default createPublicSchema("from a file", {
  source: { dataStoreSlug: "db" }, version: { major: 1, minor: 0 }, outputSchema: { type: "object" },
  config: { publicSchemaType: "postgres", transformations: [{ operation: "insert", table, sql }] },
});
-- tsconfig.json --
{ "compilerOptions": { "paths": { "names": ["./lib/names.ts"] } } }
-- lib/names.ts --
export const table: string = "account";
-- consumer.ts --
import { createConsumerSchema } from "@rejot-dev/contract/consumer-schema";
import { createPostgresConsumerSchemaConfig } from "@rejot-dev/adapter-postgres";

export const helper = 1;
export default createConsumerSchema("reads", {
  source: { manifestSlug: "other", publicSchema: { name: "x", majorVersion: 2 } },
  config: createPostgresConsumerSchemaConfig("db", "INSERT INTO t VALUES (:id)", { deleteSql: "DELETE FROM t WHERE id = :id" }),
});
`)
	r, err := collected(t, Config{}, "one.ts", "array.ts", "object.js", "common.cjs", "text.ts", "consumer.ts")
	if err != nil {
		t.Fatal(err)
	}
	want := `public schema one one.ts:4
public schema in an array array.ts
public schema one level deep array.ts
public schema in an object object.js
public schema common common.cjs
public schema from a file text.ts:5
consumer schema reads consumer.ts:5
`
	if diff := cmp.Diff(want, titles(r)); diff != "" {
		t.Error(diff)
	}
	depends := map[string]int{}
	for file, list := range r.Depends {
		depends[file] = len(list)
	}
	if diff := cmp.Diff(map[string]int{"one.ts": 1, "array.ts": 2, "object.js": 2, "common.cjs": 2, "text.ts": 3, "consumer.ts": 1}, depends); diff != "" {
		t.Error(diff)
	}
	if c := r.Definitions[6].Consumer; c.Config.DeleteSQL == "" || c.PublicSchema.Major != 2 || c.DefinitionFile != "consumer.ts" {
		t.Errorf("got %+v", c)
	}
}

func TestWhatIsWrongWithATypeScriptFileIsToldAtItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ file, want, mend string }{
		"throws": {
			"import { createPublicSchema } from \"@rejot-dev/contract/public-schema\";\n\nfunction broken(): never {\n\tthrow new Error(\"no such thing\");\n}\nexport default createPublicSchema(\"a\", broken());\n",
			"a.ts:4:8: throws Error: no such thing\n     2 │ \n     3 │ function broken(): never {\n>    4 │  throw new Error(\"no such thing\");\n       │        ^\n     5 │ }", "",
		},
		"throws what is no error": {"throw 5;\nexport default {};\n", "a.ts: throws 5", ""},
		"loops for ever":          {"let i = 0;\nwhile (true) i++;\nexport default i;\n", "a.ts:2:14: did not end within 1s", "make the definitions without waiting and without loops that depend on anything outside"},
		"calls itself":            {"const f = (n: number): number => f(n + 1) + 1;\nexport default f(1);\n", "a.ts:1:36: calls itself without end", ""},
		"a package is missing":    {"import left from \"left-pad\";\nimport { x } from \"@scope/pkg/sub\";\nexport default left(x);\n", "a.ts:1:18: imports the package left-pad, which is not installed here\na.ts:2:19: imports the package @scope/pkg/sub, which is not installed here", "npm install left-pad\nnpm install @scope/pkg"},
		"a file is missing":       {"import x from \"./gone\";\nexport default x;\n", "a.ts:1:15: imports \"./gone\", which does not exist", ""},
		"a built-in of Node":      {"import fs from \"node:fs\";\nimport { join } from \"path\";\nexport default fs(join);\n", "a.ts:1:16: imports node:fs of Node, which a contract file cannot use\na.ts:2:22: imports path of Node, which a contract file cannot use", noNode + "\n" + noNode},
		"the environment":         {"export default { name: process.env.NAME };\n", "a.ts:1:24: throws ReferenceError: process is not defined", noNode},
		"exports nothing":         {"export const a = 1;\n", "a.ts: exports nothing as default", "export default createPublicSchema(…), or an array or object of schemas"},
		"is empty":                {"", "a.ts: exports nothing as default", "export default createPublicSchema(…), or an array or object of schemas"},
		"exports no schema":       {"export default { a: 1 };\n", "a.ts: exports no schema", "export default createPublicSchema(…), or an array or object of schemas"},
		"top-level await":         {"const x = await Promise.resolve(1);\nexport default x;\n", "a.ts:1:11: uses await outside a function, which a contract file cannot", "write the schemas without waiting for anything"},
		"a promise":               {"export default (async () => 1)();\n", "a.ts: exports a promise, for which nobody waits", "export the schemas themselves"},
		"does not parse":          {"export default {\n", "a.ts:2:1: Expected identifier but found end of file", ""},
		"no transformation": {
			"import { createPublicSchema } from \"@rejot-dev/contract/public-schema\";\nexport default createPublicSchema(\"a\", { source: { dataStoreSlug: \"db\" }, version: { major: 1, minor: 0 }, outputSchema: {}, config: { publicSchemaType: \"postgres\", transformations: [] } });\n",
			"a.ts:2:35: throws InvalidPublicSchemaError: Public schema must have at least one transformation", "",
		},
		"an empty part": {
			"import { createConsumerSchema } from \"@rejot-dev/contract/consumer-schema\";\nexport default createConsumerSchema(\"a\", { source: { manifestSlug: \"\", publicSchema: { name: \"x\", majorVersion: 1 } }, config: { consumerSchemaType: \"postgres\", destinationDataStoreSlug: \"d\", sql: \"x\" } });\n",
			"a.ts:2:37: throws InvalidConsumerSchemaError: Source manifest slug cannot be empty", "",
		},
		"a schema that contains itself": {"const a: any = { outputSchema: {} };\na.a = a;\nexport default a;\n", "a.ts: throws TypeError: Converting circular structure to JSON", ""},
		"a field that is not known":     {"export default { outputSchema: {}, nmae: \"a\", config: { publicSchemaType: \"postgres\", transformations: [{ operation: \"upsert\", table: \"t\", sql: \"SELECT 1; SELECT 2\" }] } };\n", "a.ts: public schema: name is missing\na.ts: public schema: source is missing\na.ts: public schema: version is missing\na.ts: public schema: nmae: is not known here; known are name, source, outputSchema, version, definitionFile, config, owner, description, validate, freshness, upcast\na.ts: public schema: config.transformations[0].operation: \"upsert\" is not one of insert, update and delete\na.ts: public schema: config.transformations[0].sql: 1:11: a second statement begins here, and there may be one only", "\n\n\n\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			project(t, "-- a.ts --\n"+c.file)
			limit := short
			if !strings.Contains(name, "loops") {
				limit = 5 * time.Second
			}
			_, err := collected(t, Config{Limit: limit}, "a.ts")
			if diff := cmp.Diff(c.want, told(err, strings.Contains(c.want, "│"))); diff != "" {
				t.Error(diff)
			}
			wantMend(t, err, c.mend)
		})
	}
}

func TestAFileThatOnlyHelpsIsPassedOverInAFolder(t *testing.T) {
	project(t, `
-- schemas/helper.ts --
import { createPublicSchema } from "@rejot-dev/contract/public-schema";
export const make = createPublicSchema;
-- schemas/account.ts --
`+named("a")+`
-- schemas/index.ts --
// @rejot-dev/contract/
import account from "./account";
export default [account];
-- schemas/account.test.ts --
import "@rejot-dev/contract/public-schema";
throw new Error("a test");
-- schemas/node_modules/x/index.ts --
import "@rejot-dev/contract/public-schema";
throw new Error("another's");
-- schemas/plain.ts --
throw new Error("nothing of ours");
-- schemas/data.sql --
SELECT 1
`)
	var said []string
	r, err := collected(t, Config{Log: func(text string) { said = append(said, text) }}, "schemas")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("public schema a schemas/account.ts:4\n", titles(r)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"schemas/account.ts", "schemas/helper.ts", "schemas/index.ts"}, r.Files); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"schemas/helper.ts defines no schema"}, said); diff != "" {
		t.Error(diff)
	}
}

func TestAnErrorInOneFileHidesNoneOfAnother(t *testing.T) {
	project(t, "-- a.ts --\nimport x from \"nowhere\";\nexport default x;\n-- b.ts --\n"+named("b")+"-- c.ts --\nthrow new Error(\"c\");\nexport default 1;\n-- lib.ts --\nlet x = ;\n-- d.ts --\nimport \"./lib\";\nexport default 1;\n")
	r, err := collected(t, Config{}, "c.ts", "b.ts", "a.ts", "d.ts")
	want := "c.ts:1:7: throws Error: c\na.ts:1:15: imports the package nowhere, which is not installed here\nlib.ts:1:9: Unexpected \";\""
	if diff := cmp.Diff(want, told(err, false)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("public schema b b.ts:4\n", titles(r)); diff != "" {
		t.Error(diff)
	}
}

func TestAFileAfterOneThatDoesNotEndIsEvaluated(t *testing.T) {
	project(t, "-- a.ts --\nfor (;;);\nexport default 1;\n-- b.ts --\n"+named("b"))
	r, err := collected(t, Config{Limit: short}, "a.ts", "b.ts")
	if diff := cmp.Diff("a.ts: did not end within 1s", told(err, false)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("public schema b b.ts:4\n", titles(r)); diff != "" {
		t.Error(diff)
	}
}

// output collects one file with an output schema and gives that schema.
func output(t *testing.T, imports, schema string) string {
	t.Helper()
	text := strings.Replace(named("a"), `{ type: "object", properties: { id: { type: "integer" } }, additionalProperties: false }`, schema, 1)
	if err := os.WriteFile("a.ts", []byte(imports+"\n"+text), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := collected(t, Config{}, "a.ts")
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Definitions[0].Public.OutputSchema)
}

const zodObject = `z.object({
  id: z.number().int(), name: z.string().nullable(), tags: z.array(z.string().nullable()).nullable(), at: z.date(), big: z.bigint(),
  mood: z.enum(["sad", "happy"]), maybe: z.boolean().optional(), nested: z.object({ x: z.number() }), either: z.union([z.string(), z.number()]).nullable(),
})`

const zodWant = `{"type":"object","properties":{"id":{"type":"integer"},"name":{"type":["string","null"]},"tags":{"type":["array","null"],"items":{"type":["string","null"]}},` +
	`"at":{"type":"string","format":"date-time"},"big":{"type":"integer","format":"int64"},"mood":{"type":"string","enum":["sad","happy"]},"maybe":{"type":"boolean"},` +
	`"nested":{"type":"object","properties":{"x":{"type":"number"}},"required":["x"],"additionalProperties":false},EITHER},` +
	`"required":["id","name","tags","at","big","mood","nested","either"],"additionalProperties":false,"$schema":"http://json-schema.org/draft-07/schema#"}`

func TestZodComesFromTheProjectOrFromTheProgram(t *testing.T) {
	repo := repository(t)
	want := strings.Replace(zodWant, "EITHER", `"either":{"type":["string","number","null"]}`, 1)
	for name, c := range map[string]struct {
		packages        []string
		imports, schema string
		want            string
	}{
		"the program's zod 4":     {nil, `import { z } from "zod";`, zodObject, want},
		"by its other name":       {nil, `import * as z from "zod/v4";`, zodObject, want},
		"as default":              {nil, `import z from "zod";`, zodObject, want},
		"the project's zod 4":     {[]string{"zod"}, `import { z } from "zod";`, zodObject, want},
		"the project's zod 4 v3":  {[]string{"zod"}, `import { z } from "zod/v3";`, zodObject, want},
		"the project's zod 4 min": {[]string{"zod"}, `import * as z from "zod/mini";`, `z.object({ id: z.int() })`, `{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"],"additionalProperties":false,"$schema":"http://json-schema.org/draft-07/schema#"}`},
		"the project's zod 3":     {[]string{"zod3=zod"}, `import { z } from "zod";`, zodObject, want},
		"a description": {
			nil, `import { z } from "zod";`, `z.object({ id: z.string().describe("who") })`,
			`{"type":"object","properties":{"id":{"type":"string","description":"who"}},"required":["id"],"additionalProperties":false,"$schema":"http://json-schema.org/draft-07/schema#"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			project(t, "")
			if c.packages != nil {
				nodeModules(t, repo, c.packages...)
			}
			got := output(t, c.imports, c.schema)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatJSONSchemaLacksIsTold(t *testing.T) {
	project(t, "-- a.ts --\nimport { z } from \"zod\";\n"+strings.Replace(named("a"), "{ type: \"object\", properties: { id: { type: \"integer\" } }, additionalProperties: false }", "z.object({ a: z.object({ m: z.map(z.string(), z.string()) }) })", 1))
	_, err := collected(t, Config{}, "a.ts")
	if got := told(err, false); !strings.HasPrefix(got, "a.ts:5:35: throws TypeError: outputSchema: JSON Schema has nothing for map at /properties/a/properties/m") {
		t.Errorf("got %s", got)
	}
}

func TestAPackageOfTheOriginalIsReplacedByOurs(t *testing.T) {
	project(t, `
-- a.ts --
`+named("a")+`
-- node_modules/@rejot-dev/adapter-postgres/package.json --
{ "name": "@rejot-dev/adapter-postgres", "version": "0.2.1", "type": "module", "exports": { ".": "./index.js" } }
-- node_modules/@rejot-dev/adapter-postgres/index.js --
import net from "node:net";
throw new Error("it would load a database driver");
-- node_modules/@rejot-dev/contract/package.json --
{ "name": "@rejot-dev/contract", "version": "0.9.0", "type": "module", "exports": { "./public-schema": "./p.js" } }
-- node_modules/@rejot-dev/contract/p.js --
import extra from "extra";
export function createPublicSchema(name, options) { return { name, description: extra, ...options }; }
-- node_modules/extra/package.json --
{ "name": "extra", "main": "index.js" }
-- node_modules/extra/index.js --
try { require("not-there"); } catch (e) { module.exports = "of the project's own package"; }
`)
	r, err := collected(t, Config{}, "a.ts")
	if err != nil {
		t.Fatal(err)
	}
	d := r.Definitions[0]
	if d.Public.Description != "of the project's own package" || d.Line != 4 {
		t.Errorf("got %q at line %d", d.Public.Description, d.Line)
	}
}

func TestALibraryThatWasChangedIsCompiledAgain(t *testing.T) {
	project(t, "-- a.ts --\nimport { described } from \"lib\";\nexport default described;\n-- node_modules/lib/package.json --\n{ \"main\": \"index.js\" }\n")
	e := New(Config{Folder: "."})
	write := func(text string, at time.Time) {
		t.Helper()
		lib := `exports.described = { name: "a", description: "` + text + `", source: { dataStoreSlug: "db" }, version: { major: 1, minor: 0 }, outputSchema: {},
			config: { publicSchemaType: "postgres", transformations: [{ operation: "insert", table: "t", sql: "SELECT 1 WHERE :id = 1" }] } };`
		if err := os.WriteFile("node_modules/lib/index.js", []byte(lib), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes("node_modules/lib/index.js", at, at); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	for i, text := range []string{"first", "other"} {
		write(text, start.Add(time.Duration(i)*time.Second))
		r, err := e.Run(t.Context(), []File{{Path: "a.ts"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Definitions[0].Public.Description; got != text {
			t.Errorf("got %s, want %s", got, text)
		}
	}
}

func TestConsoleIsShownAndNotAnswered(t *testing.T) {
	project(t, "-- a.ts --\nconsole.log(\"hello\", 5);\n"+named("a"))
	var said []string
	if _, err := collected(t, Config{Log: func(text string) { said = append(said, text) }}, "a.ts"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.ts: hello 5"}, said); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkTwoHundredFiles is the aim of 3 s and 300 MB: each file has a schema of zod, nothing is compiled yet.
func BenchmarkTwoHundredFiles(b *testing.B) {
	var archive strings.Builder
	for i := range 200 {
		name := "schema-" + string(rune('a'+i%26)) + strings.Repeat("x", i/26)
		archive.WriteString("-- schemas/" + name + ".ts --\nimport { z } from \"zod\";\n" + strings.Replace(named(name), `{ type: "object", properties: { id: { type: "integer" } }, additionalProperties: false }`, zodObject, 1))
	}
	project(b, archive.String())
	b.ReportAllocs()
	for b.Loop() {
		r, err := collected(b, Config{}, "schemas")
		if err != nil || len(r.Definitions) != 200 {
			b.Fatal(err)
		}
	}
}
