package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// workspaces reads the manifests that m names, each once, however many name it. One that leads back to a manifest
// that it was reached from is a mistake: which of them wins where both define a thing would hang on where one begins.
func (l *loader) workspaces(m *Manifest, path, abs, bound string) {
	l.open = append(l.open, abs)
	defer func() { l.open = l.open[:len(l.open)-1] }()
	for i, w := range m.Workspaces {
		p := m.top().field("workspaces").item(i)
		next, err := workspacePath(abs, w, bound)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			mend := fmt.Sprintf("take it out of the list, or: rejot manifest init --slug NAME --manifest %s", filepath.Join(filepath.Dir(path), w))
			l.problems(m, []problem{{line: p.line, path: p.path, text: fmt.Sprintf("MANIFEST_NOT_FOUND: there is no file %s", w), mend: mend}})
			l.unreadable = true
		case err != nil:
			l.problems(m, []problem{{line: p.line, path: p.path, text: err.Error()}})
			l.unreadable = true
		case slices.Contains(l.open, next):
			text := fmt.Sprintf("MANIFEST_CYCLE: %s leads back to itself%s", w, l.way(next))
			l.problems(m, []problem{{line: p.line, path: p.path, text: text, mend: "take this entry out of the list: a manifest is read with all that name it"}})
		default:
			l.read(filepath.Join(filepath.Dir(path), w), next, bound)
		}
	}
}

// way names the manifests between one that is read and the one that leads back to it.
func (l *loader) way(to string) string {
	var names []string
	for _, abs := range l.open[slices.Index(l.open, to)+1:] {
		name, err := filepath.Rel(filepath.Dir(to), abs)
		if err != nil {
			name = abs
		}
		names = append(names, filepath.ToSlash(name))
	}
	if names == nil {
		return ""
	}
	return ", by way of " + list(names)
}

// boundOf is the folder that workspaces of a manifest in dir may not leave: the one above it, so that
// siblings are reached, or the repository that has them all. It is never the root of the file system.
func boundOf(dir string) string {
	above := filepath.Dir(dir)
	for at := above; at != filepath.Dir(at); at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return at
		}
	}
	if above == filepath.Dir(above) {
		return dir
	}
	return above
}

// workspacePath gives the absolute path of a manifest that the one at from names; fs.ErrNotExist where there is none. A workspace comes with
// a file of others, so it may not lead anywhere: not out of bound, and not over links.
func workspacePath(from, path, bound string) (string, error) {
	if path == "" || filepath.IsAbs(path) || strings.ContainsAny(path, "\\\x00") {
		return "", fmt.Errorf("has to be a path relative to this file")
	}
	abs := filepath.Join(filepath.Dir(from), filepath.FromSlash(path))
	inside, err := filepath.Rel(bound, abs)
	if err != nil || inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator)) {
		return "", fmt.Errorf("leads out of the folder of this workspace")
	}
	at := bound
	for _, part := range strings.Split(inside, string(filepath.Separator)) {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", err
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink != 0:
			return "", fmt.Errorf("leads over a symbolic link")
		case at == abs && !info.Mode().IsRegular():
			return "", fmt.Errorf("is not a manifest's file")
		}
	}
	return abs, nil
}
