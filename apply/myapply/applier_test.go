package myapply_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply/applytest"
	"rejot.dev/rejot/apply/myapply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func connection(db *dbtest.Database) contract.Connection {
	return contract.Connection{
		Slug: "dest", Type: "mysql", Host: db.Host, Port: db.Port, User: db.User, Password: contract.NewSecret(db.Password), Database: db.Name,
	}
}

func TestConformance(t *testing.T) { applytest.Run(t, fixture) }

func fixture(t *testing.T) *applytest.Fixture {
	db := dbtest.MariaDB(t).NewDatabase(t)
	return &applytest.Fixture{
		Open: func(t testing.TB, consumers ...*contract.Consumer) (rejot.Applier, error) {
			a, err := myapply.Open(t.Context(), myapply.Config{Connection: connection(db), Consumers: consumers})
			if err != nil {
				return nil, err
			}
			return a, nil
		},
		Exec:   db.Exec,
		Query:  db.Query,
		Upsert: upsert,
	}
}

// upsert writes INSERT … ON DUPLICATE KEY UPDATE.
func upsert(table string, key []string, columns ...string) string {
	values, sets := make([]string, len(columns)), []string(nil)
	for i, c := range columns {
		values[i] = ":" + c
		if !contains(key, c) {
			sets = append(sets, fmt.Sprintf("%s = :%s", c, c))
		}
	}
	if sets == nil {
		sets = []string{fmt.Sprintf("%s = :%s", key[0], key[0])}
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) ON DUPLICATE KEY UPDATE %s", table,
		strings.Join(columns, ", "), strings.Join(values, ", "), strings.Join(sets, ", "))
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}
