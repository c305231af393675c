package collect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"rejot.dev/rejot"
)

// buildLimit is how long the user's package may take to compile.
const buildLimit = 3 * time.Minute

// golang builds a program for each package that holds contract files, and runs it.
func (e *Evaluator) golang(ctx context.Context, files []File) ([]outcome, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, rejot.Errorf(rejot.Invalid, "evaluate contracts: %w", err)
	}
	if _, err := exec.LookPath("go"); err != nil {
		return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s: there is no Go toolchain", files[0].Path), "install Go, so that `go version` works")
	}
	folders := map[string][]int{}
	var order []string
	for i, f := range files {
		folder := filepath.Dir(absolute(cwd, f.Path))
		if folders[folder] == nil {
			order = append(order, folder)
		}
		folders[folder] = append(folders[folder], i)
	}
	outcomes := make([]outcome, len(files))
	names := e.names(cwd, files)
	for _, folder := range order {
		p := &goPackage{folder: folder, names: names, limit: e.cfg.Limit}
		for _, i := range folders[folder] {
			p.files = append(p.files, files[i].Path)
		}
		for n, o := range p.run(ctx) {
			outcomes[folders[folder][n]] = o
		}
	}
	return outcomes, context.Cause(ctx)
}

// A goPackage is a package of the user's with its contract files.
type goPackage struct {
	folder string
	files  []string
	names  func(string) string
	limit  time.Duration

	path, name string // of the package
	depends    []string
}

// run gives an outcome for each file. What keeps the package from being built is a problem of its first file, or of the file
// that the toolchain names; the others are failed, as nobody knows what they define.
func (p *goPackage) run(ctx context.Context) []outcome {
	outcomes := make([]outcome, len(p.files))
	fail := func(problems ...problem) []outcome {
		for _, one := range problems {
			at := max(0, slices.Index(p.files, one.at.file))
			outcomes[at].problems = append(outcomes[at].problems, one)
		}
		for i := range outcomes {
			outcomes[i].failed = true
		}
		return outcomes
	}
	if problems := p.list(ctx); problems != nil {
		return fail(problems...)
	}
	variables := make([][]string, len(p.files))
	for i, f := range p.files {
		variables[i] = exportedVariables(f)
		outcomes[i].depends = p.depends
	}
	temporary, err := os.MkdirTemp("", "rejot-go-")
	if err != nil {
		return fail(problemf(place{file: p.files[0]}, "cannot be built: %v", err))
	}
	defer func() { _ = os.RemoveAll(temporary) }() // it is temporary
	program, problems := p.build(ctx, temporary, variables)
	if problems != nil {
		return fail(problems...)
	}
	answers, problems := p.execute(ctx, program)
	if problems != nil {
		return fail(problems...)
	}
	for i := range answers {
		o := answers[i].outcome()
		for j := range o.found {
			o.found[j].at.file = p.names(o.found[j].at.file)
		}
		for j := range o.problems {
			o.problems[j].at.file = p.names(o.problems[j].at.file)
		}
		o.depends = p.depends
		outcomes[i] = o
	}
	return outcomes
}

// list asks the toolchain for the package's name and files.
func (p *goPackage) list(ctx context.Context) []problem {
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "list", "-e", "-deps", "-json=ImportPath,Name,Dir,GoFiles,Module,Error,DepOnly", ".")
	cmd.Dir = p.folder
	out, err := cmd.Output()
	if err != nil {
		return p.toolProblems(stderrOf(err))
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg struct {
			ImportPath, Name, Dir string
			GoFiles               []string
			DepOnly               bool
			Module                *struct{ Main bool }
			Error                 *struct{ Pos, Err string }
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return []problem{problemf(place{file: p.files[0]}, "go list gives no JSON: %v", err)}
		}
		if pkg.Module != nil && pkg.Module.Main {
			for _, f := range pkg.GoFiles {
				p.depends = append(p.depends, filepath.Join(pkg.Dir, f))
			}
		}
		if pkg.Error != nil && !pkg.DepOnly {
			return p.toolProblems(pkg.Error.Pos + ": " + pkg.Error.Err)
		}
		if !pkg.DepOnly {
			p.path, p.name = pkg.ImportPath, pkg.Name
		}
	}
	if p.name == "main" {
		at := place{file: p.files[0], line: 1}
		return []problem{problemf(at, "is in package main, which cannot be imported").withMend("put the contracts into a package of their own")}
	}
	return nil
}

// exportedVariables lists a file's exported variables; none where it does not parse, which the toolchain says with all its places.
func exportedVariables(path string) (names []string) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil
	}
	for _, decl := range file.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.VAR {
			continue
		}
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok {
				for _, name := range v.Names {
					if name.IsExported() {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// build makes a program that imports the package. Its source stands below the package for the toolchain alone, so that an
// internal package can be imported and nothing is written there.
func (p *goPackage) build(ctx context.Context, temporary string, variables [][]string) (program string, problems []problem) {
	as := "contracts"
	if !slices.ContainsFunc(variables, func(names []string) bool { return names != nil }) {
		as = "_" // Go refuses an import that nothing uses
	}
	var main bytes.Buffer
	fmt.Fprintf(&main, "package main\n\nimport (\n\t\"os\"\n\n\t%q\n\t%s %q\n)\n\nfunc main() {\n", contractPackage, as, p.path)
	for i, names := range variables {
		fmt.Fprintf(&main, "\tif err := contract.Emit(os.Stdout, %d", i)
		for _, name := range names {
			main.WriteString(", contracts." + name)
		}
		main.WriteString("); err != nil {\n\t\tpanic(err)\n\t}\n")
	}
	main.WriteString("}\n")
	source, overlay := filepath.Join(temporary, "main.go"), filepath.Join(temporary, "overlay.json")
	const sub = "rejot-collect"
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(p.folder, sub, "main.go"): source}})
	if err == nil {
		err = errors.Join(os.WriteFile(source, main.Bytes(), 0o600), os.WriteFile(overlay, replace, 0o600))
	}
	if err != nil {
		return "", []problem{problemf(place{file: p.files[0]}, "cannot be built: %v", err)}
	}
	program = filepath.Join(temporary, "contracts.exe")
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath=false", "-ldflags=-s -w", "-overlay", overlay, "-o", program, "./"+sub) //nolint:gosec // the user's own package
	cmd.Dir = p.folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", p.toolProblems(string(out) + exitTextUnless(out, err))
	}
	return program, nil
}

func exitTextUnless(out []byte, err error) string {
	if len(out) > 0 {
		return ""
	}
	return exitText(err)
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return string(exit.Stderr)
	}
	return exitText(err)
}

// toolPlace is how the toolchain begins what it says of a place.
var toolPlace = regexp.MustCompile(`^([^\s:][^:]*\.go):(\d+)(?::(\d+))?: (.*)$`)

// toolProblems says what the toolchain said.
func (p *goPackage) toolProblems(said string) []problem {
	var problems []problem
	for _, line := range strings.Split(strings.TrimSpace(said), "\n") {
		m := toolPlace.FindStringSubmatch(line)
		switch {
		case m != nil:
			at := place{file: p.names(absolute(p.folder, filepath.FromSlash(m[1])))}
			at.line, _ = strconv.Atoi(m[2])
			at.column, _ = strconv.Atoi(m[3])
			problems = append(problems, problemf(at, "%s", strings.TrimSuffix(m[4], "; to add it:")))
		case len(problems) > 0 && strings.HasPrefix(line, "\t"):
			if last := &problems[len(problems)-1]; last.mend == "" && strings.HasPrefix(line, "\tgo get ") {
				last.mend = strings.TrimSpace(line)
			} else {
				last.text += "\n" + strings.TrimSpace(line)
			}
		case len(problems) == 0 && !strings.HasPrefix(line, "#") && strings.TrimSpace(line) != "":
			problems = append(problems, problemf(place{file: p.files[0]}, "%s", strings.TrimPrefix(line, ": ")))
		}
	}
	if problems == nil {
		problems = append(problems, problemf(place{file: p.files[0]}, "cannot be built"))
	}
	return problems
}

// execute runs the program and reads its answers, one for each file.
func (p *goPackage) execute(ctx context.Context, program string) ([]answer, []problem) {
	limited, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	cmd := exec.CommandContext(limited, program)
	cmd.Dir = p.folder
	cmd.WaitDelay = grace
	var said tail
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	switch {
	case limited.Err() != nil && ctx.Err() == nil:
		return nil, []problem{problemf(place{file: p.files[0]}, "did not end within %s", p.limit)}
	case err != nil:
		return nil, []problem{p.panicked(said.String(), err)}
	}
	var answers []answer
	for _, line := range bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n")) {
		var a answer
		if json.Unmarshal(line, &a) == nil && a.Number != nil && *a.Number == len(answers) {
			answers = append(answers, a) // other lines are what the package prints
		}
	}
	if len(answers) != len(p.files) {
		// Whatever it ended with: a file that did not answer is not one that defines nothing.
		at := place{file: p.files[min(len(answers), len(p.files)-1)]}
		return nil, []problem{problemf(at, "does not let its contracts be told: its program ended with %s", cmd.ProcessState).
			withMend("call no os.Exit and leave os.Stdout as it is while the package's variables are made")}
	}
	return answers, nil
}

// stackPlace is a frame of a stack of Go.
var stackPlace = regexp.MustCompile(`(?m)^\t(\S.*\.go):(\d+)`)

// panicked gives the innermost place in the package's folder.
func (p *goPackage) panicked(said string, err error) problem {
	text, stack, _ := strings.Cut(said, "\n")
	if !strings.HasPrefix(text, "panic: ") {
		return problemf(place{file: p.files[0]}, "ends its program (%s) %s", exitText(err), text)
	}
	at := place{file: p.files[0]}
	for _, m := range stackPlace.FindAllStringSubmatch(stack, -1) {
		if filepath.Dir(m[1]) == p.folder {
			at.file = p.names(m[1])
			at.line, _ = strconv.Atoi(m[2])
			break
		}
	}
	return problemf(at, "panics: %s", strings.TrimPrefix(text, "panic: "))
}
