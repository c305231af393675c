package applytest

import (
	"fmt"
	"strings"
	"testing"

	"rejot.dev/rejot"
)

const accountTable = `CREATE TABLE account (id bigint PRIMARY KEY, email varchar(40) UNIQUE, name varchar(40))`

// accounts makes the table of most cases, with its consumer and shape.
func (f *Fixture) accounts(t *testing.T) (*driver, *rejot.Shape) {
	t.Helper()
	f.Exec(t, accountTable)
	c := consumer("account", f.Upsert("account", []string{"id"}, "id", "email", "name"), `DELETE FROM account WHERE id = :id`)
	return f.start(t, c), shape("account", "id", "email", "name")
}

const allAccounts = `SELECT id, email, name FROM account ORDER BY id`

func firstBatch(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	d.checkCursors(t)
	out := d.run(t, upsert(s, "1", "a@x", "Ann"), upsert(s, "9007199254740993", "b@x", "Bob"))
	if o := out["reader/account"]; o.Err != nil || o.Upserts != 2 || o.Deletes != 0 {
		t.Errorf("outcome %+v", o)
	}
	f.rows(t, allAccounts, []string{"1", "a@x", "Ann"}, []string{"9007199254740993", "b@x", "Bob"})
}

func upsertsAndDeletes(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	d.must(t, upsert(s, "1", "a@x", "Ann"), upsert(s, "2", "b@x", "Bob"))
	out := d.run(t, upsert(s, "1", "a@y", "Anna"), remove(s, "2"), upsert(s, "3", "c@x", "Cid"), remove(s, "77"))
	if o := out["reader/account"]; o.Err != nil || o.Upserts != 2 || o.Deletes != 2 {
		t.Errorf("outcome %+v", o)
	}
	f.rows(t, allAccounts, []string{"1", "a@y", "Anna"}, []string{"3", "c@x", "Cid"})
}

func emptyBatch(t *testing.T, f *Fixture) {
	d, _ := f.accounts(t)
	d.must(t)
	d.must(t)
}

func backfillState(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	states := []rejot.Backfill{
		{After: []rejot.Value{rejot.TextValue(`a "b", {c}\ 'd' é😀`), rejot.TextValue("")}, View: 1, Rows: 1 << 40, Estimate: 1 << 41},
		{After: []rejot.Value{rejot.NullValue()}},
		{Done: true, Rows: 5},
	}
	for _, state := range states {
		ms := d.moves()
		ms[0].To.Backfill, ms[0].To.Queries = state, fmt.Sprint("queries of row ", state.Rows)
		if _, err := d.Apply(t.Context(), ms, batch(at(d.n), []*rejot.Event{upsert(s, "1", "a@x", "Ann")})); err != nil {
			t.Fatal(err)
		}
		d.cursors[ms[0].To.Consumer] = ms[0].To
		d.checkCursors(t)
	}
}

func conflict(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	first := d.moves()
	wrong := first[0]
	wrong.From.Position = at(7)
	_, err := d.Apply(t.Context(), []rejot.Move{wrong}, batch(at(1), []*rejot.Event{upsert(s, "1", "a@x", "Ann")}))
	wantCode(t, err, rejot.Conflict) // there is no cursor
	f.rows(t, allAccounts)
	d.must(t, upsert(s, "1", "a@x", "Ann"))
	for name, from := range map[string]rejot.Position{
		"from nothing": {}, "from elsewhere": at(7),
		"from another history": {Incarnation: "history-2", Horizon: at(2).Horizon, Ordinal: at(2).Ordinal},
	} {
		m := d.moves()[0]
		m.From.Position = from
		_, err := d.Apply(t.Context(), []rejot.Move{m}, batch(m.To.Position, []*rejot.Event{upsert(s, "2", "b@x", name)}))
		wantCode(t, err, rejot.Conflict)
		d.checkCursors(t)
	}
	f.rows(t, allAccounts, []string{"1", "a@x", "Ann"})
	d.must(t, upsert(s, "1", "a@y", "Ann"))
}

func twoInstances(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	c := consumer("account", f.Upsert("account", []string{"id"}, "id", "email", "name"), "")
	other := f.start(t, c)
	d.must(t, upsert(s, "1", "a@x", "Ann"))
	_, err := other.Apply(t.Context(), other.moves(), batch(at(1), []*rejot.Event{upsert(s, "1", "z@x", "Zoe")}))
	wantCode(t, err, rejot.Conflict)
	f.rows(t, allAccounts, []string{"1", "a@x", "Ann"})
	other.cursors, other.n = d.cursors, d.n
	other.must(t, upsert(s, "1", "z@x", "Zoe"))
	_, err = d.Apply(t.Context(), []rejot.Move{{From: rejot.Cursor{Consumer: "reader/account", Position: at(1)}, To: rejot.Cursor{Consumer: "reader/account", Position: at(3)}}},
		batch(at(3), nil))
	wantCode(t, err, rejot.Conflict)
}

func nullAndEmpty(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	null := upsert(s, "1", "", "")
	null.Row[2] = rejot.NullValue()
	d.must(t, null)
	f.rows(t, `SELECT id, email, name FROM account WHERE name IS NULL AND email = ''`, []string{"1", "", "NULL"})
}

func repeated(t *testing.T, f *Fixture) {
	f.Exec(t, `CREATE TABLE pair (id bigint PRIMARY KEY, a varchar(40), b varchar(40))`)
	c := consumer("account", `INSERT INTO pair (id, a, b) VALUES (:id, :name, :name)`, `DELETE FROM pair WHERE id = :id OR id = :id`)
	d, s := f.start(t, c), shape("account", "id", "name")
	d.must(t, upsert(s, "1", "x:name ' \\"), upsert(s, "2", "y"))
	d.must(t, remove(s, "2"))
	f.rows(t, `SELECT id, a, b FROM pair`, []string{"1", "x:name ' \\", "x:name ' \\"})
}

func unknownValue(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	ev := upsert(s, "1", "a@x", "Ann")
	ev.Row[2] = rejot.Value{}
	out := d.run(t, ev)
	wantCode(t, out["reader/account"].Err, rejot.Unsupported)
	f.rows(t, allAccounts)
}

func noDelete(t *testing.T, f *Fixture) {
	f.Exec(t, accountTable)
	c := consumer("account", f.Upsert("account", []string{"id"}, "id", "email", "name"), "")
	d, s := f.start(t, c), shape("account", "id", "email", "name")
	d.must(t, upsert(s, "1", "a@x", "Ann"))
	d.must(t, remove(s, "1"))
	f.rows(t, allAccounts, []string{"1", "a@x", "Ann"})
}

func otherSchemas(t *testing.T, f *Fixture) {
	d, s := f.accounts(t)
	next := shape("account", "id", "email", "name")
	next.Schema.Major = 2
	elsewhere := shape("account", "id", "email", "name")
	elsewhere.Schema.Manifest = "another"
	d.must(t, upsert(s, "1", "a@x", "Ann"), upsert(next, "2", "b@x", "Bob"), upsert(elsewhere, "3", "c@x", "Cid"), remove(shape("order", "id"), "1"))
	f.rows(t, allAccounts, []string{"1", "a@x", "Ann"})
}

// two consumers of one public schema, with a table each.
func (f *Fixture) twoReaders(t *testing.T) (*driver, *rejot.Shape) {
	t.Helper()
	f.Exec(t, `CREATE TABLE wide (id bigint PRIMARY KEY, name varchar(40))`, `CREATE TABLE narrow (id bigint PRIMARY KEY, name varchar(3) NOT NULL)`)
	wide := consumer("wide", f.Upsert("wide", []string{"id"}, "id", "name"), `DELETE FROM wide WHERE id = :id`)
	narrow := consumer("narrow", f.Upsert("narrow", []string{"id"}, "id", "name"), `DELETE FROM narrow WHERE id = :id`)
	wide.Schema, narrow.Schema = "account", "account"
	return f.start(t, narrow, wide), shape("account", "id", "name")
}

const (
	allWide   = `SELECT id, name FROM wide ORDER BY id`
	allNarrow = `SELECT id, name FROM narrow ORDER BY id`
)

func addressed(t *testing.T, f *Fixture) {
	d, s := f.twoReaders(t)
	d.must(t, upsert(s, "1", "all"), to("reader/wide", upsert(s, "2", "w")), to("reader/narrow", upsert(s, "3", "n")), to("reader/gone", upsert(s, "4", "g")))
	f.rows(t, allWide, []string{"1", "all"}, []string{"2", "w"})
	f.rows(t, allNarrow, []string{"1", "all"}, []string{"3", "n"})
}

func leftBehind(t *testing.T, f *Fixture) {
	d, s := f.twoReaders(t)
	d.must(t, upsert(s, "1", "one"))
	out := d.run(t, upsert(s, "1", "uno"), upsert(s, "2", "twenty"), upsert(s, "3", "tre"))
	wantCode(t, out["reader/narrow"].Err, rejot.Rejected)
	if out["reader/wide"].Err != nil {
		t.Errorf("the other was left behind too: %v", out["reader/wide"].Err)
	}
	f.rows(t, allWide, []string{"1", "uno"}, []string{"2", "twenty"}, []string{"3", "tre"})
	f.rows(t, allNarrow, []string{"1", "one"})
	d.must(t, upsert(s, "1", "un"), upsert(s, "2", "deu"), remove(s, "3"))
	f.rows(t, allNarrow, []string{"1", "un"}, []string{"2", "deu"})
}

func namesNoValue(t *testing.T, f *Fixture) {
	d, s := f.twoReaders(t)
	for _, c := range []struct {
		ev   *rejot.Event
		want []string
	}{
		{upsert(s, "1", "s3cret-and-long"), []string{"narrow", "sql", ":id", ":name"}},
		{upsert(s, "s3cret", "abc"), []string{"narrow", "sql", ":id"}}, // some find this out themselves, before the server does
	} {
		err := d.run(t, c.ev)["reader/narrow"].Err
		if code := rejot.CodeOf(err); err == nil || code != rejot.Rejected && code != rejot.Unsupported {
			t.Fatalf("error %v has code %s, want a refusal", err, code)
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error does not name %s: %v", want, err)
			}
		}
		if text := err.Error() + rejot.MendOf(err); strings.Contains(text, "s3cret") {
			t.Errorf("error holds a value: %s", text)
		}
	}
}

func refusedInLarge(t *testing.T, f *Fixture) {
	d, s := f.twoReaders(t)
	events := many(s, 3000)
	events[2500] = upsert(s, "2500", "too long")
	out := d.run(t, events...)
	wantCode(t, out["reader/narrow"].Err, rejot.Rejected)
	f.rows(t, `SELECT count(*) FROM narrow`, []string{"0"})
	f.rows(t, `SELECT count(*) FROM wide`, []string{"3000"})
}

func many(s *rejot.Shape, n int) []*rejot.Event {
	events := make([]*rejot.Event, n)
	for i := range events {
		events[i] = upsert(s, numbered("%d", i), "abc")
	}
	return events
}
