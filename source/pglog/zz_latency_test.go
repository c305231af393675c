package pglog

import (
	"sort"
	"testing"
	"time"

	"rejot.dev/rejot/internal/dbtest"
)

func TestZZLatency(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	r := testReader(t, db)
	pos := begin(t, r, setup("t"))
	s := &streamed{}
	reading(t, r, pos, s)
	sess := db.Session(t)
	sess.Exec(t, "SET synchronous_commit=off")
	for _, mode := range []string{"off", "on"} {
		sess.Exec(t, "SET synchronous_commit="+mode)
		var d []time.Duration
		for range 200 {
			sess.Exec(t, `UPDATE t SET v='a'; INSERT INTO t SELECT coalesce(max(id),0)+1 FROM t`)
			place := insertPlace(t, db)
			b := time.Now()
			r.want(place)
			for !s.isAt(place) {
				time.Sleep(20 * time.Microsecond)
			}
			d = append(d, time.Since(b))
		}
		sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
		t.Log(mode, d[20], d[100], d[180], d[199])
	}
}
