package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/check"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/mysql"
	"rejot.dev/rejot/internal/postgres"
	"rejot.dev/rejot/internal/sqltext"
)

const (
	postgresDialect = sqltext.Postgres
	mysqlDialect    = sqltext.MySQL
)

// numberPlaceholders gives each occurrence of a placeholder a parameter of its own, as an applier does.
func numberPlaceholders(sql string, d sqltext.Dialect) (string, error) {
	st, err := sqltext.Parse(d, sql)
	if err != nil {
		return "", err
	}
	return st.Render(func(occurrence int, _ string) string {
		if d == mysqlDialect {
			return "?"
		}
		return "$" + strconv.Itoa(occurrence+1)
	}), nil
}

// checkMySQL is a MariaDB or MySQL database as a destination.
type checkMySQL struct {
	connection contract.Connection
	session    *mysql.Session
}

func openCheckMySQL(ctx context.Context, c contract.Connection) (*checkMySQL, error) {
	s, err := mysql.Connect(ctx, c)
	if err != nil {
		return nil, err
	}
	return &checkMySQL{c, s}, nil
}

// Inspect prepares a consumer schema's statements, which executes nothing.
func (m *checkMySQL) Inspect(ctx context.Context, c *contract.Consumer) (*check.Statements, error) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	out := &check.Statements{Plain: check.InsertsPlainly(c.SQL)}
	for _, st := range statementsOf(c) {
		text, err := numberPlaceholders(st.sql, mysqlDialect)
		if err != nil {
			continue // the manifest's own check tells
		}
		prepared, err := m.session.Prepare(ctx, text)
		switch {
		case rejot.CodeOf(err) == rejot.Transient:
			return nil, err
		case err != nil:
			out.Refused = append(out.Refused, check.Refused{Statement: st.name, Reason: err.Error(), Mend: grantMend(err, c)})
			continue
		}
		if err := prepared.Close(ctx); err != nil {
			return nil, err
		}
		if st.name == "sql" {
			if err := m.targets(ctx, st.sql, out); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (m *checkMySQL) targets(ctx context.Context, sql string, out *check.Statements) error {
	schema, table := check.Table(sql)
	if table == "" {
		return nil
	}
	in := "DATABASE()"
	if schema != "" {
		in = mysql.Literal(schema)
	}
	rows, err := m.session.Query(ctx, `SELECT c.column_name, c.column_type, c.is_nullable, c.column_default IS NOT NULL OR c.extra LIKE '%auto_increment%' OR c.extra LIKE '%GENERATED%', c.column_key
		FROM information_schema.columns c WHERE c.table_schema = `+in+` AND c.table_name = `+mysql.Literal(table)+` ORDER BY c.ordinal_position`)
	if err != nil {
		return err
	}
	checks, err := m.checks(ctx, in, table)
	if err != nil {
		return err
	}
	var columns []tableColumn
	for _, row := range rows {
		texts := make([]string, len(row))
		for i, v := range row {
			texts[i], _ = v.Text()
		}
		columns = append(columns, tableColumn{
			Name: texts[0], Type: texts[1], NotNull: texts[2] == "NO", Default: texts[3] == "1", Unique: texts[4] == "PRI" || texts[4] == "UNI",
			Enum: enumValues(texts[1]), Checked: strings.Contains(checks, "`"+strings.ToLower(texts[0])+"`"),
		})
	}
	if out.Table = table; len(columns) > 0 {
		fillTargets(sql, columns, nil, out)
	}
	return nil
}

// checks gives the text of a table's CHECK constraints, in lower case.
func (m *checkMySQL) checks(ctx context.Context, schema, table string) (string, error) {
	join := "JOIN information_schema.table_constraints t USING (constraint_schema, constraint_name)"
	if m.session.MariaDB() {
		join = "JOIN information_schema.table_constraints t USING (constraint_schema, constraint_name, table_name)"
	}
	rows, err := m.session.Query(ctx, `SELECT k.check_clause FROM information_schema.check_constraints k `+join+`
		WHERE constraint_schema = `+schema+` AND t.table_name = `+mysql.Literal(table))
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, r := range rows {
		text, _ := r[0].Text()
		all.WriteString(strings.ToLower(text) + "\n")
	}
	return all.String(), nil
}

// enumValues reads enum('a','b'); nil for another type.
func enumValues(typ string) []string {
	list, ok := strings.CutPrefix(typ, "enum(")
	if !ok {
		return nil
	}
	var values []string
	for _, v := range strings.Split(strings.TrimSuffix(list, ")"), "','") {
		values = append(values, strings.ReplaceAll(strings.Trim(v, "'"), "''", "'"))
	}
	return values
}

// openThrowaway opens the database in which migrations are tried.
func openThrowaway(ctx context.Context, c contract.Connection) (throwaway, func(), error) {
	after := context.WithoutCancel(ctx)
	if c.Type == "postgres" {
		db, err := postgres.OpenThrowaway(ctx, c)
		if err != nil {
			return nil, nil, err
		}
		return db, func() { _ = db.Close(after) }, nil
	}
	s, err := mysql.Connect(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	t := &mysqlThrowaway{c, s}
	if err := t.empty(ctx); err != nil {
		_ = s.Close() // the first error is the one to tell
		return nil, nil, err
	}
	return t, func() { _ = s.Close() }, nil
}

// mysqlThrowaway is a MariaDB or MySQL database whose content is nobody's.
type mysqlThrowaway struct {
	connection contract.Connection
	session    *mysql.Session
}

// throwawayTable marks a database that may be emptied.
const throwawayTable = "rejot_throwaway"

func (t *mysqlThrowaway) tables(ctx context.Context, s *mysql.Session) (names [][2]string, err error) {
	rows, err := s.Query(ctx, "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_type, table_name")
	for _, r := range rows {
		name, _ := r[0].Text()
		kind, _ := r[1].Text()
		names = append(names, [2]string{name, kind})
	}
	return names, err
}

// empty drops what is there, if the database was a throwaway before.
func (t *mysqlThrowaway) empty(ctx context.Context) error {
	have, err := t.tables(ctx, t.session)
	if err != nil {
		return err
	}
	if len(have) > 0 && !slices.ContainsFunc(have, func(n [2]string) bool { return n[0] == throwawayTable }) {
		err := rejot.Errorf(rejot.Invalid, "%s has tables: a throwaway database has to be empty", t.connection)
		return rejot.WithMend(err, "CREATE DATABASE an_empty_database")
	}
	if err := t.Exec(ctx, "SET foreign_key_checks = 0"); err != nil {
		return err
	}
	for _, n := range have {
		what := "TABLE "
		if n[1] == "VIEW" {
			what = "VIEW "
		}
		if err := t.Exec(ctx, "DROP "+what+mysql.Quote(n[0])); err != nil {
			return err
		}
	}
	return t.Exec(ctx, "CREATE TABLE "+throwawayTable+" (id int PRIMARY KEY)")
}

// CopySchema makes the tables and views of another database, without their rows.
func (t *mysqlThrowaway) CopySchema(ctx context.Context, from contract.Connection) (left []string, err error) {
	if from.Host == t.connection.Host && from.Port == t.connection.Port && from.Database == t.connection.Database {
		return nil, rejot.Errorf(rejot.Invalid, "%s is the database itself: migrations are never tried there", t.connection)
	}
	source, err := mysql.Connect(ctx, from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = source.Close() }() // it was only read
	names, err := t.tables(ctx, source)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if strings.HasPrefix(n[0], "rejot_") || n[1] == "SEQUENCE" {
			continue
		}
		rows, err := source.Query(ctx, "SHOW CREATE TABLE "+mysql.Quote(n[0]))
		if err != nil {
			return nil, err
		}
		sql, _ := rows[0][1].Text()
		sql = strings.ReplaceAll(sql, mysql.Quote(from.Database)+".", "")
		switch err := t.Exec(ctx, sql); {
		case rejot.CodeOf(err) == rejot.Transient:
			return nil, err
		case err != nil:
			left = append(left, n[0]+": "+err.Error())
		}
	}
	return left, t.Exec(ctx, "SET foreign_key_checks = 1")
}

// Applied knows no tool: a tool's command knows by itself.
func (t *mysqlThrowaway) Applied(context.Context) (names []string, last bool, err error) {
	return nil, false, nil
}

// Exec runs statements one after the other, each by itself.
func (t *mysqlThrowaway) Exec(ctx context.Context, sql string) error {
	for _, one := range check.SplitStatements(sql) {
		if _, err := t.session.Exec(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// Cascades finds foreign keys of tables that change rows by themselves.
func (d *databases) Cascades(ctx context.Context, slug string, tables []string) ([]check.Cascade, error) {
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	s, err := mysql.Connect(ctx, d.stores[slug].Connection)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }() // it was only read
	rows, err := s.Query(ctx, `SELECT table_name, referenced_table_name, constraint_name, delete_rule, update_rule
		FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE() ORDER BY 1, 3`)
	if err != nil {
		return nil, err
	}
	var found []check.Cascade
	for _, row := range rows {
		texts := make([]string, len(row))
		for i, v := range row {
			texts[i], _ = v.Text()
		}
		if !slices.ContainsFunc(tables, func(t string) bool { return strings.EqualFold(t, texts[0]) }) {
			continue
		}
		for i, what := range []string{"ON DELETE ", "ON UPDATE "} {
			if rule := texts[3+i]; rule != "RESTRICT" && rule != "NO ACTION" {
				found = append(found, check.Cascade{Table: texts[0], Parent: texts[1], Constraint: texts[2], Rule: what + rule})
			}
		}
	}
	return found, nil
}
