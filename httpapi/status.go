package httpapi

import "time"

// A Status tells how the program stands.
type Status struct {
	State     string     `json:"state"` // the original's words: initial, prepared, started, stopped, closed
	Manifests []string   `json:"manifests"`
	Started   time.Time  `json:"started,omitzero"`
	Pipelines []Pipeline `json:"pipelines"`
	Stages    []Stage    `json:"stages,omitempty"`
}

// A Pipeline tells how one consumer schema stands.
type Pipeline struct {
	Consumer     string    `json:"consumer"`
	PublicSchema string    `json:"publicSchema"`
	Source       string    `json:"source"`
	Destination  string    `json:"destination"`
	State        string    `json:"state"`
	Since        time.Time `json:"since,omitzero"`
	Position     string    `json:"position"`
	Place        string    `json:"place"` // the position's place in the source's log, in the source's own form
	LagBytes     uint64    `json:"lagBytes"`
	LagSeconds   float64   `json:"lagSeconds"`
	Backfill     Backfill  `json:"backfill"`
	Upserts      int64     `json:"upserts"`
	Deletes      int64     `json:"deletes"`
	Batches      int64     `json:"batches"`
	Apply        []Way     `json:"apply,omitempty"`
	Error        string    `json:"error,omitempty"`
	Mend         string    `json:"mend,omitempty"`
	RetryAt      time.Time `json:"retryAt,omitzero"`
}

// A Stage is how long the program has been at a part of its work since it began, over all pipelines. Stages overlap.
type Stage struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// A Way tells how one of a consumer's statements is run: "set" (one statement for many rows), "block" (a loop that
// the server runs) or "pipeline" (one execution a row), and why it is not the faster one.
type Way struct {
	Statement string `json:"statement"` // sql, deleteSql or truncateSql
	Way       string `json:"way"`
	Reason    string `json:"reason,omitempty"`
}

// A Backfill tells how far a backfill has come, in keys of the base table.
type Backfill struct {
	Done     bool  `json:"done"`
	Rows     int64 `json:"rows"`
	Estimate int64 `json:"estimate"`
}
