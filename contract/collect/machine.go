package collect

import (
	"context"
	_ "embed" // prelude.js
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"
)

//go:embed prelude.js
var prelude string

const (
	deepestCalls = 4000      // calls in one another
	mostMemory   = 512 << 20 // that a file may add
	looksAtUse   = 20 * time.Millisecond
	grace        = time.Second // after the limit, for what the engine cannot interrupt
)

const nothingExported = "exports nothing as default"

// A machine is a JavaScript engine with libraries loaded. A file that did not end takes its engine with it.
type machine struct {
	libraries *libraries
	limit     time.Duration
	log       func(string)
	names     func(string) string

	vm      *goja.Runtime
	spent   bool         // the engine was given up; what it still runs may look at this machine
	helpers *goja.Object // what prelude.js gives
	modules map[string]goja.Value
	script  script // that runs
}

// run evaluates one file and gives its schemas.
func (m *machine) run(ctx context.Context, s script) ([]found, []problem) {
	program, err := compileScript(s)
	if err != nil {
		return nil, []problem{problemf(place{file: s.path}, "cannot be evaluated: %v", err)}
	}
	if m.vm == nil {
		if err := m.start(); err != nil {
			return nil, []problem{problemf(place{file: s.path}, "the evaluator does not start: %v", err)}
		}
	}
	m.script = s
	text, err := m.limited(ctx, func() (string, error) { return m.evaluate(program) })
	if err != nil {
		return nil, []problem{m.problem(err)}
	}
	return m.found(text)
}

// limited runs a function of the engine until it ends, takes too long or needs too much. Then the engine is given up.
func (m *machine) limited(ctx context.Context, evaluate func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1)
	vm := m.vm
	go func() {
		text, err := evaluate()
		done <- answer{text, err}
	}()
	deadline, look := time.NewTimer(m.limit), time.NewTicker(looksAtUse)
	defer deadline.Stop()
	defer look.Stop()
	before := heap()
	why := ""
	for why == "" {
		select {
		case got := <-done:
			return got.text, got.err
		case <-ctx.Done():
			why = "was interrupted"
		case <-deadline.C:
			why = fmt.Sprintf("did not end within %s", m.limit)
		case <-look.C:
			if now := heap(); now > before+mostMemory {
				why = fmt.Sprintf("needs more than %d MB", mostMemory>>20)
			}
		}
	}
	m.spent = true
	vm.Interrupt(why)
	select {
	case got := <-done:
		return got.text, got.err
	case <-time.After(grace): // it is inside something that cannot be interrupted
		return "", errors.New(why)
	}
}

// heap is how much memory the program's values take.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// evaluate runs a contract file and gives what prelude.js collects of it.
func (m *machine) evaluate(program *goja.Program) (string, error) {
	exports, err := m.load(program, false)
	if err != nil {
		return "", err
	}
	collect, _ := goja.AssertFunction(m.helpers.Get("collect"))
	value, err := collect(goja.Undefined(), exports)
	if err != nil {
		return "", err
	}
	return value.String(), nil
}

// start makes the engine.
func (m *machine) start() error {
	m.vm, m.modules = goja.New(), map[string]goja.Value{}
	m.vm.SetMaxCallStackSize(deepestCalls)
	console := m.vm.NewObject()
	for _, name := range []string{"log", "info", "warn", "error", "debug"} {
		if err := console.Set(name, func(call goja.FunctionCall) goja.Value {
			var words []string
			for _, arg := range call.Arguments {
				words = append(words, arg.String())
			}
			m.log(m.script.path + ": " + strings.Join(words, " "))
			return goja.Undefined()
		}); err != nil {
			return err
		}
	}
	if err := m.vm.Set("console", console); err != nil {
		return err
	}
	tree, err := compile("prelude", prelude, parser.WithDisableSourceMaps)
	if err != nil {
		return err
	}
	value, err := m.vm.RunProgram(tree)
	if err != nil {
		return err
	}
	prepare, ok := goja.AssertFunction(value)
	if !ok {
		return errors.New("prelude.js is no function")
	}
	helpers, err := prepare(goja.Undefined(), m.vm.ToValue(m.here), m.vm.ToValue(func(schema goja.Value) (goja.Value, error) {
		module, err := m.require(carried["@rejot-dev/contract/json-schema"])
		if err != nil {
			return nil, err
		}
		convert, _ := goja.AssertFunction(module.ToObject(m.vm).Get("toJsonSchema"))
		return convert(goja.Undefined(), schema)
	}))
	if err != nil {
		return err
	}
	m.helpers = helpers.ToObject(m.vm)
	return nil
}

// load runs a module and gives its exports. Ours load zod when they need it: not every file has a schema of zod.
func (m *machine) load(program *goja.Program, own bool) (goja.Value, error) {
	value, err := m.vm.RunProgram(program)
	if err != nil {
		return nil, err
	}
	run, ok := goja.AssertFunction(value)
	if !ok {
		return nil, errors.New("a module is no function")
	}
	module := m.vm.NewObject()
	if err := module.Set("exports", m.vm.NewObject()); err != nil {
		return nil, err
	}
	require := func(id string) goja.Value {
		exports, err := m.later(id)
		if !own || !strings.HasPrefix(id, vendorModule) {
			exports, err = m.require(id)
		}
		if err != nil {
			var thrown *goja.Exception
			if errors.As(err, &thrown) {
				panic(thrown.Value()) // this is how the engine throws
			}
			panic(m.vm.NewGoError(err))
		}
		return exports
	}
	if _, err := run(goja.Undefined(), module.Get("exports"), m.vm.ToValue(require), module); err != nil {
		return nil, err
	}
	return module.Get("exports"), nil
}

// later gives an object that is the exports of a library when one of them is asked for.
func (m *machine) later(id string) (goja.Value, error) {
	late, _ := goja.AssertFunction(m.helpers.Get("late"))
	return late(goja.Undefined(), m.vm.ToValue(func() (goja.Value, error) { return m.require(id) }))
}

// require gives the exports of a library, which runs once.
func (m *machine) require(id string) (goja.Value, error) {
	if exports, ok := m.modules[id]; ok {
		return exports, nil
	}
	switch {
	case strings.HasPrefix(id, nodeModule):
		return nil, fmt.Errorf("a library imports %s of Node, which a contract file cannot use", id)
	case strings.HasPrefix(id, absentModule):
		return nil, fmt.Errorf("a library imports the package %s, which is not installed here", strings.TrimPrefix(id, absentModule))
	}
	name, part, _ := strings.Cut(id, "#")
	program, err := m.libraries.program(name)
	if err != nil {
		return nil, fmt.Errorf("library %s: %w", name, err)
	}
	exports, err := m.load(program, strings.HasPrefix(id, ownModule))
	if err != nil {
		return nil, err
	}
	if part != "" {
		exports = exports.ToObject(m.vm).Get(part)
	}
	if strings.HasPrefix(id, ownModule+"contract/") || strings.Contains(filepath.ToSlash(id), "/@rejot-dev/contract/") {
		watched, _ := goja.AssertFunction(m.helpers.Get("watched"))
		if exports, err = watched(goja.Undefined(), exports); err != nil {
			return nil, err
		}
	}
	m.modules[id] = exports
	return exports, nil
}

// here is the place in the user's code that called, as text.
func (m *machine) here() string {
	at := m.userFrame(m.vm.CaptureCallStack(0, nil))
	return fmt.Sprintf("%d:%d:%s", at.line, at.column, at.file)
}

// userFrame gives the innermost frame that stands in the user's code.
func (m *machine) userFrame(stack []goja.StackFrame) place {
	for _, f := range stack {
		pos := f.Position()
		name, ok := strings.CutPrefix(path.Base(pos.Filename), "s")
		n, err := strconv.Atoi(name)
		if !ok || err != nil || n >= len(m.script.sources) {
			continue
		}
		return place{file: m.names(m.script.sources[n]), line: pos.Line, column: pos.Column + 1}
	}
	return place{file: m.script.path}
}

// problem says why a file did not give schemas.
func (m *machine) problem(err error) problem {
	at := place{file: m.script.path}
	var thrown *goja.Exception
	var interrupted *goja.InterruptedError
	var overflow *goja.StackOverflowError
	switch {
	case errors.As(err, &overflow):
		return problemf(m.userFrame(overflow.Stack()), "calls itself without end")
	case errors.As(err, &interrupted):
		p := problemf(m.userFrame(interrupted.Stack()), "%v", interrupted.Value())
		return p.withMend("make the definitions without waiting and without loops that depend on anything outside")
	case errors.As(err, &thrown):
		text := thrown.Value().String()
		p := problemf(m.userFrame(thrown.Stack()), "throws %s", text)
		if strings.HasPrefix(text, "ReferenceError: ") || strings.Contains(text, "of Node, which") {
			p.mend = noNode
		}
		return p
	default:
		return problemf(at, "%v", err)
	}
}

// found reads what prelude.js collected.
func (m *machine) found(text string) ([]found, []problem) {
	at := place{file: m.script.path}
	switch text {
	case "nothing":
		return nil, []problem{problemf(at, nothingExported).withMend("export default createPublicSchema(…), or an array or object of schemas")}
	case "promise":
		return nil, []problem{problemf(at, "exports a promise, for which nobody waits").withMend("export the schemas themselves")}
	}
	var list []struct {
		At     string          `json:"at"`
		Schema json.RawMessage `json:"schema"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, []problem{problemf(at, "gives no JSON: %v", err)}
	}
	var all []found
	for _, one := range list {
		f := found{raw: one.Schema, at: at}
		if line, rest, ok := strings.Cut(one.At, ":"); ok {
			column, file, _ := strings.Cut(rest, ":")
			f.at = place{file: file}
			f.at.line, _ = strconv.Atoi(line) // here wrote them
			f.at.column, _ = strconv.Atoi(column)
		}
		all = append(all, f)
	}
	return all, nil
}
