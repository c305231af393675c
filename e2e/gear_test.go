package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rejot.dev/rejot/internal/dbtest"
)

// farBehind makes any distance to the log's end a long one.
const farBehind = "gear.enter=1000;gear.leave=500"

// TestKilledInTheSecondGear ends the process at each step of reading in large calls, which it begins
// with because it starts far behind, while rows change; the next run makes both ends equal.
func TestKilledInTheSecondGear(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL)`, `INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 3000) i`)
	to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL)`)
	m := itemManifest(t, from, to)
	const all = `SELECT id, name FROM item ORDER BY id`
	p := start(t, m)
	sameRows(t, from, all, to, all)
	p.stop()
	n := 3000
	change := func() {
		n++
		from.Exec(t, fmt.Sprintf(`INSERT INTO item VALUES (%d, 'new'); UPDATE item SET name = name || '!' WHERE id %% 100 = %d; DELETE FROM item WHERE id = %d`, n, n%100, n-1500))
	}
	for _, plan := range []string{
		"gear.copied=kill", "gear.called=kill", "gear.called=kill@3", "gear.stream=kill",
		"gear=fast;gear.called=kill@9", "gear=fast;gear.advance.before=kill", "gear=fast;gear.advance.after=kill", "gear=fast;gear.advance.after=kill@2",
	} {
		t.Run(plan, func(t *testing.T) {
			for range 20 {
				change()
			}
			p := start(t, m, "REJOT_FP="+farBehind+";"+plan)
			dbtest.Eventually(t, 30*time.Second, func() (bool, string) {
				change()
				return !p.running(), "the step was never reached"
			})
			start(t, m)
			sameRows(t, from, all, to, all)
		})
	}
}

// TestEndsAreEqualInEitherGear reads in large calls alone, and changes between the gears, while rows change.
func TestEndsAreEqualInEitherGear(t *testing.T) {
	for _, plan := range []string{"gear=fast", farBehind + ";gear.back=2000"} {
		t.Run(plan, func(t *testing.T) {
			from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
			from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL)`, `INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 3000) i`)
			to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL)`)
			m := itemManifest(t, from, to)
			const all = `SELECT id, name FROM item ORDER BY id`
			p := start(t, m, "REJOT_FP="+plan)
			for n := range 200 {
				from.Exec(t, fmt.Sprintf(`INSERT INTO item VALUES (%d, 'new'); UPDATE item SET name = name || '!' WHERE id %% 50 = %d; DELETE FROM item WHERE id %% 211 = %d`, 5000+n, n%50, n))
			}
			from.Exec(t, `INSERT INTO item SELECT i, 'bulk' FROM generate_series(10000, 40000) i`, `DELETE FROM item WHERE id % 3 = 0`, `UPDATE item SET id = id + 100000 WHERE id > 30000`)
			sameRows(t, from, all, to, all)
			if code := p.stop(); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			if slots := from.Query(t, `SELECT slot_name FROM pg_replication_slots WHERE database = current_database()`); len(slots) != 1 {
				t.Errorf("slots are left: %v", slots)
			}
		})
	}
}

// TestSecondInstanceWaitsForTheOneThatCalls starts a second process while the first reads in large calls.
// When the first is killed, the second takes over.
func TestSecondInstanceWaitsForTheOneThatCalls(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL)`, `INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 300) i`)
	to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL)`)
	m := itemManifest(t, from, to)
	const all = `SELECT id, name FROM item ORDER BY id`
	first := start(t, m, "REJOT_FP=gear=fast")
	first.caughtUp(t)
	from.Exec(t, `UPDATE item SET name = 'changed' WHERE id < 100`)
	sameRows(t, from, all, to, all)
	second := start(t, m)
	dbtest.Eventually(t, 30*time.Second, func() (bool, string) {
		return strings.Contains(second.output(), "is being read by PID"), "the second does not say that it waits"
	})
	if !first.running() || !second.running() {
		t.Error("one of the two has ended")
	}
	first.kill()
	from.Exec(t, `DELETE FROM item WHERE id < 50`, `INSERT INTO item VALUES (1000, 'new')`)
	sameRows(t, from, all, to, all)
}
