//go:build !linux

package dbserver

import "syscall"

// dieWith does nothing: only Linux tells a process that its parent has ended. Elsewhere a test
// process that is killed leaves its servers running.
func dieWith(*syscall.SysProcAttr, syscall.Signal) {}

func children(int) []int { return nil }

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
