package manifest

import (
	"os"
	"strings"
	"testing"
)

func TestWriteLeavesAloneWhatIsThere(t *testing.T) {
	text := strings.TrimRight(full(t), "\n")
	t.Chdir(t.TempDir())
	write(t, "m.json", text)
	before, err := os.Stat("m.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Read("m.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Write("m.json"); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat("m.json")
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the file was written though nothing but the last line's end is different")
	}
}

func TestWriteReplacesTheFileBehindALinkAndKeepsItsMode(t *testing.T) {
	text := full(t)
	t.Chdir(t.TempDir())
	write(t, "real.json", text)
	if err := os.Chmod("real.json", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.json", "m.json"); err != nil {
		t.Fatal(err)
	}
	m, err := Read("m.json")
	if err != nil {
		t.Fatal(err)
	}
	m.Slug = "other"
	if err := m.Write("m.json"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat("real.json")
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("got mode %s", info.Mode())
	}
	if again, err := Read("real.json"); err != nil || again.Slug != "other" {
		t.Errorf("got %v, %v", again, err)
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 2 {
		t.Errorf("got %v, %v, want no temporary file", entries, err)
	}
}

func TestWriteRefusesWhatReadWould(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := (&Manifest{Slug: "No Slug"}).Write("m.json"); err == nil {
		t.Error("got no error")
	}
	if _, err := os.Stat("m.json"); err == nil {
		t.Error("a file was written")
	}
}

func TestFailedWriteLeavesNoTrace(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "m.json/x", "") // a folder, which no file can replace
	if err := (&Manifest{Slug: "a"}).Write("m.json"); err == nil {
		t.Error("got no error")
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v", entries, err)
	}
}
