package collect

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // runner.py
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/bindings"
)

//go:embed runner.py
var runner []byte

// startLimit is how long an interpreter or a program may take to begin.
const startLimit = 30 * time.Second

// An answer is a line of runner.py, or of a contract in Go.
type answer struct {
	Start   *int     `json:"start"` // this file begins
	Number  *int     `json:"number"`
	Depends []string `json:"depends"`
	Schemas []struct {
		File   string          `json:"file"`
		Line   int             `json:"line"`
		Schema json.RawMessage `json:"schema"`
	} `json:"schemas"`
	Error *struct {
		Text    string `json:"text"`
		File    string `json:"file"`
		Line    int    `json:"line"`
		Column  int    `json:"column"`
		Missing string `json:"missing"`
	} `json:"error"`
}

// python evaluates files with the user's interpreter. It is started again after a file that did not end.
func (e *Evaluator) python(ctx context.Context, files []File) ([]outcome, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, rejot.Errorf(rejot.Invalid, "evaluate contracts: %w", err)
	}
	if _, err := exec.LookPath(e.cfg.Python); err != nil {
		err := rejot.Errorf(rejot.Invalid, "%s: there is no Python interpreter %s", files[0].Path, e.cfg.Python)
		return nil, rejot.WithMend(err, "install Python 3.9 or later, or name one: --python-executable PATH")
	}
	folder, err := os.MkdirTemp("", "rejot-python-")
	if err != nil {
		return nil, rejot.Errorf(rejot.Invalid, "evaluate contracts: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }() // it is temporary
	if err := materialise(folder); err != nil {
		return nil, rejot.Errorf(rejot.Invalid, "evaluate contracts: %w", err)
	}
	outcomes := make([]outcome, len(files))
	done := make([]bool, len(files))
	names := e.names(cwd, files)
	for left := len(files); left > 0; {
		var todo [][2]any
		for i, f := range files {
			if !done[i] {
				todo = append(todo, [2]any{i, absolute(cwd, f.Path)})
			}
		}
		if err := e.interpret(ctx, folder, todo, files, func(i int, o outcome) {
			for j := range o.found {
				o.found[j].at.file = names(o.found[j].at.file)
			}
			for j := range o.problems {
				o.problems[j].at.file = names(o.problems[j].at.file)
			}
			outcomes[i], done[i] = o, true
			left--
		}); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// materialise writes the package and the runner for the interpreter.
func materialise(folder string) error {
	sub, err := fs.Sub(bindings.Python, "python")
	if err != nil {
		return err
	}
	if err := os.CopyFS(folder, sub); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "rejot_runner.py"), runner, 0o600)
}

// interpret runs one interpreter until it has answered all files, or one of them has ended it. At least one outcome comes.
func (e *Evaluator) interpret(ctx context.Context, folder string, todo [][2]any, files []File, tell func(int, outcome)) error {
	input, err := json.Marshal(todo)
	if err != nil {
		return rejot.Errorf(rejot.Internal, "evaluate contracts: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(ctx, e.cfg.Python, filepath.Join(folder, "rejot_runner.py"), strconv.FormatFloat(e.cfg.Limit.Seconds(), 'f', -1, 64)) //nolint:gosec // what the user named
	cmd.Stdin = bytes.NewReader(input)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+strings.TrimRight(folder+string(os.PathListSeparator)+os.Getenv("PYTHONPATH"), string(os.PathListSeparator)),
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONIOENCODING=utf-8")
	var said tail
	cmd.Stderr = &said
	cmd.WaitDelay = grace // a process of its own may hold the pipe
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return rejot.Errorf(rejot.Internal, "evaluate contracts: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return rejot.WithMend(rejot.Errorf(rejot.Invalid, "start %s: %w", e.cfg.Python, err), "name another: --python-executable PATH")
	}
	first, _ := todo[0][0].(int)
	running, why := e.listen(ctx, stdout, first, tell)
	stop()
	_ = cmd.Wait() // it was stopped, or has answered
	if text := said.String(); text != "" {
		e.cfg.Log(text)
	}
	if running >= 0 {
		if why == "" {
			why = "ends the interpreter" + said.last()
		}
		tell(running, outcome{problems: []problem{problemf(place{file: files[running].Path}, "%s", why)}})
	}
	return nil
}

// listen hands on the answers. It gives the file that was running at the end, -1 where all were answered, and why it ended.
func (e *Evaluator) listen(ctx context.Context, from io.Reader, first int, tell func(int, outcome)) (running int, why string) {
	lines := make(chan []byte)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(from)
		scanner.Buffer(nil, largestSource*4)
		for scanner.Scan() {
			select {
			case lines <- bytes.Clone(scanner.Bytes()):
			case <-ctx.Done():
				return
			}
		}
	}()
	running = first
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	for {
		select {
		case <-ctx.Done():
			return running, "was interrupted"
		case <-limit.C:
			return running, fmt.Sprintf("did not end within %s", e.cfg.Limit)
		case line, ok := <-lines:
			if !ok {
				return running, ""
			}
			var a answer
			if err := json.Unmarshal(line, &a); err != nil {
				return running, fmt.Sprintf("gives no JSON: %v", err)
			}
			switch {
			case a.Start != nil:
				running = *a.Start
				limit.Reset(e.cfg.Limit + grace) // the runner itself says where it was
			case a.Number != nil:
				tell(running, a.outcome())
				running = -1
				limit.Reset(e.cfg.Limit)
			}
		}
	}
}

func (a *answer) outcome() outcome {
	o := outcome{depends: a.Depends}
	if a.Error != nil {
		p := problemf(place{file: a.Error.File, line: a.Error.Line, column: a.Error.Column}, "%s", a.Error.Text)
		if a.Error.Missing != "" {
			p = p.withMend("pip install %s, or name the interpreter that has it: --python-executable PATH", a.Error.Missing)
		}
		o.problems = []problem{p}
	}
	for _, s := range a.Schemas {
		o.found = append(o.found, found{raw: s.Schema, at: place{file: s.File, line: s.Line}})
	}
	return o
}

// A tail keeps the end of what a process says.
type tail struct{ text []byte }

const longestTail = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > longestTail {
		t.text = t.text[len(t.text)-longestTail:]
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.text)) }

// last is the last line, after a colon.
func (t *tail) last() string {
	text := t.String()
	if text == "" {
		return ""
	}
	return ": " + text[strings.LastIndexByte(text, '\n')+1:]
}

// exitText says how a process ended.
func exitText(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.String()
	}
	return err.Error()
}
