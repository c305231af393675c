package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"rejot.dev/rejot/internal/dbtest"
)

// evolving is a manifest with one public schema, in one or more majors, and a consumer for each name in consumers.
func evolving(t *testing.T, from, to *dbtest.Database, schemas []object, consumers ...object) string {
	t.Helper()
	return writeManifest(t, object{
		"connections": []object{connection("source", from, ""), connection("to", to, "")}, "dataStores": []object{sourceStore(), {"connectionSlug": "to"}},
		"publicSchemas": schemas, "consumerSchemas": consumers,
	})
}

func ofMajor(schema object, major int) object {
	schema["version"] = object{"major": major, "minor": 0}
	return schema
}

func readsMajor(consumer object, major int) object {
	consumer["publicSchema"].(object)["majorVersion"] = major
	return consumer
}

const personTable = `CREATE TABLE person (id int PRIMARY KEY, first text, last text)`

// TestTwoMajorsRunSideBySide has a consumer on each; then the old major's query goes, and the new one serves both.
func TestTwoMajorsRunSideBySide(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, personTable, `INSERT INTO person SELECT i, 'Ann' || i, 'Example' FROM generate_series(1, 50) i`)
	to.Exec(t, `CREATE TABLE one (id int PRIMARY KEY, name text)`, `CREATE TABLE two (id int PRIMARY KEY, first text, last text)`)
	v1 := func() object {
		return ofMajor(publicSchema("person", "person", `SELECT id, first || ' ' || last AS name FROM person WHERE id = :id`), 1)
	}
	v2 := func() object {
		return ofMajor(publicSchema("person", "person", `SELECT id, first, last FROM person WHERE id = :id;`), 2)
	}
	consumers := func() []object {
		return []object{
			readsMajor(consumerSchema("one", "person", "to", "postgres", `INSERT INTO one VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = :name`, `DELETE FROM one WHERE id = :id`), 1),
			readsMajor(consumerSchema("two", "person", "to", "postgres", `INSERT INTO two VALUES (:id, :first, :last) ON CONFLICT (id) DO UPDATE SET first = :first, last = :last`, `DELETE FROM two WHERE id = :id`), 2),
		}
	}
	same := func() {
		t.Helper()
		sameRows(t, from, `SELECT id, first || ' ' || last FROM person ORDER BY 1`, to, `SELECT * FROM one ORDER BY 1`)
		sameRows(t, from, `SELECT * FROM person ORDER BY 1`, to, `SELECT * FROM two ORDER BY 1`)
	}
	p := start(t, evolving(t, from, to, []object{v1(), v2()}, consumers()...))
	from.Exec(t, `UPDATE person SET last = 'Other' WHERE id < 10`, `DELETE FROM person WHERE id = 20`)
	same()
	p.stop()
	alone := v2()
	alone["upcast"] = []object{{"from": 1, "sql": `id, first || ' ' || last AS name`}}
	p = start(t, evolving(t, from, to, []object{alone}, consumers()...))
	from.Exec(t, `UPDATE person SET first = 'Bea' WHERE id < 5`, `DELETE FROM person WHERE id = 21`, `INSERT INTO person VALUES (100, 'new', 'one')`)
	same()
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	// Without it the consumer is named, and what the manifest has.
	out, err := exec.Command(binary(t), "sync", evolving(t, from, to, []object{v2()}, consumers()...), "--api-port", "0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "VERSION_MISMATCH") {
		t.Errorf("a removed major: %v\n%s", err, out)
	}
}

// TestAConsumerOfARemovedFieldIsNamed takes a field away under the same major.
func TestAConsumerOfARemovedFieldIsNamed(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, personTable)
	to.Exec(t, `CREATE TABLE one (id int PRIMARY KEY, name text)`)
	consumer := consumerSchema("reader", "person", "to", "postgres", `INSERT INTO one VALUES (:id, :last) ON CONFLICT (id) DO UPDATE SET name = :last`, `DELETE FROM one WHERE id = :id`)
	out, err := exec.Command(binary(t), "sync", evolving(t, from, to, []object{publicSchema("person", "person", `SELECT id, first FROM person WHERE id = :id`)}, consumer), "--api-port", "0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "consumer schema reader") || !strings.Contains(string(out), ":last") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDiffTellsWhatAChangedSQLWouldWrite compares what diff says with what sync then does.
func TestDiffTellsWhatAChangedSQLWouldWrite(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, personTable, `INSERT INTO person SELECT i, 'Ann' || i, 'Example' FROM generate_series(1, 2000) i`)
	to.Exec(t, `CREATE TABLE one (id int PRIMARY KEY, name text)`)
	manifest := func(sql string) string {
		return evolving(t, from, to, []object{publicSchema("person", "person", sql)},
			consumerSchema("reader", "person", "to", "postgres", `INSERT INTO one VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = :name`, `DELETE FROM one WHERE id = :id`))
	}
	p := start(t, manifest(`SELECT id, first AS name FROM person WHERE id = :id AND id > 3`))
	p.caughtUp(t)
	p.stop()
	changed := manifest(`SELECT id, CASE WHEN id % 100 = 0 THEN last ELSE first END AS name FROM person WHERE id = :id AND id < 2000`)
	out, err := exec.Command(binary(t), "diff", "person", changed, "--json").Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var diffs []struct {
		Consumer                                string
		Compared, Changed, Appearing, Vanishing int
		Sample                                  []struct {
			Key     string
			Columns []string
		}
	}
	if err := json.Unmarshal(out, &diffs); err != nil || len(diffs) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	d := diffs[0]
	if got := fmt.Sprint(d.Compared, d.Changed, d.Appearing, d.Vanishing, len(d.Sample)); got != "2000 19 3 1 5" {
		t.Errorf("compared, changed, appearing, vanishing, sample: %s", got)
	}
	for _, hidden := range []string{"Ann", "Example", "100"} {
		if strings.Contains(string(out), hidden) && hidden != "100" || strings.Contains(fmt.Sprint(d.Sample), hidden) {
			t.Errorf("a value is shown: %s", out)
		}
	}
	start(t, changed)
	sameRows(t, from, `SELECT id, CASE WHEN id % 100 = 0 THEN last ELSE first END FROM person WHERE id < 2000 ORDER BY 1`, to, `SELECT * FROM one ORDER BY 1`)
}
