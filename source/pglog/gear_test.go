package pglog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

// A history is a receiver that keeps each committed transaction with what it changed in the end.
type history struct {
	mu      sync.Mutex
	open    map[rejot.TxID][][2]string // subtransaction and change
	done    []string
	ends    []rejot.Place // of done
	reached rejot.Place
	aborted int
	bad     []string
	slow    func() // is called with each commit
}

func newHistory() *history { return &history{open: map[rejot.TxID][][2]string{}} }

func (h *history) Change(c *rejot.Change) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := fmt.Sprintf("%d %s %s %s", c.Op, c.Table.Name, image(c.Old), image(c.New))
	h.open[c.Tx] = append(h.open[c.Tx], [2]string{fmt.Sprint(c.Sub), text})
	return nil
}

func (h *history) Commit(tx rejot.Transaction) error {
	if h.slow != nil {
		h.slow()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if tx.End.Less(h.reached) {
		h.bad = append(h.bad, fmt.Sprintf("a commit at %s comes after %s was reached", tx.End, h.reached))
	}
	changes := h.open[tx.ID]
	delete(h.open, tx.ID)
	if len(changes) == 0 {
		return nil // whether an empty transaction is told is the version's and the gear's own
	}
	text := fmt.Sprintf("%d to %s at %s:", tx.ID, tx.End, tx.At)
	for _, c := range changes {
		text += "\n" + c[1]
	}
	h.done, h.ends = append(h.done, text), append(h.ends, tx.End)
	return nil
}

func (h *history) Abort(tx, sub rejot.TxID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.aborted++
	h.open[tx] = slices.DeleteFunc(h.open[tx], func(c [2]string) bool { return tx == sub || c[0] == fmt.Sprint(sub) })
	return nil
}

func (h *history) Reached(p rejot.Place) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.Less(h.reached) {
		h.bad = append(h.bad, fmt.Sprintf("%s is reached after %s", p, h.reached))
	}
	h.reached = p
	return nil
}

func (h *history) isAt(p rejot.Place) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.reached.Less(p)
}

// readAll reads from pos to where the log ends now, in a gear, and gives the transactions.
func readAll(t *testing.T, db *dbtest.Database, r *reader, pos rejot.Position, gear gearConfig) *history {
	t.Helper()
	gear.fill()
	r.cfg.gear = gear
	h := newHistory()
	stop := reading(t, r, pos, h)
	place := insertPlace(t, db)
	r.want(place)
	dbtest.Eventually(t, 20*time.Second, func() (bool, string) { return h.isAt(place), "the log is not read to " + place.String() })
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Fatalf("%s: Read ends with %v", gear.force, err)
	}
	if len(h.bad) > 0 {
		t.Errorf("%s: %s", gear.force, h.bad)
	}
	return h
}

// A writer makes random transactions in three sessions, which do not wait for one another.
type writer struct {
	rand     *rand.Rand
	sessions [3]*dbtest.Session
	open     [3]bool
	saved    [3]bool
	prepared [3]string // keeps the rows that it has changed locked
	next     int       // a row's id that is new
	columns  int
}

// step gives what the session does next.
func (w *writer) step(i int) string {
	quiet := w.open == [3]bool{} && w.prepared == [3]string{}
	switch n := w.rand.IntN(22); {
	case n == 0 && quiet:
		return "TRUNCATE t"
	case n == 1 && quiet:
		w.columns++
		return fmt.Sprintf("ALTER TABLE t ADD c%d int DEFAULT %[1]d", w.columns)
	case n < 4 && w.prepared[i] != "" && !w.open[i]:
		id := w.prepared[i]
		w.prepared[i] = ""
		return []string{"COMMIT", "ROLLBACK"}[w.rand.IntN(2)] + " PREPARED '" + id + "'"
	case n < 6 && !w.open[i]:
		w.open[i], w.saved[i] = true, false
		return "BEGIN"
	case n < 5 && w.open[i]:
		w.open[i] = false
		return "COMMIT"
	case n == 5 && w.open[i]:
		w.open[i] = false
		return "ROLLBACK"
	case n == 6 && w.open[i] && w.prepared[i] == "":
		w.open[i] = false
		w.prepared[i] = fmt.Sprintf("%d of session %d", w.next, i)
		return "PREPARE TRANSACTION '" + w.prepared[i] + "'"
	case n < 9 && w.open[i]:
		if w.saved[i] = !w.saved[i]; w.saved[i] {
			return "SAVEPOINT s"
		}
		return []string{"ROLLBACK TO s", "RELEASE s"}[w.rand.IntN(2)]
	}
	return w.change(i)
}

// change writes rows of the session's own, so that none waits for another's.
func (w *writer) change(i int) string {
	w.next++
	mine := fmt.Sprintf("id %% 3 = %d AND id %% 7 = %d", i, w.rand.IntN(7))
	id := 3*w.next + i
	n := w.rand.IntN(8)
	if w.prepared[i] != "" {
		n = max(n, 3)
	}
	switch n {
	case 0:
		return "DELETE FROM t WHERE " + mine
	case 1:
		return fmt.Sprintf("UPDATE t SET v = v || '%d' WHERE %s", w.next, mine)
	case 2:
		return fmt.Sprintf("UPDATE t SET id = %d WHERE id = (SELECT min(id) FROM t WHERE %s)", id, mine)
	case 3:
		return w.big(i)
	}
	return fmt.Sprintf("INSERT INTO t (id, v) VALUES (%d, 'new')", id)
}

// big writes so much that it is streamed while it is in progress.
func (w *writer) big(i int) string {
	id := 3*(w.next+1) + i
	w.next += 300
	return fmt.Sprintf("INSERT INTO t (id, v) SELECT %d + 3 * g, repeat('x', 400) FROM generate_series(0, 299) g", id)
}

func (w *writer) run(t *testing.T, db *dbtest.Database, steps int) {
	for i := range w.sessions {
		w.sessions[i] = db.Session(t)
		w.sessions[i].Exec(t, `SET synchronous_commit = off`)
	}
	// Some of it is streamed, and a part of that is taken back.
	w.sessions[0].Exec(t, "BEGIN", w.big(0), "SAVEPOINT s", w.big(0), "ROLLBACK TO s", w.big(0), "COMMIT")
	for range steps {
		i := w.rand.IntN(len(w.sessions))
		w.sessions[i].Exec(t, w.step(i))
	}
	for i, s := range w.sessions {
		if w.open[i] {
			s.Exec(t, "COMMIT")
		}
	}
	for _, id := range w.prepared {
		if id != "" {
			db.Exec(t, "COMMIT PREPARED '"+id+"'")
		}
	}
}

// TestBothGearsHandOverTheSame writes random transactions and reads them again and again from one place.
func TestBothGearsHandOverTheSame(t *testing.T) {
	for _, version := range []int{13, 14, 15, 16, 17, 18} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			server, steps := dbtest.Postgres(t), 250 // 15
			if version != 15 {
				server, steps = dbtest.PostgresVersion(t, version), 120
			}
			db := table(t, server)
			db.Exec(t, `ALTER DATABASE `+db.Name+` SET logical_decoding_work_mem = '64kB'`)
			r := testReader(t, db)
			pos := begin(t, r, setup("t"))
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			w := &writer{rand: rand.New(rand.NewPCG(seed, 0))}
			w.run(t, db, steps)
			want := readAll(t, db, r, pos, gearConfig{force: onlyStream})
			if len(want.done) < steps/15 || version > 13 && want.aborted == 0 {
				t.Fatalf("%d transactions and %d aborted parts are too few", len(want.done), want.aborted)
			}
			for name, gear := range map[string]gearConfig{
				"in one call":        {force: onlyFast},
				"in calls by rows":   {force: onlyFast, rows: 60},
				"in calls by places": {force: onlyFast, bytes: 100_000},
				"chosen":             {enter: 1, rows: 200},
			} {
				got := readAll(t, db, r, pos, gear)
				if diff := cmp.Diff(want.done, got.done); diff != "" {
					t.Errorf("stream -, %s +:\n%.4000s", name, diff)
				}
			}

			// The slot is moved to the middle, and what comes after it is the same.
			half := len(want.done) / 2
			middle := rejot.Position{Incarnation: pos.Incarnation, Horizon: want.ends[half-1]}
			if err := r.Confirm(t.Context(), middle); err != nil {
				t.Fatal(err)
			}
			r.cfg.gear = gearConfig{force: onlyFast, advance: 10 * time.Millisecond}
			r.cfg.gear.fill()
			stop := reading(t, r, pos, newHistory())
			dbtest.Eventually(t, 10*time.Second, func() (bool, string) {
				got := db.Query(t, `SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '`+r.cfg.slot+`'`)[0][0]
				return got == middle.Horizon.String(), "the slot is at " + got
			})
			_ = stop()
			for _, force := range []string{onlyStream, onlyFast} {
				got := readAll(t, db, r, middle, gearConfig{force: force})
				if diff := cmp.Diff(want.done[half:], got.done); diff != "" {
					t.Errorf("after the middle, first -, %s +:\n%.4000s", force, diff)
				}
			}
		})
	}
}

// A counter counts what is logged, by message.
type counter struct {
	slog.Handler
	mu  sync.Mutex
	got map[string]int
}

func (c *counter) Handle(ctx context.Context, r slog.Record) error {
	c.mu.Lock()
	c.got[r.Message]++
	c.mu.Unlock()
	return c.Handler.Handle(ctx, r)
}

func (c *counter) count(message string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got[message]
}

func counted(t *testing.T, r *reader) *counter {
	c := &counter{Handler: slog.NewTextHandler(t.Output(), nil), got: map[string]int{}}
	r.cfg.log = slog.New(c)
	return c
}

const (
	saysCalls  = "the log is far ahead and is read in large calls"
	saysStream = "the log is streamed"
)

// TestChangeOfGearLosesAndRepeatsNothing reads in both gears in turn while rows are written, also in
// transactions that are streamed while they are in progress, and while places are confirmed.
func TestChangeOfGearLosesAndRepeatsNothing(t *testing.T) {
	db := table(t, dbtest.Postgres(t))
	db.Exec(t, `ALTER DATABASE `+db.Name+` SET logical_decoding_work_mem = '64kB'`)
	r := testReader(t, db)
	log := counted(t, r)
	r.cfg.gear = gearConfig{enter: 2000, leave: 20_000, back: 20_000, rows: 20_000, advance: 20 * time.Millisecond}
	r.cfg.gear.fill()
	r.cfg.beat = 10 * time.Millisecond
	pos := begin(t, r, setup("t"))
	h := newHistory()
	const changes = 3
	var quick atomic.Bool // the writers are faster than the reader
	pause := func(d time.Duration, when bool) {
		if quick.Load() == when {
			<-time.After(d)
		}
	}
	h.slow = func() { pause(time.Millisecond, true) }
	stop := reading(t, r, pos, h)

	var writing sync.WaitGroup
	over := make(chan struct{})
	write := func(rest time.Duration, sql func(n int) string) {
		s := db.Session(t)
		s.Exec(t, `SET synchronous_commit = off`)
		writing.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
					s.Exec(t, sql(n))
					pause(rest, false)
				}
			}
		})
	}
	write(5*time.Millisecond, func(n int) string { return fmt.Sprintf(`INSERT INTO t VALUES (%d, 'a')`, 10*n) })
	write(5*time.Millisecond, func(n int) string { return fmt.Sprintf(`INSERT INTO t VALUES (%d, 'b')`, 10*n+1) })
	write(300*time.Millisecond, func(n int) string {
		return fmt.Sprintf(`BEGIN; INSERT INTO t SELECT %d + 10 * g, repeat('x', 300) FROM generate_series(0, 249) g; SELECT pg_sleep(0.01); INSERT INTO t VALUES (%d, 'c'); %s`,
			2510*n+2, 10*n+3, []string{"COMMIT", "COMMIT", "ROLLBACK"}[n%3])
	})
	dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
		h.mu.Lock()
		reached := h.reached
		h.mu.Unlock()
		if reached == (rejot.Place{}) {
			return false, "nothing is read"
		}
		if err := r.Confirm(t.Context(), rejot.Position{Incarnation: pos.Incarnation, Horizon: reached}); err != nil {
			t.Error(err)
		}
		got := db.Query(t, `SELECT confirmed_flush_lsn <= '`+reached.String()+`' FROM pg_replication_slots WHERE slot_name = '`+r.cfg.slot+`'`)[0][0]
		if got != "t" {
			t.Errorf("the slot was moved beyond %s", reached)
		}
		there, back := log.count(saysCalls), log.count(saysStream)
		quick.Store(there == back)
		return back > changes, fmt.Sprintf("%d times to calls and %d times back", there, back)
	})
	close(over)
	writing.Wait()
	quick.Store(false)
	place := insertPlace(t, db)
	r.want(place)
	dbtest.Eventually(t, 30*time.Second, func() (bool, string) { return h.isAt(place), "the log is not read to " + place.String() })
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Fatalf("Read ends with %v", err)
	}
	for _, bad := range h.bad {
		t.Error(bad)
	}
	rows := map[string]int{}
	for _, tx := range h.done {
		for _, line := range strings.Split(tx, "\n")[1:] {
			rows[line]++
		}
	}
	var want int
	if _, err := fmt.Sscan(db.Query(t, `SELECT count(*) FROM t`)[0][0], &want); err != nil {
		t.Fatal(err)
	}
	for line, n := range rows {
		if n != 1 {
			t.Errorf("%d times %s", n, line)
		}
	}
	if len(rows) != want {
		t.Errorf("%d rows are handed over, and the table has %d", len(rows), want)
	}
	t.Logf("%d rows, %d aborted parts, %d changes to calls", want, h.aborted, log.count(saysCalls))
}

func BenchmarkRead(b *testing.B) {
	const transactions = 50_000
	db := dbtest.Postgres(b).NewDatabase(b)
	db.Exec(b, `CREATE TABLE t (id int PRIMARY KEY, v text)`)
	dial := testDial(db.URL, "", 0)
	r := newReader(readerConfig{dial: dial, slot: "slot_" + db.Name, publication: "pub_" + db.Name, flush: testFlush(dial), log: slog.New(slog.DiscardHandler)})
	pos, err := r.Begin(b.Context(), Setup{Tables: []contract.TableName{{Schema: "public", Name: "t"}}})
	if err != nil {
		b.Fatal(err)
	}
	db.Exec(b, `CREATE PROCEDURE fill(n int) LANGUAGE plpgsql AS 'BEGIN FOR i IN 1..n LOOP INSERT INTO t VALUES (i, ''some text''); COMMIT; END LOOP; END'`,
		`SET synchronous_commit = off`, fmt.Sprintf(`CALL fill(%d)`, transactions), `SELECT pg_logical_emit_message(true, '', '')`)
	for _, force := range []string{onlyStream, onlyFast} {
		b.Run(force, func(b *testing.B) {
			r.cfg.gear.force = force
			for b.Loop() {
				ctx, cancel := context.WithCancel(b.Context())
				n := &tally{until: transactions, reached: cancel}
				if err := r.Read(ctx, pos, n); !errors.Is(err, context.Canceled) {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(transactions*b.N)/b.Elapsed().Seconds(), "transactions/s")
		})
	}
}

// A tally counts transactions with changes.
type tally struct {
	until, n int
	reached  func()
}

func (n *tally) Change(*rejot.Change) error {
	if n.n++; n.n == n.until {
		n.reached()
	}
	return nil
}
func (*tally) Commit(rejot.Transaction) error { return nil }
func (*tally) Abort(_, _ rejot.TxID) error    { return nil }
func (*tally) Reached(rejot.Place) error      { return nil }
