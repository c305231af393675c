// Command demo shows the example on private servers: rows before, a change, rows after, latency.
// `make demo` runs it; it starts everything that it needs and stops it again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"rejot.dev/rejot/internal/dbtest/dbserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	keep := flag.Bool("keep", false, "leave everything running until Ctrl-C")
	rejot := flag.String("rejot", "bin/rejot", "the program")
	example := flag.String("example", "examples/accounts", "the example's folder")
	flag.Parse()
	d := demo{out: os.Stdout, rejot: *rejot, example: *example, keep: *keep}
	if err := d.run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

type demo struct {
	out            io.Writer
	rejot, example string
	keep           bool

	home                  *dbserver.Home
	source, reports, shop *database
	api                   string
	sync                  *exec.Cmd
	ended                 chan error
}

func (d *demo) run(ctx context.Context) (err error) {
	d.home, err = dbserver.Open("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.home.Close()) }()
	for _, step := range []func(context.Context) error{d.startServers, d.startSync, d.show, d.measure, d.linger} {
		if err := step(ctx); err != nil {
			return errors.Join(err, d.stopSync())
		}
	}
	return d.stopSync()
}

func (d *demo) startServers(ctx context.Context) error {
	d.heading("Three private servers, which vanish when the demo ends")
	source, err := d.home.Start(ctx, dbserver.Config{Engine: dbserver.Postgres})
	if err != nil {
		return err
	}
	reports, err := d.home.Start(ctx, dbserver.Config{Engine: dbserver.Postgres})
	if err != nil {
		return err
	}
	shop, err := d.home.Start(ctx, dbserver.Config{Engine: dbserver.MariaDB})
	if err != nil {
		return err
	}
	if d.source, err = openPostgres(ctx, source, "accounts", d.file("source.sql")); err != nil {
		return err
	}
	if d.reports, err = openPostgres(ctx, reports, "reports", d.file("destination-postgres.sql")); err != nil {
		return err
	}
	if d.shop, err = openMariaDB(ctx, shop, "shop", d.file("destination-mariadb.sql")); err != nil {
		return err
	}
	for _, db := range []*database{d.source, d.reports, d.shop} {
		fmt.Fprintf(d.out, "  %-8s %-9s %s\n", db.name, db.server.Engine, db.server.Addr())
	}
	return nil
}

func (d *demo) file(name string) string { return filepath.Join(d.example, name) }

// environment has what the example's manifest refers to.
func (d *demo) environment() []string {
	env := os.Environ()
	for prefix, db := range map[string]*database{"SOURCE": d.source, "REPORTS": d.reports, "SHOP": d.shop} {
		env = append(env, prefix+"_PORT="+strconv.Itoa(db.server.Port), prefix+"_USER="+db.server.User, prefix+"_PASSWORD="+db.server.Password)
	}
	return env
}

func (d *demo) startSync(ctx context.Context) error {
	d.heading("The service: one process, two destinations, three tables")
	args := []string{"sync", d.file("rejot-manifest.json"), "--api-port", "0"}
	fmt.Fprintf(d.out, "  $ rejot %s\n", strings.Join(args, " "))
	logs, err := os.Create(filepath.Join(d.source.server.Dir(), "rejot.log"))
	if err != nil {
		return err
	}
	d.sync = exec.CommandContext(ctx, d.rejot, args...) //nolint:gosec // the demo's own program
	d.sync.Cancel = func() error { return d.sync.Process.Signal(syscall.SIGTERM) }
	d.sync.Env = d.environment()
	d.sync.Stderr = logs
	stdout, err := d.sync.StdoutPipe()
	if err != nil {
		return err
	}
	if err := d.sync.Start(); err != nil {
		return err
	}
	d.ended = make(chan error, 1)
	api := make(chan string, 1)
	go func() {
		d.listen(stdout, api)
		d.ended <- d.sync.Wait()
	}()
	select {
	case d.api = <-api:
		return nil
	case err := <-d.ended:
		d.sync = nil
		text, _ := os.ReadFile(logs.Name())
		return fmt.Errorf("rejot has ended (%w):\n%s", err, text)
	}
}

// listen copies what the program prints, and finds the address of its API in it.
func (d *demo) listen(r io.Reader, api chan<- string) {
	var line strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		for _, c := range string(buf[:n]) {
			if c != '\n' {
				line.WriteRune(c)
				continue
			}
			text := line.String()
			line.Reset()
			if _, at, found := strings.Cut(text, "http://"); found {
				select {
				case api <- strings.TrimSpace(at):
				default:
				}
			}
			fmt.Fprintln(d.out, "  "+text)
		}
		if err != nil {
			return
		}
	}
}

func (d *demo) stopSync() error {
	if d.sync == nil {
		return nil
	}
	_ = d.sync.Process.Signal(syscall.SIGTERM) // it may have ended
	err := <-d.ended
	d.sync = nil
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == -1 {
		return nil
	}
	return err
}

func (d *demo) heading(text string) { fmt.Fprintf(d.out, "\n%s\n\n", text) }

// linger leaves everything running until Ctrl-C, where that was asked for.
func (d *demo) linger(ctx context.Context) error {
	if !d.keep {
		return nil
	}
	d.heading("Everything keeps running until Ctrl-C. Try, in another terminal:")
	host, port, _ := strings.Cut(d.api, ":")
	fmt.Fprintf(d.out, "  %s status --hostname %s --api-port %s\n  psql %s\n  psql %s\n  mariadb -h %s -P %d -u %s -p%s shop\n", d.rejot, host, port,
		d.source.server.URL("accounts"), d.reports.server.URL("reports"), d.shop.server.Host, d.shop.server.Port, d.shop.server.User, d.shop.server.Password)
	select {
	case <-ctx.Done():
	case err := <-d.ended:
		d.ended <- err
		return fmt.Errorf("rejot has ended: %w", err)
	}
	return nil
}
