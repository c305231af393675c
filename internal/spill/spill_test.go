package spill_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"rejot.dev/rejot/internal/spill"
)

func items(t interface{ Fatal(...any) }, s *spill.Set) []string {
	got := []string{}
	for item, err := range s.All() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(item))
	}
	return got
}

// TestSetsHoldEachItemOnceInOrder compares sets, some over the limit and some not, with maps.
func TestSetsHoldEachItemOnceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := spill.NewPool("", rapid.SampledFrom([]int64{0, 1 << 30}).Draw(t, "limit"))
		a, b := pool.NewSet(), pool.NewSet()
		want := map[string]bool{}
		size := rapid.SampledFrom([]int{1, 40, 20_000}).Draw(t, "size of an item")
		for range rapid.IntRange(0, 60).Draw(t, "items") {
			item := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, rapid.IntRange(0, size).Draw(t, "length"))
			set := rapid.SampledFrom([]*spill.Set{a, b}).Draw(t, "set")
			if err := set.Add(item); err != nil {
				t.Fatal(err)
			}
			want[string(item)] = true
		}
		if err := a.AddAll(b); err != nil {
			t.Fatal(err)
		}
		var sorted []string
		for item := range want {
			sorted = append(sorted, item)
		}
		slices.SortFunc(sorted, func(x, y string) int { return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)) })
		for range 2 {
			if got := items(t, a); !slices.Equal(got, sorted) {
				t.Fatalf("set has %d items, want %d", len(got), len(sorted))
			}
		}
		if a.Len() < len(want) {
			t.Fatalf("length %d is no upper bound of %d", a.Len(), len(want))
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
		if pool.Used() != 0 {
			t.Fatalf("%d bytes are still accounted for", pool.Used())
		}
	})
}

func TestManyKeysStayWithinThePoolsMemory(t *testing.T) {
	const limit = 4 << 20
	pool := spill.NewPool(t.TempDir(), limit)
	s := pool.NewSet()
	var key [8]byte
	n := 500_000
	most := int64(0)
	for round := range 2 {
		for i := range n {
			binary.BigEndian.PutUint64(key[:], uint64(i*7919))
			if err := s.Add(key[:]); err != nil {
				t.Fatal(round, err)
			}
			most = max(most, pool.Used())
		}
	}
	if most > 2*limit {
		t.Errorf("%d bytes of memory were used, with a limit of %d", most, limit)
	}
	got := 0
	for _, err := range s.All() {
		if err != nil {
			t.Fatal(err)
		}
		got++
	}
	if got != n {
		t.Errorf("%d items, want %d", got, n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLogsAreReadWhileTheyAreWritten(t *testing.T) {
	for _, limit := range []int64{0, 1 << 30} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			pool := spill.NewPool("", limit)
			l := pool.NewLog()
			const n = 20_000
			failed := errors.New("the end")
			var readers sync.WaitGroup
			for range 3 {
				readers.Go(func() {
					i := 0
					for rec, err := range l.All(t.Context()) {
						if err != nil {
							if i != n || !errors.Is(err, failed) {
								t.Errorf("after %d records: %v", i, err)
							}
							return
						}
						if string(rec) != fmt.Sprint("record ", i) {
							t.Errorf("record %d is %q", i, rec)
							return
						}
						i++
					}
					t.Error("the list ends without its error")
				})
			}
			for i := range n {
				if err := l.Append(fmt.Append(nil, "record ", i)); err != nil {
					t.Fatal(err)
				}
			}
			l.Finish(failed)
			readers.Wait()
			if err := l.Close(); err != nil || pool.Used() != 0 {
				t.Errorf("close: %v; %d bytes are still accounted for", err, pool.Used())
			}
		})
	}
}

func TestAFullDiskIsAnError(t *testing.T) {
	pool := spill.NewPool("/nowhere", 0)
	s, l := pool.NewSet(), pool.NewLog()
	big := make([]byte, 1<<20)
	if s.Add(big) == nil || l.Append(big) == nil {
		t.Error("what could not be spilled was taken")
	}
}
