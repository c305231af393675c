package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/check"
	"rejot.dev/rejot/manifest"
)

type checkOptions struct {
	manifests  []string
	against    string
	complete   bool
	connect    bool
	strict     bool
	json       bool
	sarif      bool
	rules      bool
	migrations string
	throwaway  string
	dataStore  string
}

func newCheckCommand(a *app) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check [MANIFEST…]",
		Short: "Judge contracts: by themselves, against their databases, against what they were",
		Long: `Without flags it tells what the manifests say by themselves; no database and no secret is needed.

  --connect        the databases are asked: every query and statement is prepared there, and the way from each
                   table to the key is drawn
  --against X      a git ref, a file, a folder or a URL: what was changed since, by the rules of docs/rules.md
  --migrations X   a folder or a command: what pending migrations would break, tried in --throwaway

Each finding has a rule, a place, and what mends it. A manifest changes a rule's severity under "checks".

Exit codes: 0 nothing is wrong, 1 an error was found, 2 a flag is wrong or a manifest cannot be read, 3 a
database could not be reached.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.manifests = append(o.manifests, args...)
			return a.check(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.manifests, "manifest", nil, "a manifest; may be given several times; by default "+manifest.FileName+" here or above")
	f.StringVar(&o.against, "against", "", "compare with a git ref, a file, a folder or a URL")
	f.BoolVar(&o.complete, "complete", false, "the manifests have every consumer: a public schema that none reads has no readers")
	f.BoolVar(&o.connect, "connect", false, "ask the databases")
	f.StringVar(&o.migrations, "migrations", "", "a folder with pending migrations, or a command that runs them")
	f.StringVar(&o.throwaway, "throwaway", "", "connection string of an empty database in which migrations are tried")
	f.StringVar(&o.dataStore, "data-store", "", "the data store whose migrations they are; by default the only source")
	f.BoolVar(&o.strict, "strict", false, "a secret that stands in a manifest is an error")
	f.BoolVar(&o.rules, "rules", false, "list the rules")
	f.BoolVar(&o.sarif, "sarif", false, "print SARIF, which code review shows in place")
	addJSONFlag(cmd, &o.json)
	cmd.MarkFlagsMutuallyExclusive("json", "sarif")
	return cmd
}

func (a *app) check(ctx context.Context, o checkOptions) error {
	if o.rules {
		return a.printRules(o.json)
	}
	if (o.migrations == "") != (o.throwaway == "") {
		err := rejot.Errorf(rejot.Invalid, "--migrations and --throwaway come together")
		return rejot.WithMend(err, "rejot check --migrations FOLDER --throwaway postgresql://user@localhost:5432/an_empty_database")
	}
	if o.migrations != "" {
		if err := checkMigrationsFlag(o.migrations); err != nil {
			return err
		}
	}
	manifests, problems, err := manifest.Inspect(o.manifests...)
	if err != nil {
		return err
	}
	report := check.Lint(manifests, problems, o.strict)
	more := a.checkMore(ctx, o, manifests, report)
	var mark *stoppedError
	if more != nil && !errors.As(more, &mark) {
		return more
	}
	report.Finish(manifests)
	if err := a.printReport(report, manifests, o); err != nil {
		return err
	}
	if more == nil && report.Failed() {
		return errFound
	}
	return more
}

// checkMore is what needs a history or a database. Where a manifest itself is wrong, databases are not asked.
func (a *app) checkMore(ctx context.Context, o checkOptions, manifests []*manifest.Manifest, report *check.Report) error {
	options := check.Options{Complete: o.complete}
	if (o.connect || o.migrations != "") && report.Has("MANIFEST_INVALID") {
		a.note("the databases are not asked, as a manifest is wrong")
		o.connect, o.migrations = false, ""
	}
	if o.connect {
		dbs, err := a.openDatabases(o.manifests)
		if err != nil {
			return err
		}
		defer dbs.close()
		found, err := check.Connect(ctx, manifests, dbs)
		report.Findings = append(report.Findings, found.Findings...)
		if err != nil {
			return stopped(err)
		}
		options.Databases = dbs
	}
	if o.against != "" {
		old, history, err := a.against(ctx, o.against, manifests)
		if err != nil {
			return err
		}
		options.History, options.Whole = history, history != nil // a git ref has the manifests of then
		found, err := check.Compare(ctx, old, manifests, options)
		report.Findings = append(report.Findings, found.Findings...)
		if err != nil {
			return stopped(err)
		}
	}
	if o.migrations != "" {
		return a.checkMigrations(ctx, o, manifests, report)
	}
	return nil
}

func (a *app) printRules(asJSON bool) error {
	rows := [][]string{{"rule", "number", "verdict", "severity", "what"}}
	for _, r := range check.Rules() {
		rows = append(rows, []string{r.ID, fmt.Sprint(r.Number), string(r.Verdict), string(r.Severity()), r.Short})
	}
	if asJSON {
		list := make([]map[string]any, 0, len(rows))
		for _, r := range check.Rules() {
			list = append(list, map[string]any{"rule": r.ID, "number": r.Number, "verdict": r.Verdict, "severity": r.Severity(), "what": r.Short, "page": r.Page()})
		}
		return a.printJSON(list)
	}
	a.printTable("rule", rows)
	return nil
}
