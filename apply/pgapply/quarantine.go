package pgapply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
)

// quarantine is the onError of a consumer that parks what is refused and goes on.
const quarantine = "quarantine"

func (c *consumer) quarantines() bool { return c.OnError == quarantine }

// errUnparked says that somebody took a key out of the quarantine while we thought it there.
var errUnparked = errors.New("a key is no longer parked")

// A Parked is a key in the quarantine: the latest state of a row that its consumer could not write.
type Parked struct {
	Consumer       string
	Key            string // as a JSON array; Retry and Skip take it
	Error          string
	Since, Updated time.Time
}

// A parkedStatement is what is to be run when the key is retried.
type parkedStatement struct {
	Kind   string             `json:"kind"`
	Params map[string]*string `json:"params"` // by placeholder
}

// readParked learns which keys are in the quarantine.
func (a *Applier) readParked(ctx context.Context) error {
	some := false
	for _, c := range a.consumers {
		c.target.Parked = nil
		some = some || c.quarantines()
	}
	if !some {
		return nil
	}
	rows, err := a.exec(ctx, `SELECT consumer, key FROM rejot.quarantine`)
	if err != nil {
		return err
	}
	for _, row := range rows {
		t := a.targets[string(row[0])]
		if t == nil {
			continue
		}
		if t.Parked == nil {
			t.Parked = map[string]bool{}
		}
		t.Parked[string(row[1])] = true
	}
	return nil
}

// park sends what puts an operation into the quarantine.
func (a *Applier) park(f *flight, op *apply.Op) error {
	st := parkedStatement{Kind: op.Kind.String(), Params: map[string]*string{}}
	for i, name := range op.Target.Statements[op.Kind].Names {
		st.Params[name] = nil
		if s, ok := op.Params[i].Text(); ok {
			st.Params[name] = &s
		}
	}
	statements, err := json.Marshal([]parkedStatement{st})
	if err != nil {
		return err
	}
	params := [][]byte{text(op.Target.Consumer.ID()), text(apply.KeyText(op.Key)), statements}
	switch op.Park {
	case apply.ParkNew:
		return f.send(expected{}, stPark, append(params, text(op.Reason.Error())))
	case apply.ParkReplace:
		return f.send(expected{what: parking}, stRepark, params)
	case apply.ParkAppend:
		return f.send(expected{what: parking}, stParkMore, params)
	case apply.NotParked:
		return nil
	default:
		return rejot.Errorf(rejot.Internal, "unknown way to park: %d", op.Park)
	}
}

// Quarantined lists what is parked, of one consumer or, where it is empty, of all.
func (a *Applier) Quarantined(ctx context.Context, consumer string) ([]Parked, error) {
	if err := a.connect(ctx); err != nil {
		return nil, err
	}
	rows, err := a.exec(ctx, `SELECT consumer, key, error, extract(epoch FROM since)::bigint, extract(epoch FROM updated_at)::bigint
		FROM rejot.quarantine WHERE $1 IN ('', consumer) ORDER BY since, consumer, key`, text(consumer))
	if err != nil {
		return nil, err
	}
	parked := make([]Parked, len(rows))
	for i, row := range rows {
		var since, updated int64
		if _, err := fmt.Sscan(string(row[3])+" "+string(row[4]), &since, &updated); err != nil {
			return nil, err
		}
		parked[i] = Parked{
			Consumer: string(row[0]), Key: string(row[1]), Error: string(row[2]),
			Since: time.Unix(since, 0).UTC(), Updated: time.Unix(updated, 0).UTC(),
		}
	}
	return parked, nil
}

// Skip forgets a parked key. Its row stays as it is until its next change.
func (a *Applier) Skip(ctx context.Context, consumer, key string) error {
	if err := a.connect(ctx); err != nil {
		return err
	}
	rows, err := a.exec(ctx, `DELETE FROM rejot.quarantine WHERE consumer = $1 AND key = $2 RETURNING 1`, text(consumer), text(key))
	if err == nil && len(rows) == 0 {
		err = rejot.Errorf(rejot.NotFound, "%s has not parked key %s", consumer, key)
	}
	return err
}

// Retry runs the statements of a parked key and takes it out of the quarantine, in one transaction. It
// may run beside the applier of another process: the cursor's lock keeps their order. Where the key is
// refused again, it stays, with the new error.
func (a *Applier) Retry(ctx context.Context, consumer, key string) error {
	if err := a.connect(ctx); err != nil {
		return err
	}
	t := a.targets[consumer]
	if t == nil {
		return rejot.Errorf(rejot.NotFound, "%s has no consumer schema %s", a.connection, consumer)
	}
	if t.Broken != nil {
		return t.Broken
	}
	refused, err := a.retry(ctx, t, key)
	if err != nil || refused != nil {
		if a.conn != nil && a.conn.TxStatus() != 'I' {
			_, e := a.exec(ctx, `ROLLBACK`)
			err = errors.Join(err, e)
		}
	}
	if err != nil || refused == nil {
		return err
	}
	_, err = a.exec(ctx, `UPDATE rejot.quarantine SET error = $3, updated_at = now() WHERE consumer = $1 AND key = $2`, text(consumer), text(key), text(refused.Error()))
	return errors.Join(refused, err)
}

func (a *Applier) retry(ctx context.Context, t *apply.Target, key string) (refused, err error) {
	ctx, end := a.within(ctx, a.stall)
	defer end()
	id := t.Consumer.ID()
	if err := a.script(ctx, `BEGIN; SET CONSTRAINTS ALL IMMEDIATE`); err != nil {
		return nil, err
	}
	if _, err := a.exec(ctx, `SELECT FROM rejot.cursor WHERE consumer = $1 FOR UPDATE`, text(id)); err != nil {
		return nil, err
	}
	rows, err := a.exec(ctx, `DELETE FROM rejot.quarantine WHERE consumer = $1 AND key = $2 RETURNING statements`, text(id), text(key))
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, rejot.Errorf(rejot.NotFound, "%s has not parked key %s", t.Consumer, key)
	}
	var statements []parkedStatement
	if err := json.Unmarshal(rows[0][0], &statements); err != nil {
		return nil, rejot.Errorf(rejot.Corrupt, "parked key %s of %s: %w", key, t.Consumer, err)
	}
	for _, st := range statements {
		if refused, err := a.rerun(ctx, t, st); refused != nil || err != nil {
			return refused, err
		}
	}
	err = a.script(ctx, `COMMIT`)
	if err == nil {
		delete(t.Parked, key)
	}
	return nil, err
}

// rerun runs one parked statement as it stands in the manifest now.
func (a *Applier) rerun(ctx context.Context, t *apply.Target, st parkedStatement) (refused, err error) {
	for k := range apply.Kind(apply.Kinds) {
		if k.String() != st.Kind {
			continue
		}
		if t.Statements[k] == nil {
			return nil, nil // a deleteSql that was removed
		}
		var params [][]byte
		for _, name := range t.Statements[k].Names {
			v, ok := st.Params[name]
			switch {
			case !ok:
				err := rejot.Errorf(rejot.Invalid, "%s: its %s uses %s, which was not parked", t.Consumer, k, apply.Placeholder(name))
				return rejot.WithMend(err, "skip the key and repeat the backfill"), nil
			case v == nil:
				params = append(params, nil)
			default:
				params = append(params, text(*v))
			}
		}
		err := a.conn.ExecPrepared(ctx, a.own[t].names[k], params, nil, nil).Read().Err
		var e *pgconn.PgError
		if errors.As(err, &e) && !transient(e) {
			return rejection(t, k, e), nil
		}
		return nil, a.named(because(ctx, err))
	}
	return nil, rejot.Errorf(rejot.Corrupt, "%s: a parked statement is of unknown kind %q", t.Consumer, st.Kind)
}
