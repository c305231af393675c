package engine_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/engine"
	"rejot.dev/rejot/internal/dbtest"
	"rejot.dev/rejot/internal/failpoint"
)

// partQuery reads a second table, whose rows lead to keys by a column that is no key of theirs.
const partQuery = `SELECT i.id, i.name || (SELECT count(*) FROM part p WHERE p.item_id = i.id) AS name FROM item i WHERE i.id = :id`

// TestACursorStaysBeforeAChangeOfWhichTheLogSaysTooLittle has the log lack a column that leads to a key, in a transaction
// that gives the consumer other rows as well, alone or behind a long way. The destination shows nothing of it, and the next
// program meets the same change.
func TestACursorStaysBeforeAChangeOfWhichTheLogSaysTooLittle(t *testing.T) {
	for name, before := range map[string]string{"alone": `SELECT 1`, "behind a long way": `UPDATE item SET name = 'y'`} {
		t.Run(name, func(t *testing.T) {
			from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
			from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `CREATE TABLE part (id int PRIMARY KEY, item_id int)`, `ALTER TABLE part REPLICA IDENTITY FULL`,
				`CREATE INDEX ON part (item_id)`, `INSERT INTO item SELECT i, 'x' FROM generate_series(1, 20000) i`, `INSERT INTO part SELECT i, i % 3 + 1 FROM generate_series(1, 9) i`)
			to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
			e := pipelineOf(t, from, to, &failpoint.Plan{}, nil, partQuery)
			stop := running(t, e)
			const few, all = `SELECT id, name FROM item WHERE id < 5 ORDER BY id`, `SELECT count(*) FROM item WHERE name LIKE 'x%'`
			dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
				s := e.Status()[0]
				return s.Backfill.Done && s.Lag == 0, fmt.Sprintf("%+v", s)
			})
			stop()
			was := fmt.Sprint(to.Query(t, few), to.Query(t, all))
			from.Exec(t, before, `ALTER TABLE part REPLICA IDENTITY DEFAULT`,
				`BEGIN; DELETE FROM part WHERE id = 1; INSERT INTO part VALUES (10, 3); INSERT INTO item VALUES (0, 'x'); COMMIT`, `ALTER TABLE part REPLICA IDENTITY FULL`)
			for range 2 {
				e = pipelineOf(t, from, to, &failpoint.Plan{}, nil, partQuery)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				err := e.Run(ctx) // until its only pipeline stands still
				cancel()
				if s := e.Status()[0]; err == nil || s.State != engine.Stopped || rejot.CodeOf(s.Err) != rejot.Unsupported {
					t.Fatalf("it ends with %v; %+v", err, s)
				}
				if is := fmt.Sprint(to.Query(t, few), to.Query(t, all)); is != was {
					t.Errorf("the destination had %s and has %s", was, is)
				}
			}
		})
	}
}

// TestConsumersOfADestinationMoveTogetherWhileABatchGrows has the log bring much for one consumer, and then a transaction for two
// whose tables are bound by a foreign key.
func TestConsumersOfADestinationMoveTogetherWhileABatchGrows(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	for _, db := range []*dbtest.Database{from, to} {
		db.Exec(t, `CREATE TABLE customer (id int PRIMARY KEY, name text)`, `CREATE TABLE item (id int PRIMARY KEY, name text, customer int REFERENCES customer)`)
	}
	from.Exec(t, `INSERT INTO customer VALUES (1, 'one')`, `INSERT INTO item SELECT i, 'x', 1 FROM generate_series(1, 20000) i`)
	s := setup{from: from, to: map[string]*dbtest.Database{"to": to}, queries: map[string]string{}, memory: 1 << 20}
	for name, values := range map[string]string{"customer": ":id, :name", "item": ":id, :name, :customer"} {
		c := itemConsumer(name, "to")
		c.Schema, c.SQL, c.DeleteSQL = name, `INSERT INTO `+name+` VALUES (`+values+`) ON CONFLICT (id) DO UPDATE SET name = :name`, `DELETE FROM `+name+` WHERE id = :id`
		s.consumers = append(s.consumers, c)
		s.queries[name] = `SELECT * FROM ` + name + ` WHERE id = :id`
	}
	e := s.open(t)
	stop := running(t, e)
	equal(t, from, to, e)
	stop()
	for round := range 4 {
		from.Exec(t, `UPDATE item SET name = name || 'y'`, fmt.Sprintf(`BEGIN; INSERT INTO customer VALUES (%[1]d, 'new'); INSERT INTO item VALUES (%[1]d, 'new', %[1]d); COMMIT`, 100000+round))
		e = s.open(t)
		stop = running(t, e)
		equal(t, from, to, e)
		for _, line := range e.Status() {
			if line.Err != nil {
				t.Fatal(line.Err)
			}
		}
		stop()
	}
}

// TestTheSlotMovesWhileBatchesGrow writes without a pause, and each batch is applied only when much more has been written, so that
// the next one has enough to grow when it begins.
func TestTheSlotMovesWhileBatchesGrow(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`, `INSERT INTO item SELECT i, 'x' FROM generate_series(1, 30000) i`)
	to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
	writing, enough := context.WithCancel(t.Context())
	var begun atomic.Bool
	more := make(chan struct{})
	e := setup{
		from: from, to: map[string]*dbtest.Database{"to": to}, queries: map[string]string{"item": itemQuery}, consumers: []*contract.Consumer{itemConsumer("c", "to")},
		applier: func(_ string, a rejot.Applier) rejot.Applier {
			return gated{a, func(ctx context.Context) error {
				for n := 0; n < 2 && begun.Load() && writing.Err() == nil && ctx.Err() == nil; n++ {
					select {
					case <-more:
					case <-writing.Done():
					case <-ctx.Done():
					}
				}
				return ctx.Err()
			}}
		},
	}.open(t)
	stop := running(t, e)
	equal(t, from, to, e)
	written := make(chan error, 1)
	begun.Store(true)
	go func() {
		for n := 0; ; n++ {
			_, err := from.TryQuery(writing, fmt.Sprintf(`UPDATE item SET name = '%d' WHERE id %% 5 = %d`, n, n%5))
			if err != nil || writing.Err() != nil {
				if writing.Err() != nil {
					err = nil
				}
				written <- err
				return
			}
			select {
			case more <- struct{}{}:
			default:
			}
		}
	}()
	for range 3 {
		end := from.Query(t, `SELECT pg_current_wal_insert_lsn()`)[0][0]
		dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
			row := from.Query(t, `SELECT confirmed_flush_lsn >= '`+end+`', confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'slot_`+from.Name+`'`)[0]
			return row[0] == "t" || row[0] == "true", fmt.Sprintf("the slot is at %s, the log was at %s; %+v", row[1], end, e.Status())
		})
	}
	enough()
	if err := <-written; err != nil {
		t.Error(err)
	}
	equal(t, from, to, e)
	stop()
}
