package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPersonIsAskedForTheSlug(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "My App_2")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for answer, want := range map[string]string{"\n": "my-app-2", " shop \n": "shop"} {
		var out bytes.Buffer
		a := &app{stdin: strings.NewReader(answer), stdout: &out, terminal: true}
		got, err := a.askSlug()
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", answer, got, err, want)
		}
		if out.String() != "Slug of this manifest [my-app-2]: " {
			t.Errorf("got question %q", out.String())
		}
	}
}
