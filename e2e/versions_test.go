package e2e

import (
	"fmt"
	"testing"

	"rejot.dev/rejot/internal/dbtest"
)

// TestEveryVersionOfPostgresIsASourceAndADestination follows a joined query, with a large
// transaction, a savepoint and a truncate, within one server of each version.
func TestEveryVersionOfPostgresIsASourceAndADestination(t *testing.T) {
	for _, version := range []int{13, 14, 16, 17, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			server := dbtest.PostgresVersion(t, version)
			from, to := server.NewDatabase(t), server.NewDatabase(t)
			from.Exec(t, itemTable, itemRows, `CREATE TABLE part (id int PRIMARY KEY, item_id int, name text)`, `ALTER TABLE part REPLICA IDENTITY FULL`,
				`INSERT INTO part SELECT i, 1 + i % 20, 'part ' || i FROM generate_series(1, 60) i`)
			to.Exec(t, itemDest)
			consumer := consumerSchema("c", "s", "to", "postgres", itemUpsert, itemDelete)
			p := start(t, writeManifest(t, object{
				"connections": []object{connection("source", from, ""), connection("to", to, "")},
				"dataStores":  []object{sourceStore(), {"connectionSlug": "to"}},
				"publicSchemas": []object{publicSchema("s", "item",
					`SELECT i.id, i.name || coalesce((SELECT string_agg(p.name, ',' ORDER BY p.id) FROM part p WHERE p.item_id = i.id), '') AS name FROM item i WHERE i.id = :id`)},
				"consumerSchemas": []object{consumer},
			}))
			const atSource = `SELECT i.id, i.name || coalesce((SELECT string_agg(p.name, ',' ORDER BY p.id) FROM part p WHERE p.item_id = i.id), '') FROM item i ORDER BY 1`
			p.caughtUp(t)
			for _, sql := range []string{
				`UPDATE part SET item_id = 1 WHERE id < 10`, `DELETE FROM part WHERE id = 20`,
				`BEGIN; INSERT INTO item SELECT i, repeat('x', 500) || i FROM generate_series(1000, 31000) i; SAVEPOINT a; DELETE FROM item; ROLLBACK TO a; COMMIT`,
				`UPDATE item SET id = id + 100000 WHERE id > 30000`, `TRUNCATE part`,
			} {
				from.Exec(t, sql)
				sameRows(t, from, atSource, to, itemAtEnd)
			}
			if code := p.stop(); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}
