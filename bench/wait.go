package main

import (
	"context"
	"time"

	"rejot.dev/rejot"
)

// until asks again and again, with a pause between, until ask says yes. Past the limit it fails with what ask saw last.
func until(ctx context.Context, what string, limit, every time.Duration, ask func() (done bool, seen string, err error)) error {
	deadline := time.Now().Add(limit)
	for {
		done, seen, err := ask()
		if err != nil || done {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return rejot.Errorf(rejot.Internal, "%s: not within %s; %s", what, limit, seen)
		}
		pause(every)
	}
}
