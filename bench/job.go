package main

import (
	"context"
	"slices"
	"strings"

	"rejot.dev/rejot"
)

// A job is one thing that is measured.
type job struct {
	name  string
	title string
	// run measures both sides once and puts what it saw into the round.
	run func(context.Context, *world, job, *round) error

	// Of a catch-up.
	load func(o options) load
	// Of latency.
	tps int

	// target is the least ratio of rates, 0 where there is none. Of latency p50 and p99 are the largest ratios of times.
	target, p50, p99 float64
}

// A load is what happens at the source while nobody follows.
type load struct {
	changes int // updates of one row
	each    int // as many in a transaction
	among   int // rows that they are spread over
}

// jobs are in the order in which they run. The targets are those of docs/performance.md.
func jobs() []job {
	return []job{
		{name: "backfill", title: "backfill", run: runBackfill, target: 0.6},
		{
			name: "catchup", title: "catch-up, one-row transactions", run: runCatchup, target: 1.2,
			load: func(o options) load { return load{o.updates, 1, o.rows} },
		},
		{
			name: "hot", title: "catch-up, 1,000 hot rows", run: runCatchup, target: 2,
			load: func(o options) load { return load{o.updates, 1, min(1000, o.rows)} },
		},
		{
			name: "hundred", title: "catch-up, 100-row transactions", run: runCatchup,
			load: func(o options) load { return load{o.updates, 100, o.rows} },
		},
		{
			name: "big", title: "one transaction, all rows", run: runCatchup, target: 1.2,
			load: func(o options) load { return load{o.rows, o.rows, o.rows} },
		},
		{name: "latency-200", title: "latency at 200 a second", run: runLatency, tps: 200, p50: 1.6, p99: 2},
		{name: "latency-2000", title: "latency at 2,000 a second", run: runLatency, tps: 2000},
	}
}

func jobNames() []string {
	var names []string
	for _, j := range jobs() {
		names = append(names, j.name)
	}
	return names
}

// choose gives the jobs that are named, all where none is. A name's first part stands for all that begin with it.
func choose(names []string) ([]job, error) {
	if len(names) == 0 {
		return jobs(), nil
	}
	var chosen []job
	for _, name := range names {
		matches := func(j job) bool { return j.name == name || strings.HasPrefix(j.name, name+"-") }
		if !slices.ContainsFunc(jobs(), matches) {
			return nil, rejot.Errorf(rejot.Invalid, "-only %s: there are %s", name, strings.Join(jobNames(), ", "))
		}
	}
	for _, j := range jobs() {
		if slices.ContainsFunc(names, func(name string) bool { return j.name == name || strings.HasPrefix(j.name, name+"-") }) {
			chosen = append(chosen, j)
		}
	}
	return chosen, nil
}
