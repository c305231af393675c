package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A native is a subscription to the accounts' two tables.
type native struct {
	w       *world
	db      *database
	created bool
	enabled bool
	begun   time.Time // when it was enabled last
}

const bothTables = "account, account_emails"

// openNative starts the destination of a subscription. The tables are the source's own.
func (w *world) openNative(ctx context.Context) (*side, error) {
	db, err := w.open(ctx, "accounts", "source.sql")
	if err != nil {
		return nil, err
	}
	const total = `SELECT count(*) || ' ' || coalesce(sum(hashtextextended(concat_ws('|', id, first_name, last_name), 0)::numeric), 0) FROM account`
	return &side{
		system: &native{w: w, db: db}, name: nativeName, db: db, row: w.markerRow(),
		sees:   `SELECT id FROM account WHERE id = ANY($1::bigint[]) AND starts_with(first_name, $2)`,
		number: `SELECT count(*)::text FROM account`,
		total:  total, expected: total,
	}, nil
}

// aLittle is added to the server's wal_retrieve_retry_interval.
const aLittle = time.Second / 4

func (n *native) start(ctx context.Context) error {
	if n.enabled {
		return nil
	}
	n.begun = time.Now()
	if n.created {
		n.enabled = true
		return n.db.exec(ctx, "ALTER SUBSCRIPTION bench ENABLE")
	}
	n.created, n.enabled = true, true
	s := n.w.source.server
	sql := fmt.Sprintf(`CREATE SUBSCRIPTION bench CONNECTION 'host=%s port=%d user=%s password=%s dbname=accounts' PUBLICATION bench`, s.Host, s.Port, s.User, s.Password)
	if _, err := n.db.conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("create subscription: %w", err) // without the statement: there is a password in it
	}
	return nil
}

func (n *native) stop(ctx context.Context) error {
	if !n.enabled {
		return nil
	}
	if err := n.db.exec(ctx, "ALTER SUBSCRIPTION bench DISABLE"); err != nil {
		return err
	}
	n.enabled = false
	// The server starts no worker within that interval of the last start. This waits for it, and not the next start, which is measured.
	pause(time.Until(n.begun.Add(n.w.o.retry + aLittle)))
	return until(ctx, "the subscription stops", stopWithin, 10*time.Millisecond, func() (bool, string, error) {
		here, err := n.db.text(ctx, "SELECT count(pid)::text FROM pg_stat_subscription")
		if err != nil {
			return false, "", err
		}
		there, err := n.w.source.text(ctx, "SELECT count(*)::text FROM pg_replication_slots WHERE slot_name = 'bench' AND active")
		return here == "0" && there == "0", here + " workers, " + there + " slots in use", err
	})
}

func (n *native) clear(ctx context.Context) error {
	if err := n.stop(ctx); err != nil {
		return err
	}
	if n.created {
		if err := n.db.exec(ctx, "DROP SUBSCRIPTION bench"); err != nil {
			return err
		}
		n.created = false
	}
	if err := n.db.exec(ctx, "TRUNCATE account, account_emails"); err != nil {
		return err
	}
	for _, sql := range []string{"DROP PUBLICATION IF EXISTS bench", "CREATE PUBLICATION bench FOR TABLE " + n.w.tables} {
		if err := n.w.source.exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func (n *native) usage(ctx context.Context) (usage, error) {
	var u usage
	workers, err := n.db.pids(ctx, `SELECT pid FROM pg_stat_subscription WHERE pid IS NOT NULL`)
	if err != nil {
		return u, err
	}
	senders, err := n.w.source.pids(ctx, `SELECT pid FROM pg_stat_replication WHERE application_name = 'bench'`)
	if err != nil {
		return u, err
	}
	for _, pid := range workers {
		u.Peak = max(u.Peak, peakOf(pid))
	}
	for _, pid := range append(workers, senders...) {
		seconds, _ := cpuOf(pid)
		u.CPU += seconds
	}
	err = n.db.conn.QueryRow(ctx, `SELECT coalesce(min(backend_start), now()) FROM pg_stat_activity JOIN pg_stat_subscription USING (pid)`).Scan(&u.Ready)
	return u, err
}

func (db *database) pids(ctx context.Context, sql string) ([]int, error) {
	rows, err := db.conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

func (n *native) trouble(context.Context) (string, error) {
	return "its log ends with:\n" + n.db.server.LogTail(5), nil
}
