package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"rejot.dev/rejot"
)

// largestFile is how long a manifest may be.
const largestFile = 8 << 20

// Find looks for a manifest in dir and the folders above it.
func Find(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", rejot.Errorf(rejot.Invalid, "find a manifest: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		path := filepath.Join(at, FileName)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
		if at == filepath.Dir(at) {
			err := rejot.Errorf(rejot.Invalid, "MANIFEST_NOT_FOUND: there is no %s in %s or above", FileName, dir)
			return "", rejot.WithMend(err, "rejot init --slug NAME, or name the manifest")
		}
	}
}

// Read reads one manifest file strictly. The error joins everything that is wrong with it, each with
// file, line and path. Whether what it names exists is not looked at; Load does.
func Read(path string) (*Manifest, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse is Read for bytes that were read already; file is their name in errors.
func Parse(file string, data []byte) (*Manifest, error) {
	m, problems := parseForm(file, data)
	if err := m.errorOf(problems); err != nil {
		return nil, err
	}
	return m, nil
}

// parseForm gives as much of a manifest as can be read, with all that is wrong with it. Its root is nil
// where it cannot be read at all.
func parseForm(file string, data []byte) (*Manifest, []problem) {
	m := &Manifest{file: file}
	root, problems := parse(data)
	if root == nil {
		return m, problems
	}
	m.root = root
	d := decoder{problems: problems}
	d.value(root, reflect.ValueOf(m).Elem(), "$")
	if root.kind == kindObject {
		d.problems = append(d.problems, m.check()...)
	}
	return m, d.problems
}

// errorOf joins problems in the order of their lines, each once.
func (m *Manifest) errorOf(problems []problem) error {
	slices.SortStableFunc(problems, func(a, b problem) int { return a.line - b.line })
	var errs []error
	told := map[problem]bool{}
	for _, p := range problems {
		if !told[p] {
			err := rejot.Errorf(rejot.Invalid, "%s:%d: %s: %s", m.file, p.line, p.path, printable(p.text))
			if p.mend != "" {
				err = rejot.WithMend(err, "%s", printable(p.mend))
			}
			errs = append(errs, err)
			told[p] = true
		}
	}
	return errors.Join(errs...)
}

// printable shows control characters, which a file of others may have put into a name, as escapes.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			fmt.Fprintf(&b, "\\x%02x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "MANIFEST_NOT_FOUND: there is no file %s", path), "rejot manifest init --slug NAME --manifest %s", path)
	}
	if err != nil {
		return nil, rejot.Errorf(rejot.Invalid, "read the manifest: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, rejot.Errorf(rejot.Invalid, "read the manifest: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, rejot.Errorf(rejot.Invalid, "%s is not a file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, largestFile+1))
	if err != nil {
		return nil, rejot.Errorf(rejot.Invalid, "read the manifest: %w", err)
	}
	if len(data) > largestFile {
		return nil, rejot.Errorf(rejot.Invalid, "%s is longer than %d MB", path, largestFile>>20)
	}
	return data, nil
}

// Encode gives the canonical bytes: two spaces, the fields in the form's order.
func (m *Manifest) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(m); err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	return b.Bytes(), nil
}

// Write writes the manifest, whole or not at all; nothing where the file has these bytes already. It
// checks what it writes as Read does.
func (m *Manifest) Write(path string) error {
	data, err := m.Encode()
	if err != nil {
		return err
	}
	if _, err := Parse(path, data); err != nil {
		return err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // the file is written, not the link
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	have, err := os.ReadFile(path)
	if err == nil && bytes.Equal(bytes.TrimRight(have, "\n"), bytes.TrimRight(data, "\n")) {
		return nil
	}
	if err := replaceFile(path, data, mode); err != nil {
		return rejot.Errorf(rejot.Invalid, "write the manifest: %w", err)
	}
	return nil
}

// replaceFile puts data where path is, so that a crash leaves the old bytes or the new ones.
func replaceFile(path string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one to tell
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
