package main

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"rejot.dev/rejot"
	"rejot.dev/rejot/httpapi"
)

func newResumeCommand(app *app) *cobra.Command {
	var host string
	var port int
	cmd := &cobra.Command{
		Use:   "resume [CONSUMER]",
		Short: "Try a pipeline that stands still again at once, or all of them",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := ""
			if len(args) == 1 {
				id = args[0]
			}
			return app.resume(cmd.Context(), net.JoinHostPort(host, strconv.Itoa(port)), id)
		},
	}
	cmd.Flags().StringVar(&host, "hostname", "localhost", "address of the running program's HTTP API")
	cmd.Flags().IntVar(&port, "api-port", 3000, "port of the running program's HTTP API")
	return cmd
}

func (a *app) resume(ctx context.Context, at, id string) error {
	n, err := httpapi.NewClient(at).Resume(ctx, id)
	if rejot.CodeOf(err) == rejot.Transient {
		return stopped(rejot.WithMend(err, "start the program: rejot sync MANIFEST…; it tries again what stood still"))
	}
	if err != nil {
		return err
	}
	if n == 0 {
		fmt.Fprintln(a.stdout, "nothing stands still")
		return nil
	}
	fmt.Fprintf(a.stdout, "%d tried again; see: rejot status\n", n)
	return nil
}
