package myapply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/internal/mysql"
)

// quarantine is the onError of a consumer that parks what is refused and goes on.
const quarantine = "quarantine"

func (c *consumer) quarantines() bool { return c.target.Consumer.OnError == quarantine }

// errUnparked says that somebody took a key out of the quarantine while we thought it there.
var errUnparked = errors.New("a key is no longer parked")

const (
	parkKey = `INSERT INTO rejot_quarantine (statements, error, consumer, key_hash, key_text) VALUES (?, ?, ?, ?, ?)
		ON DUPLICATE KEY UPDATE statements = VALUES(statements), error = VALUES(error), writes = writes + 1`
	parkAgain = `UPDATE rejot_quarantine SET statements = ?, writes = writes + 1 WHERE consumer = ? AND key_hash = ?`
	parkMore  = `UPDATE rejot_quarantine SET statements = CONCAT(LEFT(statements, CHAR_LENGTH(statements) - 1), ',', SUBSTRING(?, 2)),
		writes = writes + 1 WHERE consumer = ? AND key_hash = ?`
	unpark = `DELETE FROM rejot_quarantine WHERE consumer = ?`
)

// A Parked is a key in the quarantine: the latest state of a row that its consumer could not write.
type Parked struct {
	Consumer       string
	Key            string // as a JSON array; Retry and Skip take it
	Error          string
	Since, Updated time.Time
}

// A parkedStatement is what is to be run when the key is retried.
type parkedStatement struct {
	Kind   string                `json:"kind"`
	Params map[string]*string    `json:"params"` // by placeholder, as the source wrote them
	Types  map[string]rejot.Type `json:"types"`
}

func keyHash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// readParked learns which keys are in the quarantine.
func (a *Applier) readParked(ctx context.Context) error {
	wanted := false
	for _, c := range a.consumers {
		c.target.Parked = nil
		wanted = wanted || c.quarantines()
	}
	if !wanted {
		return nil
	}
	rows, err := a.query(ctx, `SELECT consumer, key_text FROM rejot_quarantine`)
	if err != nil {
		return err
	}
	for _, row := range rows {
		id, _ := row[0].Text()
		key, _ := row[1].Text()
		t := a.targets[id]
		if t == nil {
			continue
		}
		if t.Parked == nil {
			t.Parked = map[string]bool{}
		}
		t.Parked[key] = true
	}
	return nil
}

// park gives what puts an operation into the quarantine.
func (a *Applier) park(op *apply.Op, room []mysql.Param) (*mysql.Stmt, []mysql.Param, error) {
	st := parkedStatement{Kind: op.Kind.String(), Params: map[string]*string{}, Types: map[string]rejot.Type{}}
	for i, name := range op.Target.Statements[op.Kind].Names {
		st.Params[name], st.Types[name] = nil, op.Columns[i].Type
		if s, ok := op.Params[i].Text(); ok {
			st.Params[name] = &s
		}
	}
	statements, err := json.Marshal([]parkedStatement{st})
	if err != nil {
		return nil, nil, err
	}
	key := apply.KeyText(op.Key)
	id, hash := mysql.String(op.Target.Consumer.ID()), mysql.String(keyHash(key))
	room = append(room, mysql.String(string(statements)))
	switch op.Park {
	case apply.ParkNew:
		return a.parking.key, append(room, mysql.String(op.Reason.Error()), id, hash, mysql.String(key)), nil
	case apply.ParkReplace:
		return a.parking.again, append(room, id, hash), nil
	case apply.ParkAppend:
		return a.parking.more, append(room, id, hash), nil
	case apply.NotParked:
		return nil, nil, rejot.Errorf(rejot.Internal, "an operation that is not parked was to be")
	default:
		return nil, nil, rejot.Errorf(rejot.Internal, "unknown way to park: %d", op.Park)
	}
}

// Quarantined lists what is parked, of one consumer or, where it is empty, of all.
func (a *Applier) Quarantined(ctx context.Context, consumer string) ([]Parked, error) {
	if err := a.connect(ctx); err != nil {
		return nil, err
	}
	id := mysql.Literal(consumer)
	rows, err := a.query(ctx, `SELECT consumer, key_text, error, FLOOR(UNIX_TIMESTAMP(since)), FLOOR(UNIX_TIMESTAMP(updated_at))
		FROM rejot_quarantine WHERE consumer = `+id+` OR `+id+` = '' ORDER BY since, consumer, key_text`)
	if err != nil {
		return nil, err
	}
	parked := make([]Parked, len(rows))
	for i, row := range rows {
		var texts [5]string
		for j := range texts {
			texts[j], _ = row[j].Text()
		}
		var since, updated int64
		if _, err := fmt.Sscan(texts[3]+" "+texts[4], &since, &updated); err != nil {
			return nil, err
		}
		parked[i] = Parked{Consumer: texts[0], Key: texts[1], Error: texts[2], Since: time.Unix(since, 0).UTC(), Updated: time.Unix(updated, 0).UTC()}
	}
	return parked, nil
}

// parkedAt is the condition for a parked key.
func parkedAt(consumer, key string) string {
	return ` WHERE consumer = ` + mysql.Literal(consumer) + ` AND key_hash = '` + keyHash(key) + `'`
}

func notParked(consumer, key string) error {
	return rejot.Errorf(rejot.NotFound, "%s has not parked key %s", consumer, key)
}

// Skip forgets a parked key. Its row stays as it is until its next change.
func (a *Applier) Skip(ctx context.Context, consumer, key string) error {
	if err := a.connect(ctx); err != nil {
		return err
	}
	r, err := a.session.Exec(ctx, `DELETE FROM rejot_quarantine`+parkedAt(consumer, key))
	if err == nil && r.Affected == 0 {
		err = notParked(consumer, key)
	}
	if err != nil {
		a.rollback(ctx)
		return err
	}
	return a.commit(ctx)
}

// Retry runs the statements of a parked key and takes it out of the quarantine, in one transaction. It
// may run beside the applier of another process: the cursor's lock keeps their order. Where the key is
// refused again, it stays, with the new error.
func (a *Applier) Retry(ctx context.Context, consumer, key string) error {
	if err := a.connect(ctx); err != nil {
		return err
	}
	t := a.targets[consumer]
	switch {
	case t == nil:
		return rejot.Errorf(rejot.NotFound, "%s has no consumer schema %s", a.connection, consumer)
	case t.Broken != nil:
		return t.Broken
	}
	err := a.retry(ctx, t, key)
	if err == nil {
		delete(t.Parked, key)
		return nil
	}
	a.rollback(ctx)
	var refused *apply.Failure
	if !errors.As(err, &refused) || a.session == nil {
		return err
	}
	_, noted := a.session.Exec(ctx, `UPDATE rejot_quarantine SET error = `+mysql.Literal(refused.Err.Error())+`, writes = writes + 1`+parkedAt(consumer, key))
	if noted == nil {
		noted = a.commit(ctx)
	}
	return errors.Join(refused.Err, noted)
}

func (a *Applier) retry(ctx context.Context, t *apply.Target, key string) error {
	id := t.Consumer.ID()
	if _, err := a.session.Query(ctx, `SELECT position FROM rejot_cursor WHERE consumer = `+mysql.Literal(id)+` FOR UPDATE`); err != nil {
		return err
	}
	rows, err := a.session.Query(ctx, `SELECT statements FROM rejot_quarantine`+parkedAt(id, key)+` FOR UPDATE`)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return notParked(id, key)
	}
	text, _ := rows[0][0].Text()
	var statements []parkedStatement
	if err := json.Unmarshal([]byte(text), &statements); err != nil {
		return rejot.Errorf(rejot.Corrupt, "a parked key of %s: %w", t.Consumer, err)
	}
	for _, st := range statements {
		op, err := st.op(t)
		if err != nil {
			return err
		}
		if op == nil {
			continue
		}
		if err := a.run(ctx, []task{{op: op}}, true); err != nil {
			return err
		}
	}
	if _, err := a.session.Exec(ctx, `DELETE FROM rejot_quarantine`+parkedAt(id, key)); err != nil {
		return err
	}
	return a.commit(ctx)
}

// op makes an operation of a parked statement as it stands in the manifest now; none where a deleteSql was removed.
func (st *parkedStatement) op(t *apply.Target) (*apply.Op, error) {
	for k := range apply.Kind(apply.Kinds) {
		if k.String() != st.Kind {
			continue
		}
		if t.Statements[k] == nil {
			return nil, nil
		}
		op := &apply.Op{Target: t, Kind: k}
		for _, name := range t.Statements[k].Names {
			v, ok := st.Params[name]
			if !ok {
				err := rejot.Errorf(rejot.Invalid, "%s: its %s uses %s, which was not parked", t.Consumer, k, apply.Placeholder(name))
				return nil, &apply.Failure{Consumer: t.Consumer.ID(), Err: rejot.WithMend(err, "skip the key and repeat the backfill")}
			}
			value := rejot.NullValue()
			if v != nil {
				value = rejot.TextValue(*v)
			}
			op.Params = append(op.Params, value)
			op.Columns = append(op.Columns, rejot.Column{Name: name, Type: st.Types[name]})
		}
		return op, nil
	}
	return nil, rejot.Errorf(rejot.Corrupt, "%s: a parked statement is of unknown kind %q", t.Consumer, st.Kind)
}
