package e2e

import (
	"strings"
	"testing"

	"rejot.dev/rejot/internal/dbtest"
)

// A change is one contract, what happens to its tables, and what has to be equal afterwards.
type change struct {
	name     string
	setup    []string // at the source, before the program starts
	table    string   // of the transformation
	query    string
	extra    object // further fields of the transformation
	dest     string // the destination's table
	upsert   string
	delete   string
	truncate string
	changes  []string // at the source, each by itself, while the program runs
	atSource string
	atEnd    string
}

const (
	itemUpsert = `INSERT INTO dest VALUES (:id, :name) ON CONFLICT (id) DO UPDATE SET name = :name`
	itemDelete = `DELETE FROM dest WHERE id = :id`
	itemDest   = `CREATE TABLE dest (id int PRIMARY KEY, name text)`
	itemAtEnd  = `SELECT id, name FROM dest ORDER BY 1, 2`
	itemTable  = `CREATE TABLE item (id int PRIMARY KEY, name text)`
	itemRows   = `INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 20) i`
	itemQuery  = `SELECT id, name FROM item WHERE id = :id`
	itemSource = `SELECT id, name FROM item ORDER BY 1, 2`
)

var changeCases = []change{
	{
		name: "rows are inserted, updated and deleted", setup: []string{itemTable, itemRows}, table: "item", query: itemQuery,
		changes:  []string{`INSERT INTO item VALUES (100, 'new')`, `UPDATE item SET name = 'changed' WHERE id < 5`, `DELETE FROM item WHERE id BETWEEN 5 AND 8`},
		atSource: itemSource,
	},
	{
		name: "keys change, also in a circle", setup: []string{itemTable, itemRows}, table: "item", query: itemQuery,
		changes: []string{
			`UPDATE item SET id = 101 WHERE id = 1`,
			`BEGIN; UPDATE item SET id = -1 WHERE id = 2; UPDATE item SET id = 2 WHERE id = 3; UPDATE item SET id = 3 WHERE id = -1; COMMIT`,
			`UPDATE item SET id = id + 1000`,
		},
		atSource: itemSource,
	},
	{
		name: "rows enter and leave the query", setup: []string{itemTable, itemRows}, table: "item", query: `SELECT id, name FROM item WHERE id = :id AND name LIKE 'item%'`,
		changes:  []string{`UPDATE item SET name = 'x' || name WHERE id < 10`, `UPDATE item SET name = substr(name, 2) WHERE id < 5`},
		atSource: `SELECT id, name FROM item WHERE name LIKE 'item%' ORDER BY 1, 2`,
	},
	{
		name: "a row is deleted and inserted again in one transaction", setup: []string{itemTable, itemRows}, table: "item", query: itemQuery,
		changes:  []string{`BEGIN; DELETE FROM item WHERE id = 1; INSERT INTO item VALUES (1, 'again'); COMMIT`, `BEGIN; INSERT INTO item VALUES (50, 'short'); DELETE FROM item WHERE id = 50; COMMIT`},
		atSource: itemSource,
	},
	{
		name: "savepoints that are rolled back leave nothing", setup: []string{itemTable, itemRows}, table: "item", query: itemQuery,
		changes:  []string{`BEGIN; INSERT INTO item VALUES (60, 'kept'); SAVEPOINT a; DELETE FROM item WHERE id = 1; SAVEPOINT b; UPDATE item SET name = 'no'; ROLLBACK TO a; COMMIT`, `BEGIN; DELETE FROM item; ROLLBACK`},
		atSource: itemSource,
	},
	{
		name: "prepared transactions count when they are committed", setup: []string{itemTable, itemRows}, table: "item", query: itemQuery,
		changes:  []string{`BEGIN; UPDATE item SET name = 'prepared' WHERE id = 1; PREPARE TRANSACTION 'p1'`, `BEGIN; DELETE FROM item WHERE id = 2; PREPARE TRANSACTION 'p2'`, `COMMIT PREPARED 'p1'`, `ROLLBACK PREPARED 'p2'`},
		atSource: itemSource,
	},
	{
		name: "a truncated table empties the destination", setup: []string{itemTable, itemRows}, table: "item", query: itemQuery, truncate: `TRUNCATE dest`,
		changes:  []string{`BEGIN; INSERT INTO item VALUES (200, 'before'); TRUNCATE item; INSERT INTO item VALUES (300, 'after'); COMMIT`},
		atSource: itemSource,
	},
	{
		name: "a child moves from one parent to another",
		setup: []string{
			itemTable, itemRows, `CREATE TABLE part (id int PRIMARY KEY, item_id int REFERENCES item ON DELETE CASCADE, name text)`, `ALTER TABLE part REPLICA IDENTITY FULL`,
			`INSERT INTO part SELECT i, 1 + i % 20, 'part ' || i FROM generate_series(1, 60) i`,
		},
		table: "item", query: `SELECT i.id, (SELECT string_agg(p.name, ',' ORDER BY p.id) FROM part p WHERE p.item_id = i.id) AS name FROM item i WHERE i.id = :id`,
		changes:  []string{`UPDATE part SET item_id = 1 WHERE id < 10`, `DELETE FROM part WHERE id = 20`, `INSERT INTO part VALUES (100, 2, 'more')`, `DELETE FROM item WHERE id = 3`, `UPDATE part SET item_id = NULL WHERE id = 21`, `TRUNCATE part`},
		atSource: `SELECT i.id, (SELECT string_agg(p.name, ',' ORDER BY p.id) FROM part p WHERE p.item_id = i.id) FROM item i ORDER BY 1`,
	},
	{
		name: "several rows a key are replaced as a set",
		setup: []string{
			itemTable, itemRows, `CREATE TABLE part (id int PRIMARY KEY, item_id int NOT NULL, name text)`, `ALTER TABLE part REPLICA IDENTITY FULL`,
			`INSERT INTO part SELECT i, 1 + i % 20, 'part ' || i FROM generate_series(1, 60) i`,
		},
		table: "item", query: `SELECT i.id, p.name FROM item i JOIN part p ON p.item_id = i.id WHERE i.id = :id`,
		dest: `CREATE TABLE dest (id int, name text)`, upsert: `INSERT INTO dest VALUES (:id, :name)`,
		changes:  []string{`DELETE FROM part WHERE id IN (1, 21)`, `INSERT INTO part VALUES (100, 2, 'more')`, `UPDATE part SET item_id = 5 WHERE item_id = 6`, `DELETE FROM item WHERE id = 7`},
		atSource: `SELECT i.id, p.name FROM item i JOIN part p ON p.item_id = i.id ORDER BY 1, 2`,
	},
	{
		name: "names are quoted and qualified",
		setup: []string{
			`CREATE SCHEMA "Shop"`, `CREATE TABLE "Shop"."Order Item" ("Id" int PRIMARY KEY, "the ""name""" text)`, `CREATE TABLE "Order Item" ("Id" int PRIMARY KEY, other text)`,
			`INSERT INTO "Shop"."Order Item" SELECT i, 'item ' || i FROM generate_series(1, 20) i`,
		},
		table: `"Shop"."Order Item"`, query: `SELECT "Id" AS id, "the ""name""" AS name FROM "Shop"."Order Item" WHERE "Id" = :id`,
		changes:  []string{`INSERT INTO "Order Item" VALUES (99, 'of another schema')`, `UPDATE "Shop"."Order Item" SET "the ""name""" = 'x' WHERE "Id" = 1`, `DELETE FROM "Shop"."Order Item" WHERE "Id" = 2`},
		atSource: `SELECT "Id", "the ""name""" FROM "Shop"."Order Item" ORDER BY 1`,
	},
	{
		name: "a large column that an update leaves out stays",
		setup: []string{
			`CREATE TABLE item (id int PRIMARY KEY, name text, n int)`, `ALTER TABLE item ALTER name SET STORAGE EXTERNAL`,
			`INSERT INTO item SELECT i, repeat('x', 20000) || i, 0 FROM generate_series(1, 5) i`,
		},
		table: "item", query: `SELECT id, name || n AS name FROM item WHERE id = :id`, changes: []string{`UPDATE item SET n = 1 WHERE id = 1`, `UPDATE item SET n = 2, id = 20 WHERE id = 2`},
		atSource: `SELECT id, name || n FROM item ORDER BY 1`,
	},
	{
		name: "partitions are their root's rows, whatever the order of their columns",
		setup: []string{
			`CREATE TABLE item (id int NOT NULL, name text, region text NOT NULL, PRIMARY KEY (id, region)) PARTITION BY LIST (region)`,
			`CREATE TABLE item_eu PARTITION OF item FOR VALUES IN ('eu')`, `CREATE TABLE item_us (region text NOT NULL, name text, id int NOT NULL, PRIMARY KEY (id, region))`,
			`ALTER TABLE item ATTACH PARTITION item_us FOR VALUES IN ('us')`,
			`INSERT INTO item SELECT i, 'item ' || i, CASE WHEN i % 2 = 0 THEN 'eu' ELSE 'us' END FROM generate_series(1, 20) i`,
		},
		table: "item", query: `SELECT id, name, region FROM item WHERE id = :id AND region = :region`,
		dest: `CREATE TABLE dest (id int, name text, region text, PRIMARY KEY (id, region))`, upsert: `INSERT INTO dest VALUES (:id, :name, :region) ON CONFLICT (id, region) DO UPDATE SET name = :name`,
		delete:   `DELETE FROM dest WHERE id = :id AND region = :region`,
		changes:  []string{`UPDATE item SET region = 'us' WHERE id = 2`, `UPDATE item SET name = 'x' WHERE id = 3`, `DELETE FROM item WHERE id = 4`, `INSERT INTO item VALUES (50, 'new', 'us')`},
		atSource: `SELECT id, name, region FROM item ORDER BY 1, 3`, atEnd: `SELECT id, name, region FROM dest ORDER BY 1, 3`,
	},
	{
		name: "a truncated partition empties itself alone",
		setup: []string{
			`CREATE TABLE item (id int PRIMARY KEY, name text) PARTITION BY RANGE (id)`,
			`CREATE TABLE item_low PARTITION OF item FOR VALUES FROM (0) TO (10)`, `CREATE TABLE item_high PARTITION OF item FOR VALUES FROM (10) TO (1000)`, itemRows,
		},
		table: "item", query: itemQuery, truncate: `TRUNCATE dest`,
		changes: []string{
			`BEGIN; INSERT INTO item VALUES (500, 'before'), (0, 'before'); TRUNCATE item_low; UPDATE item SET name = 'after' WHERE id = 12; COMMIT`,
			`INSERT INTO item VALUES (3, 'after')`, `TRUNCATE item`, `INSERT INTO item VALUES (4, 'again')`, `TRUNCATE item_low, item_high`,
		},
		atSource: itemSource,
	},
	{
		name: "settings that every row reads affect all keys",
		setup: []string{
			itemTable, itemRows, `CREATE TABLE setting (id int PRIMARY KEY, factor int)`, `INSERT INTO setting VALUES (1, 1)`,
		},
		table: "item", query: `SELECT i.id, i.name || (SELECT max(factor) FROM setting) AS name FROM item i WHERE i.id = :id`, extra: object{"table": "setting", "keys": "all"},
		changes:  []string{`UPDATE setting SET factor = 7`, `INSERT INTO setting VALUES (2, 9)`},
		atSource: `SELECT id, name || (SELECT max(factor) FROM setting) FROM item ORDER BY 1`,
	},
}

// TestDestinationsFollow makes each change while the program runs, in each gear of reading and way of applying.
func TestDestinationsFollow(t *testing.T) {
	for _, c := range changeCases {
		for n, setting := range settings {
			t.Run(strings.TrimSpace(c.name+" "+setting), func(t *testing.T) { follow(t, c, forced(n)) })
		}
	}
}

func follow(t *testing.T, c change, env string) {
	t.Helper()
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, c.setup...)
	def := func(text *string, value string) {
		if *text == "" {
			*text = value
		}
	}
	def(&c.dest, itemDest)
	def(&c.upsert, itemUpsert)
	def(&c.delete, itemDelete)
	def(&c.atEnd, itemAtEnd)
	to.Exec(t, c.dest)
	schema := publicSchema("s", c.table, c.query)
	if c.extra != nil {
		config := schema["config"].(object)
		extra := object{"operation": "insert", "sql": c.query}
		for k, v := range c.extra {
			extra[k] = v
		}
		config["transformations"] = append(config["transformations"].([]object), extra)
	}
	consumer := consumerSchema("c", "s", "to", "postgres", c.upsert, c.delete)
	if c.truncate != "" {
		consumer["config"].(object)["truncateSql"] = c.truncate
	}
	p := start(t, writeManifest(t, object{
		"connections":     []object{connection("source", from, ""), connection("to", to, "")},
		"dataStores":      []object{sourceStore(), {"connectionSlug": "to"}},
		"publicSchemas":   []object{schema},
		"consumerSchemas": []object{consumer},
	}), env)
	sameRows(t, from, c.atSource, to, c.atEnd)
	for _, sql := range c.changes {
		from.Exec(t, sql)
		sameRows(t, from, c.atSource, to, c.atEnd)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
