package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
)

// A report is everything that was measured.
type report struct {
	Postgres   string   `json:"postgres"`
	Processors int      `json:"processors"`
	Platform   string   `json:"platform"`
	Rows       int      `json:"rows"`
	Updates    int      `json:"updates"`
	Seconds    int      `json:"seconds"`
	Rounds     int      `json:"rounds"`
	Minutes    float64  `json:"minutes"`
	Jobs       []*tally `json:"jobs"`
}

// A tally is the rounds of one job.
type tally struct {
	job    job
	Name   string   `json:"name"`
	Rounds []*round `json:"rounds"`
}

// A round is one measurement of each side, by its name.
type round struct {
	Round   int               `json:"round"` // from 0
	Samples map[string]sample `json:"samples"`
	// Both is how long a subscription takes to copy both tables.
	Both float64 `json:"both,omitempty"`
}

func newReport(ctx context.Context, w *world) (*report, error) {
	version, err := w.source.text(ctx, "SHOW server_version")
	return &report{
		Postgres: version, Processors: runtime.NumCPU(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Rows: w.o.rows, Updates: w.o.updates, Seconds: w.o.seconds, Rounds: w.o.rounds,
	}, err
}

func (r *report) add(j job, number int) *round {
	if len(r.Jobs) == 0 || r.Jobs[len(r.Jobs)-1].Name != j.name {
		r.Jobs = append(r.Jobs, &tally{job: j, Name: j.name})
	}
	t := r.Jobs[len(r.Jobs)-1]
	t.Rounds = append(t.Rounds, &round{Round: number, Samples: map[string]sample{}})
	return t.Rounds[len(t.Rounds)-1]
}

// median of what of gives for a side's samples.
func (t *tally) median(side string, of func(sample) float64) float64 {
	var all []float64
	for _, r := range t.Rounds {
		all = append(all, of(r.Samples[side]))
	}
	return median(all)
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	mid := len(all) / 2
	if len(all)%2 == 1 {
		return all[mid]
	}
	return (all[mid-1] + all[mid]) / 2
}

// A comparison is one figure of both sides.
type comparison struct {
	what          string
	native, rejot string
	ratio         float64 // rejot's to native's
	target        float64 // 0 where there is none
	most          bool    // the ratio is to be no more than the target
}

func (c comparison) verdict() string {
	switch {
	case c.target == 0:
		return ""
	case c.most == (c.ratio <= c.target):
		return "met"
	default:
		return "missed"
	}
}

func (c comparison) goal() string {
	switch {
	case c.target == 0:
		return ""
	case c.most:
		return fmt.Sprintf("≤ %g×", c.target)
	default:
		return fmt.Sprintf("≥ %g×", c.target)
	}
}

// comparisons gives the figures of a job.
func (t *tally) comparisons() []comparison {
	if t.job.tps > 0 {
		ms := func(what string, target float64, of func(sample) float64) comparison {
			n, p := t.median(nativeName, of), t.median(programName, of)
			return comparison{t.job.title + ", " + what, fmt.Sprintf("%.2f ms", n), fmt.Sprintf("%.2f ms", p), p / n, target, true}
		}
		all := []comparison{
			ms("p50", t.job.p50, func(s sample) float64 { return s.P50 }),
			ms("p95", 0, func(s sample) float64 { return s.P95 }),
			ms("p99", t.job.p99, func(s sample) float64 { return s.P99 }),
		}
		rate := func(s sample) float64 { return s.Rate }
		n, p := t.median(nativeName, rate), t.median(programName, rate)
		if min(n, p) < 0.95*float64(t.job.tps) { // the source was too busy with what follows it
			all = append(all, comparison{t.job.title + ", managed", fmt.Sprintf("%.0f /s", n), fmt.Sprintf("%.0f /s", p), p / n, 0, false})
		}
		return all
	}
	seconds := func(s sample) float64 { return s.Seconds }
	n, p := t.median(nativeName, seconds), t.median(programName, seconds)
	rows := t.Rounds[0].Samples[programName].Rows
	rate := func(s float64) string { return fmt.Sprintf("%.2f s, %.1f k/s", s, float64(rows)/s/1000) }
	all := []comparison{{t.job.title, rate(n), rate(p), n / p, t.job.target, false}}
	var both []float64
	for _, r := range t.Rounds {
		if r.Both > 0 {
			both = append(both, r.Both)
		}
	}
	if b := median(both); b > 0 {
		all = append(all, comparison{t.job.title + ", native with the e-mails too", rate(b), rate(p), b / p, 0, false})
	}
	return all
}

// mostMemory is the target, in MB.
const mostMemory = 150

// peak gives the largest memory of a side, in MB.
func (t *tally) peak(side string) float64 {
	most := int64(0)
	for _, r := range t.Rounds {
		most = max(most, r.Samples[side].Peak)
	}
	return float64(most) / (1 << 20)
}

// others is the largest share of the machine that somebody else had during a measurement.
func (r *report) others() float64 {
	most := 0.0
	for _, t := range r.Jobs {
		for _, round := range t.Rounds {
			for _, s := range round.Samples {
				if s.Seconds > 0 {
					most = max(most, s.Others/s.Seconds/float64(r.Processors))
				}
			}
		}
	}
	return most
}

// stageNames gives the names of what the program says about its time, in the order of a change's way.
func (r *report) stageNames() []string {
	var names []string
	for _, t := range r.Jobs {
		for _, round := range t.Rounds {
			for name := range round.Samples[programName].Stages {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	order := []string{"decode", "keys", "alignment", "evaluation", "apply", "commit", "waiting"}
	place := func(name string) int {
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortFunc(names, func(a, b string) int {
		if place(a) != place(b) {
			return place(a) - place(b)
		}
		return slices.Compare([]string{a}, []string{b})
	})
	return names
}
