//go:build failpoints

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"rejot.dev/rejot"
)

var plan = sync.OnceValue(func() *points { return parse(os.Getenv("REJOT_FP")) })

type points struct {
	mu   sync.Mutex
	left map[string]point
}

type point struct {
	action string
	hits   int // until it happens
}

func parse(text string) *points {
	p := &points{left: map[string]point{}}
	for _, one := range strings.Split(text, ";") {
		name, rest, found := strings.Cut(one, "=")
		action, nth, _ := strings.Cut(rest, "@")
		hits, err := strconv.Atoi(nth)
		if err != nil {
			hits = 1
		}
		if found {
			p.left[name] = point{action, hits}
		}
	}
	return p
}

// Hit marks a step, and fails or ends the process where the environment says so.
func Hit(name string) error {
	p := plan()
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.left[name]
	if !ok {
		return nil
	}
	at.hits--
	p.left[name] = at
	if at.hits != 0 {
		return nil
	}
	if at.action == "kill" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return rejot.Errorf(rejot.Transient, "failpoint %s", name)
}

// Setting is a choice that a test forces, as in "gear=fast" of the environment; empty where the
// program chooses.
func Setting(name string) string {
	p := plan()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left[name].action
}
