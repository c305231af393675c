package myapply_test

import (
	"errors"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply/myapply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

func openError(t *testing.T, conn contract.Connection, consumers ...*contract.Consumer) error {
	t.Helper()
	a, err := myapply.Open(t.Context(), myapply.Config{Connection: conn, Consumers: consumers})
	if err == nil {
		t.Error("opened")
		_ = a.Close() // the test has failed
	}
	return err
}

func TestOpenRefusesWhatCannotBeInOneTransaction(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, itemTable, `CREATE TABLE log (id bigint PRIMARY KEY, name varchar(40)) ENGINE=MyISAM`, `CREATE VIEW looks AS SELECT * FROM item`,
		`CREATE PROCEDURE put(i bigint) INSERT INTO item VALUES (i, NULL)`,
		`CREATE TABLE two (id bigint PRIMARY KEY, name varchar(40) UNIQUE)`)
	for name, e := range map[string]struct {
		change func(c *contract.Consumer)
		code   rejot.Code
		words  []string
	}{
		"MyISAM":   {func(c *contract.Consumer) { c.SQL = `INSERT INTO log (id, name) VALUES (:id, :name)` }, rejot.Unsupported, []string{"log", "ENGINE=InnoDB"}},
		"truncate": {func(c *contract.Consumer) { c.TruncateSQL = `TRUNCATE TABLE item` }, rejot.Invalid, []string{"truncateSql", "DELETE FROM"}},
		"select":   {func(c *contract.Consumer) { c.SQL = `SELECT :id` }, rejot.Invalid, []string{"gives rows"}},
		"call":     {func(c *contract.Consumer) { c.SQL = `CALL put(:id)` }, rejot.Invalid, []string{"could commit"}},
		"set":      {func(c *contract.Consumer) { c.DeleteSQL = `SET SESSION sql_mode = ''` }, rejot.Invalid, []string{"deleteSql"}},
		"block":    {func(c *contract.Consumer) { c.SQL = `BEGIN NOT ATOMIC COMMIT; END` }, rejot.Invalid, nil},
		"question": {func(c *contract.Consumer) { c.SQL = `INSERT INTO item (id) VALUES (?)` }, rejot.Invalid, []string{":name"}},
		"onError":  {func(c *contract.Consumer) { c.OnError = "skip" }, rejot.Invalid, []string{"pause or quarantine"}},
		"replace":  {func(c *contract.Consumer) { c.SQL = `REPLACE INTO two (id, name) VALUES (:id, :name)` }, rejot.Unsupported, []string{"two", "PRIMARY, name", "ON DUPLICATE"}},
		"column":   {func(c *contract.Consumer) { c.SQL = `INSERT INTO item (id, nam) VALUES (:id, :name)` }, rejot.NotFound, []string{"there is no nam", "create nam"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, c := item()
			e.change(c)
			wantMend(t, openError(t, connection(db), c), e.code, append(e.words, "consumer schema item")...)
		})
	}
	for _, sql := range []string{
		`REPLACE INTO item (id, name) VALUES (:id, :name)`, `INSERT INTO item SELECT :id, :name ON DUPLICATE KEY UPDATE name = :name`,
		`UPDATE item SET name = :name WHERE id = :id`, `INSERT INTO looks (id, name) VALUES (:id, :name)`, "insert into `item`(`id`) values (:id) -- :x",
	} {
		_, c := item()
		c.SQL = sql
		open(t, connection(db), c)
	}
}

func TestOpenSaysWhatPrivilegeIsMissing(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, itemTable, `CREATE OR REPLACE USER 'few'@'%' IDENTIFIED BY 'few'`, `GRANT SELECT ON `+db.Name+`.* TO 'few'@'%'`)
	_, c := item()
	conn := connection(db)
	conn.User, conn.Password = "few", contract.NewSecret("few")
	wantMend(t, openError(t, conn, c), rejot.Denied, "GRANT CREATE", "few")
	open(t, connection(db))
	wantMend(t, openError(t, conn, c), rejot.Denied, "rejot_cursor", "rejot_quarantine")
	db.Exec(t, `GRANT SELECT, INSERT, UPDATE, DELETE ON `+db.Name+`.rejot_cursor TO 'few'@'%'`,
		`GRANT SELECT, INSERT, UPDATE, DELETE ON `+db.Name+`.rejot_quarantine TO 'few'@'%'`)
	wantMend(t, openError(t, conn, c), rejot.Denied, "consumer schema item", "GRANT SELECT, INSERT, UPDATE, DELETE ON `"+db.Name+"`.`item` TO `few`")
	db.Exec(t, `GRANT INSERT, UPDATE, DELETE ON `+db.Name+`.item TO 'few'@'%'`)
	open(t, conn, c)
	conn.Password = contract.NewSecret("wr0ng")
	wantMend(t, openError(t, conn, c), rejot.Denied, "check user and password")
	conn = connection(db)
	conn.Database = "no_such"
	wantMend(t, openError(t, conn, c), rejot.NotFound, "no_such")
}

func TestRowsThatAreReturnedAreIgnored(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, itemTable)
	s, c := item()
	c.SQL, c.DeleteSQL = `INSERT INTO item (id, name) VALUES (:id, :name) RETURNING id, name`, ""
	a := open(t, connection(db), c)
	mustStep(t, a, 1, c, row(s, "1", "x"), row(s, "2", "y"))
	_ = refused(t, a, 2, c, rejot.Rejected, row(s, "3", "z"), row(s, "1", "y"), row(s, "4", "y"))
	mustStep(t, a, 2, c, row(s, "3", "x"))
	wantRows(t, db, `SELECT id FROM item`, "1, 2, 3")
}

func TestDropForgets(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, itemTable)
	s, c := item()
	a := open(t, connection(db), c)
	mustStep(t, a, 1, c, row(s, "1", "x"))
	if err := a.Drop(t.Context(), c.ID()); err != nil {
		t.Fatal(err)
	}
	if err := a.Drop(t.Context(), c.ID()); rejot.CodeOf(err) != rejot.NotFound {
		t.Fatalf("error %v", err)
	}
	wantAt(t, a, 0)
	mustStep(t, a, 1, c, row(s, "1", "y"))
	if err := a.Drop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wantRows(t, db, `SHOW TABLES`, "item")
	mustStep(t, a, 1, c, row(s, "1", "z")) // makes them again
	wantRows(t, db, `SELECT name FROM item`, "z")
}

func TestNewerTablesAreRefused(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	open(t, connection(db))
	db.Exec(t, `UPDATE rejot_migration SET version = 99`)
	wantMend(t, openError(t, connection(db)), rejot.Unsupported, "version 99", "newer")
}

func TestSeveralInstancesMakeTheTablesAtOnce(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	errs := make(chan error)
	for range 4 {
		go func() {
			a, err := myapply.Open(t.Context(), myapply.Config{Connection: connection(db)})
			if err == nil {
				err = a.Close()
			}
			errs <- err
		}()
	}
	var all []error
	for range 4 {
		all = append(all, <-errs)
	}
	if err := errors.Join(all...); err != nil {
		t.Fatal(err)
	}
}

func TestConsumerWhoseTableComesBack(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, itemTable)
	s, c := item()
	a := open(t, connection(db), c)
	mustStep(t, a, 1, c, row(s, "1", "x"))
	db.Exec(t, `RENAME TABLE item TO gone`)
	_ = refused(t, a, 2, c, rejot.NotFound, row(s, "1", "y"))
	_ = refused(t, a, 2, c, rejot.NotFound, row(s, "1", "y")) // the second time it cannot be prepared
	db.Exec(t, `RENAME TABLE gone TO item`)
	mustStep(t, a, 2, c, row(s, "1", "y"))
}

func TestCascadeForbidsDeletingAndInsertingAgain(t *testing.T) {
	db := dbtest.MariaDB(t).NewDatabase(t)
	db.Exec(t, `CREATE TABLE item (id bigint PRIMARY KEY, name varchar(40) UNIQUE)`,
		`CREATE TABLE part (id bigint PRIMARY KEY, item_id bigint, FOREIGN KEY (item_id) REFERENCES item (id) ON DELETE CASCADE)`)
	s, c := item()
	a := open(t, connection(db), c)
	mustStep(t, a, 1, c, row(s, "1", "a"), row(s, "2", "b"))
	db.Exec(t, `INSERT INTO part VALUES (10, 1)`)
	_ = refused(t, a, 2, c, rejot.Rejected, row(s, "1", "b"), row(s, "2", "a"))
	wantRows(t, db, `SELECT count(*) FROM part`, "1")
}
