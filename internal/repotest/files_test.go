package repotest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestProgramCanBeInstalled keeps `go install rejot.dev/rejot/cmd/rejot@latest` working, which
// refuses a module with these directives.
func TestProgramCanBeInstalled(t *testing.T) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct{ Replace, Exclude []json.RawMessage }
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if len(mod.Replace)+len(mod.Exclude) > 0 {
		t.Errorf("go.mod has replace %s and exclude %s, want none", mod.Replace, mod.Exclude)
	}
}

// machinePath finds folders of one person's machine; registryHost finds where that machine gets its packages.
// They are put together so that they do not find themselves.
var (
	machinePath  = regexp.MustCompile(`(?:^|[^\w.)}\]~-])/(?:` + strings.Join([]string{"work", "home", "root", "Users"}, "|") + `)/\w`)
	registryHost = regexp.MustCompile(strings.Join([]string{`proxy\.golang`, `registry\.npmjs`, `deb\.debian`, `pypi\.org`}, "|"))
)

func TestNoFileKnowsAMachine(t *testing.T) {
	for _, name := range trackedFiles(t) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			continue // deleted, or not text
		}
		for i, line := range strings.Split(string(text), "\n") {
			if found := machinePath.FindString(line) + registryHost.FindString(line); found != "" {
				t.Errorf("%s:%d has %q", name, i+1, found)
			}
		}
	}
}

func TestMachinePathsAreTold(t *testing.T) {
	slash := func(s string) string { return strings.ReplaceAll(s, "|", "/") }
	for text, want := range map[string]bool{
		"|work|main":            true,
		`cd "|home|me|x"`:       true,
		"in |root|go.":          true,
		"https:||a.b|work|c":    false,
		"examples|home|page.ts": false,
		"${HOME}|work|x":        false,
		"|workers|x":            false,
	} {
		if got := machinePath.MatchString(slash(text)); got != want {
			t.Errorf("%s: got %t, want %t", text, got, want)
		}
	}
}

// untyped has the commands in the documentation that no test types, with the reason.
var untyped = map[string]string{
	"make":       "lists the targets",
	"make build": "the first thing that each change has to pass",
	"make test":  "runs this",
	"make demo":  "is for people; its parts are tested",
	"go install rejot.dev/rejot/cmd/rejot@latest": "needs a release; TestProgramCanBeInstalled",
}

// TestDocumentedCommandsAreTyped holds README and docs to what works: a command there stands in a test
// script (any .txtar), letter for letter, or in untyped.
func TestDocumentedCommandsAreTyped(t *testing.T) {
	typed := map[string]bool{}
	documented := map[string]string{}
	for _, name := range trackedFiles(t) {
		isDoc := name == "README.md" || strings.HasPrefix(name, "docs/") && strings.HasSuffix(name, ".md")
		if !isDoc && !strings.HasSuffix(name, ".txtar") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // deleted
		}
		if !isDoc {
			for _, line := range strings.Split(string(text), "\n") {
				typed[typedCommand(line)] = true
			}
			continue
		}
		for line, command := range commands(string(text)) {
			documented[fmt.Sprintf("%s:%d", name, line)] = command
		}
	}
	for place, command := range documented {
		if !typed[command] && untyped[command] == "" {
			t.Errorf("%s: no test script types %q", place, command)
		}
	}
}

// typedCommand takes from a script's line what decorates a command there: "! exec rejot check" is "rejot check".
func typedCommand(line string) string {
	fields := strings.Fields(line)
	for len(fields) > 0 && (fields[0] == "!" || fields[0] == "?" || fields[0] == "exec") {
		fields = fields[1:]
	}
	return strings.Join(fields, " ")
}

// commands finds the commands of a page: the lines of a ```sh block, and of a ```console block those after "$ ".
// A backslash at the end continues a line; comments are none.
func commands(page string) map[int]string {
	found := map[int]string{}
	block, begun, start := "", "", 0
	for i, line := range strings.Split(page, "\n") {
		if fence, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
			if block == "" {
				block = fence + " " // not empty: inside
			} else {
				block = ""
			}
			continue
		}
		text, ok := strings.TrimSpace(line), false
		switch strings.TrimSpace(block) {
		case "sh", "bash", "shell":
			ok = text != "" && !strings.HasPrefix(text, "#")
		case "console":
			text, ok = strings.CutPrefix(text, "$ ")
		}
		if !ok && begun == "" {
			continue
		}
		if begun == "" {
			start = i + 1
		}
		part, more := strings.CutSuffix(text, "\\")
		begun += " " + part
		if more {
			continue
		}
		command, _, _ := strings.Cut(begun, " # ")
		found[start] = strings.Join(strings.Fields(command), " ")
		begun = ""
	}
	return found
}

func TestCommandsOfAPage(t *testing.T) {
	got := commands("# Title\n```sh\n# first\nrejot check   # all\nrejot sync \\\n  --wait\n```\n```json\nrejot no\n```\n```console\n$ rejot status\nrunning\n```\n")
	want := map[int]string{4: "rejot check", 5: "rejot sync --wait", 12: "rejot status"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := typedCommand("! exec rejot  check"); got != "rejot check" {
		t.Errorf("got %q", got)
	}
}
