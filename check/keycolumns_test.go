package check

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheColumnThatAPlaceholderIsComparedWith(t *testing.T) {
	for name, c := range map[string]struct {
		sql, table string
		written    bool // names keep their case
		want       map[string]string
	}{
		"beside it, whatever it is called": {"SELECT a.name FROM account a WHERE a.id = :account", "account", false, map[string]string{"account": "id"}},
		"on the other side":                {"SELECT name FROM account WHERE :x = account.id AND shop=:y", "account", false, map[string]string{"x": "id", "y": "shop"}},
		"of the base table, first": {
			"SELECT 1 FROM public.account AS a JOIN email e ON e.account_id = :id WHERE a.id = :id AND e.of = :id", "public.account", false, map[string]string{"id": "id"},
		},
		"of the query, before a subselect": {
			"SELECT (SELECT count(*) FROM email WHERE account_id = :id) FROM account WHERE id = :id AND EXISTS (SELECT FROM email WHERE account_id = :id)",
			"account", false,
			map[string]string{"id": "id"},
		},
		"in quotes":                        {`SELECT 1 FROM "Account" "A" WHERE "A"."Id" = :id::bigint`, `"Account"`, false, map[string]string{"id": "Id"}},
		"in lower case, as Postgres reads": {"SELECT 1 FROM Account A WHERE A.ID = :id", "account", false, map[string]string{"id": "id"}},
		"as written, in MySQL":             {"SELECT 1 FROM account a WHERE a.accountId = :id AND `a`.`Of` = :of", "account", true, map[string]string{"id": "accountId", "of": "Of"}},
		"none of another table":            {"SELECT 1 FROM account a JOIN email e ON e.account_id = a.id WHERE e.account_id = :id", "account", false, map[string]string{}},
		"none without an equals sign":      {"SELECT 1 FROM account WHERE id IN (:id) AND = :", "account", false, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, KeyColumns(c.sql, c.table, !c.written)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
