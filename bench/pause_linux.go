package main

import (
	"syscall"
	"time"
)

// pause blocks the thread. The runtime's own timers round what is below a millisecond up to one when the program is idle.
func pause(d time.Duration) {
	if d <= 0 {
		return
	}
	ts := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&ts, nil) // a signal makes it shorter, which the callers' loops allow for
}

// dieWithUs makes the kernel end a process when the bench has ended, however it ends.
func dieWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
