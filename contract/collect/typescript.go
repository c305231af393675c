package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"
	"github.com/evanw/esbuild/pkg/api"

	"rejot.dev/rejot"
)

// A script is one contract file, ready to run.
type script struct {
	path    string   // as it was named
	code    string   // a function, with everything in it but libraries
	sources []string // of the source map; its entry n is called "sn" there
	mapped  []byte
}

// typescript evaluates files of TypeScript and JavaScript.
func (e *Evaluator) typescript(ctx context.Context, files []File) ([]outcome, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, rejot.Errorf(rejot.Invalid, "evaluate contracts: %w", err)
	}
	e.libraries.refresh()
	outcomes := make([]outcome, len(files))
	scripts := bundleAll(cwd, files, outcomes)
	work := make(chan int)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 4, 1+len(files)/8) {
		workers.Go(func() {
			names := e.names(cwd, files)
			m := &machine{spent: true}
			for i := range work {
				if m.spent {
					m = &machine{libraries: e.libraries, limit: e.cfg.Limit, log: e.cfg.Log, names: names}
				}
				o := &outcomes[i]
				o.found, o.problems = m.run(ctx, scripts[i])
				if !files[i].Found || len(o.problems) != 1 || o.problems[0].text != nothingExported {
					continue
				}
				o.problems = nil // a file that others import
			}
		})
	}
	for i := range files {
		if len(outcomes[i].problems) == 0 && ctx.Err() == nil {
			work <- i
		}
	}
	close(work)
	workers.Wait()
	return outcomes, context.Cause(ctx)
}

// names gives a path as a person would write it: as it was named, or from the working directory.
func (e *Evaluator) names(cwd string, files []File) func(string) string {
	given := map[string]string{}
	for _, f := range files {
		given[absolute(cwd, f.Path)] = f.Path
	}
	return func(path string) string {
		if name, ok := given[path]; ok {
			return name
		}
		if rel, err := filepath.Rel(cwd, path); err == nil && filepath.IsLocal(rel) {
			return rel
		}
		return path
	}
}

func absolute(folder, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(folder, path)
}

// bundleAll bundles all files at once; where one has an error, each by itself, so that all errors are found and the others run.
func bundleAll(cwd string, files []File, outcomes []outcome) []script {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = absolute(cwd, f.Path)
	}
	scripts := make([]script, len(files))
	result := bundleFiles(cwd, paths)
	if len(result.Errors) == 0 {
		take := takerOf(cwd, result)
		for i, f := range files {
			scripts[i], outcomes[i].depends = take(i, f.Path)
		}
		return scripts
	}
	for i := range files {
		one := bundleFiles(cwd, paths[i:i+1])
		if len(one.Errors) > 0 {
			outcomes[i].problems = bundleProblems(cwd, files[i].Path, one.Errors)
			continue
		}
		scripts[i], outcomes[i].depends = takerOf(cwd, one)(0, files[i].Path)
	}
	return scripts
}

// takerOf gives a function that takes the n-th file out of a result, with the files that it is made of.
func takerOf(cwd string, result api.BuildResult) func(n int, path string) (script, []string) {
	outputs := map[string][]byte{}
	for _, out := range result.OutputFiles {
		outputs[filepath.Base(out.Path)] = out.Contents
	}
	var meta metafile
	_ = json.Unmarshal([]byte(result.Metafile), &meta) // esbuild wrote it; without it a file depends on itself alone
	return func(n int, path string) (script, []string) {
		s := script{path: path, code: string(outputs[outputName(n)+".js"]), mapped: outputs[outputName(n)+".js.map"]}
		var m map[string]any
		if err := json.Unmarshal(s.mapped, &m); err == nil {
			list, _ := m["sources"].([]any)
			names := make([]string, len(list))
			for i, source := range list {
				text, _ := source.(string)
				s.sources = append(s.sources, absolute(cwd, filepath.FromSlash(text)))
				names[i] = fmt.Sprintf("s%d", i) // goja reads names as URLs, which paths are not
			}
			m["sources"] = names
			s.mapped, _ = json.Marshal(m) // it was read as JSON
		}
		return s, meta.depends(cwd, outputName(n)+".js", absolute(cwd, path))
	}
}

func outputName(n int) string { return fmt.Sprintf("rejot-collected-%d", n) }

// A metafile is what esbuild says of a build.
type metafile struct {
	Inputs map[string]struct {
		Imports []struct {
			Path     string `json:"path"`
			External bool   `json:"external"`
		} `json:"imports"`
	} `json:"inputs"`
	Outputs map[string]struct {
		EntryPoint string `json:"entryPoint"`
	} `json:"outputs"`
}

// depends lists the files that a bundle is made of, the entry first.
func (meta *metafile) depends(cwd, output, entry string) []string {
	seen := map[string]bool{}
	waiting := []string{meta.Outputs[output].EntryPoint}
	for len(waiting) > 0 {
		at := waiting[0]
		waiting = waiting[1:]
		if at == "" || seen[at] {
			continue
		}
		seen[at] = true
		for _, i := range meta.Inputs[at].Imports {
			if !i.External {
				waiting = append(waiting, i.Path)
			}
		}
	}
	var list []string
	for _, at := range slices.Sorted(maps.Keys(seen)) {
		if path := absolute(cwd, filepath.FromSlash(at)); path != entry {
			list = append(list, path)
		}
	}
	return append([]string{entry}, list...)
}

// bundleProblems says esbuild's errors in our words.
func bundleProblems(cwd, path string, errors []api.Message) []problem {
	var problems []problem
	for _, e := range errors {
		p := problem{at: place{file: path}, text: e.Text}
		if l := e.Location; l != nil {
			p.at = place{file: path, line: l.Line, column: columnOf(l.LineText, l.Column)}
			if abs := absolute(cwd, filepath.FromSlash(l.File)); abs != absolute(cwd, path) {
				p.at.file = l.File
			}
		}
		if mend, ok := e.Detail.(string); ok {
			p.mend = mend
		}
		if name, ok := strings.CutPrefix(e.Text, "Could not resolve "); ok {
			p.text = "imports " + name + ", which does not exist"
		}
		if strings.HasPrefix(e.Text, "Top-level await") {
			p.text, p.mend = "uses await outside a function, which a contract file cannot", "write the schemas without waiting for anything"
		}
		problems = append(problems, p)
	}
	return problems
}

// columnOf makes a column in characters, from 1, of bytes, from 0.
func columnOf(line string, bytes int) int {
	return len([]rune(line[:min(bytes, len(line))])) + 1
}

// compileScript compiles a contract file.
func compileScript(s script) (*goja.Program, error) {
	return compile(s.path, s.code+"//# sourceMappingURL=map", parser.WithSourceMapLoader(func(string) ([]byte, error) { return s.mapped, nil }))
}
