package pgapply

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/internal/failpoint"
	"rejot.dev/rejot/internal/pgtree"
	"rejot.dev/rejot/internal/postgres"
	"rejot.dev/rejot/internal/sqltext"
)

// A statement that writes row by row is run for many rows at once where that is proved to be the same.
//
// The server reads it: on a temporary table with one column for each parameter we make a rule that does
// the user's statement instead of an INSERT, with NEW.p1 for $1. The rule's tree tells whether rows can
// be taken together, its text is the statement in the server's own words, in which VALUES (…) becomes
// SELECT … FROM (SELECT … FROM unnest(…)) new, or a DELETE gets that as its USING. The server's rewriter
// can do the same, for an INSERT into the temporary table: both plans must be equal. Then all is
// rolled back, since a rule that stays would keep the table's owner from altering it, and what was found is
// prepared. Measured (DESIGN section 16): twice as fast as a pipeline of executions.
//
// ON CONFLICT DO UPDATE cannot refer to NEW. An assignment there that repeats what VALUES gives the column becomes
// EXCLUDED.c (excluded.go), or a placeholder is replaced by EXCLUDED.c where column c is given just that.
//
// Proved is: it is one INSERT of one row of values, or one DELETE; no other table, subquery, RETURNING or
// volatile function; no trigger, rule or row security on the target; no node that is not known
// here. A set in which the server refuses anything is rolled back, and the batch is run row by row,
// which finds the offender.

// smallestSet is how many rows are worth it.
const smallestSet = 5

// A test may force one of the ways of applying: "rows" or "sets", whatever their size.
const setting = "apply"

// setTries is how often in a row sets may be refused before they are no longer tried.
const setTries = 3

// A refusedSet says that the server refused a statement for many rows.
type refusedSet struct {
	consumer *consumer
	code     string
}

// Error names the state.
func (r *refusedSet) Error() string {
	return "a set of rows was refused: " + postgres.Condition(r.code)
}

// unproved says why a statement is run row by row.
type unproved string

// Error gives the reason.
func (u unproved) Error() string { return string(u) }

// prepareSets finds the statements that can be run for a set of rows.
func (a *Applier) prepareSets(ctx context.Context) error {
	for i, c := range a.consumers {
		c.sets, c.refused = [apply.Kinds]string{}, 0
		for k, sql := range c.sql {
			kind := apply.Kind(k) //nolint:gosec // an index below Kinds
			if sql == "" || c.target.Broken != nil {
				continue
			}
			name := fmt.Sprintf("rejot_set_%d_%d", i, k)
			err := a.prepareSet(ctx, c, kind, name)
			switch {
			case err == nil:
				c.sets[k] = name
				c.target.SetWay(kind, apply.Set, "")
			case !a.conn.IsClosed() && a.conn.TxStatus() == 'I':
				c.target.SetWay(kind, apply.Pipeline, why(err))
			default:
				return a.named(because(ctx, err))
			}
		}
	}
	return nil
}

// why is the reason for people: the server's without its position in a statement that they did not write.
func why(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return "the server does not take it in a rule: " + postgres.Condition(e.Code)
	}
	return err.Error()
}

// prepareSet proves the statement in a transaction that leaves nothing behind, and prepares it.
func (a *Applier) prepareSet(ctx context.Context, c *consumer, k apply.Kind, name string) error {
	switch {
	case failpoint.Setting(setting) == "rows":
		return unproved("a test has forced it")
	case c.quarantines():
		return unproved("a consumer that quarantines parks single rows")
	case len(c.params[k]) == 0 || k == apply.Truncate:
		return unproved("it has no parameters")
	}
	st, err := sqltext.Parse(sqltext.Postgres, apply.SQL(c.Consumer, k))
	if err != nil {
		return err
	}
	types, err := a.typeNames(ctx, c.params[k])
	if err != nil {
		return err
	}
	columns := make([]string, len(types))
	for i, t := range types {
		columns[i] = fmt.Sprintf("p%d %s", i+1, t)
	}
	if err := a.run(ctx, "BEGIN; CREATE TEMPORARY TABLE "+name+" ("+strings.Join(columns, ", ")+")"); err != nil {
		return errors.Join(err, a.run(ctx, "ROLLBACK"))
	}
	sql, err := a.proved(ctx, c, k, name, st, types)
	if err := errors.Join(err, a.run(ctx, "ROLLBACK")); err != nil {
		return err
	}
	_, err = a.conn.Prepare(ctx, name, sql, nil)
	return err
}

// proved gives the statement for many rows.
func (a *Applier) proved(ctx context.Context, c *consumer, k apply.Kind, name string, st *sqltext.Statement, types []string) (string, error) {
	text, err := a.prove(ctx, c, k, name, st, types)
	if err != nil {
		return "", err
	}
	c.used[k] = usedIn(text, len(types))
	none := func(int) string { return "'{}'" }
	ours, err := setText(text, k, rowsOf(types, k, none))
	if err != nil {
		return "", err
	}
	byRule, err := a.plan(ctx, "INSERT INTO pg_temp."+name+" "+rowsOf(types, k, none))
	if err != nil {
		return "", err
	}
	plan, err := a.plan(ctx, ours)
	if err != nil {
		return "", err
	}
	if plan != byRule {
		return "", unproved("the server's rewriting has another plan")
	}
	return setText(text, k, rowsOf(types, k, func(i int) string { return "$" + strconv.Itoa(i+1) }))
}

// newColumn is a parameter in the server's text.
var newColumn = regexp.MustCompile(`new\.p(\d+)`)

// usedIn tells which parameters a text has; the values of the others need not be sent.
func usedIn(text string, n int) []bool {
	used := make([]bool, n)
	found := newColumn.FindAllStringSubmatch(text, -1)
	for i := range used {
		used[i] = len(found) == 0 // no row would come without any
	}
	for _, match := range found {
		if i, err := strconv.Atoi(match[1]); err == nil && i >= 1 && i <= n {
			used[i-1] = true
		}
	}
	return used
}

// plan gives a statement's plan. The server has a name of its own for the rows of an INSERT.
func (a *Applier) plan(ctx context.Context, sql string) (string, error) {
	rows, err := a.exec(ctx, "EXPLAIN (VERBOSE, COSTS OFF) "+sql)
	var b strings.Builder
	for _, row := range rows {
		b.Write(row[0])
		b.WriteByte('\n')
	}
	return strings.ReplaceAll(b.String(), `"*SELECT*"`, "new"), err
}

// rowsOf is the query that gives the parameters' values, one row each, from arrays of texts.
func rowsOf(types []string, k apply.Kind, array func(i int) string) string {
	var list, from, names []string
	for i, t := range types {
		p := fmt.Sprintf("p%d", i+1)
		list = append(list, "u."+p+"::"+t+" AS "+p)
		from = append(from, array(i)+"::text[]")
		names = append(names, p)
	}
	ordinality, order := "", ""
	if k == apply.Upsert {
		ordinality, order = " WITH ORDINALITY", " ORDER BY u.ord"
		names = append(names, "ord")
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM unnest(" + strings.Join(from, ", ") + ")" + ordinality + " u(" + strings.Join(names, ", ") + ")" + order
}

// setText puts rows in the place of VALUES, or gives them to a DELETE. text is the server's.
func setText(text string, k apply.Kind, rows string) (string, error) {
	word := "VALUES ("
	if k == apply.Delete {
		word = "WHERE "
	}
	at := topLevel(text, word)
	if at < 0 {
		return "", unproved("there is no " + word)
	}
	if k == apply.Delete {
		return text[:at] + "USING (" + rows + ") new " + text[at:], nil
	}
	inner := text[at+len(word):]
	end := topLevel(inner, ")")
	if end < 0 {
		return "", unproved("VALUES has no end")
	}
	return text[:at] + "SELECT " + inner[:end] + " FROM (" + rows + ") new" + inner[end+1:], nil
}

// topLevel finds a word outside of quotes and parentheses in a text of the server's.
func topLevel(text, word string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		if depth == 0 && strings.HasPrefix(text[i:], word) {
			return i
		}
		switch c := text[i]; c {
		case '(':
			depth++
		case ')':
			depth--
		case '\'', '"':
			escapes := c == '\'' && i > 0 && text[i-1] == 'E'
			for i++; i < len(text) && text[i] != c; i++ { // a doubled quote ends one and begins another
				if escapes && text[i] == '\\' {
					i++
				}
			}
		}
	}
	return -1
}

// run runs a statement and leaves its error as the server's.
func (a *Applier) run(ctx context.Context, sql string) error {
	_, err := a.conn.Exec(ctx, sql).ReadAll()
	return err
}

// typeNames gives types as they can be written, and refuses those whose cast from text is somebody's own.
func (a *Applier) typeNames(ctx context.Context, oids []uint32) ([]string, error) {
	rows, err := a.exec(ctx, `SELECT format_type(t.oid, -1), EXISTS (SELECT FROM pg_cast c
			WHERE c.castsource = 'text'::regtype AND c.casttarget = t.oid AND c.castfunc <> 0 AND c.oid >= 16384)
		FROM unnest($1::oid[]) WITH ORDINALITY AS p(oid, ord) JOIN pg_type t ON t.oid = p.oid ORDER BY p.ord`, text(oidArray(oids)))
	if err != nil {
		return nil, err
	}
	if len(rows) != len(oids) {
		return nil, unproved("a parameter has no type")
	}
	names := make([]string, len(rows))
	for i, row := range rows {
		if names[i] = string(row[0]); string(row[1]) == "t" {
			return nil, unproved("type " + names[i] + " has a cast of its own")
		}
	}
	return names, nil
}

func oidArray(oids []uint32) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, o := range oids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatUint(uint64(o), 10))
	}
	b.WriteByte('}')
	return b.String()
}

// prove makes the rule, with EXCLUDED where it must be, checks its tree and gives its text.
func (a *Applier) prove(ctx context.Context, c *consumer, k apply.Kind, name string, st *sqltext.Statement, types []string) (string, error) {
	p := proof{consumer: c, kind: k}
	var r *rule
	var err error
	first := afterConflict(st)
	if k == apply.Upsert && first < len(st.Places) {
		if r, err = a.whole(ctx, name, st, c.params[k], types); err != nil && a.conn.TxStatus() == 'T' {
			if other, e := a.excluded(ctx, name, st, c.params[k], first); e == nil {
				r, err, p.replaced = other, nil, true
			}
		}
	} else {
		r, err = a.rule(ctx, name, st, newParam)
	}
	if err != nil {
		return "", err
	}
	if err := p.check(r.tree); err != nil {
		return "", err
	}
	return r.text, a.proveCatalogue(ctx, &p)
}

// afterConflict finds the first parameter behind ON CONFLICT. It is a guess by the text: what comes of a
// wrong one is not proved.
func afterConflict(st *sqltext.Statement) int {
	found := onConflict.FindAllStringIndex(st.Text, -1)
	if len(found) == 0 {
		return len(st.Places)
	}
	at := found[len(found)-1][1]
	first := slices.IndexFunc(st.Places, func(p sqltext.Place) bool { return p.Start >= at })
	if first < 0 {
		return len(st.Places)
	}
	return first
}

var onConflict = regexp.MustCompile(`(?i)\bon\s+conflict\b`)

// excluded makes the rule of INSERT … VALUES (:a) ON CONFLICT … DO UPDATE SET a = :a, whose parameters
// from first on stand behind ON CONFLICT.
func (a *Applier) excluded(ctx context.Context, name string, st *sqltext.Statement, types []uint32, first int) (*rule, error) {
	r, err := a.rule(ctx, name, st, func(i int) string {
		if i >= first {
			return "NULL"
		}
		return newParam(i)
	})
	if err != nil {
		return nil, err
	}
	columns := insertedBy(r.tree, st, types)
	for i, p := range st.Places[first:] {
		if columns[given{p.Name, types[first+i]}] == "" {
			return nil, unproved("a placeholder behind ON CONFLICT is not the value of a column")
		}
	}
	return a.rule(ctx, name, st, func(i int) string {
		if i >= first {
			return "EXCLUDED." + postgres.Quote(columns[given{st.Places[i].Name, types[i]}])
		}
		return newParam(i)
	})
}

func newParam(i int) string { return "NEW.p" + strconv.Itoa(i+1) }

// A rule is what the server has understood.
type rule struct {
	tree *pgtree.Value
	text string // of the statement
}

func ruleHead(name string) string {
	return "CREATE OR REPLACE RULE run AS ON INSERT TO " + name + " DO INSTEAD "
}

// rule makes the rule and reads it.
func (a *Applier) rule(ctx context.Context, name string, st *sqltext.Statement, param func(int) string) (*rule, error) {
	return a.ruleOf(ctx, name, st.Render(func(i int, _ string) string { return param(i) }))
}

// ruleOf makes the rule that does sql.
func (a *Applier) ruleOf(ctx context.Context, name, sql string) (*rule, error) {
	err := a.run(ctx, "SAVEPOINT rule")
	if err != nil {
		return nil, err
	}
	if err = a.run(ctx, ruleHead(name)+sql); err != nil {
		return nil, errors.Join(err, a.run(ctx, "ROLLBACK TO rule"))
	}
	rows, err := a.exec(ctx, `SELECT ev_action, pg_get_ruledef(oid) FROM pg_rewrite WHERE ev_class = $1::regclass`, text("pg_temp."+name))
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, unproved("the rule is not there")
	}
	tree, err := pgtree.Parse(string(rows[0][0]))
	if err != nil {
		return nil, unproved(err.Error())
	}
	_, action, ok := strings.Cut(string(rows[0][1]), " DO INSTEAD ")
	if !ok || len(tree.Items) != 1 {
		return nil, unproved("it is not one statement")
	}
	return &rule{tree.Items[0], strings.TrimSuffix(strings.TrimSpace(action), ";")}, nil
}

// given is a placeholder with the type that one of its occurrences has.
type given struct {
	name string
	oid  uint32
}

// insertedBy leads from a placeholder to the column that is given just its value.
func insertedBy(query *pgtree.Value, st *sqltext.Statement, types []uint32) map[given]string {
	columns := map[given]string{}
	for _, entry := range query.List("targetList") {
		if i, ok := parameterIn(entry); ok && i < len(st.Places) {
			columns[given{st.Places[i].Name, types[i]}] = entry.Str("resname")
		}
	}
	return columns
}

// proveCatalogue asks about the target and the functions.
func (a *Applier) proveCatalogue(ctx context.Context, p *proof) error {
	rows, err := a.exec(ctx, `SELECT c.relkind = 'r' AND NOT c.relhasrules AND NOT c.relrowsecurity AND NOT c.relispartition
			AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
			AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid OR i.inhrelid = c.oid),
		EXISTS (SELECT FROM pg_proc f WHERE f.provolatile = 'v'
			AND (f.oid = ANY ($2::oid[]) OR f.oid IN (SELECT o.oprcode FROM pg_operator o WHERE o.oid = ANY ($3::oid[]))))
		FROM pg_class c WHERE c.oid = $1::oid`, text(strconv.FormatUint(uint64(p.target), 10)), text(oidArray(p.functions)), text(oidArray(p.operators)))
	switch {
	case err != nil:
		return err
	case len(rows) != 1 || string(rows[0][0]) != "t":
		return unproved("its table has triggers, rules, row security or partitions, or is none")
	case string(rows[0][1]) == "t":
		return unproved("it calls a volatile function")
	}
	return nil
}

// arrays are the values of several operations, a parameter's each, as array literals; where a parameter is not used, none.
func (f *flight) arrays(ops []apply.Op, used []bool) [][]byte {
	out := make([][]byte, len(ops[0].Params))
	for i := range out {
		if !used[i] {
			out[i] = []byte("{}")
			continue
		}
		b := f.buf[:0]
		b = append(b, '{')
		for j := range ops {
			if j > 0 {
				b = append(b, ',')
			}
			s, ok := ops[j].Params[i].Text()
			if !ok {
				b = append(b, "NULL"...)
				continue
			}
			b = append(b, '"')
			for s != "" {
				n := strings.IndexAny(s, `"\`)
				if n < 0 {
					b = append(b, s...)
					break
				}
				b = append(b, s[:n]...)
				b = append(b, '\\', s[n])
				s = s[n+1:]
			}
			b = append(b, '"')
		}
		out[i] = slices.Clone(append(b, '}'))
		f.buf = b
	}
	return out
}
