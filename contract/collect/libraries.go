package collect

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"

	"rejot.dev/rejot/bindings"
)

// libraries keeps the compiled form of what contract files import. It may be used from several goroutines.
type libraries struct {
	mu    sync.Mutex
	known map[string]*library
}

// A library is one compiled module.
type library struct {
	once    sync.Once
	stamp   string
	program *goja.Program
	err     error
}

func newLibraries() *libraries { return &libraries{known: map[string]*library{}} }

// program gives a module's code: a function of exports, require and module.
func (l *libraries) program(id string) (*goja.Program, error) {
	l.mu.Lock()
	lib := l.known[id]
	if lib == nil {
		lib = &library{stamp: stampOf(id)}
		l.known[id] = lib
	}
	l.mu.Unlock()
	lib.once.Do(func() { lib.program, lib.err = compileLibrary(id) })
	return lib.program, lib.err
}

// refresh forgets libraries whose file has changed, as after an update.
func (l *libraries) refresh() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, lib := range l.known {
		if lib.stamp != stampOf(id) {
			delete(l.known, id)
		}
	}
}

// stampOf changes when a library's file does. What the program carries does not change.
func stampOf(id string) string {
	path, ok := strings.CutPrefix(id, libraryModule)
	if !ok {
		return ""
	}
	info, err := os.Stat(path)
	if err != nil {
		return "gone"
	}
	return info.ModTime().Format(time.RFC3339Nano) + fmt.Sprint(info.Size())
}

func compileLibrary(id string) (*goja.Program, error) {
	var code string
	if name, ok := strings.CutPrefix(id, vendorModule); ok {
		text, err := fs.ReadFile(bindings.TypeScript, "typescript/vendor/"+name)
		if err != nil {
			return nil, err
		}
		code = string(text)
	} else {
		result := bundleLibrary(id)
		if len(result.Errors) > 0 {
			return nil, fmt.Errorf("%s", result.Errors[0].Text)
		}
		code = string(result.OutputFiles[0].Contents)
	}
	return compile(id, moduleHead+code+"\n"+moduleTail, parser.WithDisableSourceMaps)
}

func compile(name, code string, option parser.Option) (*goja.Program, error) {
	tree, err := goja.Parse(name, code, option)
	if err != nil {
		return nil, err
	}
	return goja.CompileAST(tree, false)
}
