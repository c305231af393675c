package myapply_test

import (
	"fmt"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply/myapply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

// BenchmarkApply applies the example's upsert to rows that exist already, b.N of them a run.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000, 10000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) { benchmarkApply(b, size) })
	}
}

func benchmarkApply(b *testing.B, size int) {
	db := dbtest.MariaDB(b).NewDatabase(b)
	db.Exec(b, `CREATE TABLE account_destination (id bigint PRIMARY KEY, full_name text, email text)`)
	text := rejot.Type{Name: "text"}
	columns := []rejot.Column{
		{Name: "id", Type: rejot.Type{Name: "integer"}},
		{Name: "firstName", Type: text},
		{Name: "lastName", Type: text},
		{Name: "emails", Type: rejot.Type{Name: "text[]", Kind: rejot.Array, Elem: &text}},
	}
	s := &rejot.Shape{Schema: rejot.Ref{Manifest: "p", Name: "account", Major: 1}, Key: columns[:1], Row: columns}
	c := &contract.Consumer{
		Manifest: "r", Name: "accounts", SourceManifest: "p", Schema: "account", Major: 1,
		SQL: `INSERT INTO account_destination (id, full_name, email) VALUES (:id, CONCAT(:firstName, ' ', :lastName), JSON_VALUE(:emails, '$[0]'))
			ON DUPLICATE KEY UPDATE full_name = CONCAT(:firstName, ' ', :lastName), email = JSON_VALUE(:emails, '$[0]')`,
	}
	a, err := myapply.Open(b.Context(), myapply.Config{Connection: connection(db), Consumers: []*contract.Consumer{c}})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	cursor := rejot.Cursor{Consumer: c.ID(), Source: "s"}
	n := 0
	batch := func() {
		n++
		next := cursor
		next.Position = position(n)
		outcomes, err := a.Apply(b.Context(), []rejot.Move{{From: cursor, To: next}}, &rejot.Batch{Source: "s", Position: next.Position, Events: func(yield func(*rejot.Event, error) bool) {
			for i := range size {
				if !yield(row(s, fmt.Sprint(i), fmt.Sprint("first", n), "last", fmt.Sprintf(`{a%d@x.org,"b c"}`, n)), nil) {
					return
				}
			}
		}})
		if err != nil || outcomes[0].Err != nil {
			b.Fatal(err, outcomes)
		}
		cursor = next
	}
	batch()
	for b.Loop() {
		batch()
	}
	b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds()/1000, "krows/s")
}
