package contract_test

import (
	"testing"

	"rejot.dev/rejot/contract"
)

func TestWhichFieldsAConsumerMayUse(t *testing.T) {
	for name, c := range map[string]struct {
		consumer contract.Consumer
		want     bool
	}{
		"one that its SQL names":                     {contract.Consumer{SQL: "INSERT INTO t VALUES (:id, :name)"}, true},
		"one that its deleteSql names":               {contract.Consumer{SQL: "INSERT INTO t VALUES (:id)", DeleteSQL: "DELETE FROM t WHERE name = :name"}, true},
		"none that no statement names":               {contract.Consumer{SQL: "INSERT INTO t VALUES (:id)", DeleteSQL: "DELETE FROM t WHERE id = :id"}, false},
		"all where placeholders are numbered":        {contract.Consumer{SQL: "INSERT INTO t VALUES ($1, $2)"}, true},
		"all where a file takes whole rows, unasked": {contract.Consumer{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.consumer.MayUse("name"); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
