package pglog

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
)

// A Status tells how the source's log stands.
type Status struct {
	End           rejot.Place // of the log
	Confirmed     rejot.Place // up to here the slot may forget; zero without a slot
	RetainedBytes uint64      // of the log that the server keeps for the slot
	WALStatus     string      // reserved, extended, unreserved or lost; empty without a slot
}

const statusSQL = `
	SELECT pg_catalog.pg_current_wal_insert_lsn()::text, s.confirmed_flush_lsn::text, s.wal_status,
	       greatest(0, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), s.restart_lsn))
	FROM (SELECT) one LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1`

// Status reads how the log stands.
func (s *Source) Status(ctx context.Context) (Status, error) {
	var st Status
	what := "read the state of slot " + s.store.SlotName + " in " + s.store.Connection.String()
	err := s.pool.use(ctx, what, func(ctx context.Context, conn *pgconn.PgConn) error {
		result := conn.ExecParams(ctx, statusSQL, [][]byte{[]byte(s.store.SlotName)}, nil, nil, nil).Read()
		if result.Err != nil {
			return result.Err
		}
		row := result.Rows[0]
		var err error
		if st.End, err = parsePlace(string(row[0])); err != nil {
			return err
		}
		if row[1] != nil {
			if st.Confirmed, err = parsePlace(string(row[1])); err != nil {
				return err
			}
		}
		st.WALStatus = string(row[2])
		if row[1] != nil && row[3] != nil {
			st.RetainedBytes, err = strconv.ParseUint(string(row[3]), 10, 64)
		}
		return err
	})
	return st, err
}

func asPgError(err error, target **pgconn.PgError) bool { return errors.As(err, target) }
