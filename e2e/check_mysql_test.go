package e2e

import (
	"fmt"
	"strings"
	"testing"

	"rejot.dev/rejot/internal/dbtest"
)

func TestCheckConnectAsksMariaDB(t *testing.T) {
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.MariaDB(t).NewDatabase(t)
	from.Exec(t, orderTables)
	to.Exec(t, `CREATE TABLE copy (id bigint PRIMARY KEY, name varchar(5) NOT NULL, code varchar(20) NOT NULL, items bigint, more int NOT NULL, kind enum('a'), CHECK (items > 0))`)
	m := checkManifest(from, to)
	consumerConfig(m)["consumerSchemaType"] = "mysql"
	consumerConfig(m)["sql"] = "INSERT INTO copy (id, name, code, items) VALUES (:id, :name, :code, :items) ON DUPLICATE KEY UPDATE name = :name"
	consumerConfig(m)["deleteSql"] = "DELETE FROM nothing WHERE id = :id"
	list, code := runCheck(t, "", "--connect", writeManifest(t, m))
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []struct{ rule, says string }{
		{"SQL_REFUSED", "deleteSql"},
		{"DESTINATION_CONSTRAINT", "column more"},
		{"DESTINATION_CONSTRAINT", "column name (varchar(5)), which is smaller"},
		{"DESTINATION_CONSTRAINT", "column code (varchar(20)), which is NOT NULL"},
	} {
		if !strings.Contains(rulesOf(find(list, want.rule)), want.says) {
			t.Errorf("%s does not say %q:\n%s", want.rule, want.says, rulesOf(list))
		}
	}
}

func TestM9CheckConnectFindsTheCascadesOfMariaDB(t *testing.T) {
	from := dbtest.MariaDB(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE customer (id int PRIMARY KEY)`,
		`CREATE TABLE orders (id int PRIMARY KEY, customer_id int, FOREIGN KEY cascading (customer_id) REFERENCES customer (id) ON DELETE CASCADE)`,
		`CREATE TABLE note (id int PRIMARY KEY, customer_id int, FOREIGN KEY (customer_id) REFERENCES customer (id))`)
	schema := publicSchema("orders", "orders", "SELECT o.id, n.id AS note FROM orders o JOIN note n ON n.customer_id = o.customer_id WHERE o.id = :id")
	schema["config"].(object)["publicSchemaType"] = "mysql"
	m := object{"connections": []object{connection("source", from, "")}, "dataStores": []object{{"connectionSlug": "source", "config": object{"connectionType": "mysql"}}}, "publicSchemas": []object{schema}}
	list, _ := runCheck(t, "", "--connect", writeManifest(t, m))
	got := find(list, "CASCADE_HIDDEN")
	if len(got) != 1 || !strings.Contains(got[0].Text, "rows of orders") || !strings.Contains(got[0].Text, "ON DELETE CASCADE") {
		t.Errorf("got %v, want one\n%s", got, rulesOf(list))
	}
}

func TestCheckMigrationsOfMariaDB(t *testing.T) {
	from, to, copied := dbtest.Postgres(t).NewDatabase(t), dbtest.MariaDB(t).NewDatabase(t), dbtest.MariaDB(t).NewDatabase(t)
	from.Exec(t, orderTables)
	to.Exec(t, `CREATE TABLE copy (id bigint PRIMARY KEY, name varchar(50), code varchar(20), items bigint)`, `CREATE VIEW seen AS SELECT id FROM copy`)
	m := checkManifest(from, to)
	consumerConfig(m)["consumerSchemaType"] = "mysql"
	consumerConfig(m)["sql"] = "INSERT INTO copy (id, name, code, items) VALUES (:id, :name, :code, :items) ON DUPLICATE KEY UPDATE name = :name"
	path := writeManifest(t, m)
	for _, c := range []struct {
		sql  string
		code int
	}{
		{"ALTER TABLE copy DROP COLUMN items; ALTER TABLE copy ADD other int", 1},
		{"ALTER TABLE copy MODIFY name varchar(5)", 1},
		{"ALTER TABLE copy ADD other int; CREATE TABLE more (id int PRIMARY KEY)", 0},
	} {
		dir := migrationFolder(t, map[string]string{"1.sql": c.sql})
		url := fmt.Sprintf("mysql://%s:%s@%s:%d/%s", copied.User, copied.Password, copied.Host, copied.Port, copied.Name)
		list, code := runCheck(t, "", "--migrations", dir, "--throwaway", url, "--data-store", "to", path)
		if code != c.code || len(find(list, "MIGRATION_BREAKS")) != c.code {
			t.Errorf("%s: exit code %d, want %d\n%s", c.sql, code, c.code, rulesOf(list))
		}
	}
}
