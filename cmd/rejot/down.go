package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/manifest"
)

type downOptions struct {
	consumer string
	yes      bool
	all      bool
}

func newDownCommand(app *app) *cobra.Command {
	var o downOptions
	cmd := &cobra.Command{
		Use:   "down [MANIFEST…]",
		Short: "Remove slots, publications and ReJot's own tables, after asking",
		Long: `Removes what the program has made in the databases that the manifests name: in the sources the
slot and the publication, in the destinations its own tables. Rows that were written stay.`,
		RunE: func(cmd *cobra.Command, paths []string) error { return app.down(cmd.Context(), paths, o) },
	}
	cmd.Flags().StringVar(&o.consumer, "consumer", "", "remove this consumer schema's cursor alone, so that it begins with a backfill")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

func newBackfillCommand(app *app) *cobra.Command {
	var o downOptions
	var manifests []string
	cmd := &cobra.Command{
		Use:   "backfill CONSUMER…",
		Short: "Let consumer schemas begin again with a backfill, while the program is stopped",
		Long: `Removes the cursors of consumer schemas, so that the next rejot sync copies all rows of their
public schema again. It is the way out when the source's log no longer reaches back to a cursor (a slot
that was dropped, a restored backup); then name every consumer schema of that source, or --all.

Rows are written over. Rows that the source no longer has stay at the destination.`,
		RunE: func(cmd *cobra.Command, args []string) error { return app.backfill(cmd.Context(), manifests, args, o) },
	}
	cmd.Flags().StringSliceVar(&manifests, "manifest", nil, "the manifests; by default rejot-manifest.json here or above")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&o.all, "all", false, "every consumer schema of the manifests")
	return cmd
}

func (a *app) backfill(ctx context.Context, paths, names []string, o downOptions) error {
	if len(names) == 0 && !o.all {
		return rejot.WithMend(rejot.Errorf(rejot.Invalid, "no consumer schema is named"), "name some, or --all")
	}
	set, err := manifest.Load(paths...)
	if err != nil {
		return err
	}
	pairs, _, err := pair(set)
	if err != nil {
		return err
	}
	if o.all {
		names = nil
		for _, pr := range pairs {
			names = append(names, pr.consumer.ID())
		}
	}
	p := &program{sources: map[string]source{}, destinations: map[string]destination{}}
	if err := p.open(ctx, set, pairs, slog.New(slog.DiscardHandler), opening{}); err != nil {
		return stopped(errors.Join(err, p.close()))
	}
	for _, name := range names {
		o.consumer = name
		err = errors.Join(err, a.dropConsumer(ctx, p, pairs, o))
	}
	return errors.Join(err, p.close())
}

func (a *app) down(ctx context.Context, paths []string, o downOptions) error {
	set, err := manifest.Load(paths...)
	if err != nil {
		return err
	}
	pairs, _, err := pair(set)
	if err != nil {
		return err
	}
	p := &program{sources: map[string]source{}, destinations: map[string]destination{}}
	if err := p.open(ctx, set, pairs, slog.New(slog.DiscardHandler), opening{}); err != nil {
		return stopped(errors.Join(err, p.close()))
	}
	if o.consumer != "" {
		return errors.Join(a.dropConsumer(ctx, p, pairs, o), p.close())
	}
	sources, ends := slices.Sorted(maps.Keys(p.sources)), slices.Sorted(maps.Keys(p.destinations))
	question := fmt.Sprintf("Remove slot and publication of %s, and ReJot's tables in %s?", strings.Join(sources, ", "), strings.Join(ends, ", "))
	if ok, err := a.ask(question, o.yes); err != nil || !ok {
		return errors.Join(err, p.close())
	}
	for _, name := range sources {
		err = errors.Join(err, p.sources[name].Drop(ctx))
	}
	for _, name := range ends {
		err = errors.Join(err, p.destinations[name].Drop(ctx, ""))
	}
	if err == nil {
		fmt.Fprintln(a.stdout, "removed")
	}
	return errors.Join(err, p.close())
}

func (a *app) dropConsumer(ctx context.Context, p *program, pairs []pairing, o downOptions) error {
	for _, pr := range pairs {
		if pr.consumer.Name != o.consumer && pr.consumer.ID() != o.consumer {
			continue
		}
		ok, err := a.ask(fmt.Sprintf("Remove the cursor of %s in %s? It will begin with a backfill.", pr.consumer, pr.consumer.Destination), o.yes)
		if err != nil || !ok {
			return err
		}
		if err := p.destinations[pr.consumer.Destination].Drop(ctx, pr.consumer.ID()); err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "%s begins with a backfill at the next rejot sync\n", pr.consumer)
		return nil
	}
	return rejot.Errorf(rejot.NotFound, "no consumer schema %s in these manifests", o.consumer)
}

// ask asks a person at the terminal; where nobody is there, --yes has to say it.
func (a *app) ask(question string, yes bool) (bool, error) {
	if yes {
		return true, nil
	}
	if !a.terminal {
		return false, rejot.WithMend(rejot.Errorf(rejot.Invalid, "nobody is here to be asked"), "add --yes")
	}
	fmt.Fprint(a.stdout, question+" [y/N] ")
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil {
		return false, rejot.Errorf(rejot.Invalid, "no answer: %w", err)
	}
	return strings.EqualFold(strings.TrimSpace(line), "y"), nil
}
