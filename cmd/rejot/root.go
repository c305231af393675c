package main

import (
	"context"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"rejot.dev/rejot"
)

// An app is what commands share: the streams.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	terminal       bool // a person is there to read and to answer
}

// run is the program: it runs the command that args name and gives the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, terminal: isTerminal(stdin) && isTerminal(stderr)}
	defer func() {
		if p := recover(); p != nil {
			a.printPanic(p)
			code = exitStopped
		}
	}()
	cmd := newRootCommand(a)
	cmd.SetArgs(args)
	cmd.SetIn(stdin)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	a.printErrors(err)
	return exitCode(err)
}

func newRootCommand(a *app) *cobra.Command {
	cmd := newGroup("rejot", "Developer-defined database replication",
		newInitCommand(a),
		newManifestCommand(a),
		newWorkspaceCommand(a),
		newCollectCommand(a),
		newGenerateCommand(a),
		newCheckCommand(a),
		newDevCommand(a),
		newSyncCommand(a),
		newStatusCommand(a),
		newResumeCommand(a),
		newDiffCommand(a),
		newBackfillCommand(a),
		newDownCommand(a),
	)
	cmd.Long = `A team publishes part of its database as a versioned public schema, a SQL query. Another team
subscribes with a consumer schema, a SQL statement. rejot keeps the second equal to the first.`
	cmd.Version = version()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return rejot.WithMend(rejot.Errorf(rejot.Invalid, "%w", err), "%s --help", cmd.CommandPath())
	})
	return cmd
}

// newGroup makes a command that only has others. By itself it shows help.
func newGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			err := rejot.Errorf(rejot.Invalid, "%s has no command %q", cmd.CommandPath(), args[0])
			cmd.SuggestionsMinimumDistance = 2
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return rejot.WithMend(err, "did you mean: %s %s", cmd.CommandPath(), near[0])
			}
			return rejot.WithMend(err, "%s --help", cmd.CommandPath())
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}

// version is the module's, where the program was installed as one; else the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (text == "" || text == "(devel)") {
			text = s.Value
		}
	}
	return text
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
