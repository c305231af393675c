package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/httpapi"
	"rejot.dev/rejot/manifest"
)

type statusOptions struct {
	host string
	port int
	json bool
}

func newStatusCommand(app *app) *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status [MANIFEST…]",
		Short: "Show where every pipeline stands",
		Long: `Asks the running program over loopback. Where none answers, it asks the databases that the
manifests name: what the cursors in the destinations and the slots in the sources say.`,
		RunE: func(cmd *cobra.Command, paths []string) error { return app.status(cmd.Context(), paths, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.host, "hostname", "localhost", "address of the running program's HTTP API")
	f.IntVar(&o.port, "api-port", 3000, "port of the running program's HTTP API")
	addJSONFlag(cmd, &o.json)
	return cmd
}

func (a *app) status(ctx context.Context, paths []string, o statusOptions) error {
	s, err := httpapi.NewClient(net.JoinHostPort(o.host, strconv.Itoa(o.port))).Status(ctx)
	if rejot.CodeOf(err) == rejot.Transient {
		s, err = statusOfDatabases(ctx, paths)
	}
	if err != nil {
		return stopped(err)
	}
	if o.json {
		return a.printJSON(s)
	}
	printStatus(a.stdout, s)
	return nil
}

func printStatus(w io.Writer, s httpapi.Status) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{"pipeline", "public schema", "from → to", "state", "position", "lag", "", "backfill"})
	for _, p := range s.Pipelines {
		t.AppendRow(table.Row{p.Consumer, p.PublicSchema, p.Source + " → " + p.Destination, p.State, p.Place, bytesText(p.LagBytes), secondsText(p.LagSeconds), backfillText(p.Backfill)})
	}
	fmt.Fprintln(w, t.Render())
	for _, p := range s.Pipelines {
		if p.Error == "" {
			continue
		}
		fmt.Fprintf(w, "\n%s: %s\n", p.Consumer, p.Error)
		if p.Mend != "" {
			fmt.Fprintf(w, "  mend: %s\n", p.Mend)
		}
	}
}

func bytesText(n uint64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f kB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	}
}

func secondsText(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond).String()
}

func backfillText(b httpapi.Backfill) string {
	if b.Done {
		return fmt.Sprintf("done, %d keys", b.Rows)
	}
	return fmt.Sprintf("%d of about %d keys", b.Rows, max(b.Estimate, b.Rows))
}

// statusOfDatabases asks the databases, since no program answers.
func statusOfDatabases(ctx context.Context, paths []string) (httpapi.Status, error) {
	s := httpapi.Status{State: "stopped", Pipelines: []httpapi.Pipeline{}}
	set, err := manifest.Load(paths...)
	if err != nil {
		return s, err
	}
	pairs, _, err := pair(set)
	if err != nil {
		return s, err
	}
	s.Manifests = set.Slugs
	p := &program{sources: map[string]source{}, destinations: map[string]destination{}}
	if err := p.open(ctx, set, pairs, slog.New(slog.DiscardHandler), opening{}); err != nil {
		return s, errors.Join(err, p.close())
	}
	for _, pr := range pairs {
		line, err := p.stored(ctx, pr)
		if err != nil {
			return s, errors.Join(err, p.close())
		}
		s.Pipelines = append(s.Pipelines, line)
	}
	slices.SortFunc(s.Pipelines, func(a, b httpapi.Pipeline) int { return cmp.Compare(a.Consumer, b.Consumer) })
	return s, p.close()
}

// stored is what the databases say of one pipeline.
func (p *program) stored(ctx context.Context, pr pairing) (httpapi.Pipeline, error) {
	ref := pr.schema.Ref
	line := httpapi.Pipeline{
		Consumer: pr.consumer.ID(), PublicSchema: fmt.Sprintf("%s %d.%d", ref.Name, ref.Major, ref.Minor),
		Source: pr.schema.Source, Destination: pr.consumer.Destination, State: "not running",
	}
	log, err := p.sources[pr.schema.Source].Status(ctx)
	if err != nil {
		return line, err
	}
	if log.Slot == "" {
		line.State = "no slot"
	}
	cursors, err := p.destinations[pr.consumer.Destination].Cursors(ctx)
	if err != nil {
		return line, err
	}
	for _, c := range cursors {
		if c.Consumer != pr.consumer.ID() {
			continue
		}
		line.Position, line.Place = c.Position.String(), c.Position.Horizon.String()
		line.Backfill = httpapi.Backfill{Done: c.Backfill.Done, Rows: c.Backfill.Rows, Estimate: c.Backfill.Estimate}
		if c.Position.Horizon.Less(log.End) && c.Position.Horizon.File == log.End.File {
			line.LagBytes = log.End.Offset - c.Position.Horizon.Offset
		}
	}
	return line, nil
}
