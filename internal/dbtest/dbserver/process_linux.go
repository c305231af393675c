package dbserver

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// dieWith makes the kernel send sig to the process when its parent ends.
func dieWith(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// children lists the processes whose parent is pid.
func children(pid int) []int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var kids []int
	for _, stat := range stats {
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if err != nil {
			continue
		}
		if _, parent, ok := procStat(id); ok && parent == pid {
			kids = append(kids, id)
		}
	}
	return kids
}

// alive is false for a process that has ended and waits for its parent to notice.
func alive(pid int) bool {
	state, _, ok := procStat(pid)
	return ok && state != "Z" && state != "X"
}

// procStat reads state and parent. The program's name before them stands in parentheses and may contain anything.
func procStat(pid int) (state string, parent int, ok bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", 0, false
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return fields[0], parent, err == nil
}
