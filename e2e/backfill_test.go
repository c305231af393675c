package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rejot.dev/rejot/httpapi"
	"rejot.dev/rejot/internal/dbtest"
)

// TestABackfillGoesOnWhereItWasKilled kills the program three times while rows are copied and
// others change, and looks at how far the cursor says that the backfill has come.
func TestABackfillGoesOnWhereItWasKilled(t *testing.T) {
	const rows = 200_000
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, itemTable, fmt.Sprintf(`INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, %d) i`, rows), `ANALYZE item`)
	to.Exec(t, itemTable)
	m := itemManifest(t, from, to)
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			// an error is the end of the test
			_, _ = from.TryQuery(ctx, fmt.Sprintf(`WITH a AS (UPDATE item SET name = name || '!' WHERE id %% 1000 = %d), b AS (DELETE FROM item WHERE id = %d) INSERT INTO item VALUES (%d, 'new')`, n%1000, n*37%rows, rows+n+1))
			wait(ctx, 5*time.Millisecond)
		}
	})
	defer writer.Wait()
	defer stop()
	done := int64(0)
	for range 3 {
		p := start(t, m)
		p.pipeline(t, "items", func(l httpapi.Pipeline) bool {
			if l.Position != "" && l.Backfill.Rows < done && l.State != "starting" {
				t.Fatalf("the backfill is at %d keys and was at %d", l.Backfill.Rows, done)
			}
			return l.Backfill.Rows > done+5_000 || l.Backfill.Done
		})
		p.kill()
		rows := to.Query(t, `SELECT backfill_rows FROM rejot.cursor`)
		if _, err := fmt.Sscan(rows[0][0], &done); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, m)
	p.pipeline(t, "items", func(l httpapi.Pipeline) bool { return l.Backfill.Done })
	stop()
	writer.Wait()
	sameRows(t, from, itemSource, to, itemSource)
}

// TestSeveralSourcesWriteToOneDestination has two sources in one process.
func TestSeveralSourcesWriteToOneDestination(t *testing.T) {
	one, two, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	for _, db := range []*dbtest.Database{one, two} {
		db.Exec(t, itemTable, itemRows)
	}
	to.Exec(t, itemDest, strings.ReplaceAll(itemDest, "dest", "second"))
	store := func(slug string) object {
		return object{"connectionSlug": slug, "config": object{"connectionType": "postgres", "slotName": "rejot_" + slug, "publicationName": "rejot_" + slug}}
	}
	schema := func(name, slug string) object {
		s := publicSchema(name, "item", itemQuery)
		s["source"] = object{"dataStoreSlug": slug}
		return s
	}
	p := start(t, writeManifest(t, object{
		"connections":   []object{connection("one", one, ""), connection("two", two, ""), connection("to", to, "")},
		"dataStores":    []object{store("one"), store("two"), {"connectionSlug": "to"}},
		"publicSchemas": []object{schema("a", "one"), schema("b", "two")},
		"consumerSchemas": []object{
			consumerSchema("a", "a", "to", "postgres", itemUpsert, itemDelete),
			consumerSchema("b", "b", "to", "postgres", strings.ReplaceAll(itemUpsert, "dest", "second"), `DELETE FROM second WHERE id = :id`),
		},
	}))
	p.caughtUp(t)
	for i := range 20 {
		one.Exec(t, fmt.Sprintf(`UPDATE item SET name = 'one %d' WHERE id = %d`, i, i))
		two.Exec(t, fmt.Sprintf(`DELETE FROM item WHERE id = %d`, i))
	}
	sameRows(t, one, itemSource, to, itemAtEnd)
	sameRows(t, two, itemSource, to, `SELECT id, name FROM second ORDER BY 1, 2`)
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestATruncatedTableStopsAConsumerThatCannotFollow has a consumer without truncateSql, alone in its program.
func TestATruncatedTableStopsAConsumerThatCannotFollow(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, itemTable, itemRows)
	to.Exec(t, itemTable)
	p := start(t, itemManifest(t, from, to))
	p.caughtUp(t)
	from.Exec(t, `TRUNCATE item`)
	<-p.ended
	if code := p.exitCode(); code != 3 || !strings.Contains(p.output(), "truncateSql") {
		t.Errorf("exit code %d, want 3 with the mend", code)
	}
	if rows := to.Query(t, `SELECT count(*) FROM item`)[0][0]; rows != "20" {
		t.Errorf("%s rows, want the 20 that there were", rows)
	}
}
