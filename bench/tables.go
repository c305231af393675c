package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"rejot.dev/rejot"
)

// text is the report for a terminal.
func (r *report) text() string {
	return r.render(func(w table.Writer) string {
		w.SetStyle(table.StyleLight)
		w.Style().Format.Header = text.FormatDefault
		return w.Render()
	})
}

// markdown is the same for a page.
func (r *report) markdown() string { return r.render(table.Writer.RenderMarkdown) }

func (r *report) render(draw func(table.Writer) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Postgres %s, %d processors, %s; %s accounts, %s updates, %d s of latency; medians of %d rounds, taken in %.0f minutes.\n",
		r.Postgres, r.Processors, r.Platform, thousands(r.Rows), thousands(r.Updates), r.Seconds, r.Rounds, r.Minutes)
	if share := r.others(); share > 0.1 {
		fmt.Fprintf(&b, "Other programs had up to %.0f %% of the machine during a measurement: the figures are of little use.\n", share*100)
	}
	for _, t := range []table.Writer{r.ratios(), r.costs(), r.stages()} {
		if t != nil {
			fmt.Fprintf(&b, "\n%s\n", draw(t))
		}
	}
	return b.String()
}

func (r *report) ratios() table.Writer {
	w := table.NewWriter()
	w.AppendHeader(table.Row{"job", "native", "ReJot", "ratio", "target", ""})
	right := func(n int) table.ColumnConfig { return table.ColumnConfig{Number: n, Align: text.AlignRight} }
	w.SetColumnConfigs([]table.ColumnConfig{right(2), right(3), right(4), right(5)})
	peak := map[string]float64{}
	for _, t := range r.Jobs {
		for _, c := range t.comparisons() {
			w.AppendRow(table.Row{c.what, c.native, c.rejot, fmt.Sprintf("%.2f×", c.ratio), c.goal(), c.verdict()})
		}
		for _, side := range []string{nativeName, programName} {
			peak[side] = max(peak[side], t.peak(side))
		}
	}
	verdict := "met"
	if peak[programName] >= mostMemory {
		verdict = "missed"
	}
	w.AppendRow(table.Row{
		"memory at most (native: apply worker)", fmt.Sprintf("%.0f MB", peak[nativeName]), fmt.Sprintf("%.0f MB", peak[programName]), "",
		fmt.Sprintf("< %d MB", mostMemory), verdict,
	})
	return w
}

// costs is what each side takes: of the time the start, processor time, memory.
func (r *report) costs() table.Writer {
	w := table.NewWriter()
	w.AppendHeader(table.Row{"job", "side", "start", "own processor", "servers' processor", "others' processor", "memory"})
	var configs []table.ColumnConfig
	for n := 3; n <= 7; n++ {
		configs = append(configs, table.ColumnConfig{Number: n, Align: text.AlignRight})
	}
	w.SetColumnConfigs(configs)
	for _, t := range r.Jobs {
		for _, side := range []string{nativeName, programName} {
			s := func(of func(sample) float64) string { return fmt.Sprintf("%.2f s", t.median(side, of)) }
			w.AppendRow(table.Row{
				t.job.title, side,
				s(func(s sample) float64 { return s.Start }), s(func(s sample) float64 { return s.CPU }),
				s(func(s sample) float64 { return s.Servers }), s(func(s sample) float64 { return s.Others }), fmt.Sprintf("%.0f MB", t.peak(side)),
			})
		}
	}
	return w
}

// stages is nil where the program tells nothing.
func (r *report) stages() table.Writer {
	names := r.stageNames()
	if len(names) == 0 {
		return nil
	}
	w := table.NewWriter()
	header := table.Row{"ReJot, seconds in"}
	configs := []table.ColumnConfig{}
	for i, name := range names {
		header = append(header, name)
		configs = append(configs, table.ColumnConfig{Number: i + 2, Align: text.AlignRight})
	}
	w.AppendHeader(header)
	w.SetColumnConfigs(configs)
	for _, t := range r.Jobs {
		row := table.Row{t.job.title}
		for _, name := range names {
			row = append(row, fmt.Sprintf("%.2f", t.median(programName, func(s sample) float64 { return s.Stages[name] })))
		}
		w.AppendRow(row)
	}
	return w
}

// thousands writes 1000000 as 1,000,000.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// The part of a page between these two lines is the bench's.
const (
	beginMarker = "<!-- bench: begin -->"
	endMarker   = "<!-- bench: end -->"
)

// checkMarkers refuses a page that rewrite would refuse. An empty path is none.
func checkMarkers(path string) error {
	if path == "" {
		return nil
	}
	page, err := os.ReadFile(path)
	if err != nil {
		return rejot.Errorf(rejot.NotFound, "-out: %w", err)
	}
	_, _, err = around(path, string(page))
	return err
}

// rewrite replaces what stands between a page's markers.
func rewrite(path, part string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, after, err := around(path, string(page))
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(before+"\n\n"+strings.TrimSpace(part)+"\n\n"+after), 0o644) //nolint:gosec // a page of the repository
}

// around gives a page up to its first marker and from its second one, both with it.
func around(path, page string) (before, after string, err error) {
	before, rest, found := strings.Cut(page, beginMarker)
	_, after, closed := strings.Cut(rest, endMarker)
	if !found || !closed {
		err := rejot.Errorf(rejot.Invalid, "%s has no lines %s and %s", path, beginMarker, endMarker)
		return "", "", rejot.WithMend(err, "write both lines where the tables belong")
	}
	return before + beginMarker, endMarker + after, nil
}
