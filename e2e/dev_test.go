package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rejot.dev/rejot/internal/dbtest"
)

// TestDevFollowsTheCode edits contracts while `rejot dev` runs: what is right takes effect, what is wrong is told
// while the pipelines go on, and changes are shown on their way.
func TestDevFollowsTheCode(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, itemTable, itemRows)
	to.Exec(t, itemDest)
	manifest := writeManifest(t, object{
		"connections": []object{connection("source", from, ""), connection("to", to, "")}, "dataStores": []object{sourceStore(), {"connectionSlug": "to"}},
	})
	folder := filepath.Join(filepath.Dir(manifest), "contracts")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	public := func(sql string) {
		t.Helper()
		write("item.sql", "-- rejot: public-schema item 1.0\n-- source: source\n-- table: item\n"+sql+"\n")
	}
	public(itemQuery)
	write("reader.sql", "-- rejot: consumer-schema reader\n-- reads: test/item 1\n-- destination: to\n"+itemUpsert+"\n-- delete:\n"+itemDelete+"\n")
	p := launchIn(t, filepath.Dir(manifest), []string{"dev", "contracts", "--api-port", "0"})
	sameRows(t, from, itemSource, to, itemAtEnd)
	from.Exec(t, `UPDATE item SET name = 'seen on its way' WHERE id = 3`)
	sameRows(t, from, itemSource, to, itemAtEnd)
	shows := func(texts ...string) {
		t.Helper()
		dbtest.Eventually(t, 30*time.Second, func() (bool, string) {
			out := p.output()
			for _, text := range texts {
				if !strings.Contains(out, text) {
					return false, text + " is not in:\n" + out
				}
			}
			return true, ""
		})
	}
	shows("source     source.item UPDATE id=3 name=seen on its way", "row        item 1.0 id=3 name=seen on its way", "test/reader, 1 rows in ", "INSERT INTO dest VALUES (:id, :name) ON CONFLICT")

	public(`SELECT id, upper(name) AS name FROM item WHERE id = :id`)
	sameRows(t, from, `SELECT id, upper(name) FROM item ORDER BY 1`, to, itemAtEnd)

	public(`SELECT id, upper(name) AS name FROM item WHERE nothing = :id`)
	shows("the pipelines go on as they were")
	from.Exec(t, `INSERT INTO item VALUES (500, 'while it is wrong')`)
	sameRows(t, from, `SELECT id, upper(name) FROM item ORDER BY 1`, to, itemAtEnd)

	public(itemQuery)
	sameRows(t, from, itemSource, to, itemAtEnd)
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
