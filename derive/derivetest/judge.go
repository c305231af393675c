package derivetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"rejot.dev/rejot/derive"
)

// DB is one session of a database that the judge has to itself. Every column of Rows is text.
type DB interface {
	Exec(ctx context.Context, sql string) error
	Rows(ctx context.Context, sql string, args ...any) ([][]*string, error)
}

// Stats counts what was judged.
type Stats struct {
	Transactions int
	Changes      int // changed rows
	Differing    int // results that differed
	Keys         int // keys that were derived
}

// Add adds o.
func (s *Stats) Add(o Stats) {
	s.Transactions += o.Transactions
	s.Changes += o.Changes
	s.Differing += o.Differing
	s.Keys += o.Keys
}

// Setup makes the case's schema and rows.
func (c *Case) Setup(ctx context.Context, db DB) error {
	for _, sql := range c.setup {
		if err := db.Exec(ctx, sql); err != nil {
			return fmt.Errorf("seed %d: %w\nin %s", c.Seed, err, sql)
		}
	}
	return nil
}

// judge is one query under judgement.
type judge struct {
	c     *Case
	db    DB
	q     Query
	plan  *derive.Plan
	keys  [][]string // candidates, in the order of the query's names
	eval  string
	stats Stats
}

// Judge runs transactions against q and returns what is wrong with plan, or the empty string. A query
// that fails when it runs is not judged.
func (c *Case) Judge(ctx context.Context, db DB, q Query, plan *derive.Plan, transactions int) (Stats, string, error) {
	j := &judge{c: c, db: db, q: q, plan: plan, keys: [][]string{{}}}
	for _, name := range q.Names {
		var longer [][]string
		for _, k := range j.keys {
			for v := range domainOf(name) {
				longer = append(longer, append(slices.Clone(k), fmt.Sprint(v)))
			}
		}
		j.keys = longer
	}
	j.eval = j.evaluation()
	if err := db.Exec(ctx, "BEGIN"); err != nil {
		return j.stats, "", err
	}
	wrong, err := j.run(ctx, transactions)
	if e := db.Exec(ctx, "ROLLBACK"); err == nil {
		err = e
	}
	return j.stats, wrong, err
}

func (j *judge) run(ctx context.Context, transactions int) (string, error) {
	before, ok := j.results(ctx)
	if !ok {
		return "", nil
	}
	if wrong, err := j.shape(ctx, before); wrong != "" || err != nil {
		return wrong, err
	}
	for range transactions {
		if err := j.db.Exec(ctx, "SAVEPOINT s"); err != nil {
			return "", err
		}
		wrong, err := j.transaction(ctx, before)
		if wrong != "" || err != nil {
			return wrong, err
		}
		if err := j.db.Exec(ctx, "ROLLBACK TO SAVEPOINT s"); err != nil {
			return "", err
		}
	}
	return "", nil
}

// evaluation is the query for all candidate keys at once.
func (j *judge) evaluation() string {
	var rows, names []string
	for i, k := range j.keys {
		row := []string{fmt.Sprint(i)}
		for p, v := range k {
			row = append(row, v+"::"+j.q.Types[p])
		}
		rows = append(rows, "("+strings.Join(row, ", ")+")")
	}
	for p := range j.q.Names {
		names = append(names, fmt.Sprintf("p%d", p))
	}
	sql := j.q.Render(func(i int) string { return fmt.Sprintf("judged.p%d", i) })
	return fmt.Sprintf("SELECT judged.ord::text, result::text FROM (VALUES %s) judged(ord, %s) CROSS JOIN LATERAL (%s) result ORDER BY 1, 2",
		strings.Join(rows, ", "), strings.Join(names, ", "), sql)
}

// results gives each key's rows, by the key's text.
func (j *judge) results(ctx context.Context) (map[string][]string, bool) {
	rows, err := j.db.Rows(ctx, j.eval)
	if err != nil {
		return nil, false
	}
	all := map[string][]string{}
	for _, r := range rows {
		var i int
		if _, err := fmt.Sscan(*r[0], &i); err != nil {
			return nil, false
		}
		key := strings.Join(j.keys[i], ",")
		all[key] = append(all[key], *r[1])
	}
	return all, true
}

// shape checks that a key has one row where that was proved, and none without its base row.
func (j *judge) shape(ctx context.Context, results map[string][]string) (string, error) {
	var columns []string
	for _, n := range j.q.Names {
		columns = append(columns, n+"::text")
	}
	rows, err := j.db.Rows(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM judge."+j.q.base.name)
	if err != nil {
		return "", err
	}
	present := map[string]bool{}
	for _, r := range rows {
		present[joined(r)] = true
	}
	for key, lines := range results {
		if !j.plan.Many && len(lines) > 1 {
			return fmt.Sprintf("key %s has %d rows where one was proved: %v", key, len(lines), lines), nil
		}
		if !present[key] {
			return fmt.Sprintf("key %s has a row without a base row: %v", key, lines), nil
		}
	}
	return "", nil
}

func joined(row []*string) string {
	var parts []string
	for _, v := range row {
		if v == nil {
			parts = append(parts, "NULL")
		} else {
			parts = append(parts, *v)
		}
	}
	return strings.Join(parts, ",")
}

// transaction makes random changes and compares what differs with what is derived.
func (j *judge) transaction(ctx context.Context, before map[string][]string) (string, error) {
	var read []string
	for _, t := range j.plan.Tables {
		read = append(read, t.Name)
	}
	changes := j.c.transaction(read)
	for _, sql := range changes {
		if _, err := j.db.Rows(ctx, "SELECT judge.try("+quote(sql)+")"); err != nil {
			return "", fmt.Errorf("%w\nin %s", err, sql)
		}
	}
	images, count, err := j.images(ctx)
	if err != nil {
		return "", err
	}
	after, ok := j.results(ctx)
	if !ok {
		return "", nil // the savepoint's rollback mends the transaction
	}
	derived, err := j.derive(ctx, images)
	if err != nil {
		return "", err
	}
	j.stats.Transactions++
	j.stats.Changes += count
	j.stats.Keys += len(derived)
	for _, k := range j.keys {
		key := strings.Join(k, ",")
		if slices.Equal(before[key], after[key]) {
			continue
		}
		j.stats.Differing++
		if !derived[key] {
			return fmt.Sprintf("key %s was not derived, and differs: before %v, after %v\nafter %s",
				key, before[key], after[key], strings.Join(changes, ";\n      ")), nil
		}
	}
	return j.shape(ctx, after)
}

// images reads the old and new rows that the triggers noted, by table.
func (j *judge) images(ctx context.Context) (map[string][]map[string]*string, int, error) {
	rows, err := j.db.Rows(ctx, "SELECT tab, old::text, new::text FROM judge.log ORDER BY n")
	if err != nil {
		return nil, 0, err
	}
	images := map[string][]map[string]*string{}
	for _, r := range rows {
		for _, text := range r[1:] {
			if text == nil {
				continue
			}
			image, err := decode(*text)
			if err != nil {
				return nil, 0, err
			}
			images[*r[0]] = append(images[*r[0]], image)
		}
	}
	return images, len(rows), nil
}

func decode(text string) (map[string]*string, error) {
	var raw map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&raw); err != nil {
		return nil, err
	}
	image := map[string]*string{}
	for name, v := range raw {
		if v != nil {
			s := fmt.Sprint(v)
			image[name] = &s
		}
	}
	return image, nil
}

// derive follows the plan's routes from the images to keys.
func (j *judge) derive(ctx context.Context, images map[string][]map[string]*string) (map[string]bool, error) {
	found := map[string]bool{}
	for _, r := range j.plan.Routes {
		rows := images[r.Table.Name]
		if len(rows) == 0 {
			continue
		}
		if r.All {
			for _, k := range j.keys {
				found[strings.Join(k, ",")] = true
			}
			continue
		}
		if !r.Direct {
			if err := j.follow(ctx, r, rows, found); err != nil {
				return nil, err
			}
			continue
		}
		for _, image := range rows {
			row := make([]*string, 0, len(r.Columns))
			for _, c := range r.Columns {
				row = append(row, image[c])
			}
			found[j.key(row)] = true
		}
	}
	return found, nil
}

func (j *judge) follow(ctx context.Context, r derive.Route, images []map[string]*string, found map[string]bool) error {
	args := make([]any, 0, len(r.Columns))
	for _, c := range r.Columns {
		var values []*string
		for _, image := range images {
			values = append(values, image[c])
		}
		args = append(args, values)
	}
	rows, err := j.db.Rows(ctx, r.SQL, args...)
	if err != nil {
		return fmt.Errorf("%w\nin %s", err, r.SQL)
	}
	for _, row := range rows {
		found[j.key(row)] = true
	}
	return nil
}

// key turns a tuple in the plan's order into the order of the query's names.
func (j *judge) key(row []*string) string {
	ordered := make([]*string, len(row))
	for i, k := range j.plan.Key {
		ordered[slices.Index(j.q.Names, k.Placeholder)] = row[i]
	}
	return joined(ordered)
}
