package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"rejot.dev/rejot/internal/dbtest"
)

// TestAWorkspaceRunsAllItsManifests has the source in one manifest and the destination in another, which a third names.
func TestAWorkspaceRunsAllItsManifests(t *testing.T) {
	from, to, dir := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t), t.TempDir()
	from.Exec(t, itemTable, itemRows)
	to.Exec(t, itemDest)
	consumer := consumerSchema("items", "item", "reports", "postgres", itemUpsert, itemDelete)
	consumer["sourceManifestSlug"] = "shop"
	for path, m := range map[string]object{
		"all.json":                 {"slug": "all", "workspaces": []string{"reports/rejot-manifest.json", "shop/rejot-manifest.json"}},
		"shop/rejot-manifest.json": {"slug": "shop", "connections": []object{connection("source", from, "")}, "dataStores": []object{sourceStore()}, "publicSchemas": []object{publicSchema("item", "item", itemQuery)}},
		"reports/rejot-manifest.json": {
			"slug": "reports", "connections": []object{connection("reports", to, "")}, "dataStores": []object{{"connectionSlug": "reports"}}, "consumerSchemas": []object{consumer},
		},
	} {
		m["manifestVersion"] = 0
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		put(t, dir, map[string]string{path: string(text)})
	}
	p := start(t, filepath.Join(dir, "all.json"))
	p.caughtUp(t)
	from.Exec(t, `UPDATE item SET name = 'changed' WHERE id = 1`)
	sameRows(t, from, itemSource, to, itemAtEnd)
}
