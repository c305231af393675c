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

// atRef reads each manifest as it was at a ref. One that was not there is new.
func (a *app) atRef(ctx context.Context, ref string, now []*manifest.Manifest) ([]*manifest.Manifest, check.History, error) {
	var old []*manifest.Manifest
	var errs []error
	past := check.Past{}
	for _, m := range now {
		dir, base := filepath.Dir(m.File()), filepath.Base(m.File())
		if _, err := git(ctx, dir, "cat-file", "-e", ref+":./"+base); err != nil {
			a.note("%s was not there at %s, so everything in it is new", m.File(), ref)
			continue
		}
		data, err := git(ctx, dir, "show", ref+":./"+base)
		if err != nil {
			errs = append(errs, rejot.Errorf(rejot.NotFound, "%s at %s: %w", m.File(), ref, err))
			continue
		}
		was, err := manifest.Parse(ref+":"+m.File(), data)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		old = append(old, was)
		a.pastOf(ctx, dir, base, ref, past)
	}
	return old, past.Fields, errors.Join(errs...)
}

// pastOf reads the former versions of a manifest for the names that fields had. What cannot be read any more
// tells nothing.
func (a *app) pastOf(ctx context.Context, dir, base, ref string, past check.Past) {
	out, err := git(ctx, dir, "log", fmt.Sprintf("--max-count=%d", versionsLookedAt), "--format=%H", ref, "--", "./"+base)
	if err != nil {
		return
	}
	for _, commit := range strings.Fields(string(out)) {
		data, err := git(ctx, dir, "show", commit+":./"+base)
		if err != nil {
			continue
		}
		if m, err := manifest.Parse(base, data); err == nil {
			past.Add(m)
		}
	}
}
