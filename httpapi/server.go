package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rejot.dev/rejot"
)

// A Program is what the server speaks for.
type Program interface {
	Status() Status
	// Resume tries a consumer again at once, or all where id is empty, and reports how many stood still.
	Resume(id string) int
}

// A Server answers on one listener.
type Server struct {
	http     *http.Server
	listener net.Listener
}

// Listen opens a server on a loopback address; port 0 takes a free one. Code Invalid where the
// address is not loopback or is in use.
func Listen(ctx context.Context, host string, port int, p Program) (*Server, error) {
	if err := checkLoopback(ctx, host); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		err = rejot.Errorf(rejot.Invalid, "HTTP API: %w", err)
		return nil, rejot.WithMend(err, "choose another port with --api-port, or 0 for any free one")
	}
	s := &http.Server{
		Handler: guard(routes(p)), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
	}
	return &Server{http: s, listener: l}, nil
}

func checkLoopback(ctx context.Context, host string) error {
	addrs, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return rejot.Errorf(rejot.Invalid, "HTTP API: host %q: %w", host, err)
	}
	for _, a := range addrs {
		if !a.IP.IsLoopback() {
			err := rejot.Errorf(rejot.Unsupported, "HTTP API: %s is not a loopback address, and without a token nobody else may ask", host)
			return rejot.WithMend(err, "leave out --hostname, or give it a loopback address")
		}
	}
	return nil
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = s.http.Shutdown(ctx) // whoever still reads then is cut off by the program's end
	})
	defer stop()
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return rejot.Errorf(rejot.Internal, "HTTP API: %w", err)
	}
	return nil
}

// guard refuses a browser's request for another origin: FAULTS S3.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		ip := net.ParseIP(strings.Trim(host, "[]"))
		site := r.Header.Get("Sec-Fetch-Site")
		foreign := r.Header.Get("Origin") != "" || (site != "" && site != "same-origin" && site != "none")
		if foreign || (host != "localhost" && (ip == nil || !ip.IsLoopback())) {
			http.Error(w, "this address answers requests to localhost only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

type routeLine struct {
	Method string `json:"method"`
	Path   string `json:"path"`
}

func routes(p Program) http.Handler {
	mux := http.NewServeMux()
	lines := []routeLine{{"GET", "/status"}, {"GET", "/healthz"}, {"GET", "/readyz"}, {"GET", "/v1/status"}, {"POST", "/v1/resume"}}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		health := "ok"
		if red(p.Status()) {
			health = "error"
		}
		write(w, http.StatusOK, map[string]any{"health": health, "routes": lines})
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]string{"state": p.Status().State})
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]string{"health": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		s := p.Status()
		code := http.StatusOK
		if red(s) {
			code = http.StatusServiceUnavailable
		}
		write(w, code, s)
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, p.Status()) })
	mux.HandleFunc("POST /v1/resume", func(w http.ResponseWriter, r *http.Request) {
		write(w, http.StatusOK, map[string]int{"resumed": p.Resume(r.URL.Query().Get("consumer"))})
	})
	return mux
}

// red reports whether a pipeline stands still.
func red(s Status) bool {
	for _, p := range s.Pipelines {
		if p.Error != "" {
			return true
		}
	}
	return false
}

func write(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client has gone; there is nobody to tell
}
