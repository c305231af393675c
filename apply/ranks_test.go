package apply

import "testing"

func TestRankIsTheLongestWayToTheTop(t *testing.T) {
	r := NewRanks(map[string][]string{
		"child": {"parent", "top", "child"}, "parent": {"top"}, "grandchild": {"top", "child", "parent"},
		"hen": {"egg"}, "egg": {"hen", "top"}, "omelette": {"egg"},
	})
	for table, want := range map[string]int{"top": 0, "parent": 1, "child": 2, "grandchild": 3, "stranger": 0} {
		if got := r.Of(table); got != want {
			t.Errorf("%s has rank %d, want %d", table, got, want)
		}
	}
	if r.Of("omelette") <= r.Of("egg") || r.Of("egg") <= r.Of("top") {
		t.Error("what hangs on a circle is out of order")
	}
}

// The ways to the top are too many to walk them all.
func TestRanksOfManyDiamondsAndCircles(t *testing.T) {
	const tables = 200
	diamonds, circles := map[int][]int{}, map[int][]int{}
	for n := range tables {
		if n > 1 {
			diamonds[n] = []int{n - 1, n - 2}
		}
		for m := range tables {
			circles[n] = append(circles[n], m)
		}
	}
	if got := NewRanks(diamonds).Of(tables - 1); got != tables-2 {
		t.Errorf("rank %d, want %d", got, tables-2)
	}
	if got := NewRanks(circles).Of(0); got != tables {
		t.Errorf("rank %d, want %d, with the way that closes the circle", got, tables)
	}
}
