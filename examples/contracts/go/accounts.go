package contracts

import "rejot.dev/rejot/contract"

type creditLine struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	CustomerID int64  `json:"customer_id"`
	Amount     int64  `json:"amount"`
	Currency   int16  `json:"currency"`
}

// CreditLine is an order with its customer.
var CreditLine = contract.Public("credit-line", contract.Version{Major: 1}, contract.PublicOptions{
	Source: "source",
	Output: contract.SchemaOf[creditLine](),
	Transformations: []contract.Transformation{contract.OnChange("orders", `SELECT o.id, c.name, o.customer_id, o.amount, o.currency
FROM orders o
JOIN customers c ON c.id = o.customer_id
WHERE o.id = :id`)},
})

type account struct {
	ID        int64      `json:"id"`
	Emails    *[]*string `json:"emails"`
	FirstName string     `json:"firstName"`
	LastName  string     `json:"lastName"`
}

// PublishAccount is what others may know of an account.
var PublishAccount = contract.Public("publish-account", contract.Version{Major: 1}, contract.PublicOptions{
	Source:      "source",
	Owner:       "accounts",
	Description: "An account with its e-mail addresses",
	Output:      contract.SchemaOf[account](),
	Transformations: []contract.Transformation{contract.OnChange("account", `SELECT a.id,
       (SELECT ARRAY_AGG(e.email ORDER BY e.id) FROM account_emails e WHERE e.account_id = a.id) AS emails,
       a.first_name AS "firstName", a.last_name AS "lastName"
FROM account a
WHERE a.id = :id`)},
})

// Consumers write accounts into Postgres and into MariaDB.
var Consumers = []contract.Definition{
	contract.Consume("account-to-reports", contract.ConsumerOptions{
		Reads:       contract.Reads{Manifest: "accounts", Schema: "publish-account", Major: 1},
		Destination: "reports",
		SQL: `INSERT INTO account_destination (id, full_name, email)
VALUES (:id, :firstName || ' ' || :lastName, (:emails::text[])[1])
ON CONFLICT (id) DO UPDATE SET full_name = :firstName || ' ' || :lastName, email = (:emails::text[])[1]`,
		DeleteSQL: "DELETE FROM account_destination WHERE id = :id",
	}),
	contract.Consume("account-to-shop", contract.ConsumerOptions{
		Reads:       contract.Reads{Manifest: "accounts", Schema: "publish-account", Major: 1},
		Destination: "shop",
		Database:    "mysql",
		SQL: `INSERT INTO account_destination (id, full_name, email)
VALUES (:id, CONCAT(:firstName, ' ', :lastName), JSON_VALUE(:emails, '$[0]'))
ON DUPLICATE KEY UPDATE full_name = CONCAT(:firstName, ' ', :lastName), email = JSON_VALUE(:emails, '$[0]')`,
		DeleteSQL: "DELETE FROM account_destination WHERE id = :id",
		OnError:   "quarantine",
	}),
}
