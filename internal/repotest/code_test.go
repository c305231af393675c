package repotest

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	longestFile     = 500
	longestFunction = 80
)

// longFiles has the files over 500 lines, with the reason that they are not two.
var longFiles = map[string]string{}

// longFunctions has the functions over 80 lines as file:name, with the reason that they are not two.
var longFunctions = map[string]string{}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := map[string]bool{}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.name, "_test.go") {
			continue
		}
		said[s.room()] = said[s.room()] || s.file.Doc != nil
	}
	for room, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", room)
		}
	}
}

func TestEveryExportedNameSaysWhatItIs(t *testing.T) {
	for _, s := range sources(t) {
		if strings.HasSuffix(s.name, "_test.go") {
			continue
		}
		for _, name := range undocumented(s) {
			t.Errorf("%s has no comment", name)
		}
	}
}

// undocumented lists exported names of a file that have no comment: neither one of their own nor one of their group.
func undocumented(s source) []string {
	var found []string
	add := func(name *ast.Ident, docs ...*ast.CommentGroup) {
		if name.IsExported() && !slices.ContainsFunc(docs, func(d *ast.CommentGroup) bool { return d != nil }) {
			found = append(found, s.at(name)+" "+name.Name)
		}
	}
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || ast.IsExported(receiver(d)) && !spokenFor(d.Name.Name) {
				add(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Name, spec.Doc, spec.Comment, loneDoc(d))
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						add(name, spec.Doc, spec.Comment, d.Doc)
					}
				}
			}
		}
	}
	return found
}

// loneDoc is a declaration's comment where it is about one thing.
func loneDoc(d *ast.GenDecl) *ast.CommentGroup {
	if len(d.Specs) == 1 {
		return d.Doc
	}
	return nil
}

// spokenFor has the methods whose meaning the standard library gives.
func spokenFor(method string) bool {
	return slices.Contains([]string{
		"Error", "String", "Unwrap", "Is", "As", "Read", "Write", "Close", "Len", "Less", "Swap", "ServeHTTP",
		"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "LogValue",
	}, method)
}

func receiver(d *ast.FuncDecl) string {
	expr := d.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

func TestNothingIsLongWithoutAReason(t *testing.T) {
	filesLeft, functionsLeft := keys(longFiles), keys(longFunctions)
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		lines := s.fset.File(s.file.Pos()).LineCount()
		if lines > longestFile {
			if longFiles[s.name] == "" {
				t.Errorf("%s has %d lines: split it, or list it in longFiles with the reason", s.name, lines)
			}
			delete(filesLeft, s.name)
		}
		for name, lines := range functions(s) {
			key := s.name + ":" + name
			if lines > longestFunction && longFunctions[key] == "" {
				t.Errorf("%s has %d lines: split it, or list it in longFunctions with the reason", key, lines)
			}
			if lines > longestFunction {
				delete(functionsLeft, key)
			}
		}
	}
	for name := range filesLeft {
		t.Errorf("longFiles lists %s, which is not long", name)
	}
	for name := range functionsLeft {
		t.Errorf("longFunctions lists %s, which is not long", name)
	}
}

func keys(m map[string]string) map[string]bool {
	out := map[string]bool{}
	for k := range m {
		out[k] = true
	}
	return out
}

// functions gives the lines of each top-level function, from func to its brace; a method's name is Type.Name.
func functions(s source) map[string]int {
	out := map[string]int{}
	for _, decl := range s.file.Decls {
		d, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := d.Name.Name
		if d.Recv != nil {
			name = receiver(d) + "." + name
		}
		out[name] = s.fset.Position(d.End()).Line - s.fset.Position(d.Type.Func).Line + 1
	}
	return out
}

func TestNothingRunsBeforeMain(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == "init" {
				t.Errorf("%s: no init: what has to be set up is set up by main and passed on", s.at(d))
			}
		}
	}
}

func TestTestsDoNotSleep(t *testing.T) {
	for _, s := range sources(t) {
		if !s.isTest() {
			continue
		}
		for _, call := range sleeps(s) {
			t.Errorf("%s sleeps: wait for a state (dbtest.Eventually), or use testing/synctest", call)
		}
	}
}

// sleeps lists calls of time.Sleep that are not inside a call of synctest.Test.
func sleeps(s source) []string {
	var found []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if isCall(call, "synctest", "Test") {
			return false // a bubble's time is not real
		}
		if isCall(call, "time", "Sleep") {
			found = append(found, s.at(call))
		}
		return true
	})
	return found
}

func TestContextsComeFromMain(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || path.Base(s.name) == "main.go" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && (isCall(call, "context", "Background") || isCall(call, "context", "TODO")) {
				t.Errorf("%s makes a context of its own: take the caller's, or context.WithoutCancel of it", s.at(call))
			}
			return true
		})
	}
}

// TestOneLineConfirms guards the promise that no change is lost: the source forgets only what one line of the program says
// is durable. A decorator of a source passes the call on, which is no decision.
func TestOneLineConfirms(t *testing.T) {
	var calls []string
	engine := false
	for _, s := range sources(t) {
		engine = engine || s.room() == "engine"
		if s.isTest() || match("internal/failpoint", s.room()) {
			continue
		}
		calls = append(calls, methodCalls(s, "Confirm")...)
	}
	if len(calls) > 1 || engine && len(calls) != 1 {
		t.Errorf("got calls of Confirm in %q, want one", calls)
	}
}

func methodCalls(s source, method string) []string {
	var found []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == method {
				found = append(found, s.at(call))
			}
		}
		return true
	})
	return found
}

func isCall(call *ast.CallExpr, pkg, name string) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == pkg
}

func TestRulesFindWhatTheyLookFor(t *testing.T) {
	s, err := parse("engine/a.go", `package engine

import ("context"; "testing/synctest"; "time")

type Bare struct{}

// Told is told.
type Told struct{}

func (Bare) Method() {}

func (*Told) String() string { return "" }

const (
	// One has a comment.
	One = 1
	Two = 2 // Two too
	Three = 3
)

func f(t *testing.T, s Source) {
	time.Sleep(1)
	synctest.Test(t, func(t *testing.T) { time.Sleep(1) })
	s.Confirm(context.Background(), 1)
}
`)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ got, want string }{
		"undocumented": {fmt.Sprint(undocumented(s)), "[engine/a.go:5 Bare engine/a.go:10 Method engine/a.go:18 Three]"},
		"sleeps":       {fmt.Sprint(sleeps(s)), "[engine/a.go:22]"},
		"Confirm":      {fmt.Sprint(methodCalls(s, "Confirm")), "[engine/a.go:24]"},
		"lengths":      {fmt.Sprint(functions(s)), "map[Bare.Method:1 Told.String:1 f:5]"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", what, c.got, c.want)
		}
	}
}
