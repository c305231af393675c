package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"rejot.dev/rejot/check"
	"rejot.dev/rejot/manifest"
)

// A reportJSON is what --json prints.
type reportJSON struct {
	Errors   int             `json:"errors"`
	Warnings int             `json:"warnings"`
	Findings []check.Finding `json:"findings"`
}

func (a *app) printReport(r *check.Report, manifests []*manifest.Manifest, o checkOptions) error {
	switch {
	case o.json:
		findings := r.Findings
		if findings == nil {
			findings = []check.Finding{}
		}
		return a.printJSON(reportJSON{Errors: r.Count(check.Error), Warnings: r.Count(check.Warning), Findings: findings})
	case o.sarif:
		out, err := r.SARIF(version())
		if err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, string(out))
		return nil
	}
	p := painter{on: os.Getenv("NO_COLOR") == "" && isTerminal(a.stdout)}
	for _, f := range r.Findings {
		fmt.Fprint(a.stdout, p.finding(f))
	}
	fmt.Fprintf(a.stdout, "%s, %s and %s in %s\n", plural(r.Count(check.Error), "error"), plural(r.Count(check.Warning), "warning"),
		plural(r.Count(check.Info), "note"), plural(len(manifests), "manifest"))
	return nil
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// A painter writes findings, with colours where somebody sees them.
type painter struct{ on bool }

func (p painter) paint(s string, c ...text.Color) string {
	if !p.on {
		return s
	}
	return text.Colors(c).Sprint(s)
}

var severityColors = map[check.Severity]text.Color{check.Error: text.FgRed, check.Warning: text.FgYellow, check.Info: text.FgCyan}

// finding is place and rule in one line, and what there is to say below.
func (p painter) finding(f check.Finding) string {
	word := string(f.Severity)
	if f.Severity == check.Info {
		word = "note"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s\n", p.paint(f.Place.String(), text.Bold), p.paint(word, severityColors[f.Severity], text.Bold), p.paint(f.Rule, text.Faint))
	say := f.Text
	if f.Contract != "" {
		say = f.Contract + ": " + say
	}
	block := func(label, s string) {
		if s != "" {
			fmt.Fprintf(&b, "    %s%s\n", label, strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    "+strings.Repeat(" ", len(label))))
		}
	}
	block("", say)
	block("  ", f.Detail)
	if f.Mend != "" {
		block("mend: ", f.Mend)
	}
	if f.Reason != "" {
		block("because: ", f.Reason)
	}
	return b.String()
}
