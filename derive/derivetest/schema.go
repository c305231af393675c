package derivetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// values of every column are few, so that rows meet.
const (
	domain    = 4
	keyDomain = 6 // of column id, so that an insert finds a free one
)

// word is the n-th value of a column of words: half of them are equal for citext and differ for text.
func word(n int) string { return []string{"'a'", "'A'", "'b'", "'B'"}[n] }

// literal is a random value of a type.
func (c *Case) literal(typ string) string {
	n := c.r.IntN(domain)
	if isText(typ) {
		return word(n)
	}
	return fmt.Sprint(n)
}

func domainOf(column string) int {
	if column == "id" {
		return keyDomain
	}
	return domain
}

// A table of a random schema.
type table struct {
	name    string
	key     []string // columns of the primary key
	columns []column
	refs    int // index of the table that column r refers to, or -1
}

type column struct {
	name string
	typ  string // int, bigint, text, citext
}

// Case is one random schema with its rows. Equal seeds give equal cases.
type Case struct {
	Seed    uint64
	Borders int      // percent of queries that come from templates
	Near    []string // the templates' names; none means all
	r       *rand.Rand
	tables  []*table
	views   []item // made from queries
	setup   []string
}

// NewCase makes the case of a seed.
func NewCase(seed uint64) *Case {
	c := &Case{Seed: seed, Borders: 30, r: rand.New(rand.NewPCG(seed, 0x7265_6a6f_74))} //nolint:gosec // a test that must replay
	c.setup = []string{
		"CREATE EXTENSION IF NOT EXISTS citext SCHEMA public", // its operators have to be found by name
		"DROP SCHEMA IF EXISTS judge CASCADE", "CREATE SCHEMA judge", "SET search_path = judge, public",
		"CREATE TABLE log (n serial, tab text, old jsonb, new jsonb)",
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO judge.log (tab, old, new) VALUES (TG_TABLE_NAME, CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END,
				CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
			RETURN NULL; END $$`,
		`CREATE FUNCTION try(what text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE what; RETURN ''; EXCEPTION
			WHEN integrity_constraint_violation THEN RETURN SQLERRM; END $$`,
	}
	for i := range 4 {
		c.addTable(i)
	}
	c.addRows()
	c.addViews()
	return c
}

func (c *Case) chance(percent int) bool { return c.r.IntN(100) < percent }

func pick[T any](c *Case, list []T) T { return list[c.r.IntN(len(list))] }

func (c *Case) addTable(i int) {
	t := &table{name: fmt.Sprintf("t%d", i), key: []string{"id"}, refs: -1}
	number := func() string {
		if c.chance(12) {
			return "bigint"
		}
		return "int"
	}
	t.columns = []column{{"id", number()}, {"k", "int"}, {"a", number()}, {"b", "int"}, {"c", "int"}, {"s", "text"}, {"f", "citext"}}
	constraints := []string{}
	notNull := map[string]bool{"id": true}
	if c.chance(30) {
		t.key = []string{"id", "k"}
		notNull["k"] = true
	}
	constraints = append(constraints, "PRIMARY KEY ("+strings.Join(t.key, ", ")+")")
	if c.chance(30) {
		constraints = append(constraints, "UNIQUE (a)")
	}
	if c.chance(20) {
		constraints = append(constraints, "UNIQUE (b, c)")
	}
	if c.chance(15) {
		constraints = append(constraints, "UNIQUE (f, c)")
	}
	var defs []string
	for _, col := range t.columns {
		def := col.name + " " + col.typ
		if notNull[col.name] || c.chance(15) {
			def += " NOT NULL"
		}
		defs = append(defs, def)
	}
	if i > 0 && c.chance(70) {
		if p := c.r.IntN(i); len(c.tables[p].key) == 1 {
			t.refs = p
			t.columns = append(t.columns, column{"r", c.tables[p].columns[0].typ})
			defs = append(defs, fmt.Sprintf("r %s REFERENCES t%d ON UPDATE CASCADE ON DELETE %s",
				c.tables[p].columns[0].typ, p, pick(c, []string{"CASCADE", "SET NULL"})))
		}
	}
	c.tables = append(c.tables, t)
	c.setup = append(c.setup, fmt.Sprintf("CREATE TABLE %s (%s)", t.name, strings.Join(append(defs, constraints...), ", ")),
		"ALTER TABLE "+t.name+" REPLICA IDENTITY FULL",
		fmt.Sprintf("CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION note()", t.name))
}

func (c *Case) addRows() {
	for _, t := range c.tables {
		for range 4 + c.r.IntN(5) {
			c.setup = append(c.setup, "SELECT try("+quote(c.insert(t))+")")
		}
	}
	c.setup = append(c.setup, "TRUNCATE log")
}

// addViews makes a view or two, which queries then read as a table is read.
func (c *Case) addViews() {
	for i := range 2 {
		name := fmt.Sprintf("v%d", i)
		g := &generator{Case: c}
		l := g.level(1, nil, nil)
		c.setup = append(c.setup, "CREATE VIEW "+name+" AS "+l.sql)
		c.views = append(c.views, item{sql: name, columns: l.columns})
	}
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (c *Case) value(col column) string {
	if col.name != "id" && c.chance(10) {
		return "NULL"
	}
	if col.name == "id" {
		return fmt.Sprint(c.r.IntN(keyDomain))
	}
	return c.literal(col.typ)
}

func (c *Case) insert(t *table) string {
	var names, values []string
	for _, col := range t.columns {
		names = append(names, col.name)
		values = append(values, c.value(col))
	}
	return fmt.Sprintf("INSERT INTO judge.%s (%s) VALUES (%s)", t.name, strings.Join(names, ", "), strings.Join(values, ", "))
}

// change is one random statement that writes; those that break a constraint change nothing.
// Most are of the tables in read.
func (c *Case) change(read []string) string {
	t := pick(c, c.tables)
	for range 4 {
		if slices.Contains(read, t.name) {
			break
		}
		t = pick(c, c.tables)
	}
	col := pick(c, t.columns)
	where := fmt.Sprintf("ctid = (SELECT ctid FROM judge.%s ORDER BY ctid OFFSET %d LIMIT 1)", t.name, c.r.IntN(4))
	switch n := c.r.IntN(10); {
	case n < 3:
		return c.insert(t)
	case n < 5:
		return fmt.Sprintf("DELETE FROM judge.%s WHERE %s", t.name, where)
	case n == 5:
		by := pick(c, t.columns)
		return fmt.Sprintf("UPDATE judge.%s SET %s = %s WHERE %s = %s", t.name, col.name, c.value(col), by.name, c.value(by))
	default:
		return fmt.Sprintf("UPDATE judge.%s SET %s = %s WHERE %s", t.name, col.name, c.value(col), where)
	}
}

// transaction is one to four changes.
func (c *Case) transaction(read []string) []string {
	var tx []string
	for range 1 + c.r.IntN(4) {
		tx = append(tx, c.change(read))
	}
	return tx
}
