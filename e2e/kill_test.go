package e2e

import (
	"fmt"
	"testing"
	"time"

	"rejot.dev/rejot/internal/dbtest"
)

// TestKilledAtEachStep ends the process at each step of a change's way, while rows change, and
// checks that the next run makes both ends equal.
func TestKilledAtEachStep(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL)`, `INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 3000) i`)
	to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL)`)
	m := itemManifest(t, from, to)
	const all = `SELECT id, name FROM item ORDER BY id`
	n := 3000
	for i, step := range []string{"cut.after", "grow.after", "evaluate.after", "apply.before", "apply.after", "confirm.before", "confirm.after"} {
		for j, nth := range []int{1, 3} {
			t.Run(fmt.Sprint(step, " ", nth), func(t *testing.T) {
				p := start(t, m, forced(i+j, fmt.Sprintf("%s=kill@%d", step, nth), "grow=1"))
				dbtest.Eventually(t, 30*time.Second, func() (bool, string) {
					n++
					from.Exec(t, fmt.Sprintf(`INSERT INTO item VALUES (%d, 'new'); UPDATE item SET name = name || '!' WHERE id %% 100 = %d; DELETE FROM item WHERE id = %d`, n, n%100, n-1500))
					return !p.running(), "the step was never reached"
				})
				start(t, m, forced(i+j+1))
				sameRows(t, from, all, to, all)
			})
		}
	}
}

// itemManifest replicates a table of two columns from one Postgres to another.
func itemManifest(t *testing.T, from, to *dbtest.Database) string {
	t.Helper()
	return writeManifest(t, object{
		"connections":   []object{connection("source", from, ""), connection("to", to, "")},
		"dataStores":    []object{sourceStore(), {"connectionSlug": "to"}},
		"publicSchemas": []object{publicSchema("item", "item", `SELECT id, name FROM item WHERE id = :id`)},
		"consumerSchemas": []object{consumerSchema("items", "item", "to", "postgres",
			`INSERT INTO item VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = :name`, `DELETE FROM item WHERE id = :id`)},
	})
}
