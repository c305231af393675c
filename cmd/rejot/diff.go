package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/spill"
	"rejot.dev/rejot/manifest"
	"rejot.dev/rejot/publish"
)

type diffOptions struct {
	json   bool
	sample int
}

func newDiffCommand(app *app) *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff CONTRACT [MANIFEST…]",
		Short: "Show what a changed SQL would change, before it runs",
		Long: `Compares, for each consumer of a public schema, the rows by the SQL that its destination was written with
and by the SQL that the manifest has now, at one state of the source. CONTRACT is the name of a public schema or of a
consumer schema. Nothing is written, and no value is shown.

The same comparison decides which rows "rejot sync" writes when it meets the changed SQL.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return app.diff(cmd.Context(), args[0], args[1:], o) },
	}
	f := cmd.Flags()
	addJSONFlag(cmd, &o.json)
	f.IntVar(&o.sample, "sample", 5, "how many of the keys that differ are shown")
	return cmd
}

// A contractDiff is what a changed SQL does to one consumer's rows.
type contractDiff struct {
	Consumer     string       `json:"consumer"`
	PublicSchema string       `json:"publicSchema"`
	Compared     int64        `json:"compared"` // keys
	Changed      int64        `json:"changed"`
	Appearing    int64        `json:"appearing"`
	Vanishing    int64        `json:"vanishing"`
	All          string       `json:"all,omitempty"` // why all rows are written instead
	Sample       []sampledKey `json:"sample,omitempty"`
}

// A sampledKey is a key that differs, with its values masked.
type sampledKey struct {
	Key     string   `json:"key"`
	Columns []string `json:"columns"`
}

func (a *app) diff(ctx context.Context, name string, paths []string, o diffOptions) error {
	set, err := manifest.Load(paths...)
	if err != nil {
		return err
	}
	pairs, _, err := pair(set)
	if err != nil {
		return err
	}
	pairs = slices.DeleteFunc(pairs, func(p pairing) bool {
		return p.schema.Ref.Name != name && p.consumer.Name != name && p.consumer.ID() != name
	})
	if len(pairs) == 0 {
		return rejot.Errorf(rejot.NotFound, "no consumer schema of these manifests is called %s or reads a public schema of that name", name)
	}
	p := &program{sources: map[string]source{}, destinations: map[string]destination{}}
	if err := p.open(ctx, set, pairs, slog.New(slog.DiscardHandler), opening{}); err != nil {
		return stopped(errors.Join(err, p.close()))
	}
	var diffs []contractDiff
	for _, pr := range pairs {
		d, err := p.diff(ctx, pr, o.sample)
		if err != nil {
			return stopped(errors.Join(err, p.close()))
		}
		diffs = append(diffs, d)
	}
	if err := p.close(); err != nil {
		return err
	}
	if o.json {
		return a.printJSON(diffs)
	}
	printDiffs(a.stdout, diffs)
	return nil
}

// diff compares the rows of one consumer.
func (p *program) diff(ctx context.Context, pr pairing, sample int) (contractDiff, error) {
	ref := pr.schema.Ref
	d := contractDiff{Consumer: pr.consumer.ID(), PublicSchema: fmt.Sprintf("%s %d.%d", ref.Name, ref.Major, ref.Minor)}
	cursors, err := p.destinations[pr.consumer.Destination].Cursors(ctx)
	if err != nil {
		return d, err
	}
	at := slices.IndexFunc(cursors, func(c rejot.Cursor) bool { return c.Consumer == pr.consumer.ID() })
	switch {
	case at < 0:
		d.All = "the destination has no rows of it yet"
		return d, nil
	case cursors[at].Queries == "":
		d.All = "its rows have not been written completely by one SQL"
		return d, nil
	case cursors[at].Queries == pr.schema.Queries():
		return d, nil
	}
	src := p.sources[pr.schema.Source]
	now, err := src.Resolve(ctx, pr.schema)
	if err != nil {
		return d, err
	}
	schema, err := pr.schema.WithQueries(cursors[at].Queries)
	if err != nil {
		return d, err
	}
	before, err := src.Resolve(ctx, schema)
	switch {
	case rejot.CodeOf(err) == rejot.Transient:
		return d, err
	case err != nil:
		d.All = "the SQL of before can no longer be run: " + err.Error()
		return d, nil
	}
	for i := range now {
		if len(before) != len(now) || !publish.Comparable(before[i], now[i]) {
			d.All = "its keys are others"
			return d, nil
		}
	}
	return d, compare(ctx, src, before, now, pr.consumer, sample, &d)
}

// compare goes through all keys at one state of the source.
func compare(ctx context.Context, src source, before, now []*contract.View, c *contract.Consumer, sample int, d *contractDiff) error {
	const chunk = 5000
	pub := publish.New("", now, spill.NewPool(os.TempDir(), memoryForKeys))
	snap, err := src.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Close() //nolint:errcheck // a snapshot is read only: nothing depends on how it ends
	for v := range now {
		var after []rejot.Value
		for more := true; more; {
			keys, err := pub.Next(ctx, snap, v, after, chunk)
			if err != nil {
				return err
			}
			differ, err := publish.Differing(ctx, snap, before[v], now[v], keys, c.MayUse)
			if err != nil {
				return err
			}
			d.Compared += int64(len(keys))
			for _, x := range differ {
				d.count(x, before[v].Shape, now[v], sample)
			}
			if more = len(keys) == chunk; more {
				after = keys[len(keys)-1]
			}
		}
	}
	return nil
}

// count adds a key that differs.
func (d *contractDiff) count(x publish.Difference, before *rejot.Shape, now *contract.View, sample int) {
	switch {
	case len(x.Old) == 0:
		d.Appearing++
	case len(x.New) == 0:
		d.Vanishing++
	default:
		d.Changed++
	}
	if len(d.Sample) >= sample {
		return
	}
	s := sampledKey{}
	var key []string
	for i, c := range now.Key {
		key = append(key, c.Name+"="+masked(x.Key[i]))
	}
	s.Key = strings.Join(key, " ")
	for i, c := range now.Shape.Row {
		at := slices.IndexFunc(before.Row, func(b rejot.Column) bool { return b.Name == c.Name })
		was, is := columnOf(x.Old, at), columnOf(x.New, i)
		if !slices.Equal(was, is) {
			s.Columns = append(s.Columns, fmt.Sprintf("%s: %s → %s", c.Name, shown(was), shown(is)))
		}
	}
	d.Sample = append(d.Sample, s)
}

// columnOf gives what the rows of a key have in a column; -1 is one that they have not.
func columnOf(rows [][]rejot.Value, i int) []rejot.Value {
	var all []rejot.Value
	for _, r := range rows {
		if i >= 0 {
			all = append(all, r[i])
		}
	}
	return all
}

// shown tells of values without showing them.
func shown(values []rejot.Value) string {
	if len(values) == 0 {
		return "nothing"
	}
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = masked(v)
	}
	return strings.Join(all, ", ")
}

// masked shows the form of a value: letters are x, digits are 0.
func masked(v rejot.Value) string {
	s, ok := v.Text()
	if !ok {
		return "NULL"
	}
	const most = 24
	masked := []rune(strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9':
			return '0'
		case r > ' ' && !strings.ContainsRune(`.,:;-_/@()[]{}<>"'+`, r):
			return 'x'
		}
		return r
	}, s))
	if len(masked) > most {
		return fmt.Sprintf("%s… (%d characters)", string(masked[:most]), len(masked))
	}
	return string(masked)
}

func printDiffs(w io.Writer, diffs []contractDiff) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{"consumer", "public schema", "keys", "changed", "appearing", "vanishing"})
	for _, d := range diffs {
		if d.All != "" {
			t.AppendRow(table.Row{d.Consumer, d.PublicSchema, "all", "", "", ""})
			continue
		}
		t.AppendRow(table.Row{d.Consumer, d.PublicSchema, d.Compared, d.Changed, d.Appearing, d.Vanishing})
	}
	fmt.Fprintln(w, t.Render())
	for _, d := range diffs {
		if d.All != "" {
			fmt.Fprintf(w, "%s: all rows are written: %s\n", d.Consumer, d.All)
		}
		for _, s := range d.Sample {
			fmt.Fprintf(w, "%s: %s\n", d.Consumer, s.Key)
			for _, c := range s.Columns {
				fmt.Fprintf(w, "    %s\n", c)
			}
		}
	}
}
