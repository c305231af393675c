package pgapply_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply/applytest"
	"rejot.dev/rejot/apply/pgapply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func connection(db *dbtest.Database) contract.Connection {
	return contract.Connection{
		Slug: "dest", Type: "postgres", Host: db.Host, Port: db.Port, User: db.User, Password: contract.NewSecret(db.Password), Database: db.Name,
	}
}

func TestConformance(t *testing.T) {
	applytest.Run(t, func(t *testing.T) *applytest.Fixture {
		db := dbtest.Postgres(t).NewDatabase(t)
		return &applytest.Fixture{
			Open: func(t testing.TB, consumers ...*contract.Consumer) (rejot.Applier, error) {
				a, err := pgapply.Open(t.Context(), pgapply.Config{Connection: connection(db), Consumers: consumers})
				if err != nil {
					return nil, err
				}
				return a, nil
			},
			Exec:   db.Exec,
			Query:  db.Query,
			Upsert: upsertSQL,
		}
	})
}

func upsertSQL(table string, key []string, columns ...string) string {
	var names, sets []string
	for _, c := range columns {
		names = append(names, ":"+c)
		sets = append(sets, fmt.Sprintf("%s = EXCLUDED.%s", c, c))
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) ON CONFLICT (%s) DO UPDATE SET %s", table,
		strings.Join(columns, ", "), strings.Join(names, ", "), strings.Join(key, ", "), strings.Join(sets, ", "))
}
