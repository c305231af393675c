package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rejot.dev/rejot/internal/dbtest"
)

const (
	bankAccounts = 100
	bankTotal    = bankAccounts * 1000
	bankQuery    = `SELECT a.id, a.owner, b.name AS branch, x.amount FROM bank_account a JOIN branch b ON b.id = a.branch_id JOIN balance x ON x.account_id = a.id WHERE a.id = :id`
)

// A bank is a source whose rows have a constant sum in every committed state, and two destinations.
type bank struct {
	source, dest, shop *dbtest.Server
	from, pg, my       *dbtest.Database
	proxies            []*dbtest.Proxy
	manifest           string
}

func openBank(t *testing.T) *bank {
	t.Helper()
	b := &bank{source: dbtest.Postgres(t, dbtest.Private()), dest: dbtest.Postgres(t, dbtest.Private()), shop: dbtest.MariaDB(t, dbtest.Private())}
	b.from, b.pg, b.my = b.source.NewDatabase(t), b.dest.NewDatabase(t), b.shop.NewDatabase(t)
	b.from.Exec(t,
		`CREATE TABLE branch (id int PRIMARY KEY, name text NOT NULL)`,
		`CREATE TABLE bank_account (id int PRIMARY KEY, branch_id int NOT NULL REFERENCES branch, owner text NOT NULL)`,
		`CREATE TABLE balance (account_id int PRIMARY KEY REFERENCES bank_account, amount bigint NOT NULL)`,
		`INSERT INTO branch SELECT i, 'branch ' || i FROM generate_series(1, 5) i`,
		fmt.Sprintf(`INSERT INTO bank_account SELECT i, 1 + i %% 5, 'owner ' || i FROM generate_series(1, %d) i`, bankAccounts),
		fmt.Sprintf(`INSERT INTO balance SELECT i, 1000 FROM generate_series(1, %d) i`, bankAccounts),
	)
	b.pg.Exec(t, `CREATE TABLE statement (id int PRIMARY KEY, owner text NOT NULL, branch text NOT NULL, amount bigint NOT NULL)`)
	b.my.Exec(t, `CREATE TABLE statement (id int PRIMARY KEY, owner varchar(50) NOT NULL, branch varchar(50) NOT NULL, amount bigint NOT NULL)`)
	for _, s := range []*dbtest.Server{b.source, b.dest, b.shop} {
		b.proxies = append(b.proxies, dbtest.NewProxy(t, s.Addr()))
	}
	b.manifest = writeManifest(t, object{
		"connections": []object{
			connection("source", b.from, b.proxies[0].Addr()), connection("pg", b.pg, b.proxies[1].Addr()), connection("my", b.my, b.proxies[2].Addr()),
		},
		"dataStores":    []object{sourceStore(), {"connectionSlug": "pg"}, {"connectionSlug": "my"}},
		"publicSchemas": []object{publicSchema("statement", "bank_account", bankQuery)},
		"consumerSchemas": []object{
			consumerSchema("to-pg", "statement", "pg", "postgres",
				`INSERT INTO statement VALUES (:id, :owner, :branch, :amount) ON CONFLICT (id) DO UPDATE SET owner = :owner, branch = :branch, amount = :amount`,
				`DELETE FROM statement WHERE id = :id`),
			consumerSchema("to-my", "statement", "my", "mysql",
				`INSERT INTO statement VALUES (:id, :owner, :branch, :amount) ON DUPLICATE KEY UPDATE owner = :owner, branch = :branch, amount = :amount`,
				`DELETE FROM statement WHERE id = :id`),
		},
	})
	return b
}

// write transfers money until ctx ends; a transfer of which nothing is known is simply forgotten.
func (b *bank) write(ctx context.Context, seed uint64, done *atomic.Int64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	var conn *pgx.Conn
	for ctx.Err() == nil {
		if conn == nil || conn.IsClosed() {
			var err error
			if conn, err = pgx.Connect(ctx, b.from.URL); err != nil {
				wait(ctx, 100*time.Millisecond)
				continue
			}
		}
		if b.transfer(ctx, conn, rng) == nil {
			done.Add(1)
		}
	}
	if conn != nil {
		conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the test is over
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (b *bank) transfer(ctx context.Context, conn *pgx.Conn, rng *rand.Rand) error {
	from, to, amount := 1+rng.IntN(bankAccounts), 1+rng.IntN(bankAccounts), rng.IntN(50)
	if from > to { // one order of locks
		from, to, amount = to, from, -amount
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE balance SET amount = amount - $1 WHERE account_id = $2`, amount, from); err != nil {
			return err
		}
		if rng.IntN(20) == 0 {
			if _, err := tx.Exec(ctx, `UPDATE branch SET name = 'branch ' || id || ' ' || $1 WHERE id = $2`, strconv.Itoa(rng.IntN(100)), 1+rng.IntN(5)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `UPDATE balance SET amount = amount + $1 WHERE account_id = $2`, amount, to)
		return err
	})
}

// watch reads the sum at a destination until ctx ends and counts the states that it saw.
func watch(ctx context.Context, t *testing.T, name string, db *dbtest.Database, seen *atomic.Int64) {
	for ctx.Err() == nil {
		rows, err := db.TryQuery(ctx, `SELECT count(*), coalesce(sum(amount), 0) FROM statement`)
		if err != nil {
			wait(ctx, 50*time.Millisecond)
			continue
		}
		if want := fmt.Sprintf("[%d %d]", bankAccounts, bankTotal); fmt.Sprint(rows[0]) != want {
			t.Errorf("%s holds a state that never was at the source: rows and sum %v, want %s", name, rows[0], want)
			return
		}
		seen.Add(1)
		wait(ctx, time.Millisecond)
	}
}

// TestBank moves money with 8 writers while the program is killed 20 times, every server is
// restarted 3 times and connections are cut; it reads in each gear and applies in each way. A reader at each destination sees a constant sum at any
// moment; afterwards both ends are equal, and the slot is never beyond a cursor.
func TestBank(t *testing.T) {
	b := openBank(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	p := start(t, b.manifest)
	for _, db := range []*dbtest.Database{b.pg, b.my} {
		sameRows(t, b.from, bankAtSource, db, bankAtEnd)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writers, readers sync.WaitGroup
	var transfers, seenPG, seenMy atomic.Int64
	for i := range 8 {
		writers.Go(func() { b.write(ctx, seed+uint64(i), &transfers) })
	}
	watching, stopWatching := context.WithCancel(t.Context())
	defer stopWatching()
	readers.Go(func() { watch(watching, t, "Postgres", b.pg, &seenPG) })
	readers.Go(func() { watch(watching, t, "MariaDB", b.my, &seenMy) })
	servers := []*dbtest.Server{b.source, b.dest, b.shop}
	for round := range 20 {
		moved(t, &transfers, 30)
		switch {
		case round%2 == 0 && round/2 < 9:
			s := servers[round/2%3]
			if round%4 == 0 {
				s.Kill(t)
				s.Start(t)
			} else {
				s.Restart(t)
			}
		default:
			b.proxies[rng.IntN(3)].Cut()
		}
		wait(t.Context(), time.Duration(rng.IntN(400))*time.Millisecond)
		b.slotIsNotAhead(t, false)
		p.kill()
		p = start(t, b.manifest, forced(round))
	}
	moved(t, &transfers, 30)
	cancel()
	writers.Wait()
	sameRows(t, b.from, bankAtSource, b.pg, bankAtEnd)
	sameRows(t, b.from, bankAtSource, b.my, bankAtEnd)
	stopWatching()
	readers.Wait()
	b.slotIsNotAhead(t, true)
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	t.Logf("%d transfers; states seen: %d in Postgres, %d in MariaDB", transfers.Load(), seenPG.Load(), seenMy.Load())
}

const (
	bankAtSource = `SELECT a.id, a.owner, b.name, x.amount FROM bank_account a JOIN branch b ON b.id = a.branch_id JOIN balance x ON x.account_id = a.id ORDER BY 1`
	bankAtEnd    = `SELECT id, owner, branch, amount FROM statement ORDER BY 1`
)

// moved waits until n more transfers are committed.
func moved(t *testing.T, done *atomic.Int64, n int64) {
	t.Helper()
	goal := done.Load() + n
	dbtest.Eventually(t, 30*time.Second, func() (bool, string) {
		return done.Load() >= goal, fmt.Sprintf("%d transfers, waiting for %d", done.Load(), goal)
	})
}

// slotIsNotAhead compares what the source was allowed to forget with what the destinations hold. In
// the middle of faults a server may not answer; at the end all do.
func (b *bank) slotIsNotAhead(t *testing.T, all bool) {
	t.Helper()
	ctx := t.Context()
	slot, err := b.from.TryQuery(ctx, `SELECT lpad(to_hex((confirmed_flush_lsn - '0/0')::bigint), 16, '0') FROM pg_replication_slots WHERE slot_name = 'rejot_source'`)
	if err != nil {
		if all {
			t.Fatal(err)
		}
		return
	}
	for _, c := range []struct {
		db  *dbtest.Database
		sql string
	}{{b.pg, `SELECT position FROM rejot.cursor`}, {b.my, `SELECT position FROM rejot_cursor`}} {
		rows, err := c.db.TryQuery(ctx, c.sql)
		if err != nil {
			if all {
				t.Fatal(err)
			}
			continue
		}
		for _, r := range rows {
			if horizon := r[0][17:33]; horizon < slot[0][0] {
				t.Errorf("the slot is at %s, beyond a cursor at %s", slot[0][0], horizon)
			}
		}
	}
}
