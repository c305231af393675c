package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"rejot.dev/rejot"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are the flags.
type options struct {
	rounds  int
	rows    int
	updates int
	only    []string
	seconds int
	server  int
	json    bool
	out     string
	program string
	// retry is the servers' wal_retrieve_retry_interval: their default, which tests shorten.
	retry time.Duration
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{retry: 5 * time.Second}
	var only string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.rounds, "rounds", 3, "how often each job is measured; medians are printed")
	f.IntVar(&o.rows, "rows", 1_000_000, "accounts at the source")
	f.IntVar(&o.updates, "updates", 200_000, "changes of a catch-up")
	f.StringVar(&only, "only", "", "jobs, with commas between: "+strings.Join(jobNames(), ", ")+"; latency is both of them")
	f.IntVar(&o.seconds, "seconds", 20, "how long latency is measured")
	f.IntVar(&o.server, "server", 0, "major version of Postgres; 0 is the one that the machine has")
	f.BoolVar(&o.json, "json", false, "print all measurements as JSON instead of tables")
	f.StringVar(&o.out, "out", "", "a Markdown file whose part between the markers is replaced by the tables")
	f.StringVar(&o.program, "rejot", "", "a program that is there already, instead of building cmd/rejot")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, rejot.Errorf(rejot.Invalid, "unknown argument %q", f.Arg(0))
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	return o, o.check()
}

func (o options) check() error {
	if o.rounds < 1 || o.rows < 100 || o.updates < 100 || o.seconds < 1 {
		return rejot.Errorf(rejot.Invalid, "there are at least 1 round, 100 rows, 100 updates and 1 second")
	}
	jobs, err := choose(o.only)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if need := j.tps * (o.seconds + warmSeconds); need > o.rows {
			err := rejot.Errorf(rejot.Invalid, "%s changes %d rows once each, and there are %d", j.name, need, o.rows)
			return rejot.WithMend(err, "-rows %d, or fewer -seconds", need)
		}
	}
	return nil
}

// run is the program; it gives the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		complain(stderr, err)
		return 2
	}
	err = bench(ctx, o, stdout, stderr)
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "bench: interrupted; the servers are gone")
		return 1
	}
	if err != nil {
		complain(stderr, err)
		return 1
	}
	return 0
}

func complain(stderr io.Writer, err error) {
	fmt.Fprintln(stderr, "bench:", err)
	if mend := rejot.MendOf(err); mend != "" {
		fmt.Fprintln(stderr, "  try:", mend)
	}
}

func bench(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	if err := checkMarkers(o.out); err != nil { // before the work, not after it
		return err
	}
	w, err := openWorld(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close(context.WithoutCancel(ctx))) }()
	r, err := w.measure(ctx)
	if err != nil {
		return err
	}
	if o.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(r)
	} else {
		_, err = io.WriteString(stdout, r.text())
	}
	if err == nil && o.out != "" {
		err = rewrite(o.out, r.markdown())
	}
	return err
}

// measure runs the jobs.
func (w *world) measure(ctx context.Context) (*report, error) {
	jobs, err := choose(w.o.only)
	if err != nil {
		return nil, err
	}
	r, err := newReport(ctx, w)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	for _, j := range jobs {
		for round := range w.o.rounds {
			if err := j.run(ctx, w, j, r.add(j, round)); err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", j.name, round+1, err)
			}
		}
	}
	r.Minutes = time.Since(began).Minutes()
	return r, nil
}
