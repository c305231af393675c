package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/manifest"
)

func TestAMistypedPathIsNotRunAsACommand(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"one.sql": 0o600, "run.sql": 0o700, "migrate": 0o700, "a b.sql": 0o600} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, what string
		wrong      bool
	}{
		{"a folder", dir, false},
		{"a program by its path", filepath.Join(dir, "migrate"), false},
		{"a program by its name", "sh", false},
		{"a command with arguments", "nothing-here deploy", false},
		{"a command with a variable", "$MIGRATE", false},
		{"a folder that is not there", filepath.Join(dir, "migratoins"), true},
		{"a name that nothing has", "migratoins", true},
		{"one file", filepath.Join(dir, "one.sql"), true},
		{"one file that may be run", filepath.Join(dir, "run.sql"), true},
		{"one file with a blank", filepath.Join(dir, "a b.sql"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := checkMigrationsFlag(c.what)
			if (err != nil) != c.wrong || err != nil && (exitCode(err) != exitWrong || rejot.MendOf(err) == "") {
				t.Errorf("%s: %v", c.what, err)
			}
		})
	}
}

func TestInterruptedMigrationsAreNotSaidToBeSlow(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Now())
	defer cancelLate()
	for want, ctx := range map[string]context.Context{"interrupted": ended, "within 15m": late} {
		_, err := (&app{stderr: io.Discard}).runMigrations(ctx, "true", contract.Connection{Type: "postgres"}, &manifest.Manifest{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestMigrationCommandGetsTheAddressAsAURL(t *testing.T) {
	for host, want := range map[string]string{"db.example": "postgresql://u:p%40@db.example:5432/d", "::1": "postgresql://u:p%40@[::1]:5432/d"} {
		conn := contract.Connection{Type: "postgres", Host: host, Port: 5432, User: "u", Password: contract.NewSecret("p@"), Database: "d"}
		if got := databaseURL(conn); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestMigrationsAreRunInTheOrderOfTheirNumbers(t *testing.T) {
	files := []string{
		"m/R__views.sql", "m/V10__ten.sql", "m/V9__nine.sql", "m/V1.10__later.sql", "m/V1.2__sooner.sql", "m/V0__first.sql",
		"p/20240102_b/migration.sql", "p/20240101_a/migration.sql",
	}
	want := []string{
		"m/V0__first.sql", "m/V1.2__sooner.sql", "m/V1.10__later.sql", "m/V9__nine.sql", "m/V10__ten.sql",
		"p/20240101_a/migration.sql", "p/20240102_b/migration.sql", "m/R__views.sql",
	}
	if inOrder(files); !slices.Equal(files, want) {
		t.Errorf("order %v", files)
	}
}

func TestWhichMigrationsAreApplied(t *testing.T) {
	for _, c := range []struct {
		name, file string
		applied    []string
		last, want bool
	}{
		{"by its number", "m/0002_b.sql", []string{"1", "2"}, false, true},
		{"by a number with zeros", "m/2_b.sql", []string{"0002"}, false, true},
		{"another number", "m/0003_c.sql", []string{"1", "2"}, false, false},
		{"Flyway's number with a part", "m/V1.2__c.sql", []string{"1", "1.1"}, false, false},
		{"Flyway's number with that part", "m/V1.2__c.sql", []string{"1", "1.2"}, false, true},
		{"Flyway's number with an underscore", "m/V1_2__c.sql", []string{"1.2"}, false, true},
		{"zero", "m/V0__a.sql", []string{"0"}, false, true},
		{"before the last one", "m/000009_i.sql", []string{"10"}, true, true},
		{"after the last one", "m/000011_k.sql", []string{"10"}, true, false},
		{"by its folder", "m/20240101_a/migration.sql", []string{"20240101_a"}, false, true},
		{"by its own name", "m/users.sql", []string{"users"}, false, true},
		{"without a number", "m/users.sql", []string{"1"}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := isApplied(c.file, c.applied, c.last); got != c.want {
				t.Errorf("%s with %v applied: %t", c.file, c.applied, got)
			}
		})
	}
}

func TestFlywaysUndoIsNoMigration(t *testing.T) {
	for file, want := range map[string]bool{"U1.2__x.sql": true, "V1.2__x.sql": false, "u3__x.sql": true, "users.sql": false} {
		if _, undo := fileNumber("m/" + file); undo != want {
			t.Errorf("%s: %t", file, undo)
		}
	}
}
