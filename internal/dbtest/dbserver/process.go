package dbserver

import (
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// A process is a running server program. Its err is set before done is closed.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// startProcess starts cmd on a thread of its own and keeps that thread until the process has ended: the kernel sends
// the parent-death signal when the starting *thread* ends, not the process.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	return p, <-started
}

func (p *process) signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// killTree kills a server and its children, and waits until all are gone. Children of a killed Postgres would end by
// themselves a little later and until then keep a new server from starting.
func killTree(p *process) {
	kids := children(p.cmd.Process.Pid)
	_ = p.cmd.Process.Kill() // fails only where it has ended already
	for _, kid := range kids {
		_ = syscall.Kill(kid, syscall.SIGKILL)
	}
	<-p.done
	deadline := time.Now().Add(stopWithin)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, kid := range kids {
		for alive(kid) && time.Now().Before(deadline) {
			<-tick.C
		}
	}
}
