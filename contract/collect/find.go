package collect

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rejot.dev/rejot"
)

type language uint8

const (
	noLanguage language = iota
	typescript
	python
	golang
	sqlfile
)

func languageOf(path string) language {
	switch filepath.Ext(path) {
	case ".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx":
		return typescript
	case ".py":
		return python
	case ".go":
		return golang
	case ".sql":
		return sqlfile
	default:
		return noLanguage
	}
}

// A File is a file that may have definitions.
type File struct {
	Path  string // as it was named, or below the folder that was named
	Found bool   // it was found in a folder, so that it may also have none
}

// A Finding is what Find found.
type Finding struct {
	Files   []File
	Missing []string        // the args that are not there
	Looked  map[string]bool // the absolute paths of all files in folders that were looked into, also of those that define nothing
}

// Find gives the files that args name, each once. A folder stands for the files below it that look like definitions, sorted.
// Of `package.module.py`, a module of Python, the file is looked for. Code Invalid: a file of no language that is known.
func Find(args []string) (*Finding, error) {
	f := &Finding{Looked: map[string]bool{}}
	seen := map[string]bool{}
	add := func(one File) {
		if abs, err := filepath.Abs(one.Path); err == nil && !seen[abs] {
			seen[abs] = true
			f.Files = append(f.Files, one)
		}
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err == nil && info.IsDir():
			found, err := f.below(arg)
			if err != nil {
				return nil, rejot.Errorf(rejot.Invalid, "look for definitions in %s: %w", arg, err)
			}
			for _, path := range found {
				add(File{Path: path, Found: true})
			}
		case languageOf(arg) == noLanguage:
			err := rejot.Errorf(rejot.Invalid, "%s: a definition stands in a .ts, .js, .py, .go or .sql file", arg)
			return nil, rejot.WithMend(err, "rejot collect --help")
		case err == nil:
			add(File{Path: arg})
		default:
			if module := moduleFile(arg); module != "" {
				add(File{Path: module})
			} else {
				f.Missing = append(f.Missing, arg)
			}
		}
	}
	return f, nil
}

// moduleFile gives the file of package.module.py, or nothing.
func moduleFile(arg string) string {
	name, ok := strings.CutSuffix(arg, ".py")
	if !ok || strings.ContainsAny(name, `/\`) {
		return ""
	}
	path := filepath.FromSlash(strings.ReplaceAll(name, ".", "/")) + ".py"
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return ""
	}
	return path
}

// skippedFolders hold what others wrote, or what a tool made.
var skippedFolders = []string{"node_modules", "vendor", "testdata", "__pycache__", "dist", "build"}

// below lists the files below a folder that look like definitions, sorted. The folder itself may be a symbolic link; others are
// not followed, which may lead anywhere.
func (f *Finding) below(folder string) ([]string, error) {
	root, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return nil, err
	}
	var found []string
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || slices.Contains(skippedFolders, name) || isVirtualEnv(path)) {
				return filepath.SkipDir
			}
			return nil
		}
		if languageOf(name) == noLanguage || isTest(name) || !entry.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		named := filepath.Join(folder, rel)
		looked, looks, err := looksLikeDefinitions(path)
		if abs, wrong := filepath.Abs(named); looked && wrong == nil {
			f.Looked[abs] = true
		}
		if looks {
			found = append(found, named)
		}
		return err
	})
	slices.Sort(found)
	return found, err
}

func isVirtualEnv(path string) bool {
	_, err := os.Stat(filepath.Join(path, "pyvenv.cfg"))
	return err == nil
}

func isTest(name string) bool {
	stem := strings.TrimSuffix(name, filepath.Ext(name))
	return strings.HasSuffix(stem, ".test") || strings.HasSuffix(stem, ".spec") || strings.HasSuffix(stem, ".d") ||
		strings.HasSuffix(stem, "_test") || strings.HasPrefix(name, "test_")
}

// looksLikeDefinitions looks for what a definition has to import, or a .sql file has to begin with. A file that is too long is
// not looked at.
func looksLikeDefinitions(path string) (looked, looks bool, err error) {
	info, err := os.Stat(path)
	if err != nil || info.Size() > largestSource {
		return false, false, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return false, false, err
	}
	switch languageOf(path) {
	case typescript:
		return true, bytes.Contains(text, []byte("@rejot-dev/contract/")), nil
	case python:
		return true, bytes.Contains(text, []byte("rejot_contract")), nil
	case golang:
		return true, bytes.Contains(text, []byte(`"`+contractPackage+`"`)), nil
	default:
		return true, hasSQLHeader(string(text)), nil
	}
}
