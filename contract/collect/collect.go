package collect

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/manifest"
)

// contractPackage is what a contract in Go imports.
const contractPackage = "rejot.dev/rejot/contract"

// A Config says where definitions are evaluated.
type Config struct {
	Folder string // that of the manifest: definitionFile is relative to it
	Python string // the interpreter; empty: python3
	// Manifest is what the manifest says already: types of connections, and output schemas of .sql files while no database can
	// be reached. Nil: nothing.
	Manifest *manifest.Manifest
	Describe Describer     // asked for the columns of .sql files; nil: no database can be reached
	Limit    time.Duration // for one definition file; 0: 5 s
	Log      func(text string)
}

// A Definition is a schema as code defines it: one of Public and Consumer is set.
type Definition struct {
	File     string // its file, as it was named
	Line     int    // where it is made, in File or in a file that File imports
	Public   *manifest.PublicSchema
	Consumer *manifest.ConsumerSchema

	at place
}

// Name is the schema's.
func (d *Definition) Name() string {
	if d.Public != nil {
		return d.Public.Name
	}
	return d.Consumer.Name
}

// A Result is what was collected.
type Result struct {
	Definitions []Definition        // in the order of the files, and in a file in its order
	Files       []string            // all files that were evaluated, as in definitionFile
	Depends     map[string][]string // by a file as it was named: the absolute paths of what it is made of, itself included
}

// Collected is the result in the form that a manifest merges.
func (r *Result) Collected() manifest.Collected {
	c := manifest.Collected{Files: r.Files}
	for _, d := range r.Definitions {
		if d.Public != nil {
			c.PublicSchemas = append(c.PublicSchemas, *d.Public)
		} else {
			c.ConsumerSchemas = append(c.ConsumerSchemas, *d.Consumer)
		}
	}
	return c
}

// An Evaluator runs definitions. It keeps what is expensive to make, and is for one goroutine at a time.
type Evaluator struct {
	cfg       Config
	libraries *libraries
}

// New makes an Evaluator.
func New(cfg Config) *Evaluator {
	if cfg.Limit == 0 {
		cfg.Limit = 5 * time.Second
	}
	if cfg.Python == "" {
		cfg.Python = "python3"
	}
	var mu sync.Mutex
	told := cfg.Log
	cfg.Log = func(text string) { // files are evaluated side by side
		if told != nil {
			mu.Lock()
			defer mu.Unlock()
			told(text)
		}
	}
	if cfg.Manifest == nil {
		cfg.Manifest = &manifest.Manifest{}
	}
	return &Evaluator{cfg: cfg, libraries: newLibraries()}
}

// Use changes what the manifest says, which may have been written since New.
func (e *Evaluator) Use(m *manifest.Manifest) { e.cfg.Manifest = m }

// A found is one value of a file that is a schema, not yet looked at.
type found struct {
	raw json.RawMessage
	at  place
}

// An outcome is what became of one file.
type outcome struct {
	found    []found
	depends  []string
	problems []problem
	failed   bool // what it defines is not known, for a reason that stands among its problems or those of a file beside it
}

// Run evaluates files. The error joins everything that is wrong, in the order of the files; the result then has what is right.
func (e *Evaluator) Run(ctx context.Context, files []File) (*Result, error) {
	outcomes := make([]outcome, len(files))
	for lang, run := range map[language]func(context.Context, []File) ([]outcome, error){
		typescript: e.typescript, python: e.python, golang: e.golang, sqlfile: e.sqlfiles,
	} {
		var of []File
		var at []int
		for i, f := range files {
			if languageOf(f.Path) == lang {
				of, at = append(of, f), append(at, i)
			}
		}
		if len(of) == 0 {
			continue
		}
		some, err := run(ctx, of)
		if err != nil {
			return nil, err
		}
		for i, o := range some {
			outcomes[at[i]] = o
		}
	}
	r := &Result{Depends: map[string][]string{}}
	var problems []problem
	for i, f := range files {
		o := outcomes[i]
		file, err := e.definitionFile(f.Path)
		if err != nil {
			return nil, err
		}
		r.Files = append(r.Files, file)
		r.Depends[f.Path] = o.depends
		if abs, err := filepath.Abs(f.Path); err == nil && !slices.Contains(o.depends, abs) {
			r.Depends[f.Path] = append([]string{abs}, o.depends...)
		}
		if len(o.problems) == 0 && len(o.found) == 0 && !o.failed {
			if f.Found {
				e.cfg.Log(f.Path + " defines no schema")
			} else {
				o.problems = append(o.problems, noSchema(f.Path))
			}
		}
		definitions, wrong := formed(f.Path, file, o.found)
		r.Definitions = append(r.Definitions, definitions...)
		problems = append(append(problems, o.problems...), wrong...)
	}
	r.Definitions = once(r.Definitions)
	problems = append(problems, e.validate(r)...)
	slices.SortStableFunc(problems, func(a, b problem) int { return e.order(files, a) - e.order(files, b) })
	return r, join(problems)
}

// once leaves out what a file only hands on: a definition that is made in another of the files and found there as well.
func once(all []Definition) []Definition {
	var kept []Definition
	for _, d := range all {
		own := slices.ContainsFunc(all, func(o Definition) bool { return o.File == d.at.file && o.at == d.at && o.key() == d.key() })
		if d.File == d.at.file || !own {
			kept = append(kept, d)
		}
	}
	return kept
}

// order is the place of a problem's file among the files.
func (e *Evaluator) order(files []File, p problem) int {
	at := slices.IndexFunc(files, func(f File) bool { return f.Path == p.at.file })
	if at < 0 {
		return len(files)
	}
	return at
}

// definitionFile is a file's name in the manifest.
func (e *Evaluator) definitionFile(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", rejot.Errorf(rejot.Invalid, "%s: %w", path, err)
	}
	folder, err := filepath.Abs(e.cfg.Folder)
	if err != nil {
		return "", rejot.Errorf(rejot.Invalid, "%s: %w", e.cfg.Folder, err)
	}
	rel, err := filepath.Rel(folder, abs)
	if err != nil {
		rel = abs // another volume
	}
	return filepath.ToSlash(rel), nil
}

// noSchema says what a file of its language has to have.
func noSchema(path string) problem {
	at := place{file: path}
	switch languageOf(path) {
	case typescript:
		return problemf(at, "exports no schema").withMend("export default createPublicSchema(…), or an array or object of schemas")
	case python:
		return problemf(at, "has no public variable that is a schema").withMend("account = create_public_schema(…), or a list of schemas")
	case golang:
		return problemf(at, "has no exported variable that is a schema").withMend("var Account = contract.Public(…), or a slice of schemas")
	default:
		return problemf(at, "defines no schema")
	}
}

var transformationIndex = regexp.MustCompile(`^config\.transformations\[\d+\]`)

// formed makes definitions of what was found in a file.
func formed(path, file string, all []found) (definitions []Definition, problems []problem) {
	for _, f := range all {
		if f.at.file == "" {
			f.at.file = path
		}
		d := Definition{File: path, Line: f.at.line, at: f.at}
		var wrong []string
		if isPublic(f.raw) {
			var s manifest.PublicSchema
			s, wrong = manifest.ParsePublicSchema(f.raw)
			s.DefinitionFile = file
			d.Public = &s
		} else {
			var s manifest.ConsumerSchema
			s, wrong = manifest.ParseConsumerSchema(f.raw)
			s.DefinitionFile = file
			d.Consumer = &s
		}
		told := map[string]bool{}
		for _, text := range wrong {
			// One query stands in a transformation for each operation.
			if key := transformationIndex.ReplaceAllString(text, ""); !told[key] {
				told[key] = true
				problems = append(problems, problemf(f.at, "%s: %s", d.title(), text))
			}
		}
		if len(wrong) == 0 {
			definitions = append(definitions, d)
		}
	}
	return definitions, problems
}

// title names the schema for people.
func (d *Definition) title() string {
	switch {
	case d.Name() == "" && d.Public != nil:
		return "public schema"
	case d.Name() == "":
		return "consumer schema"
	case d.Public != nil:
		return "public schema " + d.Name()
	default:
		return "consumer schema " + d.Name()
	}
}

// isPublic tells a public schema from a consumer schema.
func isPublic(raw json.RawMessage) bool {
	var has struct {
		OutputSchema       json.RawMessage `json:"outputSchema"`
		SourceManifestSlug json.RawMessage `json:"sourceManifestSlug"`
		Config             struct {
			PublicSchemaType json.RawMessage `json:"publicSchemaType"`
		} `json:"config"`
	}
	_ = json.Unmarshal(raw, &has) // what has another type is missing
	return has.SourceManifestSlug == nil && (has.OutputSchema != nil || has.Config.PublicSchemaType != nil)
}

// readSource reads a file of the user's.
func readSource(path string) (string, *problem) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > largestSource {
		p := problemf(place{file: path}, "is longer than %d MB", largestSource>>20)
		return "", &p
	}
	text, err := os.ReadFile(path)
	if err != nil {
		p := problemf(place{file: path}, "cannot be read: %v", err)
		return "", &p
	}
	return string(text), nil
}
