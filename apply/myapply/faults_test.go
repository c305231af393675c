package myapply_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply/myapply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

// item is the public schema of these tests, and its consumer.
func item() (*rejot.Shape, *contract.Consumer) {
	row := []rejot.Column{{Name: "id", Type: rejot.Type{Name: "bigint"}}, {Name: "name", Type: rejot.Type{Name: "text"}}}
	s := &rejot.Shape{Schema: rejot.Ref{Manifest: "producer", Name: "item", Major: 1}, Key: row[:1], Row: row}
	return s, &contract.Consumer{
		Manifest: "reader", Name: "item", SourceManifest: "producer", Schema: "item", Major: 1,
		SQL:       upsert("item", []string{"id"}, "id", "name"),
		DeleteSQL: "DELETE FROM item WHERE id = :id",
	}
}

const itemTable = `CREATE TABLE item (id bigint PRIMARY KEY, name varchar(40))`

func open(t *testing.T, c contract.Connection, consumers ...*contract.Consumer) *myapply.Applier {
	t.Helper()
	a, err := myapply.Open(t.Context(), myapply.Config{Connection: c, Consumers: consumers})
	if err != nil {
		t.Fatalf("%v (%s)", err, rejot.MendOf(err))
	}
	t.Cleanup(func() { _ = a.Close() }) // the server may be gone by now
	return a
}

func row(s *rejot.Shape, texts ...string) *rejot.Event {
	ev := &rejot.Event{Shape: s, Op: rejot.UpsertRow}
	for _, text := range texts {
		ev.Row = append(ev.Row, rejot.TextValue(text))
	}
	ev.Key = ev.Row[:len(s.Key)]
	return ev
}

func position(n int) rejot.Position {
	if n == 0 {
		return rejot.Position{}
	}
	return rejot.Position{Incarnation: "h", Horizon: rejot.Place{Offset: uint64(n)}} //nolint:gosec // small
}

// step applies a batch that moves a consumer from n-1 to n.
func step(ctx context.Context, a *myapply.Applier, n int, c *contract.Consumer, events ...*rejot.Event) (rejot.Outcome, error) {
	moves := []rejot.Move{{
		From: rejot.Cursor{Consumer: c.ID(), Position: position(n - 1)},
		To:   rejot.Cursor{Consumer: c.ID(), Source: "s", Position: position(n)},
	}}
	outcomes, err := a.Apply(ctx, moves, &rejot.Batch{Source: "s", Position: position(n), Events: func(yield func(*rejot.Event, error) bool) {
		for _, ev := range events {
			if !yield(ev, nil) {
				return
			}
		}
	}})
	if err != nil {
		return rejot.Outcome{}, err
	}
	return outcomes[0], nil
}

func mustStep(t *testing.T, a *myapply.Applier, n int, c *contract.Consumer, events ...*rejot.Event) {
	t.Helper()
	o, err := step(t.Context(), a, n, c, events...)
	if err = errors.Join(err, o.Err); err != nil {
		t.Fatal(err)
	}
}

// refused applies a batch that leaves the consumer behind.
func refused(t *testing.T, a *myapply.Applier, n int, c *contract.Consumer, code rejot.Code, events ...*rejot.Event) error {
	t.Helper()
	o, err := step(t.Context(), a, n, c, events...)
	if err != nil {
		t.Fatal(err)
	}
	if o.Err == nil || rejot.CodeOf(o.Err) != code {
		t.Fatalf("outcome %v, want code %s", o.Err, code)
	}
	wantAt(t, a, n-1)
	return o.Err
}

func wantAt(t *testing.T, a *myapply.Applier, n int) {
	t.Helper()
	cursors, err := a.Cursors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var at rejot.Position
	for _, c := range cursors {
		at = c.Position
	}
	if at != position(n) {
		t.Fatalf("the cursor is at %v, want %v", at, position(n))
	}
}

func wantRows(t *testing.T, db *dbtest.Database, sql string, want string) {
	t.Helper()
	var lines []string
	for _, r := range db.Query(t, sql) {
		lines = append(lines, strings.Join(r, " "))
	}
	if got := strings.Join(lines, ", "); got != want {
		t.Fatalf("%s: got %s, want %s", sql, got, want)
	}
}

func wantMend(t *testing.T, err error, code rejot.Code, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	text := err.Error() + " | " + rejot.MendOf(err)
	var e *rejot.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("error %v has not code %s", err, code)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s is not in: %s", w, text)
		}
	}
}

// startStep runs step while the test does something else.
func startStep(t *testing.T, a *myapply.Applier, n int, c *contract.Consumer, events ...*rejot.Event) (wait func() (rejot.Outcome, error)) {
	type result struct {
		o   rejot.Outcome
		err error
	}
	done := make(chan result, 1)
	go func() {
		o, err := step(t.Context(), a, n, c, events...)
		done <- result{o, err}
	}()
	return func() (rejot.Outcome, error) {
		r := <-done
		return r.o, r.err
	}
}

func waitForLock(t *testing.T, db *dbtest.Database) {
	t.Helper()
	dbtest.Eventually(t, 20*time.Second, func() (bool, string) {
		rows := db.Query(t, `SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'`) // innodb_trx is a copy that is seldom renewed
		return rows[0][1] == "1", "nobody waits for a lock"
	})
}

func TestExampleOfTheIssue(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE account_destination (id bigint PRIMARY KEY, full_name text, email varchar(200) UNIQUE)`)
	text := rejot.Type{Name: "text"}
	columns := []rejot.Column{
		{Name: "id", Type: rejot.Type{Name: "integer"}},
		{Name: "firstName", Type: text},
		{Name: "lastName", Type: text},
		{Name: "emails", Type: rejot.Type{Name: "text[]", Kind: rejot.Array, Elem: &text}},
	}
	s := &rejot.Shape{Schema: rejot.Ref{Manifest: "p", Name: "account", Major: 1}, Key: columns[:1], Row: columns}
	c := &contract.Consumer{
		Manifest: "r", Name: "accounts", SourceManifest: "p", Schema: "account", Major: 1,
		SQL: `INSERT INTO account_destination (id, full_name, email) VALUES (:id, CONCAT(:firstName, ' ', :lastName), JSON_VALUE(:emails, '$[0]'))
			ON DUPLICATE KEY UPDATE full_name = CONCAT(:firstName, ' ', :lastName), email = JSON_VALUE(:emails, '$[0]')`,
		DeleteSQL: `DELETE FROM account_destination WHERE id = :id`,
	}
	a := open(t, connection(db), c)
	mustStep(t, a, 1, c, row(s, "1", "Ann", "Bee", `{ann@x.org,"b c"}`), row(s, "2", "O'Neil", `back\slash`, `{}`))
	mustStep(t, a, 2, c, row(s, "1", "Anna", "é😀", `{NULL,"q\"uote"}`), row(s, "2", "", "", `{"q\"uote"}`))
	wantRows(t, db, `SELECT * FROM account_destination ORDER BY id`, `1 Anna é😀 NULL, 2   q"uote`)
	mustStep(t, a, 3, c, &rejot.Event{Shape: s, Op: rejot.DeleteKey, Key: []rejot.Value{rejot.TextValue("1")}})
	wantRows(t, db, `SELECT id FROM account_destination`, `2`)
}

// FAULTS D1: a deadlock undoes the whole transaction, and statements were on their way behind it.
func TestDeadlockWritesNothing(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, itemTable, `CREATE TABLE heavy (n int PRIMARY KEY)`, `INSERT INTO item VALUES (1, 'a'), (2, 'b')`)
	s, c := item()
	a := open(t, connection(db), c)
	other := db.Session(t)
	other.Exec(t, `BEGIN`, `INSERT INTO heavy SELECT seq FROM seq_1_to_5000`, `UPDATE item SET name = 'o' WHERE id = 2`)
	wait := startStep(t, a, 1, c, row(s, "1", "x"), row(s, "2", "x"), row(s, "3", "x"), row(s, "4", "x"))
	waitForLock(t, db)
	other.Exec(t, `UPDATE item SET name = 'o' WHERE id = 1`) // the lighter one loses
	if _, err := wait(); rejot.CodeOf(err) != rejot.Transient {
		t.Fatalf("error %v is not transient", err)
	}
	other.Exec(t, `ROLLBACK`)
	wantRows(t, db, `SELECT id, name FROM item ORDER BY id`, `1 a, 2 b`)
	wantAt(t, a, 0)
	mustStep(t, a, 1, c, row(s, "1", "x"))
}

// FAULTS D2: a lock that is waited for too long undoes one statement only.
func TestLockTimeoutWritesNothing(t *testing.T) {
	db := dbtest.MariaDB(t, dbtest.Setting("innodb-lock-wait-timeout", "1")).NewDatabase(t)
	db.Exec(t, itemTable, `INSERT INTO item VALUES (1, 'a'), (2, 'b')`)
	s, c := item()
	a := open(t, connection(db), c)
	other := db.Session(t)
	other.Exec(t, `BEGIN`, `UPDATE item SET name = 'o' WHERE id = 2`)
	if _, err := step(t.Context(), a, 1, c, row(s, "1", "x"), row(s, "2", "x"), row(s, "3", "x")); rejot.CodeOf(err) != rejot.Transient {
		t.Fatalf("error %v is not transient", err)
	}
	other.Exec(t, `ROLLBACK`)
	wantRows(t, db, `SELECT id, name FROM item ORDER BY id`, `1 a, 2 b`)
	wantAt(t, a, 0)
	mustStep(t, a, 1, c, row(s, "1", "x"))
}

func TestDeadlineEndsAWait(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, itemTable, `INSERT INTO item VALUES (1, 'a')`)
	s, c := item()
	a := open(t, connection(db), c)
	other := db.Session(t)
	other.Exec(t, `BEGIN`, `UPDATE item SET name = 'o' WHERE id = 1`)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := step(ctx, a, 1, c, row(s, "1", "x"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want the deadline", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	other.Exec(t, `ROLLBACK`)
	wantAt(t, a, 0)
	mustStep(t, a, 1, c, row(s, "1", "x"))
}

func TestLostConnectionIsTransientAndOpenedAgain(t *testing.T) {
	server := dbtest.MariaDB(t)
	db := server.NewDatabase(t)
	db.Exec(t, itemTable)
	proxy := dbtest.NewProxy(t, server.Addr())
	conn := connection(db)
	conn.Host, conn.Port = proxy.Host, proxy.Port
	s, c := item()
	a := open(t, conn, c)
	mustStep(t, a, 1, c, row(s, "1", "x"))
	proxy.Cut()
	if _, err := step(t.Context(), a, 2, c, row(s, "1", "y")); rejot.CodeOf(err) != rejot.Transient {
		t.Fatalf("error %v is not transient", err)
	}
	mustStep(t, a, 2, c, row(s, "1", "y"))
	proxy.Refuse()
	proxy.Cut()
	for range 2 {
		if _, err := a.Cursors(t.Context()); rejot.CodeOf(err) != rejot.Transient {
			t.Fatalf("error %v is not transient", err)
		}
	}
	proxy.Accept()
	wantAt(t, a, 2)
}

func TestKilledSessionIsTransient(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, itemTable, `INSERT INTO item VALUES (1, 'a')`)
	s, c := item()
	a := open(t, connection(db), c)
	for n, kill := range []string{"KILL QUERY", "KILL"} {
		other := db.Session(t)
		other.Exec(t, `BEGIN`, `UPDATE item SET name = 'o' WHERE id = 1`)
		wait := startStep(t, a, n+1, c, row(s, "2", "x"), row(s, "1", "x"), row(s, "3", "x"))
		waitForLock(t, db)
		id := db.Query(t, `SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'`)[0][0]
		db.Exec(t, kill+" "+id)
		if _, err := wait(); rejot.CodeOf(err) != rejot.Transient {
			t.Fatalf("%s: error %v is not transient", kill, err)
		}
		other.Exec(t, `ROLLBACK`)
		wantAt(t, a, n)
		mustStep(t, a, n+1, c, row(s, "1", "x"))
	}
}

func TestServerThatDiesAndComesBack(t *testing.T) {
	server := dbtest.MariaDB(t, dbtest.Private())
	db := server.NewDatabase(t)
	db.Exec(t, itemTable)
	s, c := item()
	a := open(t, connection(db), c)
	mustStep(t, a, 1, c, row(s, "1", "x"))
	server.Kill(t)
	if _, err := step(t.Context(), a, 2, c, row(s, "1", "y")); rejot.CodeOf(err) != rejot.Transient {
		t.Fatalf("error %v is not transient", err)
	}
	server.Start(t)
	wantAt(t, a, 1)
	db.Exec(t, `SET GLOBAL read_only = 1`)
	mustStep(t, a, 2, c, row(s, "1", "y")) // the tests' user may write nevertheless
	db.Exec(t, `SET GLOBAL read_only = 0`)
}

func TestRefusalNamesTheRuleAndNoValue(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE parent (id bigint PRIMARY KEY)`, `INSERT INTO parent VALUES (1)`,
		`CREATE TABLE item (id bigint PRIMARY KEY, name varchar(10) NOT NULL, n tinyint, parent_id bigint, UNIQUE KEY one_name (name),
			CONSTRAINT item_parent FOREIGN KEY (parent_id) REFERENCES parent (id), CONSTRAINT no_hidden CHECK (name <> 'hidden'))`,
		`CREATE TRIGGER guard BEFORE INSERT ON item FOR EACH ROW IF NEW.name = 'raise' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 's3cret'; END IF`)
	s, c := item()
	s.Row = append(s.Row, rejot.Column{Name: "n", Type: rejot.Type{Name: "integer"}}, rejot.Column{Name: "p", Type: rejot.Type{Name: "bigint"}})
	c.SQL, c.DeleteSQL = `INSERT INTO item (id, name, n, parent_id) VALUES (:id, :name, :n, :p)`, ""
	a := open(t, connection(db), c)
	mustStep(t, a, 1, c, row(s, "1", "s3cret", "1", "1"))
	for _, e := range []struct {
		ev   *rejot.Event
		want string
	}{
		{row(s, "2", "s3cret", "1", "1"), "1062 ER_DUP_ENTRY, constraint one_name"},
		{row(s, "1", "other", "1", "1"), "1062 ER_DUP_ENTRY, constraint PRIMARY"},
		{row(s, "2", "b", "1", "77777"), "1452 ER_NO_REFERENCED_ROW_2, constraint item_parent"},
		{row(s, "2", "hidden", "1", "1"), "4025 ER_CONSTRAINT_FAILED, constraint no_hidden"},
		{row(s, "2", "much.too.s3cret", "1", "1"), "1406 ER_DATA_TOO_LONG, column name"},
		{row(s, "2", "b", "77777", "1"), "1264 ER_WARN_DATA_OUT_OF_RANGE, column n"},
		{row(s, "2", "raise", "1", "1"), "1644 ER_SIGNAL_EXCEPTION"},
	} {
		err := refused(t, a, 2, c, rejot.Rejected, e.ev)
		wantMend(t, err, rejot.Rejected, e.want, "consumer schema item", "sql", ":id, :n, :name, :p", "rejot resume item")
		for _, secret := range []string{"s3cret", "77777", "much"} {
			if strings.Contains(err.Error()+rejot.MendOf(err), secret) {
				t.Errorf("a value is in: %v", err)
			}
		}
	}
	null := row(s, "2", "", "1", "1")
	null.Row[1] = rejot.NullValue()
	wantMend(t, refused(t, a, 2, c, rejot.Rejected, null), rejot.Rejected, "1048 ER_BAD_NULL_ERROR, column name")
	wantRows(t, db, `SELECT error LIKE '%1048%' FROM rejot_cursor`, "1")
	mustStep(t, a, 2, c)
	wantRows(t, db, `SELECT error FROM rejot_cursor`, "NULL")
	wantRows(t, db, `SELECT count(*) FROM item`, "1")
}

// FAULTS D14: what strict mode lets pass with a warning.
func TestWarningsAreErrors(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint PRIMARY KEY, name varchar(3), n int)`)
	s, c := item()
	c.SQL = `INSERT IGNORE INTO item (id, name) VALUES (:id, :name)`
	a := open(t, connection(db), c)
	mustStep(t, a, 1, c, row(s, "1", "abc"))
	wantMend(t, refused(t, a, 2, c, rejot.Rejected, row(s, "2", "abc"), row(s, "3", "s3cret")), rejot.Rejected, "column name")
	mustStep(t, a, 2, c, row(s, "1", "xyz"), row(s, "2", "two")) // a duplicate is what IGNORE asks for
	wantRows(t, db, `SELECT id, name FROM item ORDER BY id`, "1 abc, 2 two")
	c.SQL = `INSERT INTO item (id, n) VALUES (:id, CAST(:name AS SIGNED))`
	b := open(t, connection(db), c)
	_ = refused(t, b, 3, c, rejot.Rejected, row(s, "5", "12abc"))
	mustStep(t, b, 3, c, row(s, "5", "12"))
}

func TestUpsertThatMeetsAnotherRowIsRefused(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	for i, create := range []string{
		`CREATE TABLE item (id bigint PRIMARY KEY, name varchar(40) UNIQUE)`,
		`CREATE TABLE item (own bigint AUTO_INCREMENT PRIMARY KEY, id bigint NOT NULL UNIQUE, name varchar(40) UNIQUE)`,
		`CREATE TABLE item (id bigint, name varchar(40), tenant int NOT NULL DEFAULT 1, PRIMARY KEY (id, tenant), UNIQUE (name))`,
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			db.Exec(t, `DROP TABLE IF EXISTS item`, create)
			s, c := item()
			c.Name = fmt.Sprint("item", i)
			c.SQL = "insert into `item` (id, name /* ON DUPLICATE KEY UPDATE */) values (:id, :name) on duplicate key\n update name = VALUES(name)"
			a, err := myapply.Open(t.Context(), myapply.Config{Connection: connection(db), Consumers: []*contract.Consumer{c}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = a.Close() })
			mustStep(t, a, 1, c, row(s, "1", "a"), row(s, "2", "b"))
			o, err := step(t.Context(), a, 2, c, row(s, "3", "a"))
			if i == 2 {
				return // without tenant the table has one key that is written, and it is the upsert's own business
			}
			if err != nil || rejot.CodeOf(o.Err) != rejot.Rejected {
				t.Fatalf("outcome %v, %v", o.Err, err)
			}
			wantRows(t, db, `SELECT id, name FROM item ORDER BY id`, "1 a, 2 b")
			mustStep(t, a, 2, c, row(s, "3", "a"), row(s, "1", "b"), row(s, "2", "c"))
			wantRows(t, db, `SELECT id, name FROM item ORDER BY id`, "1 b, 2 c, 3 a")
			if err := a.Drop(t.Context(), c.ID()); err != nil {
				t.Fatal(err)
			}
		})
	}
}
