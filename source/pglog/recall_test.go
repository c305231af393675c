package pglog

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

// TestCallsLookARelationUpOnce has several calls describe one relation, and counts how often the catalogue is asked what it
// is, and what it is part of.
func TestCallsLookARelationUpOnce(t *testing.T) {
	lookups, checks := 0, 0
	part := contract.TableName{Schema: "public", Name: "t"}
	known := newRecall(func(ctx context.Context, rel *relation) error {
		lookups++
		rel.above = []contract.TableName{part}
		return itself(ctx, rel)
	}, func(_ context.Context, rels ...*relation) (map[uint32][]contract.TableName, error) {
		checks++
		above := map[uint32][]contract.TableName{}
		for _, rel := range rels {
			above[rel.id] = []contract.TableName{part}
		}
		return above, nil
	})
	other := say('R', 7, "public", "t", 'i', uint16(2), byte(0), "id", 23, -1, byte(1), "v", 25, -1)
	insert := say('I', 7, 'N', tuple("1", "a"))
	for _, c := range []struct {
		name            string
		in              [][]byte
		lookups, checks int
	}{
		{"the first call", [][]byte{relationMessage(), insert}, 1, 0},
		{"the same again", [][]byte{relationMessage(), insert}, 0, 1},
		{"one without it", nil, 0, 0},
		{"the same after that", [][]byte{relationMessage(), insert}, 0, 1},
		{"twice in a call: it is altered meanwhile", [][]byte{relationMessage(), insert, relationMessage(), insert}, 1, 1},
		{"in other words", [][]byte{other, insert}, 1, 0},
		{"in those again", [][]byte{other, insert}, 0, 1},
	} {
		lookups, checks = 0, 0
		var got written
		d := known.decoder(&got)
		for _, m := range slices.Concat([][]byte{beginMessage}, c.in, [][]byte{commitMessage}) {
			if err := d.message(t.Context(), m); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		if lookups != c.lookups || checks != c.checks {
			t.Errorf("%s: %d lookups and %d checks, want %d and %d", c.name, lookups, checks, c.lookups, c.checks)
		}
	}
	part.Name = "another"
	lookups = 0
	d := known.decoder(&written{})
	for _, m := range [][]byte{beginMessage, other, insert} {
		if err := d.message(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if lookups != 1 {
		t.Errorf("under another table: %d lookups, want 1", lookups)
	}
}

func TestPartitionMovesToAnotherTableBetweenCalls(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	for _, root := range []string{"a", "b"} {
		db.Exec(t, `CREATE TABLE `+root+` (id int PRIMARY KEY) PARTITION BY RANGE (id)`)
	}
	db.Exec(t, `CREATE TABLE part PARTITION OF a FOR VALUES FROM (0) TO (100)`)
	r := testReader(t, db)
	r.cfg.gear.force = onlyFast
	pos := begin(t, r, setup("a", "b"))
	s := &streamed{}
	reading(t, r, pos, s)
	for i, step := range []string{``, `ALTER TABLE a DETACH PARTITION part`, `ALTER TABLE b ATTACH PARTITION part FOR VALUES FROM (0) TO (100)`, ``} {
		if step != "" {
			db.Exec(t, step)
		}
		db.Exec(t, fmt.Sprintf(`INSERT INTO part VALUES (%d)`, i))
		caughtUp(t, db, r, s)
	}
	var got []string
	for _, line := range s.lines() {
		var tx, op, name, old, row string
		if n, _ := fmt.Sscan(line, &tx, &op, &name, &old, &row); n == 5 {
			got = append(got, name+" "+row)
		}
	}
	wantSame(t, got, []string{"public.a (0)", "public.b (2)", "public.b (3)"})
}
