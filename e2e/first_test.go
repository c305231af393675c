package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rejot.dev/rejot/internal/dbtest"
)

// TestAFirstContractForATableRuns takes what `rejot init --from-table` writes, as it is, to both kinds of destinations.
func TestAFirstContractForATableRuns(t *testing.T) {
	from, reports, shop := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t), dbtest.MariaDB(t).NewDatabase(t)
	const table = `CREATE TABLE "Orders" (id bigint, "order" integer, "Unit Price" numeric(10,2) NOT NULL, note text, tags text[], at timestamptz DEFAULT '2024-01-01', PRIMARY KEY ("order", id))`
	from.Exec(t, table, `INSERT INTO "Orders" SELECT i, i % 3, i / 4.0, 'note ' || i, ARRAY['a', 'b'] FROM generate_series(1, 20) i`)
	manifest := writeManifest(t, object{
		"connections": []object{connection("source", from, ""), connection("reports", reports, ""), connection("shop", shop, "")},
		"dataStores":  []object{sourceStore(), {"connectionSlug": "reports"}, {"connectionSlug": "shop"}},
	})
	dir := filepath.Dir(manifest)
	rejot := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(binary(t), args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("rejot %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	create := func(out string) string {
		t.Helper()
		begin, end := strings.Index(out, "CREATE TABLE"), strings.Index(out, ");")
		if begin < 0 || end < 0 {
			t.Fatalf("no table in:\n%s", out)
		}
		return out[begin : end+1]
	}
	reports.Exec(t, create(rejot("init", "--from-table", `"Orders"`, "--to", "reports")))
	shop.Exec(t, create(rejot("init", "--from-table", `"Orders"`, "--to", "shop", "--folder", "other")))
	if err := os.Rename(filepath.Join(dir, "other", "orders-to-shop.sql"), filepath.Join(dir, "contracts", "orders-to-shop.sql")); err != nil {
		t.Fatal(err)
	}
	rejot("collect", "contracts", "--write")
	p := start(t, manifest)
	from.Exec(t, `UPDATE "Orders" SET note = 'changed' WHERE id = 3`, `DELETE FROM "Orders" WHERE id = 4`)
	sameRows(t, from, `SELECT * FROM "Orders" ORDER BY id`, reports, `SELECT * FROM "Orders" ORDER BY id`)
	sameRows(t, from, "SELECT id, \"order\", \"Unit Price\", note FROM \"Orders\" ORDER BY id", shop, "SELECT id, `order`, `Unit Price`, note FROM Orders ORDER BY id")
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
