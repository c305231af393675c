package main

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/postgres"
	"rejot.dev/rejot/internal/sqltext"
)

// A publicSQL is a public schema's file. What its header may say is what rejot collect reads there too.
type publicSQL struct {
	file  string
	text  string
	table string // empty: the header does not tell
	rows  string
	names []string // of the placeholders
}

// largestSQL is how long a file of SQL may be.
const largestSQL = 1 << 20

// header matches one line of a header; section one that begins another statement.
var (
	header  = regexp.MustCompile(`^--\s?([a-zA-Z][\w-]*):\s*(.*?)\s*$`)
	section = regexp.MustCompile(`(?m)^--\s*(delete|truncate):[ \t\r]*$`)
)

// readSQL reads a file and the fields of its header, which are the comment lines that it begins with.
func readSQL(flag, path string) (text string, fields map[string]string, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", nil, rejot.Errorf(rejot.Invalid, "%s: %w", flag, err)
	}
	if len(data) > largestSQL {
		return "", nil, rejot.Errorf(rejot.Invalid, "%s: %s is longer than %d MB", flag, path, largestSQL>>20)
	}
	text = strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	fields = map[string]string{}
	for line := range strings.Lines(strings.TrimLeft(text, " \t\n")) {
		line = strings.TrimRight(line, "\n")
		if !strings.HasPrefix(line, "--") || section.MatchString(line) {
			break
		}
		if m := header.FindStringSubmatch(line); m != nil {
			fields[m[1]] = m[2]
		}
	}
	return text, fields, nil
}

// readPublicSQL reads the file of --public-schema.
func readPublicSQL(path string) (*publicSQL, error) {
	text, fields, err := readSQL("--public-schema", path)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"params", "keys"} {
		if fields[name] != "" {
			err := rejot.Errorf(rejot.Unsupported, "%s: the header's %s needs a manifest", path, name)
			return nil, rejot.WithMend(err, "rejot collect --write %s, then rejot sync", path)
		}
	}
	if rows := fields["rows"]; rows != "" && rows != "one" {
		return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s: the header's rows is %q", path, rows), "-- rows: one")
	}
	s, err := parseSQL(path, sqltext.Postgres, text)
	if err != nil {
		return nil, err
	}
	return &publicSQL{file: path, text: s.Text, table: fields["table"], rows: fields["rows"], names: s.Names()}, nil
}

// readConsumerSQL reads the file of --consumer-schema: a statement, and after a line "-- delete:" or "-- truncate:" another.
func readConsumerSQL(path, database string, c *contract.Consumer) error {
	text, fields, err := readSQL("--consumer-schema", path)
	if err != nil {
		return err
	}
	dialect := sqltext.Postgres
	if database == "mysql" {
		dialect = sqltext.MySQL
	}
	parts := map[string]*string{"": &c.SQL, "delete": &c.DeleteSQL, "truncate": &c.TruncateSQL}
	name, from := "", 0
	for _, at := range append(section.FindAllStringSubmatchIndex(text, -1), []int{len(text), len(text), 0, 0}) {
		s, err := parseSQL(path, dialect, text[from:at[0]])
		if err != nil {
			return err
		}
		*parts[name] = s.Text
		name, from = text[at[2]:at[3]], at[1]
	}
	switch c.OnError = fields["on-error"]; c.OnError {
	case "", "pause", "quarantine":
		return nil
	default:
		return rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s: the header's on-error is %q", path, c.OnError), "-- on-error: pause, or quarantine")
	}
}

func parseSQL(path string, dialect sqltext.Dialect, text string) (*sqltext.Statement, error) {
	s, err := sqltext.Parse(dialect, text)
	if err != nil {
		return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s: %w", path, err), "%s", rejot.MendOf(err))
	}
	return s, nil
}

// A backfillKey is one value of --backfill-primary-key.
type backfillKey struct{ table, column string }

// parseBackfillKey reads [[schema.]table.]column[:alias]. What the public schema calls the column is read off the query.
func parseBackfillKey(text string) backfillKey {
	text, _, _ = strings.Cut(text, ":")
	table, column, ok := cutLast(text, ".")
	if !ok {
		return backfillKey{column: text}
	}
	return backfillKey{table: table, column: column}
}

func (k backfillKey) isOf(t contract.TableName) bool {
	return k.table == t.Name || k.table == t.String()
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// baseTable finds whose changes the query follows: the header's word, that of --backfill-primary-key, or the table that
// the first column of the result is of.
func (o *pointOptions) baseTable(ctx context.Context, from contract.Connection, q *publicSQL) (string, error) {
	if q.table != "" {
		return q.table, nil
	}
	for _, text := range o.backfillKeys {
		if k := parseBackfillKey(text); k.table != "" {
			return k.table, nil
		}
	}
	conn, err := postgres.Dial(ctx, from, postgres.Options{Application: "describe", Settings: readOnly()})
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing was written
	s, err := parseSQL(q.file, sqltext.Postgres, q.text)
	if err != nil {
		return "", err
	}
	text := s.Render(func(_ int, name string) string { return "$" + strconv.Itoa(slices.Index(q.names, name)+1) })
	described, err := conn.Prepare(ctx, "", text, nil)
	if err != nil {
		return "", postgres.Classify(err, q.file)
	}
	if len(described.Fields) == 0 || described.Fields[0].TableOID == 0 {
		return "", q.nameTable("the first column of its result is no table's column")
	}
	oid := strconv.FormatUint(uint64(described.Fields[0].TableOID), 10)
	result := conn.ExecParams(ctx, `SELECT c.oid::pg_catalog.regclass::text, c.relkind IN ('r', 'p') FROM pg_catalog.pg_class c WHERE c.oid = $1::pg_catalog.oid`,
		[][]byte{[]byte(oid)}, nil, nil, nil).Read()
	if result.Err != nil {
		return "", postgres.Classify(result.Err, q.file)
	}
	if len(result.Rows) == 0 || string(result.Rows[0][1]) != "t" {
		return "", q.nameTable("the first column of its result is of no table, but maybe of a view")
	}
	return string(result.Rows[0][0]), nil
}

func (q *publicSQL) nameTable(why string) error {
	err := rejot.Errorf(rejot.Invalid, "%s: %s, so the base table is not known", q.file, why)
	return rejot.WithMend(err, "name the table whose key is the placeholder, in the first line of %s: -- table: NAME", q.file)
}

func readOnly() map[string]string {
	return map[string]string{"default_transaction_read_only": "on", "statement_timeout": "10s"}
}

// needPublication refuses a publication that is not there.
func needPublication(ctx context.Context, from contract.Connection, name string) error {
	conn, err := postgres.Dial(ctx, from, postgres.Options{Application: "describe", Settings: readOnly()})
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing was written
	result := conn.ExecParams(ctx, `SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = $1::pg_catalog.name`, [][]byte{[]byte(name)}, nil, nil, nil).Read()
	if result.Err != nil {
		return postgres.Classify(result.Err, "read publication "+name)
	}
	if len(result.Rows) == 0 {
		err := rejot.Errorf(rejot.NotFound, "%s has no publication %s, and it is not to be created", from, name)
		return rejot.WithMend(err, "CREATE PUBLICATION %s FOR TABLE …, or leave out --pg-create-publication=false", postgres.Quote(name))
	}
	return nil
}

// dropSlot removes a slot that nobody reads.
func dropSlot(ctx context.Context, from contract.Connection, name string) error {
	conn, err := postgres.Dial(ctx, from, postgres.Options{Application: "drop"})
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // what matters was answered
	result := conn.ExecParams(ctx, `SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = $1::pg_catalog.name`,
		[][]byte{[]byte(name)}, nil, nil, nil).Read()
	return postgres.Classify(result.Err, "drop slot "+name)
}
