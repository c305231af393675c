package main

import (
	"context"
	"os"
	"time"
)

// A sample is what one measurement of one side gave. Fields that a job does not measure are 0.
type sample struct {
	Seconds float64 `json:"seconds,omitempty"`
	Start   float64 `json:"start,omitempty"` // of Seconds, until the process was ready
	Rows    int     `json:"rows,omitempty"`

	P50  float64 `json:"p50,omitempty"` // milliseconds
	P95  float64 `json:"p95,omitempty"`
	P99  float64 `json:"p99,omitempty"`
	Rate float64 `json:"rate,omitempty"` // transactions a second that the writers managed

	CPU     float64 `json:"cpu"`     // seconds: of the program; of a subscription's sender and apply worker
	Servers float64 `json:"servers"` // seconds of the source and the destination, with all their processes
	Others  float64 `json:"others"`  // seconds that neither these nor the bench have taken
	Peak    int64   `json:"peak"`    // bytes

	Stages map[string]float64 `json:"stages,omitempty"`
}

// A meter reads what has been taken since it was set.
type meter struct {
	w       *world
	s       *side
	begun   time.Time
	servers float64
	rest    float64
	own     usage
}

// set begins a measurement. Of a side that runs already, own is what it has taken so far.
func set(w *world, s *side, own usage) *meter {
	m := &meter{w: w, s: s, own: own}
	m.servers, m.rest = m.read()
	m.begun = time.Now()
	return m
}

// read gives the processor seconds of this side's servers, and of everybody but them and the bench.
func (m *meter) read() (servers, rest float64) {
	servers = cpuOfServer(m.w.source.server.Dir()) + cpuOfServer(m.s.db.server.Dir())
	bench, _ := cpuOf(os.Getpid())
	return servers, cpuOfMachine() - servers - bench
}

// stop ends a measurement at a time that has just been.
func (m *meter) stop(ctx context.Context, at time.Time) (sample, error) {
	servers, rest := m.read()
	u, err := m.s.usage(ctx)
	if err != nil {
		return sample{}, err
	}
	got := sample{Seconds: at.Sub(m.begun).Seconds(), Servers: servers - m.servers, CPU: u.CPU - m.own.CPU, Peak: u.Peak, Stages: u.Stages}
	if u.Ready.After(m.begun) {
		got.Start = u.Ready.Sub(m.begun).Seconds()
	}
	for name := range got.Stages {
		got.Stages[name] -= m.own.Stages[name]
	}
	got.Others = max(0, rest-m.rest)
	if m.s.name == programName {
		got.Others = max(0, got.Others-got.CPU) // a subscription's processes are the servers' own
	}
	return got, nil
}
