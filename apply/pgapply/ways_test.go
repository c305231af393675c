package pgapply_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply/pgapply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

var (
	waysSeed  = flag.Uint64("ways.seed", 0, "first seed of the comparison of the ways of applying; 0 takes the time")
	waysCases = flag.Int("ways.cases", 12, "random tables and statements of it")
)

// A target is a random table with a statement for it and rows that come.
type target struct {
	r      *rand.Rand
	setup  []string
	sql    string
	delete string
}

func (g *target) chance(percent int) bool { return g.r.IntN(100) < percent }

func (g *target) pick(list ...string) string { return list[g.r.IntN(len(list))] }

func newTarget(seed uint64) *target {
	g := &target{r: rand.New(rand.NewPCG(seed, 7))} //nolint:gosec // a test that must replay
	name := "name " + g.pick("text", "varchar(6)", "char(6)", "text COLLATE \"C\"") + g.pick("", "", " NOT NULL", " UNIQUE", " UNIQUE DEFERRABLE INITIALLY DEFERRED", " CHECK (name <> 'bad')")
	columns := []string{"id " + g.pick("bigint", "integer", "numeric") + " PRIMARY KEY", name, "n " + g.pick("numeric(6,2)", "integer", "text") + g.pick("", " DEFAULT 7"), "at timestamptz DEFAULT '2020-01-01'"}
	if g.chance(30) {
		columns = append(columns, "g text GENERATED ALWAYS AS ('<' || name || '>') STORED")
	}
	if g.chance(30) {
		columns = append(columns, "parent integer"+g.pick("", " DEFAULT 1")+" REFERENCES item_parent ON DELETE CASCADE")
	}
	g.setup = []string{
		`DROP TABLE IF EXISTS item`, `CREATE TABLE IF NOT EXISTS item_parent (id integer PRIMARY KEY)`, `INSERT INTO item_parent VALUES (1) ON CONFLICT DO NOTHING`,
		`CREATE TABLE item (` + strings.Join(columns, ", ") + `)`,
		`CREATE OR REPLACE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := left(NEW.name || '!', 6); RETURN NEW; END $$`,
		`CREATE OR REPLACE FUNCTION same(text) RETURNS text LANGUAGE sql ` + g.pick("IMMUTABLE", "VOLATILE") + ` AS 'SELECT $1'`,
	}
	if g.chance(15) {
		g.setup = append(g.setup, `CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION shout()`)
	}
	if g.chance(15) {
		g.setup = append(g.setup, `CREATE UNIQUE INDEX ON item (n) WHERE name = 'a'`)
	}
	if g.chance(15) {
		g.setup = append(g.setup, `ALTER TABLE item ADD EXCLUDE USING btree (n WITH =) WHERE (name = 'b')`)
	}
	value := func(column string) string {
		return g.pick(":"+column, ":"+column, "upper(:"+column+")", "coalesce(:"+column+", '3')", "same(:"+column+")", ":"+column+"::text")
	}
	names, values := []string{"id", "name"}, []string{":id", value("name")}
	if g.chance(60) {
		names, values = append(names, "n"), append(values, g.pick(":n", ":n", ":id"))
	}
	conflict := g.pick(" ON CONFLICT (id) DO NOTHING", " ON CONFLICT DO NOTHING", "", " ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name")
	if g.chance(75) {
		var sets []string
		for i, n := range names[1:] {
			sets = append(sets, n+" = "+g.pick("EXCLUDED."+n, values[i+1], values[i+1], ":"+n, "EXCLUDED.name", "item."+n))
		}
		conflict = " ON CONFLICT (id) DO UPDATE SET " + strings.Join(sets, ", ") + g.pick("", "", "", " WHERE item.name IS DISTINCT FROM EXCLUDED.name", " WHERE item.name <> :name")
	}
	g.sql = "INSERT INTO item (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(values, ", ") + ")" + conflict + g.pick("", "", "", " RETURNING id")
	g.delete = g.pick("DELETE FROM item WHERE id = :id", "DELETE FROM item WHERE id = :id", "DELETE FROM item WHERE id = :id AND name <> 'a'", "DELETE FROM item WHERE id::text = :id", "UPDATE item SET name = 'gone' WHERE id = :id")
	return g
}

// events is one random batch: rows, some of them of one key, some that are refused.
func (g *target) events(s *rejot.Shape) []*rejot.Event {
	var events []*rejot.Event
	failing := g.chance(25)
	for range 3 + g.r.IntN(20) {
		id := fmt.Sprint(g.r.IntN(30))
		if g.chance(25) {
			events = append(events, drop(s, id))
			continue
		}
		name, n := g.pick("a", "b", "c", "d ", `"\{},`)+id, fmt.Sprint(g.r.IntN(100))
		if failing && g.chance(10) {
			name, n = g.pick("a", "bad", "too long for it"), g.pick("1e5", "x", "5")
		}
		ev := row(s, id, name, n)
		if g.chance(10) {
			ev.Row[1+g.r.IntN(2)] = rejot.NullValue()
		}
		events = append(events, ev)
	}
	return events
}

// TestBothWaysOfApplyingAreOne takes random batches through sets and row by row, into tables of equal form, and compares
// what is left and what is refused.
func TestBothWaysOfApplyingAreOne(t *testing.T) {
	seed := *waysSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) //nolint:gosec // any number is a seed
	}
	t.Logf("replay with -ways.seed=%d", seed)
	bySets, byRows := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	var sets, refused, rows int
	for i := range *waysCases {
		n, m, k := compareWays(t, seed+uint64(i), fmt.Sprintf("item%d", i), bySets, byRows) //nolint:gosec // small
		sets, refused, rows = sets+n, refused+m, rows+k
	}
	t.Logf("%d statements run as sets, %d batches refused, %d rows compared", sets, refused, rows)
	if sets == 0 || rows == 0 {
		t.Error("nothing was compared")
	}
}

// compareWays compares one table and statement, and counts.
func compareWays(t *testing.T, seed uint64, name string, bySets, byRows *dbtest.Database) (sets, refused, rows int) {
	t.Helper()
	g := newTarget(seed)
	s, c := item()
	s.Row = append(s.Row, rejot.Column{Name: "n", Type: rejot.Type{Name: "text"}})
	c.Name, c.SQL, c.DeleteSQL = name, g.sql, g.delete
	what := fmt.Sprintf("seed %d: %s; %s; %s", seed, g.setup[3], c.SQL, c.DeleteSQL)
	fast, slow := openTarget(t, g, bySets, c), openTarget(t, g, byRows, c)
	if (fast == nil) != (slow == nil) {
		t.Fatalf("%s: only one way can be opened", what)
	}
	if fast == nil {
		return 0, 0, 0 // the statement does not fit the table
	}
	defer fast.Close() //nolint:errcheck // the case is over
	defer slow.Close() //nolint:errcheck // likewise
	pgapply.NoSets(slow)
	for n := 1; n <= 6; n++ {
		events := g.events(s)
		got, want := outcome(t, fast, n, c, events), outcome(t, slow, n, c, events)
		if got != want {
			t.Fatalf("%s\nbatch %d: sets give %q, rows give %q", what, n, got, want)
		}
		const all = `SELECT * FROM item ORDER BY id, name`
		left, right := fmt.Sprint(bySets.Query(t, all)), fmt.Sprint(byRows.Query(t, all))
		if left != right {
			t.Fatalf("%s\nbatch %d: sets leave %s\nrows leave %s", what, n, left, right)
		}
		rows += strings.Count(left, "]")
		if got != "" {
			refused++
			break
		}
	}
	return len(pgapply.Sets(fast, c.ID())), refused, rows
}

var databaseName = regexp.MustCompile(`db\d+_\w+`)

func openTarget(t *testing.T, g *target, db *dbtest.Database, c *contract.Consumer) *pgapply.Applier {
	t.Helper()
	db.Exec(t, g.setup...)
	a, err := pgapply.Open(t.Context(), pgapply.Config{Connection: connection(db), Consumers: list(c)})
	if err != nil {
		return nil
	}
	return a
}

// outcome is why a batch was refused, empty where it was not.
func outcome(t *testing.T, a *pgapply.Applier, n int, c *contract.Consumer, events []*rejot.Event) string {
	t.Helper()
	outcomes, err := step(t, a, n, list(c), events...)
	if err != nil {
		t.Fatal(err)
	}
	if outcomes[0].Err == nil {
		return ""
	}
	return databaseName.ReplaceAllString(outcomes[0].Err.Error(), "db")
}
