package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/check"
	"rejot.dev/rejot/manifest"
)

const (
	// fetchWithin is how long a URL may take to answer.
	fetchWithin = 10 * time.Second
	// largestManifest is how long an answer may be.
	largestManifest = 8 << 20
	// versionsLookedAt is how many former versions of a manifest are read for the names that fields once had.
	versionsLookedAt = 200
)

// against reads what the manifests were: at a git ref, in a file or folder, or behind a URL. With a git ref it
// also knows the fields that former versions had.
func (a *app) against(ctx context.Context, what string, now []*manifest.Manifest) ([]*manifest.Manifest, check.History, error) {
	if strings.HasPrefix(what, "http://") || strings.HasPrefix(what, "https://") {
		m, err := fetchManifest(ctx, what)
		return []*manifest.Manifest{m}, nil, err
	}
	info, err := os.Stat(what)
	isFile := err == nil && info.Mode().IsRegular()
	if !isFile && isGitRef(ctx, filepath.Dir(now[0].File()), what) {
		return a.atRef(ctx, what, now)
	}
	if err != nil {
		err := rejot.Errorf(rejot.NotFound, "--against %s is no git ref, file or folder here", what)
		return nil, nil, rejot.WithMend(err, "git fetch, if it is a branch of a remote; or name a file or a URL")
	}
	old, _, err := manifest.Inspect(what)
	return old, nil, err
}

// fetchManifest reads a manifest from a URL.
func fetchManifest(ctx context.Context, url string) (*manifest.Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	shown := manifest.ConnectionConfig{URL: url}.Where() // without a password
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, rejot.Errorf(rejot.Invalid, "--against %s is no URL", shown)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		var cause interface{ Timeout() bool }
		if errors.As(err, &cause) && cause.Timeout() {
			err = fmt.Errorf("no answer within %s", fetchWithin)
		} else if inner := errors.Unwrap(err); inner != nil {
			err = inner // without the URL, which may have a password
		}
		return nil, stopped(rejot.Errorf(rejot.Transient, "--against %s: %w", shown, err))
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK {
		return nil, stopped(rejot.Errorf(rejot.NotFound, "--against %s: the server answered %s", shown, resp.Status))
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, largestManifest+1))
	if err != nil {
		return nil, stopped(rejot.Errorf(rejot.Transient, "--against %s: %w", shown, err))
	}
	if len(data) > largestManifest {
		return nil, rejot.Errorf(rejot.Invalid, "--against %s is longer than %d MB", shown, largestManifest>>20)
	}
	return manifest.Parse(shown, data)
}

// git runs git in a folder. A ref is never taken for an option.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...) //nolint:gosec // the command is fixed, and refs are checked
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(stderr.String()+" "+err.Error()))
	}
	return out, nil
}

func isGitRef(ctx context.Context, dir, ref string) bool {
	if strings.HasPrefix(ref, "-") || strings.ContainsAny(ref, ": \t\n") {
		return false
	}
	_, err := git(ctx, dir, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	return err == nil
}

// A pastFile is a manifest's file at a ref. Its folder may be gone, so git runs in that of a manifest of today.
type pastFile struct{ dir, path string }

// atRef reads the manifests as they were at a ref: those of today, and those that they named as workspaces then.
// One that was not there is new.
func (a *app) atRef(ctx context.Context, ref string, now []*manifest.Manifest) ([]*manifest.Manifest, check.History, error) {
	var files []pastFile
	for _, m := range now {
		files = append(files, pastFile{filepath.Dir(m.File()), filepath.Clean(m.File())})
	}
	var old []*manifest.Manifest
	var errs []error
	past := check.Past{}
	seen := map[string]bool{}
	for len(files) > 0 {
		f := files[0]
		if files = files[1:]; seen[f.path] {
			continue
		}
		seen[f.path] = true
		was, err := a.fileAtRef(ctx, ref, f, past)
		if err != nil {
			errs = append(errs, err)
		}
		if was == nil {
			continue
		}
		old = append(old, was)
		for _, w := range was.Workspaces {
			files = append(files, pastFile{f.dir, filepath.Join(filepath.Dir(f.path), filepath.FromSlash(w))})
		}
	}
	for _, m := range now {
		if !slices.ContainsFunc(old, func(o *manifest.Manifest) bool { return o.Slug == m.Slug }) {
			a.note("manifest %s (%s) was not there at %s, so everything in it is new", m.Slug, m.File(), ref)
		}
	}
	return old, past.Fields, errors.Join(errs...)
}

// fileAtRef reads one manifest, and its former versions; nil where it was not there.
func (a *app) fileAtRef(ctx context.Context, ref string, f pastFile, past check.Past) (*manifest.Manifest, error) {
	name, err := filepath.Rel(f.dir, f.path)
	if err != nil {
		return nil, nil //nolint:nilerr // it leads nowhere
	}
	name = "./" + filepath.ToSlash(name)
	if _, err := git(ctx, f.dir, "cat-file", "-e", ref+":"+name); err != nil {
		return nil, ctx.Err()
	}
	data, err := git(ctx, f.dir, "show", ref+":"+name)
	if err != nil {
		return nil, rejot.Errorf(rejot.NotFound, "%s at %s: %w", f.path, ref, err)
	}
	was, err := manifest.Parse(ref+":"+f.path, data)
	if err != nil {
		return nil, err
	}
	a.pastOf(ctx, f.dir, name, ref, past)
	return was, nil
}

// pastOf reads the former versions of a manifest for the names that fields had. What cannot be read any more
// tells nothing.
func (a *app) pastOf(ctx context.Context, dir, name, ref string, past check.Past) {
	out, err := git(ctx, dir, "log", fmt.Sprintf("--max-count=%d", versionsLookedAt), "--format=%H", ref, "--", name)
	if err != nil {
		return
	}
	for _, commit := range strings.Fields(string(out)) {
		data, err := git(ctx, dir, "show", commit+":"+name)
		if err != nil {
			continue
		}
		if m, err := manifest.Parse(name, data); err == nil {
			past.Add(m)
		}
	}
}
