package apply

import "sync"

// A Way is how the statement of one kind is run for the rows of a batch.
type Way struct {
	Statement string // the statement's field in the manifest
	Name      string // Set, Block or Pipeline
	Reason    string // why it is no set, or no block; empty where it is
}

// The ways. All have the effect of one execution a row, in order; a batch that a faster one cannot take goes by Pipeline.
const (
	Set      = "set"      // one statement for a chunk of rows, proved to be the same
	Block    = "block"    // the statement in a loop that the server runs
	Pipeline = "pipeline" // one execution a row, sent without waiting
)

// ways are kept by the applier's goroutine and read by others.
type ways struct {
	mu   sync.Mutex
	list [Kinds]Way
}

// SetWay notes how the statement of a kind is run from now on.
func (t *Target) SetWay(k Kind, name, reason string) {
	t.ways.mu.Lock()
	defer t.ways.mu.Unlock()
	t.ways.list[k] = Way{k.String(), name, reason}
}

// Ways tells how the target's statements are run. It may be called from any goroutine.
func (t *Target) Ways() []Way {
	t.ways.mu.Lock()
	defer t.ways.mu.Unlock()
	var list []Way
	for _, w := range t.ways.list {
		if w.Name != "" {
			list = append(list, w)
		}
	}
	return list
}
