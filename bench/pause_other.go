//go:build !linux

package main

import (
	"syscall"
	"time"
)

func pause(d time.Duration) { time.Sleep(d) }

func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
