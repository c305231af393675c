package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/engine"
	"rejot.dev/rejot/internal/dbtest"
)

// gated lets a call of Apply through when wait returns.
type gated struct {
	rejot.Applier
	wait func(context.Context) error
}

func (g gated) Apply(ctx context.Context, moves []rejot.Move, b *rejot.Batch) ([]rejot.Outcome, error) {
	if err := g.wait(ctx); err != nil {
		return nil, err
	}
	return g.Applier.Apply(ctx, moves, b)
}

// TestANewConsumersFirstCommitIsWaitedFor has one destination go on while the first batch of another is on its way: what that one
// lacks must still be in the log when it is committed at last.
func TestANewConsumersFirstCommitIsWaitedFor(t *testing.T) {
	from, near, far := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	for _, db := range []*dbtest.Database{from, near, far} {
		db.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
	}
	from.Exec(t, `INSERT INTO item VALUES (1, 'one')`)
	s := setup{
		from: from, to: map[string]*dbtest.Database{"near": near, "far": far}, queries: map[string]string{"item": itemQuery},
		consumers: []*contract.Consumer{itemConsumer("c1", "near"), itemConsumer("c2", "far")},
	}
	gate := make(chan struct{})
	first := s
	first.applier = func(destination string, a rejot.Applier) rejot.Applier {
		if destination == "near" {
			return a
		}
		return gated{a, func(ctx context.Context) error {
			select {
			case <-gate:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
	}
	e := first.open(t)
	stop := running(t, e)
	equal(t, from, near, e)
	for i := range 5 { // each is committed at the first destination, and could be confirmed
		from.Exec(t, fmt.Sprintf(`UPDATE item SET name = '%d'`, i), `SELECT pg_logical_emit_message(true, 'x', repeat('y', 100000))`)
		equal(t, from, near, e)
	}
	gate <- struct{}{}
	dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
		return len(far.Query(t, `SELECT FROM rejot.cursor`)) == 1, "the second destination has no cursor"
	})
	stop()
	e = s.open(t)
	stop = running(t, e)
	equal(t, from, far, e)
	stop()
}

// TestAFailureIsNotForgottenWhenAnOlderBatchSucceeds has a batch on its way while the next one cannot be evaluated. Another
// consumer keeps the engine running.
func TestAFailureIsNotForgottenWhenAnOlderBatchSucceeds(t *testing.T) {
	from, to, other := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, n int)`, `INSERT INTO item VALUES (1, 1), (2, 1)`, `CREATE TABLE quiet (id int PRIMARY KEY, name text)`)
	for _, db := range []*dbtest.Database{to, other} {
		db.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
	}
	quiet := itemConsumer("quiet", "other")
	quiet.Schema = "quiet"
	var gate sync.Mutex
	entered := make(chan struct{}, 1)
	e := setup{
		from: from, to: map[string]*dbtest.Database{"to": to, "other": other}, consumers: []*contract.Consumer{itemConsumer("c", "to"), quiet},
		queries: map[string]string{"item": `SELECT id, (12 / n)::text AS name FROM item WHERE id = :id`, "quiet": `SELECT id, name FROM quiet WHERE id = :id`},
		applier: func(destination string, a rejot.Applier) rejot.Applier {
			if destination != "to" {
				return a
			}
			return gated{a, func(context.Context) error {
				select {
				case entered <- struct{}{}:
				default:
				}
				gate.Lock()
				defer gate.Unlock()
				return nil
			}}
		},
	}.open(t)
	stop := running(t, e)
	has := func(want string) {
		t.Helper()
		dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
			got := fmt.Sprint(to.Query(t, `SELECT id, name FROM item ORDER BY id`))
			return got == want, fmt.Sprintf("the destination has %s; %+v", got, e.Status())
		})
	}
	has("[[1 12] [2 12]]")
	dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
		s := pipelineC(t, e)
		return s.State == engine.Running && s.Lag == 0, fmt.Sprintf("%+v", s)
	})
	gate.Lock()
	<-entered // of an earlier call
	from.Exec(t, `UPDATE item SET n = 2 WHERE id = 1`)
	<-entered
	from.Exec(t, `UPDATE item SET n = 0 WHERE id = 2`)
	dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
		s := pipelineC(t, e)
		return s.Err != nil, fmt.Sprintf("%+v", s)
	})
	gate.Unlock()
	has("[[1 6] [2 12]]")
	from.Exec(t, `UPDATE item SET n = 3 WHERE id = 2`)
	if e.Resume("m/c") != 1 {
		t.Errorf("it does not stand still: %+v", e.Status())
	}
	has("[[1 6] [2 4]]")
	stop()
}

// pipelineC is the state of consumer c.
func pipelineC(t *testing.T, e *engine.Engine) engine.Pipeline {
	t.Helper()
	for _, s := range e.Status() {
		if s.Consumer == "m/c" {
			return s
		}
	}
	t.Fatal("there is no pipeline m/c")
	return engine.Pipeline{}
}

// TestResumeAfterAConflictReadsTheCursors moves a cursor twice within a minute, which is one time too often. Another
// consumer keeps the engine running.
func TestResumeAfterAConflictReadsTheCursors(t *testing.T) {
	from, to, other := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	for _, db := range []*dbtest.Database{from, to, other} {
		db.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text)`)
	}
	from.Exec(t, `INSERT INTO item VALUES (1, 'one')`)
	e := setup{
		from: from, to: map[string]*dbtest.Database{"to": to, "other": other}, queries: map[string]string{"item": itemQuery},
		consumers: []*contract.Consumer{itemConsumer("c", "to"), itemConsumer("d", "other")},
	}.open(t)
	stop := running(t, e)
	equal(t, from, to, e)
	dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
		dbtest.Eventually(t, 60*time.Second, func() (bool, string) { // no batch is on its way that would not see it
			s := pipelineC(t, e)
			return s.Lag == 0 || s.State == engine.Stopped, fmt.Sprintf("%+v", s)
		})
		to.Exec(t, `UPDATE rejot.cursor SET position = left(position, -8) || '0001' || left(md5(random()::text), 4)`)
		from.Exec(t, `UPDATE item SET name = name || '!'`)
		equal(t, from, other, e)
		s := pipelineC(t, e)
		return s.State == engine.Stopped && rejot.CodeOf(s.Err) == rejot.Conflict, fmt.Sprintf("%+v", s)
	})
	if n := e.Resume("m/c"); n != 1 {
		t.Errorf("%d consumers are resumed", n)
	}
	equal(t, from, to, e)
	stop()
}
