package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

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

// workspacePath gives the absolute path of a manifest that the one at from names. A workspace comes with
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
			return "", fmt.Errorf("MANIFEST_NOT_FOUND: there is no file %s", path)
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
