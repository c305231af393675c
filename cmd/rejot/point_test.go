package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot/contract"
)

func TestPublicSQLSaysWhatItsHeaderSays(t *testing.T) {
	for text, want := range map[string]publicSQL{
		"SELECT 1 WHERE :id = :id": {text: "SELECT 1 WHERE :id = :id", names: []string{"id"}},
		"\ufeff\r\n-- rejot: public-schema a 1.0\r\n-- table: \"My\".item\r\n-- a remark\r\n-- rows: one\r\nSELECT $1;\r\n": {
			text: "\n-- rejot: public-schema a 1.0\n-- table: \"My\".item\n-- a remark\n-- rows: one\nSELECT $1", table: `"My".item`, rows: "one", names: []string{"1"},
		},
		"SELECT 1\n-- table: late": {text: "SELECT 1"},
	} {
		path := filepath.Join(t.TempDir(), "a.sql")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want.file = path
		got, err := readPublicSQL(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got, cmp.AllowUnexported(publicSQL{})); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestConsumerSQLHasUpToThreeStatements(t *testing.T) {
	for text, want := range map[string]contract.Consumer{
		"INSERT 1;": {SQL: "INSERT 1"},
		"-- on-error: quarantine\nINSERT 1;\n-- truncate:\nTRUNCATE a;\n--delete: \nDELETE 1\n": {
			SQL: "-- on-error: quarantine\nINSERT 1", DeleteSQL: "\nDELETE 1", TruncateSQL: "\nTRUNCATE a", OnError: "quarantine",
		},
		"INSERT 1 -- delete:\n":           {SQL: "INSERT 1"},
		"INSERT 1\n-- delete: the rows\n": {SQL: "INSERT 1"},
	} {
		path := filepath.Join(t.TempDir(), "a.sql")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var got contract.Consumer
		if err := readConsumerSQL(path, "mysql", &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestBackfillKeysName(t *testing.T) {
	item := contract.TableName{Schema: "public", Name: "item"}
	for text, want := range map[string]struct {
		key  backfillKey
		isOf bool
	}{
		"id":                       {backfillKey{column: "id"}, false},
		"item.id":                  {backfillKey{"item", "id"}, true},
		"public.item.id:accountId": {backfillKey{"public.item", "id"}, true},
		"other.item.id":            {backfillKey{"other.item", "id"}, false},
	} {
		if got := parseBackfillKey(text); got != want.key || got.isOf(item) != want.isOf {
			t.Errorf("%s: got %+v, of the table %t", text, got, got.isOf(item))
		}
	}
}

func TestSinksThatAreFiles(t *testing.T) {
	for sink, want := range map[string]string{
		"-": "-", "stdout": "-", "stdout://": "-", "out.jsonl": "out.jsonl", "./-": "./-", "file:///a%20b/c": "/a b/c", "file://rel/x": "rel/x", "a:b": "a:b",
	} {
		o := pointOptions{sink: sink}
		got, err := o.resolveSink()
		if err != nil || got.Type != fileConnection || got.Database != want {
			t.Errorf("%s: got %s %s, %v", sink, got.Type, got.Database, err)
		}
	}
}

func TestEachPointHasNamesOfItsOwn(t *testing.T) {
	database, output := contract.Connection{Database: "d"}, contract.Connection{Type: fileConnection, Database: outputPath}
	for _, c := range []struct {
		publication string
		to          contract.Connection
		want        string
	}{
		{pointPublication, database, "rejot_slot rejot_publication"},
		{pointPublication, output, "rejot_slot_stdout rejot_publication_stdout"},
		{"mine", database, "mine mine"},
		{"mine", output, "mine_stdout mine"},
	} {
		slot, publication := (&pointOptions{publication: c.publication}).names(c.to)
		if got := strings.Join([]string{slot, publication}, " "); got != c.want {
			t.Errorf("%s to %s: got %s, want %s", c.publication, c.to, got, c.want)
		}
	}
}
