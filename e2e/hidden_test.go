package e2e

import (
	"fmt"
	"testing"
	"time"

	"rejot.dev/rejot/internal/dbtest"
)

// TestP25ACommitThatIsNotVisibleYetHoldsNothingElseBack has a commit that waits for a standby that
// does not exist: the log has it, and no session sees it.
func TestP25ACommitThatIsNotVisibleYetHoldsNothingElseBack(t *testing.T) {
	server := dbtest.Postgres(t, dbtest.Private())
	from, to := server.NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, itemTable, itemRows)
	to.Exec(t, itemTable)
	p := start(t, itemManifest(t, from, to))
	p.caughtUp(t)
	from.Exec(t, `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`, `SELECT pg_reload_conf()`)
	hidden := make(chan error, 1)
	go func() {
		_, err := from.TryQuery(t.Context(), `INSERT INTO item VALUES (100, 'hidden') RETURNING id`)
		hidden <- err
	}()
	waiting := func() (bool, string) {
		n := from.Query(t, `SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)[0][0]
		return n == "1", n + " sessions wait for the standby"
	}
	dbtest.Eventually(t, 20*time.Second, waiting)
	local := func(sql string) { from.Exec(t, `SET synchronous_commit = local; `+sql) }
	for i := range 5 {
		local(fmt.Sprintf(`INSERT INTO item VALUES (%d, 'seen')`, 200+i))
		sameRows(t, from, itemSource, to, itemSource)
	}
	if rows := to.Query(t, `SELECT count(*) FROM item WHERE id = 100`)[0][0]; rows != "0" {
		t.Error("the destination has a row that nobody sees at the source")
	}
	p.kill()
	start(t, itemManifest(t, from, to))
	local(`UPDATE item SET name = 'after the kill' WHERE id = 200`)
	sameRows(t, from, itemSource, to, itemSource)
	from.Exec(t, `ALTER SYSTEM RESET synchronous_standby_names`, `SELECT pg_reload_conf()`)
	if err := <-hidden; err != nil {
		t.Fatal(err)
	}
	dbtest.Eventually(t, 20*time.Second, func() (bool, string) {
		n := to.Query(t, `SELECT count(*) FROM item WHERE id = 100`)[0][0]
		return n == "1", "the row has become visible at the source alone"
	})
	sameRows(t, from, itemSource, to, itemSource)
}
