package applytest

import (
	"context"
	"errors"
	"testing"

	"rejot.dev/rejot"
)

func takeOver(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	d.must(t, upsert(s, "1", "a@x", "Ann"), upsert(s, "2", "b@x", "Bob"))
	d.must(t, upsert(s, "2", "a@x", "Bob"), remove(s, "1"))
	f.rows(t, allAccounts, []string{"2", "a@x", "Bob"})
}

func swap(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	d.must(t, upsert(s, "1", "a@x", "Ann"), upsert(s, "2", "b@x", "Bob"), upsert(s, "3", "c@x", "Cid"))
	for range 2 { // the second time begins with what worked
		d.must(t, upsert(s, "1", "b@x", "Ann"), upsert(s, "2", "a@x", "Bob"))
		f.rows(t, allAccounts, []string{"1", "b@x", "Ann"}, []string{"2", "a@x", "Bob"}, []string{"3", "c@x", "Cid"})
		d.must(t, upsert(s, "1", "a@x", "Ann"), upsert(s, "2", "b@x", "Bob"))
	}
	out := d.run(t, upsert(s, "2", "c@x", "Bob")) // no order helps
	wantCode(t, out["reader/account"].Err, rejot.Rejected)
	f.rows(t, allAccounts, []string{"1", "a@x", "Ann"}, []string{"2", "b@x", "Bob"}, []string{"3", "c@x", "Cid"})
}

func swapInLarge(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	const n = 3000
	rows := func(shift int) []*rejot.Event {
		events := make([]*rejot.Event, n)
		for i := range events {
			events[i] = upsert(s, numbered("%d", i), numbered("%d@x", (i+shift)%n), "name")
		}
		return events
	}
	d.must(t, rows(0)...)
	d.must(t, rows(1)...) // each takes the next one's
	f.rows(t, `SELECT id, email FROM account WHERE id IN (0, 1500, 2999) ORDER BY id`, []string{"0", "1@x"}, []string{"1500", "1501@x"}, []string{"2999", "0@x"})
	f.rows(t, `SELECT count(*) FROM account`, []string{"3000"})
}

// family has a parent's and a child's table; the child's consumer comes first.
func (f *Fixture) family(t *testing.T) (d *driver, parent, child *rejot.Shape) {
	t.Helper()
	f.Exec(t, `CREATE TABLE parent (id bigint PRIMARY KEY, name varchar(40))`,
		`CREATE TABLE child (id bigint PRIMARY KEY, parent_id bigint NOT NULL, FOREIGN KEY (parent_id) REFERENCES parent (id))`)
	c := consumer("child", f.Upsert("child", []string{"id"}, "id", "parent_id"), `DELETE FROM child WHERE id = :id`)
	p := consumer("parent", f.Upsert("parent", []string{"id"}, "id", "name"), `DELETE FROM parent WHERE id = :id`)
	return f.start(t, c, p), shape("parent", "id", "name"), shape("child", "id", "parent_id")
}

const allChildren = `SELECT id, parent_id FROM child ORDER BY id`

func childLeaves(t *testing.T, f *Fixture) {
	d, parent, child := f.family(t)
	d.must(t, upsert(child, "10", "1"), upsert(parent, "1", "one"), upsert(parent, "2", "two"))
	for range 2 {
		d.must(t, remove(parent, "1"), upsert(child, "10", "2"))
		f.rows(t, allChildren, []string{"10", "2"})
		f.rows(t, `SELECT id FROM parent`, []string{"2"})
		d.must(t, upsert(child, "10", "1"), upsert(parent, "1", "one"))
	}
}

func parentAndChild(t *testing.T, f *Fixture) {
	d, parent, child := f.family(t)
	d.must(t, upsert(child, "10", "1"), upsert(parent, "1", "one"))
	out := d.run(t, upsert(child, "11", "99"), upsert(parent, "2", "two")) // an orphan in every order
	wantCode(t, out["reader/child"].Err, rejot.Rejected)
	f.rows(t, allChildren, []string{"10", "1"})
	f.rows(t, `SELECT id FROM parent ORDER BY id`, []string{"1"}, []string{"2"})
}

func parentAndChildGo(t *testing.T, f *Fixture) {
	d, parent, child := f.family(t)
	d.must(t, upsert(child, "10", "1"), upsert(parent, "1", "one"))
	d.must(t, remove(parent, "1"), remove(child, "10"))
	f.rows(t, allChildren)
	f.rows(t, `SELECT id FROM parent`)
}

// lines is a shape with several rows a key: an order and its lines.
func (f *Fixture) lines(t *testing.T) (*driver, *rejot.Shape) {
	t.Helper()
	f.Exec(t, `CREATE TABLE line (id bigint, n bigint, code varchar(40) UNIQUE, PRIMARY KEY (id, n))`)
	c := consumer("line", f.Upsert("line", []string{"id", "n"}, "id", "n", "code"), `DELETE FROM line WHERE id = :id`)
	s := shape("line", "id", "n", "code")
	s.Many = true
	return f.start(t, c), s
}

const allLines = `SELECT id, n, code FROM line ORDER BY id, n`

func replacement(t *testing.T, f *Fixture) {
	d, s := f.lines(t)
	d.must(t, remove(s, "1"), upsert(s, "1", "1", "a"), upsert(s, "1", "2", "b"), remove(s, "2"), upsert(s, "2", "1", "c"))
	d.must(t, remove(s, "1"), upsert(s, "1", "2", "b"), upsert(s, "1", "3", "d"), remove(s, "2"))
	f.rows(t, allLines, []string{"1", "2", "b"}, []string{"1", "3", "d"})
}

func replacementOrder(t *testing.T, f *Fixture) {
	f.Exec(t, `CREATE TABLE parent (id bigint PRIMARY KEY, name varchar(40))`,
		`CREATE TABLE line (id bigint, n bigint, parent_id bigint NOT NULL, PRIMARY KEY (id, n), FOREIGN KEY (parent_id) REFERENCES parent (id))`)
	c := consumer("line", f.Upsert("line", []string{"id", "n"}, "id", "n", "parent_id"), `DELETE FROM line WHERE id = :id`)
	p := consumer("parent", f.Upsert("parent", []string{"id"}, "id", "name"), `DELETE FROM parent WHERE id = :id`)
	d, lines, parents := f.start(t, c, p), shape("line", "id", "n", "parent_id"), shape("parent", "id", "name")
	lines.Many = true
	d.must(t, upsert(parents, "1", "one"), upsert(parents, "2", "two"), remove(lines, "1"), upsert(lines, "1", "1", "1"), upsert(lines, "1", "2", "1"))
	d.must(t, remove(parents, "1"), remove(lines, "1"), upsert(lines, "1", "1", "2"))
	f.rows(t, `SELECT id, n, parent_id FROM line`, []string{"1", "1", "2"})
	f.rows(t, `SELECT id FROM parent`, []string{"2"})
}

func clearAll(t *testing.T, f *Fixture) {
	f.Exec(t, accountTable)
	c := consumer("account", f.Upsert("account", []string{"id"}, "id", "email", "name"), `DELETE FROM account WHERE id = :id`)
	c.TruncateSQL = `DELETE FROM account`
	d, s := f.start(t, c), shape("account", "id", "email", "name")
	d.must(t, upsert(s, "1", "a@x", "Ann"), upsert(s, "2", "b@x", "Bob"))
	d.must(t, &rejot.Event{Shape: s, Op: rejot.Clear}, upsert(s, "3", "a@x", "Cid"), remove(s, "1"))
	f.rows(t, allAccounts, []string{"3", "a@x", "Cid"})
}

func clearRefused(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	d.must(t, upsert(s, "1", "a@x", "Ann"))
	err := d.run(t, &rejot.Event{Shape: s, Op: rejot.Clear}, upsert(s, "3", "a@x", "Cid"))["reader/account"].Err
	wantCode(t, err, rejot.Rejected)
	if rejot.MendOf(err) == "" {
		t.Errorf("no mend: %v", err)
	}
	f.rows(t, allAccounts, []string{"1", "a@x", "Ann"})
}

func large(t *testing.T, f *Fixture) {
	d, s := f.twoReaders(t)
	d.must(t, many(s, 5000)...)
	f.rows(t, `SELECT count(*), min(id), max(id) FROM wide`, []string{"5000", "0", "4999"})
	events := many(s, 2500)
	for i := range events {
		events[i] = remove(s, numbered("%d", 2*i))
	}
	d.must(t, events...)
	f.rows(t, `SELECT count(*), min(id), max(id) FROM narrow`, []string{"2500", "1", "4999"})
}

func failedEvaluation(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	broken := errors.New("the source is gone")
	for _, n := range []int{0, 3, 2500} {
		_, err := d.Apply(t.Context(), d.moves(), batchOf(at(d.n), func(yield func(*rejot.Event, error) bool) {
			for i := range n {
				if !yield(upsert(s, numbered("%d", i), numbered("%d@x", i), "name"), nil) {
					return
				}
			}
			yield(nil, broken)
		}))
		if !errors.Is(err, broken) {
			t.Fatalf("after %d events: error %v, want the batch's own", n, err)
		}
		d.checkCursors(t)
		f.rows(t, allAccounts)
	}
	d.must(t, upsert(s, "1", "a@x", "Ann"))
}

func canceled(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := d.Apply(ctx, d.moves(), batchOf(at(d.n), func(yield func(*rejot.Event, error) bool) {
		for i := range 2500 {
			if i == 2200 {
				cancel()
			}
			if !yield(upsert(s, numbered("%d", i), numbered("%d@x", i), "name"), nil) {
				return
			}
		}
	}))
	if err == nil {
		t.Fatal("no error")
	}
	d.checkCursors(t)
	f.rows(t, allAccounts)
	d.must(t, upsert(s, "1", "a@x", "Ann"))
}
