package sourcetest

import (
	"cmp"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

const (
	writers   = 4
	snapshots = 300
	burst     = 6 // transactions of each writer for a snapshot: its comparison grows with all of them
)

// aligned compares snapshots, taken while writers write, with the transactions received that they see.
func aligned(t *testing.T, f Fixture) {
	f.DB.Exec(t, `CREATE TABLE t (id bigint PRIMARY KEY)`)
	r, _ := read(t, f, "t")
	turns := make([]chan struct{}, writers)
	var writing sync.WaitGroup
	for w := range writers {
		session := f.DB.Session(t)
		session.Exec(t, `SET synchronous_commit = `+[]string{"on", "off"}[w%2])
		turns[w] = make(chan struct{}, 2*burst)
		writing.Go(func() {
			n := -1
			for range turns[w] {
				n++
				session.Exec(t, fmt.Sprintf(`BEGIN; INSERT INTO t VALUES (%d); INSERT INTO t VALUES (%d); COMMIT`, w*1_000_000+2*n, w*1_000_000+2*n+1))
			}
		})
	}
	defer func() {
		for _, turn := range turns {
			close(turn)
		}
		writing.Wait()
	}()
	views, err := f.Resolve(t.Context(), []*contract.PublicSchema{{Ref: rejot.Ref{Name: "rows", Major: 1}, Transformations: []contract.Transformation{
		{Table: "t", SQL: `SELECT id FROM t WHERE id = :id`, Params: map[string]string{"id": "id"}},
	}}})
	if err != nil || len(views) != 1 {
		t.Fatalf("resolve: %d views, %v (%s)", len(views), err, rejot.MendOf(err))
	}
	q := views[0].First
	for n := range cmp.Or(f.Snapshots, snapshots) {
		for range burst {
			for _, turn := range turns {
				select {
				case turn <- struct{}{}:
				default: // that writer is busy
				}
			}
		}
		if wrong := r.mismatch(t, q); wrong != "" {
			t.Fatalf("snapshot %d: %s", n, wrong)
		}
	}
}

// mismatch compares one snapshot.
func (r *reading) mismatch(t *testing.T, q *rejot.Query) string {
	snap, err := r.f.Source.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := snap.Close(); err != nil {
			t.Error(err)
		}
	}()
	dbtest.Eventually(t, 20*time.Second, func() (bool, string) {
		_, _, reached := r.log.state()
		return !reached.Less(snap.Through()), fmt.Sprintf("reached %s of %s", reached, snap.Through())
	})
	want := map[string]bool{}
	err = snap.Query(t.Context(), q, func(yield func([]rejot.Value, error) bool) { yield([]rejot.Value{rejot.TextValue("100000000")}, nil) }, func(a rejot.Answer) error {
		text, _ := a.Row[0].Text()
		want[text] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	r.log.mu.Lock()
	done := r.log.done // it only grows
	r.log.mu.Unlock()
	for _, tx := range done {
		if snap.Sees(tx.Transaction) {
			for _, n := range tx.lines {
				got[n.row] = true
			}
		}
	}
	if !maps.Equal(got, want) {
		return fmt.Sprintf("%d rows are visible, and the transactions that it sees have %d", len(want), len(got))
	}
	return ""
}
