package mysql

import (
	"strings"
	"testing"

	"rejot.dev/rejot"
)

func TestErrorsAreJudgedByNumber(t *testing.T) {
	for _, c := range []struct {
		number int
		state  string
		want   rejot.Code
	}{
		{1213, "40001", rejot.Transient},
		{1205, "HY000", rejot.Transient},
		{1290, "HY000", rejot.Transient},
		{1836, "HY000", rejot.Transient},
		{1053, "08S01", rejot.Transient},
		{1062, "23000", rejot.Rejected},
		{4025, "23000", rejot.Rejected},
		{3819, "HY000", rejot.Rejected},
		{1644, "45000", rejot.Rejected},
		{1146, "42S02", rejot.NotFound},
		{1142, "42000", rejot.Denied},
		{1064, "42000", rejot.Invalid},
		{59999, "45001", rejot.Rejected},
		{59999, "22012", rejot.Rejected},
		{59999, "42000", rejot.Invalid},
		{59999, "08006", rejot.Transient},
		{59999, "HY000", rejot.Internal},
		{59999, "", rejot.Internal},
	} {
		if got := codeOf(c.number, c.state); got != c.want {
			t.Errorf("%d %s: got %s, want %s", c.number, c.state, got, c.want)
		}
	}
}

func TestErrorSaysNothingOfItsText(t *testing.T) {
	e := Warning(1062, "Duplicate entry 's3cret' for key 'one_name'")
	if got := e.Error(); strings.Contains(got, "s3cret") || !strings.Contains(got, "1062 ER_DUP_ENTRY") {
		t.Error(got)
	}
	known := func(name string) bool { return name == "one_name" || name == "fk" }
	if got := e.Name(known); got != "one_name" {
		t.Errorf("got %q", got)
	}
	if got := Warning(1062, "Duplicate entry 'x'y' for key 's3cret'").Name(known); got != "" {
		t.Errorf("got %q", got)
	}
	e = Warning(1452, "Cannot add or update a child row: a foreign key constraint fails (`d`.`item`, CONSTRAINT `fk` FOREIGN KEY (`p`) REFERENCES `parent` (`id`))")
	if got := e.After("CONSTRAINT", known); got != "fk" {
		t.Errorf("got %q", got)
	}
	if got := e.After("CONSTRAINT", func(string) bool { return false }); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestVersions(t *testing.T) {
	for text, want := range map[string][3]int{
		"10.11.6-MariaDB-log": {10, 11, 6}, "8.0.36": {8, 0, 36}, "5.5.5-10.6.1-MariaDB": {10, 6, 1}, "8.4.0-commercial": {8, 4, 0},
	} {
		if got, err := parseVersion(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	if _, err := parseVersion("nonsense"); rejot.CodeOf(err) != rejot.Unsupported {
		t.Errorf("error %v", err)
	}
}
