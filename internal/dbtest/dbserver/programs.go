package dbserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrMissing is in the chain of an error about a server program that this machine does not have.
var ErrMissing = errors.New("server program is missing")

// preferred is the major version that is taken where several are there and none was asked for.
const preferred = 15

// FindPostgres returns the folder of Postgres' programs. Major 0 is 15, otherwise the newest that is there.
// It looks at the system's packages, at pg_config and at what scripts/servers has put into .cache.
func FindPostgres(major int) (string, error) {
	found := postgresFolders()
	if major != 0 {
		if bin, ok := found[major]; ok {
			return bin, nil
		}
		return "", fmt.Errorf("postgres %d: %w; install it with: scripts/servers --versions %d", major, ErrMissing, major)
	}
	if bin, ok := found[preferred]; ok {
		return bin, nil
	}
	newest := 0
	for m := range found {
		newest = max(newest, m)
	}
	if newest == 0 {
		return "", fmt.Errorf("postgres: %w; install it with: scripts/servers", ErrMissing)
	}
	return found[newest], nil
}

// postgresFolders maps major versions to folders. What the system has wins over .cache.
func postgresFolders() map[int]string {
	found := map[int]string{}
	if root, err := repository(); err == nil {
		addFolders(found, filepath.Join(root, ".cache", "postgres-*", "bin"), "postgres-")
	}
	if config, err := exec.LookPath("pg_config"); err == nil {
		addConfigured(found, config)
	}
	addFolders(found, "/usr/lib/postgresql/*/bin", "")
	return found
}

func addFolders(found map[int]string, pattern, prefix string) {
	bins, err := filepath.Glob(pattern)
	if err != nil {
		return
	}
	for _, bin := range bins {
		name := strings.TrimPrefix(filepath.Base(filepath.Dir(bin)), prefix)
		if major, err := strconv.Atoi(name); err == nil && complete(bin) {
			found[major] = bin
		}
	}
}

// addConfigured asks pg_config, as Homebrew and other systems have no folder that could be known beforehand.
func addConfigured(found map[int]string, config string) {
	out, err := exec.Command(config, "--bindir", "--version").Output() //nolint:noctx,gosec // ends at once, from PATH
	if err != nil {
		return
	}
	bin, version, ok := strings.Cut(strings.TrimSpace(string(out)), "\n")
	fields := strings.Fields(version) // "PostgreSQL 15.18 (Debian …)"
	if !ok || len(fields) < 2 || !complete(bin) {
		return
	}
	digits, _, _ := strings.Cut(fields[1], ".")
	if major, err := strconv.Atoi(digits); err == nil {
		found[major] = bin
	}
}

// complete tells whether a server can be made and started: a client's package may bring the folder without them.
func complete(bin string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := os.Stat(filepath.Join(bin, program)); err != nil {
			return false
		}
	}
	return true
}

// FindMariaDB returns the server and the program that makes its data folder.
func FindMariaDB() (server, install string, err error) {
	server, serverErr := findProgram("mariadbd")
	install, installErr := findProgram("mariadb-install-db")
	if errors.Join(serverErr, installErr) != nil {
		return "", "", fmt.Errorf("mariadb: %w; install it with: scripts/servers", ErrMissing)
	}
	return server, install, nil
}

// findProgram also looks where Debian keeps daemons, which is not on the PATH of a person.
func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// repository is the folder of go.mod above the working folder, which is the package's while its tests run.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working folder")
		}
	}
}
