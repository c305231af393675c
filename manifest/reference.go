package manifest

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// reference matches ${env:NAME} anywhere in a text.
var reference = regexp.MustCompile(`\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}`)

// filePrefix begins a text that stands in a file.
const filePrefix = "file:"

// largestSecret is how long a file with a secret may be.
const largestSecret = 64 << 10

func hasReference(s string) bool { return strings.HasPrefix(s, filePrefix) || reference.MatchString(s) }

// IsReference reports whether a text holds a reference, as secrets in a manifest should.
func IsReference(s string) bool { return hasReference(s) }

// A resolver replaces references. Paths are relative to dir.
type resolver struct {
	dir string
	env func(string) (string, bool)
}

// text gives s with its references replaced. Values are not looked at for further references.
func (r resolver) text(s string) (string, error) {
	if path, ok := strings.CutPrefix(s, filePrefix); ok {
		return r.file(path)
	}
	var missing error
	out := reference.ReplaceAllStringFunc(s, func(ref string) string {
		name := reference.FindStringSubmatch(ref)[1]
		value, ok := r.env(name)
		if !ok && missing == nil {
			missing = fmt.Errorf("the environment variable %s is not set", name)
		}
		return value
	})
	return out, missing
}

func (r resolver) file(path string) (text string, err error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, largestSecret+1))
	if err != nil {
		return "", err
	}
	if len(data) > largestSecret {
		return "", fmt.Errorf("%s is longer than %d bytes, so it holds no secret", path, largestSecret)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

// parseSize reads an amount of bytes: 1024, 512MB, 10GB. Units are powers of 1024, as in Postgres.
func parseSize(s string, number bool) (uint64, bool) {
	digits := strings.TrimRight(s, "kMGTB")
	shift, ok := map[string]uint{"": 0, "B": 0, "kB": 10, "MB": 20, "GB": 30, "TB": 40}[s[len(digits):]]
	n, err := strconv.ParseUint(strings.TrimSuffix(digits, " "), 10, 63)
	if err != nil || !ok || number && shift > 0 || n == 0 || n<<shift>>shift != n {
		return 0, false
	}
	return n << shift, true
}

// redacted is a URL without its password.
func redacted(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	at := strings.LastIndex(rest, "@")
	if !ok || at < 0 {
		return url
	}
	user, _, hasPassword := strings.Cut(rest[:at], ":")
	if hasPassword {
		user += ":***"
	}
	return scheme + "://" + user + rest[at:]
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
