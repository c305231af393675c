package pgapply

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"rejot.dev/rejot/internal/pgtree"
	"rejot.dev/rejot/internal/postgres"
	"rejot.dev/rejot/internal/sqltext"
)

// In INSERT … VALUES (e) ON CONFLICT … DO UPDATE SET c = e, where VALUES gives column c the same e, EXCLUDED.c is e.
//
// To find such columns, the user's statement is made a rule with a function of ours for each parameter, which unlike
// NEW may stand anywhere. Its tree says which expressions are the same; its text, in the server's words, gets NEW.p for
// each function and EXCLUDED.c for each such expression. What comes of that is read by the server again, and its tree must
// be that of the user's statement but for these replacements.

// marker is the function that stands for a parameter.
var marker = regexp.MustCompile(`(?:pg_temp\w*\.)?rejot_param_(\d+)\(\)`)

// A marked statement is the user's with functions for its parameters.
type marked struct {
	*rule
	st    *sqltext.Statement
	oids  []uint32       // the parameters' types
	of    map[uint32]int // from a function to its parameter
	equal []bool         // by assignment: it is what VALUES gives the column
}

// whole makes the rule of a statement some of whose assignments repeat what VALUES gives their columns.
func (a *Applier) whole(ctx context.Context, name string, st *sqltext.Statement, oids []uint32, types []string) (*rule, error) {
	m, err := a.mark(ctx, name, st, oids, types)
	if err != nil {
		return nil, err
	}
	text, err := m.rewritten()
	if err != nil {
		return nil, err
	}
	r, err := a.ruleOf(ctx, name, text)
	if err != nil {
		return nil, err
	}
	if !m.becomes(r.tree) {
		return nil, unproved("its assignments are not what VALUES gives their columns")
	}
	return r, nil
}

// mark makes the functions and the rule with them, inside a transaction that is rolled back.
func (a *Applier) mark(ctx context.Context, name string, st *sqltext.Statement, oids []uint32, types []string) (*marked, error) {
	var sql strings.Builder
	sql.WriteString("SAVEPOINT marks")
	for i, t := range types {
		fmt.Fprintf(&sql, "; CREATE FUNCTION pg_temp.rejot_param_%d() RETURNS %s LANGUAGE sql STABLE AS $rejot$ SELECT NULL::%[2]s $rejot$", i+1, t)
	}
	if err := a.run(ctx, sql.String()); err != nil {
		return nil, errors.Join(unproved("parameters cannot be marked: "+why(err)), a.run(ctx, "ROLLBACK TO marks"))
	}
	rows, err := a.exec(ctx, `SELECT oid, proname FROM pg_proc WHERE pronamespace = pg_my_temp_schema() AND proname LIKE 'rejot\_param\_%'`)
	if err != nil {
		return nil, err
	}
	m := &marked{st: st, oids: oids, of: map[uint32]int{}}
	for _, row := range rows {
		oid, err1 := strconv.ParseUint(string(row[0]), 10, 32)
		n, err2 := strconv.Atoi(strings.TrimPrefix(string(row[1]), "rejot_param_"))
		if err := errors.Join(err1, err2); err != nil {
			return nil, unproved(err.Error())
		}
		m.of[uint32(oid)] = n - 1
	}
	m.rule, err = a.rule(ctx, name, st, func(i int) string { return fmt.Sprintf("pg_temp.rejot_param_%d()", i+1) })
	return m, err
}

// parameter tells which parameter v stands for.
func (m *marked) parameter(v *pgtree.Value) (int, bool) {
	if !v.Is("FUNCEXPR") {
		return 0, false
	}
	i, ok := m.of[v.OID("funcid")]
	return i, ok
}

// alike tells whether two parameters have the same value and type.
func (m *marked) alike(i, j int) bool {
	return m.st.Places[i].Name == m.st.Places[j].Name && m.oids[i] == m.oids[j]
}

// rewritten is the statement with NEW and EXCLUDED. It notes which assignments are equal.
func (m *marked) rewritten() (string, error) {
	const word = " DO UPDATE SET "
	given := map[int]*pgtree.Value{}
	for _, entry := range m.tree.List("targetList") {
		given[entry.Int("resno")] = entry.Get("expr")
	}
	at := topLevel(m.text, word)
	if at < 0 {
		return "", unproved("it has no DO UPDATE")
	}
	rest := m.text[at+len(word):]
	where := ""
	if end := topLevel(rest, "\n  WHERE "); end >= 0 {
		rest, where = rest[:end], rest[end:]
	} else if end := topLevel(rest, " WHERE "); end >= 0 {
		rest, where = rest[:end], rest[end:]
	}
	items := topLevelItems(rest)
	entries := m.tree.Get("onConflict").List("onConflictSet")
	if len(items) != len(entries) {
		return "", unproved("its assignments are of another form")
	}
	m.equal = make([]bool, len(entries))
	for i, entry := range entries {
		value := given[entry.Int("resno")]
		if value == nil || !value.Equal(entry.Get("expr"), m.same) {
			continue
		}
		m.equal[i] = true
		column := postgres.Quote(entry.Str("resname"))
		items[i] = column + " = EXCLUDED." + column
	}
	tail := word + strings.Join(items, ", ") + where
	if marker.MatchString(tail) {
		return "", unproved("a placeholder behind ON CONFLICT is not in an expression that VALUES gives the same column")
	}
	return marker.ReplaceAllString(m.text[:at], "NEW.p$1") + tail, nil
}

// same compares parameters by what they stand for.
func (m *marked) same(v, o *pgtree.Value) (equal, known bool) {
	i, isV := m.parameter(v)
	j, isO := m.parameter(o)
	if isV && isO {
		return m.alike(i, j), true
	}
	return false, isV || isO
}

// becomes tells whether a tree is the user's with NEW for the parameters, and EXCLUDED for assignments that are equal.
func (m *marked) becomes(tree *pgtree.Value) bool {
	replaced := func(v, o *pgtree.Value) (equal, known bool) {
		i, is := m.parameter(v)
		return is && o.Is("VAR") && o.Int("varno") == newRow && o.Int("varattno") == i+1, is
	}
	mine, theirs := tree.Get("onConflict"), m.tree.Get("onConflict")
	for _, field := range []string{"action", "arbiterElems", "arbiterWhere", "constraint", "onConflictWhere", "exclRelIndex"} {
		if !theirs.Get(field).Equal(mine.Get(field), replaced) {
			return false
		}
	}
	is, was := mine.List("onConflictSet"), theirs.List("onConflictSet")
	if len(is) != len(was) || !m.tree.Get("targetList").Equal(tree.Get("targetList"), replaced) {
		return false
	}
	for i := range is {
		if !m.equal[i] {
			if !was[i].Equal(is[i], replaced) {
				return false
			}
			continue
		}
		v := is[i].Get("expr")
		if is[i].Int("resno") != was[i].Int("resno") || !v.Is("VAR") || v.Int("varno") != mine.Int("exclRelIndex") || v.Int("varattno") != is[i].Int("resno") {
			return false
		}
	}
	return true
}

// topLevelItems splits a list of the server's at its commas.
func topLevelItems(text string) []string {
	var items []string
	for {
		at := topLevel(text, ", ")
		if at < 0 {
			return append(items, text)
		}
		items, text = append(items, text[:at]), text[at+2:]
	}
}
