package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/sqltext"
)

// checkConsumer compares the placeholders of a consumer's statements with what they can be given:
// the public schema's columns, and in a deleteSql the key's.
func checkConsumer(c *contract.Consumer, dialect sqltext.Dialect, shape *rejot.Shape) error {
	var errs []error
	for _, s := range []struct {
		name, sql string
		columns   []rejot.Column
	}{{"sql", c.SQL, shape.Row}, {"deleteSql", c.DeleteSQL, shape.Key}, {"truncateSql", c.TruncateSQL, nil}} {
		if s.sql == "" {
			continue
		}
		parsed, err := sqltext.Parse(dialect, s.sql)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", c, s.name, err))
			continue
		}
		var names []string
		for _, col := range s.columns {
			if !slices.Contains(names, col.Name) {
				names = append(names, col.Name)
			}
		}
		for _, want := range parsed.Names() {
			if !slices.Contains(names, want) {
				err := rejot.Errorf(rejot.Invalid, "%s: %s: placeholder :%s is not a field of public schema %s %d", c, s.name, want, shape.Schema.Name, shape.Schema.Major)
				errs = append(errs, rejot.WithMend(err, "use one of: %s", ":"+strings.Join(names, ", :")))
			}
		}
	}
	if shape.Many && c.DeleteSQL == "" {
		err := rejot.Errorf(rejot.Invalid, "%s: a key of public schema %s may have several rows, and without deleteSql rows that go would stay", c, shape.Schema.Name)
		errs = append(errs, rejot.WithMend(err, `give the consumer schema a deleteSql, or, where a key never has more than one row, the transformation "rows": "one"`))
	}
	return errors.Join(errs...)
}
