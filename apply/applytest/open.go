package applytest

import (
	"strings"
	"testing"

	"rejot.dev/rejot"
)

func openRefuses(t *testing.T, f *Fixture) {
	f.Exec(t, accountTable)
	good := f.Upsert("account", []string{"id"}, "id", "email", "name")
	for _, c := range []struct {
		name, sql, deleteSQL string
		want                 rejot.Code
	}{
		{"table", `INSERT INTO acount (id) VALUES (:id)`, "", rejot.NotFound},
		{"column", `INSERT INTO account (id, mail) VALUES (:id, :email)`, "", rejot.NotFound},
		{"syntax", `INSERT INTO INTO account VALUES (:id)`, "", rejot.Invalid},
		{"two", `DELETE FROM account WHERE id = :id; DELETE FROM account WHERE id = :id`, "", rejot.Invalid},
		{"commit", `COMMIT`, "", rejot.Invalid},
		{"begin", good, `BEGIN`, rejot.Invalid},
		{"ddl", good, `DROP TABLE account`, rejot.Invalid},
		{"empty", ``, "", rejot.Invalid},
		{"delete", good, `DELETE FROM acount WHERE id = :id`, rejot.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := f.Open(t, consumer(c.name, c.sql, c.deleteSQL))
			if err == nil {
				_ = a.Close() // the test has failed
				t.Fatal("opened")
			}
			wantCode(t, err, c.want)
			if !strings.Contains(err.Error(), "consumer schema "+c.name) {
				t.Errorf("the error does not name the consumer: %v", err)
			}
			if rejot.MendOf(err) == "" {
				t.Errorf("no mend: %v", err)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		_, err := f.Open(t, consumer("first", `INSERT INTO acount (id) VALUES (:id)`, ""), consumer("second", good, ""), consumer("third", `COMMIT`, ""))
		if err == nil {
			t.Fatal("opened")
		}
		for _, name := range []string{"first", "third"} {
			if !strings.Contains(err.Error(), "consumer schema "+name) {
				t.Errorf("the error does not name %s: %v", name, err)
			}
		}
	})
	f.rows(t, allAccounts)
}
