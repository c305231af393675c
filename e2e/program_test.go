package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rejot.dev/rejot/httpapi"
	"rejot.dev/rejot/internal/dbtest"
)

var build struct {
	sync.Once
	path string
	err  error
}

func TestMain(m *testing.M) {
	code := dbtest.Main(m)
	if build.path != "" {
		_ = os.RemoveAll(filepath.Dir(build.path))
	}
	os.Exit(code)
}

// binary builds the program once a test process, with failpoints.
func binary(t *testing.T) string {
	t.Helper()
	build.Do(func() {
		dir, err := os.MkdirTemp("", "rejot-e2e-")
		if err != nil {
			build.err = err
			return
		}
		build.path = filepath.Join(dir, "rejot")
		cmd := exec.Command("go", "build", "-tags", "failpoints", "-o", build.path, "rejot.dev/rejot/cmd/rejot")
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

// A program is one running process.
type program struct {
	cmd   *exec.Cmd
	api   string
	err   error
	ended chan struct{}
	mu    sync.Mutex
	log   bytes.Buffer
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// settings are what a test may leave to the program, or force: the gear that the log is read in, how much of a batch is evaluated before the rest is read, and the way in
// which a Postgres destination applies. REJOT_TEST_SETTINGS forces one of them in every test that says nothing itself.
var settings = []string{"", "gear=fast;apply=rows;grow=1", "gear=stream;apply=sets;grow=3"}

// forced is an environment with the nth of the settings, and failpoints.
func forced(n int, failpoints ...string) string {
	return "REJOT_FP=" + strings.Join(append(failpoints, settings[n%len(settings)]), ";")
}

// start runs `rejot sync` and waits until its API is there, or it has ended.
func start(t *testing.T, manifest string, env ...string) *program {
	t.Helper()
	return launchIn(t, "", []string{"sync", manifest, "--api-port", "0", "--wait"}, env...)
}

// launchIn runs the program in a folder.
func launchIn(t *testing.T, dir string, args []string, env ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(binary(t), args...), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(append(os.Environ(), "REJOT_FP="+os.Getenv("REJOT_TEST_SETTINGS")), env...)
	p.cmd.Stderr = p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(io.TeeReader(out, p))
		for lines.Scan() {
			if _, at, found := strings.Cut(lines.Text(), "http://"); found {
				ready <- at
			}
		}
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			text := p.output()
			t.Logf("the program printed:\n%s", text[max(0, len(text)-4000):])
		}
	})
	select {
	case p.api = <-ready:
	case <-p.ended:
	case <-time.After(60 * time.Second):
		t.Fatal("the program has not started within a minute")
	}
	return p
}

// kill ends the process as a crash does.
func (p *program) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// stop ends the process in the orderly way and gives its exit code.
func (p *program) stop() int {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.ended
	return p.exitCode()
}

func (p *program) exitCode() int {
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

func (p *program) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// caughtUp waits until every pipeline runs and no backfill is left.
func (p *program) caughtUp(t *testing.T) {
	t.Helper()
	dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
		s, err := httpapi.NewClient(p.api).Status(t.Context())
		if err != nil {
			return false, err.Error()
		}
		for _, l := range s.Pipelines {
			if l.State != "running" || !l.Backfill.Done {
				return false, l.Consumer + " is " + l.State + " " + l.Error
			}
		}
		return true, ""
	})
}

// An object is JSON.
type object = map[string]any

func connection(slug string, db *dbtest.Database, addr string) object {
	host, port := db.Host, db.Port
	if addr != "" {
		h, text, err := net.SplitHostPort(addr)
		if err != nil {
			panic(err) // a test's own proxy
		}
		host = h
		if _, err := fmt.Sscan(text, &port); err != nil {
			panic(err)
		}
	}
	kind := "postgres"
	if !strings.HasPrefix(db.URL, "postgres") {
		kind = "mysql"
	}
	return object{"slug": slug, "config": object{
		"connectionType": kind, "host": host, "port": port, "user": db.User, "password": db.Password, "database": db.Name,
	}}
}

func sourceStore() object {
	return object{"connectionSlug": "source", "config": object{"connectionType": "postgres", "slotName": "rejot_source", "publicationName": "rejot_source"}}
}

func publicSchema(name, table, sql string) object {
	return object{
		"name": name, "source": object{"dataStoreSlug": "source"}, "outputSchema": object{"type": "object"}, "version": object{"major": 1, "minor": 0},
		"config": object{"publicSchemaType": "postgres", "transformations": []object{{"operation": "insert", "table": table, "sql": sql}}},
	}
}

func consumerSchema(name, schema, destination, kind, sql, deleteSQL string) object {
	config := object{"consumerSchemaType": kind, "destinationDataStoreSlug": destination, "sql": sql}
	if deleteSQL != "" {
		config["deleteSql"] = deleteSQL
	}
	return object{"name": name, "sourceManifestSlug": "test", "publicSchema": object{"name": schema, "majorVersion": 1}, "config": config}
}

// writeManifest writes a manifest of the slug test and gives its path.
func writeManifest(t *testing.T, parts object) string {
	t.Helper()
	parts["slug"], parts["manifestVersion"] = "test", 0
	text, err := json.MarshalIndent(parts, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rejot-manifest.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sameRows waits until a query at the destination gives what one gives at the source.
func sameRows(t *testing.T, source *dbtest.Database, sourceSQL string, dest *dbtest.Database, destSQL string) {
	t.Helper()
	dbtest.Eventually(t, 60*time.Second, func() (bool, string) {
		want, err := source.TryQuery(t.Context(), sourceSQL)
		if err != nil {
			return false, err.Error()
		}
		got, err := dest.TryQuery(t.Context(), destSQL)
		if err != nil {
			return false, err.Error()
		}
		if fmt.Sprint(want) == fmt.Sprint(got) {
			return true, ""
		}
		return false, difference(want, got)
	})
}

func difference(want, got [][]string) string {
	has := map[string]bool{}
	for _, r := range got {
		has[fmt.Sprint(r)] = true
	}
	var missing []string
	for _, r := range want {
		if !has[fmt.Sprint(r)] && len(missing) < 5 {
			missing = append(missing, fmt.Sprint(r))
		}
		delete(has, fmt.Sprint(r))
	}
	var extra []string
	for r := range has {
		if len(extra) < 5 {
			extra = append(extra, r)
		}
	}
	return fmt.Sprintf("source has %d rows, destination %d; missing: %v; only at the destination: %v", len(want), len(got), missing, extra)
}
