package contract

import (
	"encoding/json"
	"io"
	"runtime"
	"strings"

	"rejot.dev/rejot"
)

// A Definition is a public schema or a consumer schema that is written in Go. `rejot collect` finds it in an exported variable
// of a package, by itself or in a slice, and writes it into the manifest.
type Definition struct {
	entry any
	file  string
	line  int
	err   error
}

// A Version is a public schema's: a new Major for what breaks a reader, a new Minor for what does not.
type Version struct {
	Major int `json:"major"`
	Minor int `json:"minor"`
}

// PublicOptions are what a public schema needs beside name and version.
type PublicOptions struct {
	Source          string           // the data store's slug
	Database        string           // "postgres" or "mysql"; empty: postgres
	Output          Schema           // of a row: SchemaOf or JSONSchema
	Transformations []Transformation // OnChange makes the usual one

	Owner       string // the team that answers for it
	Description string
	Validate    string // "off", "warn" or "stop": whether rows are compared with Output while they are published
	Freshness   string // how old rows may be at a destination, as "30s" or "5m"
	Upcasts     []Upcast
}

// Reads names the public schema that a consumer schema reads.
type Reads struct {
	Manifest string // the slug of its manifest
	Schema   string
	Major    int
}

// ConsumerOptions are what a consumer schema needs beside its name.
type ConsumerOptions struct {
	Reads       Reads
	Destination string // the data store's slug
	Database    string // "postgres" or "mysql"; empty: postgres
	SQL         string // writes one row; repeating it has to do no harm, as an upsert does none
	DeleteSQL   string // removes the row of a key; empty: deletes are ignored
	TruncateSQL string // removes all rows; empty: a truncated source table stops the consumer
	OnError     string // "pause" or "quarantine"; empty: pause
}

// OnChange is the query for every change of a table, with the table's key as placeholder.
func OnChange(table, sql string) Transformation {
	return Transformation{Operations: []string{"insert", "update", "delete"}, Table: table, SQL: sql}
}

// Public defines a public schema.
func Public(name string, version Version, o PublicOptions) Definition {
	d := here()
	if o.Output.err != nil {
		d.err = rejot.Errorf(rejot.Invalid, "public schema %s: %w", name, o.Output.err)
		return d
	}
	e := publicEntry{
		Name: name, OutputSchema: o.Output.raw, Version: version, Owner: o.Owner, Description: o.Description, Validate: o.Validate,
		Freshness: o.Freshness, Upcast: o.Upcasts,
	}
	e.Source.DataStore = o.Source
	e.Config.Type = database(o.Database)
	e.Config.Transformations = []transformationEntry{}
	for _, t := range o.Transformations {
		for _, operation := range t.Operations {
			e.Config.Transformations = append(e.Config.Transformations, transformationEntry{operation, t.Table, t.SQL, t.Params, t.Keys, t.Rows})
		}
	}
	d.entry = e
	return d
}

// Consume defines a consumer schema.
func Consume(name string, o ConsumerOptions) Definition {
	d := here()
	e := consumerEntry{Name: name, SourceManifest: o.Reads.Manifest}
	e.PublicSchema.Name, e.PublicSchema.Major = o.Reads.Schema, o.Reads.Major
	e.Config.Type, e.Config.Destination = database(o.Database), o.Destination
	e.Config.SQL, e.Config.DeleteSQL, e.Config.TruncateSQL, e.Config.OnError = o.SQL, o.DeleteSQL, o.TruncateSQL, o.OnError
	d.entry = e
	return d
}

// here is a Definition at the place of the caller's caller.
func here() Definition {
	_, file, line, _ := runtime.Caller(2)
	return Definition{file: file, line: line}
}

func database(name string) string {
	if name == "" {
		return "postgres"
	}
	return name
}

// The entries as they stand in a manifest. Package manifest has them with everything that reading needs; a contract in Go
// compiles without it.
type publicEntry struct {
	Name   string `json:"name"`
	Source struct {
		DataStore string `json:"dataStoreSlug"`
	} `json:"source"`
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	Version      Version         `json:"version"`
	Config       struct {
		Type            string                `json:"publicSchemaType"`
		Transformations []transformationEntry `json:"transformations"`
	} `json:"config"`
	Owner       string   `json:"owner,omitempty"`
	Description string   `json:"description,omitempty"`
	Validate    string   `json:"validate,omitempty"`
	Freshness   string   `json:"freshness,omitempty"`
	Upcast      []Upcast `json:"upcast,omitempty"`
}

type transformationEntry struct {
	Operation string            `json:"operation"`
	Table     string            `json:"table"`
	SQL       string            `json:"sql"`
	Params    map[string]string `json:"params,omitempty"`
	Keys      string            `json:"keys,omitempty"`
	Rows      string            `json:"rows,omitempty"`
}

type consumerEntry struct {
	Name           string `json:"name"`
	SourceManifest string `json:"sourceManifestSlug"`
	PublicSchema   struct {
		Name  string `json:"name"`
		Major int    `json:"majorVersion"`
	} `json:"publicSchema"`
	Config struct {
		Type        string `json:"consumerSchemaType"`
		Destination string `json:"destinationDataStoreSlug"`
		SQL         string `json:"sql"`
		DeleteSQL   string `json:"deleteSql,omitempty"`
		TruncateSQL string `json:"truncateSql,omitempty"`
		OnError     string `json:"onError,omitempty"`
	} `json:"config"`
}

// Emit writes the definitions among values as one line of JSON for `rejot collect`, which generates the program that calls it.
// Values that are no definitions are passed over. An empty line comes first, as the package may have begun one of its own.
func Emit(w io.Writer, number int, values ...any) error {
	type schema struct {
		File   string `json:"file"`
		Line   int    `json:"line"`
		Schema any    `json:"schema"`
	}
	type failure struct {
		Text string `json:"text"`
		File string `json:"file"`
		Line int    `json:"line"`
	}
	line := struct {
		Number  int      `json:"number"`
		Schemas []schema `json:"schemas"`
		Error   *failure `json:"error,omitempty"`
	}{Number: number}
	for _, d := range definitions(values) {
		if d.err != nil && line.Error == nil {
			line.Error = &failure{Text: strings.TrimSpace(d.err.Error()), File: d.file, Line: d.line}
		}
		if d.entry != nil {
			line.Schemas = append(line.Schemas, schema{d.file, d.line, d.entry})
		}
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(line)
}

func definitions(values []any) []Definition {
	var all []Definition
	for _, v := range values {
		switch v := v.(type) {
		case Definition:
			all = append(all, v)
		case *Definition:
			if v != nil {
				all = append(all, *v)
			}
		case []Definition:
			all = append(all, v...)
		case []*Definition:
			for _, d := range v {
				all = append(all, *d)
			}
		}
	}
	return all
}
