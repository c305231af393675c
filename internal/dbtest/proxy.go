package dbtest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A Proxy stands between a client and a real server on loopback and makes a network's faults.
type Proxy struct {
	Host string
	Port int

	target   string
	listener net.Listener
	requests gate // what clients send
	replies  gate // what the server sends
	running  sync.WaitGroup

	mu      sync.Mutex
	refuses bool
	links   map[*link]struct{}
}

// NewProxy starts a proxy to addr that lives as long as the test.
func NewProxy(t testing.TB, addr string) *Proxy {
	t.Helper()
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("listener of an unknown kind at %s", listener.Addr())
	}
	p := &Proxy{
		Host: tcp.IP.String(), Port: tcp.Port,
		target: addr, listener: listener, links: map[*link]struct{}{},
	}
	p.running.Go(func() { p.accept(context.WithoutCancel(t.Context())) })
	t.Cleanup(func() {
		_ = listener.Close() // ends accept
		p.Cut()
		p.running.Wait()
	})
	return p
}

// Addr is host:port of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut resets the connections that there are. New ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut()
	}
}

// Refuse resets the connections that there are and every new one, until Accept.
func (p *Proxy) Refuse() {
	p.setRefuses(true)
	p.Cut()
}

// Accept ends Refuse.
func (p *Proxy) Accept() { p.setRefuses(false) }

func (p *Proxy) setRefuses(v bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = v
}

// Pause holds all bytes back in both directions, as a network does that loses every packet: connections stay open
// and nothing arrives. Resume delivers what was held back.
func (p *Proxy) Pause() {
	p.requests.shut()
	p.replies.shut()
}

// PauseReplies holds back only what the server sends. With a Cut after it, a
// request has had its effect and its answer is lost.
func (p *Proxy) PauseReplies() { p.replies.shut() }

// Resume ends Pause and PauseReplies.
func (p *Proxy) Resume() {
	p.requests.open()
	p.replies.open()
}

func (p *Proxy) accept(ctx context.Context) {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(ctx, conn) })
	}
}

func (p *Proxy) serve(ctx context.Context, conn net.Conn) {
	l := &link{client: conn, over: make(chan struct{})}
	defer l.cut()
	if !p.add(l) {
		return
	}
	defer p.remove(l)
	if !p.requests.wait(l.over) { // a paused network does not connect
		return
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	server, err := dialer.DialContext(ctx, "tcp", p.target)
	if err != nil || !l.join(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.copy(server, conn, &p.requests) })
	both.Go(func() { l.copy(conn, server, &p.replies) })
	both.Wait()
}

func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuses {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// A link is one client's connection and the one to the server that belongs to it.
type link struct {
	client net.Conn
	over   chan struct{} // closed by cut

	mu     sync.Mutex
	server net.Conn
	isCut  bool
}

// join is false where the link was cut while the server was dialled; the connection is closed then.
func (l *link) join(server net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		reset(server)
		return false
	}
	l.server = server
	return true
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		return
	}
	l.isCut = true
	close(l.over)
	reset(l.client)
	if l.server != nil {
		reset(l.server)
	}
}

// reset closes without waiting for what was not sent, so that the other side sees an error and no orderly end.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// copy hands bytes on while the gate is open. The end of one direction is handed on as such, an error ends the link.
func (l *link) copy(to, from net.Conn, g *gate) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !g.wait(l.over) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				l.cut()
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if tcp, ok := to.(*net.TCPConn); ok {
				_ = tcp.CloseWrite()
			}
			return
		case err != nil:
			l.cut()
			return
		}
	}
}

// A gate is open at first.
type gate struct {
	mu     sync.Mutex
	closed chan struct{} // nil while open; closed to let everybody through
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == nil {
		g.closed = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		close(g.closed)
		g.closed = nil
	}
}

// wait returns true once the gate is open, and false when over was closed before.
func (g *gate) wait(over <-chan struct{}) bool {
	for {
		g.mu.Lock()
		closed := g.closed
		g.mu.Unlock()
		if closed == nil {
			return true
		}
		select {
		case <-closed:
		case <-over:
			return false
		}
	}
}
