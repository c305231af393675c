package apply

// Ranks are the places of tables among the foreign keys of a destination: a parent's is smaller than its children's.
type Ranks[T comparable] struct {
	parents map[T][]T
	found   map[T]int // a table is in many ways to the top, and looked at once
}

// NewRanks takes the tables that each table refers to. They may still be added until the first rank is asked for.
func NewRanks[T comparable](parents map[T][]T) *Ranks[T] {
	return &Ranks[T]{parents, map[T]int{}}
}

// Of is how many tables stand above t, along the longest way. A circle is cut where it closes.
func (r *Ranks[T]) Of(t T) int {
	if rank, known := r.found[t]; known {
		return rank
	}
	r.found[t] = 0 // for those above that refer back to it
	most := 0
	for _, p := range r.parents[t] {
		if p != t {
			most = max(most, 1+r.Of(p))
		}
	}
	r.found[t] = most
	return most
}
