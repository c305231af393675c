package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/httpapi"
)

// programName is the side's, in what is printed and in JSON; nativeName is the other one's.
const (
	programName = "rejot"
	nativeName  = "native"
)

// A program is ReJot as a process, with the example's contract.
type program struct {
	w        *world
	db       *database
	manifest string
	env      []string
	running  *process // nil while it does not run
}

// A process is one run of the program.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when err is set
	err   error

	mu    sync.Mutex
	api   string    // host:port, when it has told
	ready time.Time // when it did
}

// openProgram starts ReJot's destination and writes its manifest.
func (w *world) openProgram(ctx context.Context) (*side, error) {
	db, err := w.open(ctx, "reports", "destination-postgres.sql")
	if err != nil {
		return nil, err
	}
	p := &program{w: w, db: db, manifest: filepath.Join(w.dir, "rejot-manifest.json"), env: os.Environ()}
	text, err := os.ReadFile(w.example("rejot-manifest.json"))
	if err != nil {
		return nil, err
	}
	if text, err = withoutShop(text); err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.manifest, text, 0o600); err != nil {
		return nil, err
	}
	for prefix, s := range map[string]*database{"SOURCE": w.source, "REPORTS": db} {
		p.env = append(p.env, prefix+"_PORT="+strconv.Itoa(s.server.Port), prefix+"_USER="+s.server.User, prefix+"_PASSWORD="+s.server.Password)
	}
	w.program = p
	return &side{
		system: p, name: programName, db: db, row: w.markerRow(),
		sees:   `SELECT id FROM account_destination WHERE id = ANY($1::bigint[]) AND starts_with(full_name, $2)`,
		number: `SELECT count(*)::text FROM account_destination`,
		total:  `SELECT count(*) || ' ' || coalesce(sum(hashtextextended(concat_ws('|', id, full_name, email), 0)::numeric), 0) FROM account_destination`,
		expected: `SELECT count(*) || ' ' || coalesce(sum(hashtextextended(concat_ws('|', a.id, a.first_name || ' ' || a.last_name,
			(SELECT (array_agg(e.email))[1] FROM account_emails e WHERE e.account_id = a.id)), 0)::numeric), 0) FROM account a`,
	}, nil
}

// withoutShop takes from the example's manifest what goes to its other destination; the contract is left as it is.
func withoutShop(text []byte) ([]byte, error) {
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("rejot-manifest.json: %w", err)
	}
	keep := func(list, key string, names ...string) {
		var kept []any
		all, _ := m[list].([]any)
		for _, one := range all {
			entry, _ := one.(map[string]any)
			for _, name := range names {
				if entry[key] == name {
					kept = append(kept, one)
				}
			}
		}
		m[list] = kept
	}
	keep("connections", "slug", "source", "reports")
	keep("dataStores", "connectionSlug", "source", "reports")
	keep("publicSchemas", "name", "publish-account")
	keep("consumerSchemas", "name", "account-to-reports")
	return json.MarshalIndent(m, "", "  ")
}

func (p *program) logFile() string { return filepath.Join(p.w.dir, "rejot.log") }

func (p *program) start(ctx context.Context) error {
	if p.running != nil {
		return nil
	}
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	r := &process{ended: make(chan struct{})}
	// A cancelled context is met by kill, when the bench ends.
	r.cmd = exec.CommandContext(context.WithoutCancel(ctx), p.w.o.program, "sync", p.manifest, "--api-port", "0") //nolint:gosec // our program
	r.cmd.Env, r.cmd.Stderr, r.cmd.SysProcAttr = p.env, log, dieWithUs()
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	p.running = r
	go r.listen(out)
	return nil
}

// listen waits for the address of the API, and for the end.
func (r *process) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, at, found := strings.Cut(lines.Text(), "http://"); found {
			r.mu.Lock()
			r.api, r.ready = strings.TrimSpace(at), time.Now()
			r.mu.Unlock()
		}
	}
	r.err = r.cmd.Wait()
	close(r.ended)
}

func (r *process) address() (api string, ready time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.api, r.ready
}

func (p *program) stop(context.Context) error {
	if p.running == nil {
		return nil
	}
	r := p.running
	_ = r.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-r.ended:
	case <-time.After(stopWithin):
		p.kill()
		return rejot.Errorf(rejot.Internal, "rejot has not ended within %s of SIGTERM; its log ends with:\n%s", stopWithin, p.logTail())
	}
	p.running = nil
	if r.err != nil {
		return fmt.Errorf("rejot: %w; its log ends with:\n%s", r.err, p.logTail())
	}
	return nil
}

// kill ends the process as a crash does.
func (p *program) kill() {
	if p.running == nil {
		return
	}
	_ = p.running.cmd.Process.Kill() // it may have ended
	<-p.running.ended
	p.running = nil
}

func (p *program) clear(ctx context.Context) error {
	if err := p.stop(ctx); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, p.w.o.program, "down", "--yes", p.manifest) //nolint:gosec // our program
	cmd.Env = p.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("rejot down: %w\n%s", err, out)
	}
	return p.db.exec(ctx, "TRUNCATE account_destination")
}

func (p *program) usage(ctx context.Context) (usage, error) {
	if p.running == nil {
		return usage{}, errors.New("rejot does not run")
	}
	pid := p.running.cmd.Process.Pid
	u := usage{Peak: peakOf(pid)}
	u.CPU, _ = cpuOf(pid)
	var err error
	u.Stages, err = p.stages(ctx)
	_, u.Ready = p.running.address()
	return u, err
}

// stages asks the program where its time went.
func (p *program) stages(ctx context.Context) (map[string]float64, error) {
	status, err := p.status(ctx)
	if err != nil {
		return nil, err
	}
	var s struct {
		Stages []struct {
			Name    string  `json:"name"`
			Seconds float64 `json:"seconds"`
		} `json:"stages"`
	}
	if err := json.Unmarshal(status, &s); err != nil {
		return nil, fmt.Errorf("rejot's status: %w", err)
	}
	var stages map[string]float64
	for _, stage := range s.Stages {
		if stages == nil {
			stages = map[string]float64{}
		}
		stages[stage.Name] += stage.Seconds
	}
	return stages, nil
}

func (p *program) status(ctx context.Context) ([]byte, error) {
	api, _ := p.running.address()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+api+"/v1/status", nil)
	if err != nil {
		return nil, err
	}
	// A transport of its own: no connection is left behind to a process that ends.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func (p *program) trouble(ctx context.Context) (string, error) {
	if p.running == nil {
		return "it does not run", nil
	}
	select {
	case <-p.running.ended:
		return "", fmt.Errorf("rejot has ended by itself: %w; its log ends with:\n%s", p.running.err, p.logTail())
	default:
	}
	api, _ := p.running.address()
	if api == "" {
		return "it has not told its address; its log ends with:\n" + p.logTail(), nil
	}
	status, err := p.status(ctx)
	if err != nil {
		return fmt.Sprintf("it does not tell its status: %v; its log ends with:\n%s", err, p.logTail()), nil
	}
	text := fmt.Sprintf("its status is %s; its log ends with:\n%s", status, p.logTail())
	var s httpapi.Status
	if err := json.Unmarshal(status, &s); err != nil {
		return "", fmt.Errorf("rejot's status: %w; %s", err, text)
	}
	for _, pipeline := range s.Pipelines {
		if pipeline.State == "stopped" {
			return "", rejot.Errorf(rejot.Internal, "rejot has stopped: %s; %s", pipeline.Error, text)
		}
	}
	return text, nil
}

func (p *program) logTail() string {
	const lines = 15
	text, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
