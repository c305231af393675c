package bindings_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rejot.dev/rejot/bindings"
)

// TestAWrongFieldIsRedInTheEditor runs the type checker over what has to compile, and over lines that have to be errors
// (@ts-expect-error is itself an error where there is none). The example is among them.
func TestAWrongFieldIsRedInTheEditor(t *testing.T) {
	if out, err := exec.Command("../scripts/typescript").CombinedOutput(); err != nil {
		if os.Getenv("CI") == "" {
			t.Skipf("no TypeScript: %s", out)
		}
		t.Fatalf("scripts/typescript: %v\n%s", err, out)
	}
	out, err := exec.Command("../.cache/typescript/node_modules/.bin/tsc", "--noEmit", "-p", "typescript/test").CombinedOutput()
	if err != nil {
		t.Errorf("tsc: %v\n%s", err, out)
	}
}

func TestPackagesCanBePublished(t *testing.T) {
	for _, name := range []string{"contract", "adapter-postgres", "adapter-mysql"} {
		text, err := os.ReadFile(filepath.Join("typescript", name, "package.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			_, built, ok := strings.Cut(line, `"default": "./dist/`)
			if !ok {
				continue
			}
			source := filepath.Join("typescript", name, "src", strings.TrimSuffix(strings.Trim(built, `"{}, `), ".js")+".ts")
			if _, err := os.Stat(source); err != nil {
				t.Errorf("%s exports what is not there: %v", name, err)
			}
		}
	}
}

func TestTheProgramCarriesSourcesAndLicences(t *testing.T) {
	for _, c := range []struct {
		fs   fs.FS
		path string
	}{
		{bindings.TypeScript, "typescript/contract/src/public-schema.ts"},
		{bindings.TypeScript, "typescript/adapter-mysql/src/index.ts"},
		{bindings.TypeScript, "typescript/vendor/zod.js"},
		{bindings.TypeScript, "typescript/vendor/zod.LICENSE"},
		{bindings.TypeScript, "typescript/vendor/zod-to-json-schema.LICENSE"},
		{bindings.Python, "python/rejot_contract/__init__.py"},
	} {
		if info, err := fs.Stat(c.fs, c.path); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", c.path, err)
		}
	}
}
