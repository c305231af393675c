package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ticks a second in /proc: the kernel fixes it for programs, whatever its own clock is.
const ticks = 100

// cpuOf gives the processor seconds of a process, and of its children that have ended and were waited for. Where
// the system has no /proc, or the process has ended, it is 0.
func cpuOf(pid int) (own, children float64) {
	fields := statOf(pid)
	if len(fields) < 15 {
		return 0, 0
	}
	at := func(i int) float64 {
		n, _ := strconv.ParseFloat(fields[i], 64)
		return n / ticks
	}
	return at(11) + at(12), at(13) + at(14)
}

// statOf gives the fields after the program's name, which may contain anything: state, parent and so on.
func statOf(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}

// cpuOfServer gives the processor seconds of a Postgres, with all its processes that are there or have been there.
func cpuOfServer(dir string) float64 {
	text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	own, ended := cpuOf(postmaster)
	sum := own + ended
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, stat := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if err != nil {
			continue
		}
		if fields := statOf(pid); len(fields) > 1 && fields[1] == first {
			own, _ := cpuOf(pid)
			sum += own
		}
	}
	return sum
}

// cpuOfMachine gives the processor seconds that anybody has taken.
func cpuOfMachine() float64 {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal …
	sum := 0.0
	for i, field := range fields {
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, _ := strconv.ParseFloat(field, 64)
		sum += n / ticks
	}
	return sum
}

// peakOf gives the largest resident size that a process has had, in bytes.
func peakOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	return 0
}
