package dbserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// startAndWait makes this test's program the process that is killed.
const startAndWait = "REJOT_TEST_START_AND_WAIT"

func TestMain(m *testing.M) {
	if parent := os.Getenv(startAndWait); parent != "" {
		os.Exit(startInto(parent))
	}
	goleak.VerifyTestMain(m)
}

func startInto(parent string) int {
	home, err := Open(parent)
	if err == nil {
		_, err = home.Start(context.Background(), Config{Engine: Postgres})
	}
	fmt.Println(err)
	_, _ = os.Stdin.Read(make([]byte, 1)) // until killed
	return 1
}

// folder is a temporary folder that the servers' user can enter.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(tempDir(), "rejot-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestOpenRemovesHomesOfDeadProcessesOnly(t *testing.T) {
	parent := folder(t)
	dead, err := Open(parent)
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.lock.Close(); err != nil { // as the kernel does for a process that dies
		t.Fatal(err)
	}
	living, err := Open(parent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want the dead process' home removed", err)
	}
	third, err := Open(parent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(living.dir); err != nil {
		t.Errorf("got %v, want the living process' home untouched", err)
	}
	if err := errors.Join(living.Close(), third.Close()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v, want nothing left", left, err)
	}
}

func TestServersDieWithTheirProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a process that its parent has ended")
	}
	parent := folder(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), startAndWait+"="+parent)
	stdin, stdinErr := cmd.StdinPipe()
	stdout, stdoutErr := cmd.StdoutPipe()
	if err := errors.Join(stdinErr, stdoutErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "<nil>\n" {
		t.Fatalf("got %q, %v, want a started server", line, err)
	}
	pids, err := filepath.Glob(filepath.Join(parent, "*", "postgres1", "data", "postmaster.pid"))
	if err != nil || len(pids) != 1 {
		t.Fatalf("got %v, %v, want one server", pids, err)
	}
	text, err := os.ReadFile(pids[0])
	if err != nil {
		t.Fatal(err)
	}
	var server int
	if _, err := fmt.Sscan(strings.SplitN(string(text), "\n", 2)[0], &server); err != nil {
		t.Fatal(err)
	}
	if !alive(server) {
		t.Fatal("the server does not run")
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	deadline := time.After(10 * time.Second)
	for alive(server) {
		select {
		case <-deadline:
			t.Fatal("the server runs on without its process")
		case <-time.Tick(10 * time.Millisecond):
		}
	}
}
