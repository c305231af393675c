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

// Find gives the files that args name, each once. A folder stands for the files below it that look like definitions, sorted.
// Missing are the args that are not there; of `package.module.py`, a module of Python, the file is looked for. Code Invalid: a
// file of no language that is known.
func Find(args []string) (files []File, missing []string, err error) {
	seen := map[string]bool{}
	add := func(f File) {
		if abs, err := filepath.Abs(f.Path); err == nil && !seen[abs] {
			seen[abs] = true
			files = append(files, f)
		}
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err == nil && info.IsDir():
			found, err := below(arg)
			if err != nil {
				return nil, nil, rejot.Errorf(rejot.Invalid, "look for definitions in %s: %w", arg, err)
			}
			for _, path := range found {
				add(File{Path: path, Found: true})
			}
		case languageOf(arg) == noLanguage:
			err := rejot.Errorf(rejot.Invalid, "%s: a definition stands in a .ts, .js, .py, .go or .sql file", arg)
			return nil, nil, rejot.WithMend(err, "rejot collect --help")
		case err == nil:
			add(File{Path: arg})
		default:
			if module := moduleFile(arg); module != "" {
				add(File{Path: module})
			} else {
				missing = append(missing, arg)
			}
		}
	}
	return files, missing, nil
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

// below lists the files below a folder that look like definitions, sorted.
func below(folder string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != folder && (strings.HasPrefix(name, ".") || slices.Contains(skippedFolders, name) || isVirtualEnv(path)) {
				return filepath.SkipDir
			}
			return nil
		}
		if languageOf(name) == noLanguage || isTest(name) || !entry.Type().IsRegular() {
			return nil
		}
		looks, err := looksLikeDefinitions(path)
		if looks {
			found = append(found, path)
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

// looksLikeDefinitions looks for what a definition has to import, or a .sql file has to begin with.
func looksLikeDefinitions(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil || info.Size() > largestSource {
		return false, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	switch languageOf(path) {
	case typescript:
		return bytes.Contains(text, []byte("@rejot-dev/contract/")), nil
	case python:
		return bytes.Contains(text, []byte("rejot_contract")), nil
	case golang:
		return bytes.Contains(text, []byte(`"`+contractPackage+`"`)), nil
	default:
		return hasSQLHeader(string(text)), nil
	}
}
