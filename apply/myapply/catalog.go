package myapply

import (
	"context"
	"strings"

	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/internal/mysql"
)

// A catalog is what the destination's database is made of, as far as the order of statements and the
// words of errors need it. Names are in lower case where they are compared with a statement's words.
type catalog struct {
	database    string
	tables      map[string]*table // by name in lower case
	constraints map[string]bool   // foreign keys, checks and unique keys, as errors name them
	columns     map[string]bool
	parents     map[*table][]*table // by foreign keys
	ranks       *apply.Ranks[*table]
}

// A table of the destination.
type table struct {
	name    string
	engine  string // empty for a view
	columns []string
	keys    []*key // the unique ones
	reaches bool   // a foreign key of another table refers to it with CASCADE, SET NULL or SET DEFAULT
}

func (a *Applier) readCatalog(ctx context.Context) (*catalog, error) {
	c := &catalog{
		database: a.connection.Database, tables: map[string]*table{}, constraints: map[string]bool{}, columns: map[string]bool{},
		parents: map[*table][]*table{},
	}
	c.ranks = apply.NewRanks(c.parents)
	for _, part := range []struct {
		sql string
		add func(row []string)
	}{
		{`SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE()`, c.addTable},
		{`SELECT constraint_name, table_name, referenced_table_name, delete_rule, update_rule
			FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()`, c.addForeignKey},
		{`SELECT DISTINCT constraint_name FROM information_schema.table_constraints WHERE table_schema = DATABASE()`, c.addConstraint},
		{`SELECT table_name, index_name, column_name FROM information_schema.statistics
			WHERE table_schema = DATABASE() AND non_unique = 0 ORDER BY table_name, index_name = 'PRIMARY' DESC, index_name, seq_in_index`, c.addKey},
		{`SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY ordinal_position`, c.addColumn},
	} {
		rows, err := a.query(ctx, part.sql)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			texts := make([]string, len(row))
			for i, v := range row {
				texts[i], _ = v.Text()
			}
			part.add(texts)
		}
	}
	return c, nil
}

func (c *catalog) addTable(row []string) {
	c.tables[strings.ToLower(row[0])] = &table{name: row[0], engine: row[1]}
}

func (c *catalog) addConstraint(row []string) { c.constraints[row[0]] = true }

func (c *catalog) addColumn(row []string) {
	c.columns[row[1]] = true
	if t := c.tables[strings.ToLower(row[0])]; t != nil {
		t.columns = append(t.columns, row[1])
	}
}

func (c *catalog) addKey(row []string) {
	c.constraints[row[1]] = true
	t := c.tables[strings.ToLower(row[0])]
	if t == nil {
		return
	}
	if n := len(t.keys); n == 0 || t.keys[n-1].name != row[1] {
		t.keys = append(t.keys, &key{name: row[1]})
	}
	last := t.keys[len(t.keys)-1]
	last.columns = append(last.columns, row[2])
}

func (c *catalog) addForeignKey(row []string) {
	c.constraints[row[0]] = true
	child, parent := c.tables[strings.ToLower(row[1])], c.tables[strings.ToLower(row[2])]
	if child == nil || parent == nil {
		return
	}
	c.parents[child] = append(c.parents[child], parent)
	for _, rule := range row[3:] {
		if rule != "RESTRICT" && rule != "NO ACTION" {
			parent.reaches = true
		}
	}
}

// named are the tables that a statement names, in its order; of other databases we know nothing.
func (c *catalog) named(sql string) []*table {
	var found []*table
	for _, w := range tokens(sql) {
		if t := c.tables[strings.ToLower(w.text)]; t != nil {
			found = append(found, t)
		}
	}
	return found
}

// firstTable is the first table among a statement's words.
func (c *catalog) firstTable(ts []token) *table {
	for _, w := range ts {
		if t := c.tables[strings.ToLower(w.text)]; t != nil {
			return t
		}
	}
	return nil
}

// rank is that of the first table that a statement names: INSERT INTO, UPDATE and DELETE FROM have it
// there. Where that is another one, the order of statements is a worse first guess.
func (c *catalog) rank(sql string) int {
	if t := c.firstTable(tokens(sql)); t != nil {
		return c.ranks.Of(t)
	}
	return 0
}

// target names the table of a statement for people.
func (c *catalog) target(sql string) string {
	if t := c.firstTable(tokens(sql)); t != nil {
		return mysql.Quote(c.database) + "." + mysql.Quote(t.name)
	}
	return mysql.Quote(c.database) + ".*"
}

// unsafe gives a table that a statement names and whose engine has no transactions. A statement that
// only reads from it is refused too: who writes what is not ours to parse.
func (c *catalog) unsafe(sql string) string {
	for _, t := range c.named(sql) {
		if t.engine != "" && !strings.EqualFold(t.engine, "InnoDB") {
			return t.name
		}
	}
	return ""
}

// noSwap says why rows must not be deleted and inserted again. Any table that the statements name
// counts, and a view may hide one.
func (c *catalog) noSwap(sqls ...string) string {
	for _, sql := range sqls {
		tables := c.named(sql)
		if len(tables) == 0 && sql != "" {
			return "its table is of another database"
		}
		for _, t := range tables {
			if t.reaches {
				return "a foreign key with CASCADE, SET NULL or SET DEFAULT refers to " + t.name
			}
			if t.engine == "" {
				return t.name + " is a view"
			}
		}
	}
	return ""
}
