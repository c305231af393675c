package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"rejot.dev/rejot/httpapi"
	"rejot.dev/rejot/internal/dbtest"
)

// rejot runs a command to its end and gives what it printed and its exit code.
func rejot(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	out, _ := cmd.CombinedOutput() // the code is looked at
	return string(out), cmd.ProcessState.ExitCode()
}

// pipeline waits until a pipeline of the running program is as wanted.
func (p *program) pipeline(t *testing.T, consumer string, want func(httpapi.Pipeline) bool) {
	t.Helper()
	dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
		s, err := httpapi.NewClient(p.api).Status(t.Context())
		if err != nil {
			return false, err.Error()
		}
		for _, l := range s.Pipelines {
			if l.Consumer == "test/"+consumer {
				return want(l), fmt.Sprintf("%s is %s (%s), lag %d bytes", l.Consumer, l.State, l.Error, l.LagBytes)
			}
		}
		return false, "no such pipeline"
	})
}

// TestOneThatFailsDoesNotStopTheOthers refuses a row at one consumer of a destination, and takes
// another destination away; the rest goes on, and both catch up.
func TestOneThatFailsDoesNotStopTheOthers(t *testing.T) {
	from, near := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	server := dbtest.Postgres(t, dbtest.Private())
	far := server.NewDatabase(t)
	from.Exec(t, itemTable, itemRows)
	near.Exec(t, itemDest, `CREATE TABLE strict (id int PRIMARY KEY, name text CHECK (name <> 'refused'))`)
	far.Exec(t, itemDest)
	strict := strings.ReplaceAll(itemUpsert, "dest", "strict")
	m := writeManifest(t, object{
		"connections":   []object{connection("source", from, ""), connection("near", near, ""), connection("far", far, "")},
		"dataStores":    []object{sourceStore(), {"connectionSlug": "near"}, {"connectionSlug": "far"}},
		"publicSchemas": []object{publicSchema("s", "item", itemQuery)},
		"consumerSchemas": []object{
			consumerSchema("plain", "s", "near", "postgres", itemUpsert, itemDelete),
			consumerSchema("strict", "s", "near", "postgres", strict, `DELETE FROM strict WHERE id = :id`),
			consumerSchema("far", "s", "far", "postgres", itemUpsert, itemDelete),
		},
	})
	p := start(t, m)
	p.caughtUp(t)
	atStrict := `SELECT id, name FROM strict ORDER BY 1, 2`

	from.Exec(t, `INSERT INTO item VALUES (100, 'refused')`)
	sameRows(t, from, itemSource, near, itemAtEnd)
	sameRows(t, from, itemSource, far, itemAtEnd)
	p.pipeline(t, "strict", func(l httpapi.Pipeline) bool { return l.State == "stopped" })
	text, code := rejot(t, "status", "--api-port", p.api[strings.LastIndex(p.api, ":")+1:])
	if code != 0 || !strings.Contains(text, "stopped") || !strings.Contains(text, "strict_name_check") || strings.Contains(text, "refused'") {
		t.Errorf("status gives %d and\n%s", code, text)
	}

	server.Stop(t)
	from.Exec(t, `INSERT INTO item VALUES (101, 'while one is away')`, `DELETE FROM item WHERE id = 1`)
	sameRows(t, from, itemSource, near, itemAtEnd)
	p.pipeline(t, "far", func(l httpapi.Pipeline) bool { return l.State == "retrying" && l.Error != "" })
	server.Start(t)
	sameRows(t, from, itemSource, far, itemAtEnd)

	near.Exec(t, `ALTER TABLE strict DROP CONSTRAINT strict_name_check`)
	if text, code := rejot(t, "resume", "strict", "--api-port", p.api[strings.LastIndex(p.api, ":")+1:]); code != 0 || !strings.HasPrefix(text, "1 ") {
		t.Errorf("resume gives %d and %s", code, text)
	}
	sameRows(t, from, itemSource, near, atStrict)
	p.caughtUp(t)
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestAContractThatAMigrationBreaksStopsAloneAndGoesOn drops a column that one of two public schemas reads.
func TestAContractThatAMigrationBreaksStopsAloneAndGoesOn(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text, extra text)`, itemRows, `CREATE TABLE other (id int PRIMARY KEY, name text)`)
	to.Exec(t, itemDest, `CREATE TABLE other (id int PRIMARY KEY, name text)`)
	p := start(t, writeManifest(t, object{
		"connections": []object{connection("source", from, ""), connection("to", to, "")},
		"dataStores":  []object{sourceStore(), {"connectionSlug": "to"}},
		"publicSchemas": []object{
			publicSchema("s", "item", `SELECT id, coalesce(extra, name) AS name FROM item WHERE id = :id`),
			publicSchema("o", "other", `SELECT id, name FROM other WHERE id = :id`),
		},
		"consumerSchemas": []object{
			consumerSchema("c", "s", "to", "postgres", itemUpsert, itemDelete),
			consumerSchema("o", "o", "to", "postgres", strings.ReplaceAll(itemUpsert, "dest", "other"), ""),
		},
	}))
	p.caughtUp(t)
	from.Exec(t, `UPDATE item SET name = 'before' WHERE id = 1`) // so that another form of the table is noticed, and the reading begins anew
	sameRows(t, from, itemSource, to, itemAtEnd)
	from.Exec(t, `ALTER TABLE item DROP COLUMN extra`, `UPDATE item SET name = 'after' WHERE id = 1`, `INSERT INTO other VALUES (1, 'goes on')`)
	sameRows(t, from, `SELECT id, name FROM other`, to, `SELECT id, name FROM other`)
	p.pipeline(t, "c", func(l httpapi.Pipeline) bool { return l.State == "retrying" && strings.Contains(l.Error, "extra") })
	for id, meanwhile := range []string{`SELECT 1`, `UPDATE item SET name = 'meanwhile' WHERE id = 3`} { // the reading has begun anew before the second
		from.Exec(t, meanwhile, fmt.Sprintf(`INSERT INTO other VALUES (%d, 'goes on')`, id+2))
		sameRows(t, from, `SELECT id, name FROM other`, to, `SELECT id, name FROM other`)
	}
	from.Exec(t, `ALTER TABLE item ADD COLUMN extra text`)
	sameRows(t, from, itemSource, to, itemAtEnd)
	from.Exec(t, `UPDATE item SET name = 'again' WHERE id = 2`)
	sameRows(t, from, itemSource, to, itemAtEnd)
}

// TestAnIdleSourceKeepsNoLog writes to a table that nobody reads, and to another database.
func TestAnIdleSourceKeepsNoLog(t *testing.T) {
	server := dbtest.Postgres(t, dbtest.Private())
	from, other, to := server.NewDatabase(t), server.NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, itemTable, itemRows, `CREATE TABLE noise (x text)`)
	other.Exec(t, `CREATE TABLE noise (x text)`)
	to.Exec(t, itemTable)
	start(t, itemManifest(t, from, to)).caughtUp(t)
	for _, db := range []*dbtest.Database{from, other} {
		db.Exec(t, `INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 10000)`)
	}
	end := from.Query(t, `SELECT pg_current_wal_insert_lsn()`)[0][0]
	dbtest.Eventually(t, 40*time.Second, func() (bool, string) {
		row := from.Query(t, `SELECT confirmed_flush_lsn >= '`+end+`', confirmed_flush_lsn FROM pg_replication_slots`)[0]
		return row[0] == "t" || row[0] == "true", fmt.Sprintf("the slot is at %s, the log was at %s", row[1], end)
	})
}

// TestALostSlotIsNotMadeAgain drops the slot while the program is away.
func TestALostSlotIsNotMadeAgain(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, itemTable, itemRows)
	to.Exec(t, itemTable)
	m := itemManifest(t, from, to)
	p := start(t, m)
	p.caughtUp(t)
	p.kill()
	dbtest.Eventually(t, 20*time.Second, func() (bool, string) {
		_, err := from.TryQuery(t.Context(), `SELECT pg_drop_replication_slot('rejot_source')`)
		return err == nil, fmt.Sprint(err)
	})
	from.Exec(t, `INSERT INTO item VALUES (100, 'in the gap')`)
	refuse(t, m, 3, []string{"rejot_source", "rejot backfill"})
	if text, code := rejot(t, "backfill", "--all", "--yes", "--manifest", m); code != 0 {
		t.Fatalf("backfill gives %d and\n%s", code, text)
	}
	p = start(t, m)
	sameRows(t, from, itemSource, to, itemSource)
	p.stop()
	text, code := rejot(t, "status", m, "--api-port", "1")
	if code != 0 || !strings.Contains(text, "not running") || !strings.Contains(text, "done, 21 keys") {
		t.Errorf("status gives %d and\n%s", code, text)
	}
	if text, code := rejot(t, "down", m, "--yes"); code != 0 {
		t.Fatalf("down gives %d and\n%s", code, text)
	}
	left := from.Query(t, `SELECT count(*) FROM pg_replication_slots WHERE database = current_database()`)[0][0] + from.Query(t, `SELECT count(*) FROM pg_publication`)[0][0]
	if own := to.Query(t, `SELECT count(*) FROM pg_namespace WHERE nspname = 'rejot'`)[0][0]; left+own != "000" {
		t.Errorf("down leaves %s and %s", left, own)
	}
}

// TestASecondInstanceWaitsForTheFirst starts the program twice: the second names who reads the slot,
// writes nothing, and takes over when the first is gone.
func TestASecondInstanceWaitsForTheFirst(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, itemTable, itemRows)
	to.Exec(t, itemTable)
	m := itemManifest(t, from, to)
	first := start(t, m)
	first.caughtUp(t)
	second := start(t, m)
	pid := from.Query(t, `SELECT active_pid FROM pg_replication_slots WHERE slot_name LIKE 'rejot\_source%' AND active_pid IS NOT NULL ORDER BY slot_name`)[0][0]
	dbtest.Eventually(t, 10*time.Second, func() (bool, string) {
		text := second.output()
		return strings.Contains(text, "rejot_source") && strings.Contains(text, pid), "the second says:\n" + text
	})
	from.Exec(t, `UPDATE item SET name = 'with the first' WHERE id = 1`)
	sameRows(t, from, itemSource, to, itemSource)
	first.kill()
	from.Exec(t, `UPDATE item SET name = 'with the second' WHERE id = 2`)
	sameRows(t, from, itemSource, to, itemSource)
	if !second.running() {
		t.Error("the second has ended")
	}
}
