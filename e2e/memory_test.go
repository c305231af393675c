package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"rejot.dev/rejot/internal/dbtest"
)

// TestMemoryDoesNotGrowWithTheTransaction changes a million rows in one transaction, or as many as
// REJOT_MEMORY_ROWS says.
func TestMemoryDoesNotGrowWithTheTransaction(t *testing.T) {
	const limit = 150 << 20
	rows := 1_000_000
	if text := os.Getenv("REJOT_MEMORY_ROWS"); text != "" {
		var err error
		if rows, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	from, to := dbtest.Postgres(t).NewDatabase(t), dbtest.Postgres(t).NewDatabase(t)
	from.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL)`)
	to.Exec(t, `CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL)`)
	p := start(t, itemManifest(t, from, to))
	p.caughtUp(t)
	from.Exec(t, fmt.Sprintf(`INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, %d) i`, rows))
	dbtest.Eventually(t, 5*time.Minute, func() (bool, string) {
		got := to.Query(t, `SELECT count(*) FROM item`)[0][0]
		if got != "0" && got != fmt.Sprint(rows) {
			t.Fatalf("a reader sees %s rows of one transaction of %d", got, rows)
		}
		return got == fmt.Sprint(rows), got + " rows"
	})
	if most := peakMemory(t, p); most > limit {
		t.Errorf("the process took %d MB at most, want no more than %d", most>>20, limit>>20)
	} else {
		t.Logf("the process took %d MB at most", most>>20)
	}
}

// peakMemory is the largest resident size that a process has had.
func peakMemory(t *testing.T, p *program) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skip("this system does not tell a process's peak memory")
	}
	for line := range strings.Lines(string(text)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	t.Fatal("no VmHWM in the process's status")
	return 0
}
