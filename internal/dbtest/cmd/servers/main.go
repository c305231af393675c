// Command servers starts private database servers for a demo, tells a command where they are, and ends
// them when the command has ended.
//
//	servers postgres postgres:18 mariadb -- scripts/demo-in-here
//
// Each server is told to the command in its environment under its kind and number: POSTGRES1_URL,
// POSTGRES1_HOST, _PORT, _USER, _PASSWORD, _DIR, then POSTGRES2_… and MARIADB1_…. Without a command the same
// lines are printed, and the servers run until Ctrl-C. Nothing of them is left afterwards.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"rejot.dev/rejot/internal/dbtest/dbserver"
)

const usage = "usage: servers postgres[:major] mariadb … [-- command arguments …]"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	names, command := args, []string(nil)
	if i := slices.Index(args, "--"); i >= 0 {
		names, command = args[:i], args[i+1:]
	}
	configs, err := parse(names)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "servers: %v\n%s\n", err, usage)
		return 2
	}
	err = serve(ctx, configs, func(env []string) error {
		if len(command) == 0 {
			_, err := fmt.Fprintln(stdout, strings.Join(env, "\n"))
			<-ctx.Done()
			return err
		}
		cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // what the user typed
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.Env = append(os.Environ(), env...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
		return cmd.Run()
	})
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode()
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "servers:", err)
		return 1
	}
	return 0
}

func parse(names []string) ([]dbserver.Config, error) {
	var configs []dbserver.Config
	for _, name := range names {
		engine, major, hasMajor := strings.Cut(name, ":")
		c := dbserver.Config{Engine: dbserver.Engine(engine)}
		if c.Engine != dbserver.Postgres && (c.Engine != dbserver.MariaDB || hasMajor) {
			return nil, fmt.Errorf("unknown server %q", name)
		}
		if hasMajor {
			var err error
			if c.Major, err = strconv.Atoi(major); err != nil {
				return nil, fmt.Errorf("version of %q is no number", name)
			}
		}
		configs = append(configs, c)
	}
	if len(configs) == 0 {
		return nil, errors.New("no server named")
	}
	return configs, nil
}

// serve starts the servers, lets use work with them, and ends them.
func serve(ctx context.Context, configs []dbserver.Config, use func(env []string) error) (err error) {
	home, err := dbserver.Open("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	var env []string
	count := map[dbserver.Engine]int{}
	for _, c := range configs {
		s, err := home.Start(ctx, c)
		if err != nil {
			return err
		}
		count[c.Engine]++
		env = append(env, describe(s, count[c.Engine])...)
	}
	return use(env)
}

func describe(s *dbserver.Server, number int) []string {
	prefix := fmt.Sprintf("%s%d_", strings.ToUpper(string(s.Engine)), number)
	database := ""
	if s.Engine == dbserver.Postgres {
		database = "postgres"
	}
	return []string{
		prefix + "URL=" + s.URL(database),
		prefix + "HOST=" + s.Host,
		prefix + "PORT=" + strconv.Itoa(s.Port),
		prefix + "USER=" + s.User,
		prefix + "PASSWORD=" + s.Password,
		prefix + "DIR=" + s.Dir(),
	}
}
