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
	Keep   bool                 // no table leaves the publication: a public schema could not be resolved, and its tables are not known
}

// beginWithin is how long the preparation may take, but for the transactions that it has to wait for.
const beginWithin = 10 * time.Second

// Begin checks the server, brings publication and slot into the form that s needs and gives the position
// that Read may begin at. A slot is created only where no destination has anything.
func (r *reader) Begin(ctx context.Context, s Setup) (rejot.Position, error) {
	var pos rejot.Position
	var published []contract.TableName
	err := r.withConn(ctx, func(conn *pgconn.PgConn) error {
		// A role's own limits are for others; who waits for a lock of the publication's tables gives up.
		if _, err := queryRows(ctx, conn, `SELECT pg_catalog.set_config('lock_timeout', $1, false), pg_catalog.set_config('statement_timeout', '0', false)`, beginWithin.String()); err != nil {
			return postgres.Classify(err, "prepare the source")
		}
		st, err := r.check(ctx, conn, s)
		if err != nil {
			return err
		}
		if published, err = r.publish(ctx, conn, s, st); err != nil {
			return err
		}
		if !st.slot {
			if err := r.createSlot(ctx, conn, st); err != nil {
				return err
			}
			if st, err = readState(ctx, conn, r.cfg.slot); err != nil {
				return err
			}
		} else if err := r.awaitOlder(ctx, conn); err != nil {
			return err
		}
		pos = rejot.Position{Incarnation: st.incarnation(r.cfg.slot), Horizon: st.confirmed}
		return nil
	})
	if err != nil {
		return rejot.Position{}, ended(ctx, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tables, r.published = setOf(s.Tables), setOf(published)
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

func setOf(tables []contract.TableName) map[contract.TableName]bool {
	set := map[contract.TableName]bool{}
	for _, t := range tables {
		set[t] = true
	}
	return set
}

// joinedQuery tells which transaction has changed the publication last, whether an older one still runs, and whether a table has
// joined without a seal, which our role may set. The number of a table's row alone says too little: greater ones are given while
// its transaction runs, and what they write before its commit is not in the log either. A number so old that it seems to
// lie ahead is that of a frozen row.
const joinedQuery = `
	WITH p AS (SELECT p.oid, p.xmin, pg_catalog.pg_get_userbyid(p.pubowner) = current_user AS owned FROM pg_catalog.pg_publication p WHERE p.pubname = $1::pg_catalog.name),
		written AS (
			SELECT w.xmin, CASE WHEN pg_catalog.age(w.xmin) > 0 THEN pg_catalog.age(w.xmin) ELSE 2147483647 END AS age, w.own, w.owned
			FROM (SELECT p.xmin, true AS own, p.owned FROM p UNION ALL SELECT r.xmin, false, p.owned FROM p JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid) w)
	SELECT xmin::text, age <= pg_catalog.age(pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::xid), NOT own AND owned
	FROM written ORDER BY age, own DESC LIMIT 1`

// seal writes the publication's own row again. Every transaction that may have written to a table before the
// table joined has a smaller number than this one.
func (r *reader) seal(ctx context.Context, conn *pgconn.PgConn) error {
	return r.alter(ctx, conn, "ALTER PUBLICATION "+postgres.Quote(r.cfg.publication)+" SET (publish = 'insert, update, delete, truncate')")
}

// awaitOlder waits until every transaction has ended that may have begun before a table joined the publication: only a
// part of it would be in the log. The catalogue says whether there is one, since who added the table may have been
// killed while waiting.
func (r *reader) awaitOlder(ctx context.Context, conn *pgconn.PgConn) error {
	var done func()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		rows, err := queryRows(ctx, conn, joinedQuery, r.cfg.publication)
		if err != nil || len(rows) != 1 {
			return postgres.Classify(err, "read the transactions that run")
		}
		last, runs, open := string(rows[0][0]), string(rows[0][1]) == "t", string(rows[0][2]) == "t"
		if open {
			if err := r.seal(ctx, conn); err != nil {
				return err
			}
			continue
		}
		if !runs {
			return nil
		}
		if done == nil {
			done = r.tellWaits(ctx, "a table was added to publication "+r.cfg.publication, last)
			defer done()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
