package pgapply_test

import (
	"fmt"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply/pgapply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

// BenchmarkApply writes rows that exist, with the example's seven occurrences of placeholders.
func BenchmarkApply(b *testing.B) {
	db := dbtest.Postgres(b).NewDatabase(b)
	db.Exec(b, `CREATE TABLE account (id bigint PRIMARY KEY, name text, email text, tags text[], a text, note text, more text[])`)
	columns := []string{"id", "name", "email", "tags", "a", "note", "more"}
	s := &rejot.Shape{Schema: rejot.Ref{Manifest: "producer", Name: "item", Major: 1}}
	for _, c := range columns {
		s.Row = append(s.Row, rejot.Column{Name: c})
	}
	s.Key = s.Row[:1]
	_, c := item()
	c.SQL, c.DeleteSQL = upsertSQL("account", []string{"id"}, columns...), "DELETE FROM account WHERE id = :id"
	a, err := pgapply.Open(b.Context(), pgapply.Config{Connection: connection(db), Consumers: []*contract.Consumer{c}})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close() //nolint:errcheck // the benchmark is over
	n := 0
	for i, size := range []int{1, 10, 100, 1000, 10000, 10, 100, 1000, 10000} {
		way := "set"
		if i == 0 || i > 4 {
			way = "row"
			pgapply.NoSets(a)
		}
		if i == 1 {
			pgapply.Reopen(b, a)
		}
		b.Run(fmt.Sprint(way, size), func(b *testing.B) {
			for b.Loop() {
				n++
				move := rejot.Move{From: rejot.Cursor{Consumer: c.ID(), Position: position(n - 1)}, To: rejot.Cursor{Consumer: c.ID(), Position: position(n)}}
				_, err := a.Apply(b.Context(), []rejot.Move{move}, &rejot.Batch{Events: func(yield func(*rejot.Event, error) bool) {
					for i := range size {
						if !yield(row(s, fmt.Sprint(i), "Ann Example", "ann@example.org", "{a@x,b@x}", "some text", "and some more of it", "{x,y}"), nil) {
							return
						}
					}
				}})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
