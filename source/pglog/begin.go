package pglog

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/postgres"
)

// A Setup is what a reading is prepared for.
type Setup struct {
	Tables []contract.TableName // whose changes are needed
	Oldest rejot.Position       // the least that a destination has; zero where none has anything
}

// beginWithin is how long the preparation may take, but for the transactions that it has to wait for.
const beginWithin = 10 * time.Second

// Begin checks the server, brings publication and slot into the form that s needs and gives the position
// that Read may begin at. A slot is created only where no destination has anything.
func (r *reader) Begin(ctx context.Context, s Setup) (rejot.Position, error) {
	var pos rejot.Position
	err := r.withConn(ctx, func(conn *pgconn.PgConn) error {
		// A role's own limits are for others; who waits for a lock of the publication's tables gives up.
		if _, err := queryRows(ctx, conn, `SELECT pg_catalog.set_config('lock_timeout', $1, false), pg_catalog.set_config('statement_timeout', '0', false)`, beginWithin.String()); err != nil {
			return postgres.Classify(err, "prepare the source")
		}
		st, err := r.check(ctx, conn, s)
		if err != nil {
			return err
		}
		added, err := r.publish(ctx, conn, s, st)
		if err != nil {
			return err
		}
		if !st.slot {
			if err := r.createSlot(ctx, conn, st); err != nil {
				return err
			}
			if st, err = readState(ctx, conn, r.cfg.slot); err != nil {
				return err
			}
		} else if added {
			if err := r.awaitOlder(ctx, conn); err != nil {
				return err
			}
		}
		pos = rejot.Position{Incarnation: st.incarnation(r.cfg.slot), Horizon: st.confirmed}
		return nil
	})
	if err != nil {
		return rejot.Position{}, ended(ctx, err)
	}
	wanted := map[contract.TableName]bool{}
	for _, t := range s.Tables {
		wanted[t] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tables = wanted
	if r.incarnation != pos.Incarnation {
		r.incarnation, r.confirmed, r.wanted = pos.Incarnation, rejot.Place{}, rejot.Place{}
	}
	return pos, nil
}

// check refuses a server or a slot that cannot serve. A slot that is lost and that nobody needs is dropped.
func (r *reader) check(ctx context.Context, conn *pgconn.PgConn, s Setup) (*sourceState, error) {
	ctx, cancel := context.WithTimeout(ctx, beginWithin)
	defer cancel()
	st, err := readState(ctx, conn, r.cfg.slot)
	if err != nil {
		return nil, err
	}
	if err := st.serves(); err != nil {
		return nil, err
	}
	fresh := s.Oldest.IsZero()
	if fresh && !st.slot {
		return st, nil
	}
	err = st.usable(r.cfg.slot)
	if fresh && rejot.CodeOf(err) == rejot.Gone && st.holder() == "" {
		r.cfg.log.WarnContext(ctx, "the slot is of no use any more, and no destination needs it; it is created anew", "slot", r.cfg.slot, "error", err)
		st.slot = false
		return st, r.dropSlot(ctx, conn)
	}
	if pid := st.holder(); err == nil && pid != "" {
		err = r.inUse(ctx, conn, pid) // before the publication is altered under the one who reads
	}
	if err != nil || fresh {
		return st, err
	}
	return st, st.holds(r.cfg.slot, s.Oldest)
}

// serves checks what does not depend on a slot.
func (st *sourceState) serves() error {
	switch {
	case st.version < 130000:
		return rejot.Errorf(rejot.Unsupported, "the source is Postgres %d; 13 or later is needed", st.version/10000)
	case st.recovery:
		return rejot.Errorf(rejot.Unsupported, "the source is a standby; its log is read from the primary")
	case st.walLevel != "logical":
		err := rejot.Errorf(rejot.Unsupported, "the source's wal_level is %s, and logical is needed", st.walLevel)
		return rejot.WithMend(err, "ALTER SYSTEM SET wal_level = logical; then restart the server")
	case !st.replicates:
		err := rejot.Errorf(rejot.Denied, "role %s may not replicate", st.role)
		return rejot.WithMend(err, "ALTER ROLE %s REPLICATION (on RDS: GRANT rds_replication TO %[1]s)", postgres.Quote(st.role))
	case st.encoding == "SQL_ASCII":
		return rejot.Errorf(rejot.Unsupported, "database %s has the encoding SQL_ASCII, so nobody knows what its bytes mean", st.database)
	}
	return nil
}

// awaitOlder waits until every transaction that runs now has ended: of one that began before a table was
// added to the publication only a part would be in the log.
func (r *reader) awaitOlder(ctx context.Context, conn *pgconn.PgConn) error {
	rows, err := queryRows(ctx, conn, `SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())`)
	if err != nil || len(rows) != 1 {
		return postgres.Classify(err, "read the transactions that run")
	}
	xmax := string(rows[0][0])
	done := r.tellWaits(ctx, "a table was added to publication "+r.cfg.publication, xmax)
	defer done()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		rows, err := queryRows(ctx, conn, `SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()) >= $1::pg_catalog.xid8`, xmax)
		if err != nil {
			return postgres.Classify(err, "read the transactions that run")
		}
		if len(rows) == 1 && string(rows[0][0]) == "t" {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
