package dbtest_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"rejot.dev/rejot/internal/dbtest"
)

// echo starts a server that sends every line back, and tells of each that it got.
func echo(t *testing.T) (addr string, got <-chan string) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lines, done := make(chan string, 10), make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(conn)
			for line, err := r.ReadString('\n'); err == nil; line, err = r.ReadString('\n') {
				lines <- line
				_, _ = io.WriteString(conn, line)
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String(), lines
}

func dial(t *testing.T, p *dbtest.Proxy) (net.Conn, *bufio.Reader) {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func send(t *testing.T, conn net.Conn, line string) {
	t.Helper()
	if _, err := io.WriteString(conn, line); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	got, err := r.ReadString('\n')
	if err != nil || got != want {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

func TestProxyCutsConnectionsAndAcceptsNewOnes(t *testing.T) {
	t.Parallel()
	addr, _ := echo(t)
	p := dbtest.NewProxy(t, addr)
	conn, r := dial(t, p)
	send(t, conn, "one\n")
	receive(t, r, "one\n")
	p.Cut()
	if _, err := r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	conn, r = dial(t, p)
	send(t, conn, "two\n")
	receive(t, r, "two\n")
}

func TestProxyLosesAReplyWhoseRequestArrived(t *testing.T) {
	t.Parallel()
	addr, got := echo(t)
	p := dbtest.NewProxy(t, addr)
	conn, r := dial(t, p)
	send(t, conn, "one\n")
	receive(t, r, "one\n")
	<-got
	p.PauseReplies()
	send(t, conn, "commit\n")
	if line := <-got; line != "commit\n" {
		t.Fatalf("server got %q", line)
	}
	p.Cut()
	if b, err := r.ReadByte(); err == nil {
		t.Errorf("got %q, want no reply", b)
	}
}

func TestProxyHoldsBytesBackUntilResume(t *testing.T) {
	t.Parallel()
	addr, _ := echo(t)
	p := dbtest.NewProxy(t, addr)
	conn, r := dial(t, p)
	p.Pause()
	send(t, conn, "one\n")
	if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want nothing in time", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p.Resume()
	receive(t, r, "one\n")
}

func TestProxyRefusesUntilAccept(t *testing.T) {
	t.Parallel()
	addr, _ := echo(t)
	p := dbtest.NewProxy(t, addr)
	p.Refuse()
	var d net.Dialer
	refused, err := d.DialContext(t.Context(), "tcp", p.Addr())
	if err == nil { // the reset comes while dialling, or after it
		_, err = refused.Read(make([]byte, 1))
		_ = refused.Close()
	}
	if err == nil {
		t.Fatal("a refused connection works")
	}
	p.Accept()
	conn, r := dial(t, p)
	send(t, conn, "one\n")
	receive(t, r, "one\n")
}
