package contract

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/internal/sqltext"
)

// A Connection is where a database is. It prints without its secrets.
type Connection struct {
	Slug     string
	Type     string // "postgres" or "mysql"
	Host     string // a name, an address, or a folder with a Unix socket
	Port     int
	User     string
	Password Secret
	Database string
	TLS      TLS
}

// A TLS says how a connection is encrypted. The zero TLS is verify-full for a remote host and
// plain for a loopback address or a Unix socket.
type TLS struct {
	Mode   string // "verify-full", "verify-ca", "require" (encrypted, not verified), "disable", or empty
	CAFile string // certificates to trust beside the system's; may be empty
}

// String names the connection without its password.
func (c Connection) String() string {
	return fmt.Sprintf("%s (%s %s:%d/%s)", c.Slug, c.Type, c.Host, c.Port, c.Database)
}

// A Secret is a text that no printer shows. Reveal gives it to whoever opens a connection.
type Secret struct{ text string }

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal gives the text.
func (s Secret) Reveal() string { return s.text }

// String shows that there is a secret, or that there is none.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return "***"
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText is String, for encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A DataStore is a database as a source.
type DataStore struct {
	Connection      Connection
	SlotName        string
	PublicationName string
	BackfillWhere   string // a condition on the base table's rows that a backfill is confined to; empty: all rows
}

// A Transformation is a table that a public schema listens to, with the query that yields the
// public rows that a change of it affects.
type Transformation struct {
	Operations []string // insert, update, delete; which of them stand here does not matter to a keyed one
	Table      string   // as the developer wrote it, maybe qualified and quoted
	SQL        string
	Params     map[string]string // placeholder → column of the changed table
	Keys       string            // a SELECT from the changed table's columns to the keys, or "all"
	Rows       string            // "one": a key has at most one row, where the query tree does not prove it
}

// A PublicSchema is a versioned query that others may use.
type PublicSchema struct {
	Ref             rejot.Ref
	Source          string // the data store's slug
	OutputSchema    json.RawMessage
	DefinitionFile  string
	Transformations []Transformation
	Upcasts         []Upcast
}

// An Upcast serves consumers of an older major version from the queries of this one.
type Upcast struct {
	From int    `json:"from"` // the older major version
	SQL  string `json:"sql"`  // the older version's output columns, as expressions over this one's
}

// Upcasted is the older major version that p can still serve, nil where it cannot.
func (p *PublicSchema) Upcasted(major int) *PublicSchema {
	for _, u := range p.Upcasts {
		if u.From != major {
			continue
		}
		old := *p
		old.Ref.Major, old.Ref.Minor, old.Upcasts, old.Transformations = major, 0, nil, nil
		for _, t := range p.Transformations {
			text := t.SQL
			if st, err := sqltext.Parse(sqltext.Postgres, text); err == nil {
				text = st.Text // without a semicolon; what cannot be read is refused where it is resolved
			}
			t.SQL = fmt.Sprintf("SELECT %s FROM (\n%s\n) AS v%d", u.SQL, text, p.Ref.Major)
			old.Transformations = append(old.Transformations, t)
		}
		return &old
	}
	return nil
}

// String names the schema and its version for people.
func (p *PublicSchema) String() string {
	return fmt.Sprintf("public schema %s %d.%d", p.Ref.Name, p.Ref.Major, p.Ref.Minor)
}

// Queries is the text of all that decides which rows the schema has; a cursor keeps the one it was written with.
func (p *PublicSchema) Queries() string {
	list := make([]query, len(p.Transformations))
	for i, t := range p.Transformations {
		list[i] = query{t.Table, t.SQL, t.Params, t.Keys, t.Rows}
	}
	text, _ := json.Marshal(list) // these types always encode
	return string(text)
}

// WithQueries is the schema as it was when its Queries were text.
func (p *PublicSchema) WithQueries(text string) (*PublicSchema, error) {
	var list []query
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, rejot.Errorf(rejot.Corrupt, "%s: its queries of before: %w", p, err)
	}
	old := *p
	old.Transformations = nil
	for _, q := range list {
		old.Transformations = append(old.Transformations, Transformation{Operations: []string{"insert"}, Table: q.Table, SQL: q.SQL, Params: q.Params, Keys: q.Keys, Rows: q.Rows})
	}
	return &old, nil
}

// query is a transformation, as Queries writes it.
type query struct {
	Table  string            `json:"table"`
	SQL    string            `json:"sql"`
	Params map[string]string `json:"params,omitempty"`
	Keys   string            `json:"keys,omitempty"`
	Rows   string            `json:"rows,omitempty"`
}

// Fingerprint tells two texts of Queries apart.
func (p *PublicSchema) Fingerprint() string {
	sum := sha256.Sum256([]byte(p.Queries()))
	return hex.EncodeToString(sum[:8])
}

// A Consumer is a consumer schema: the statements that write a public schema's rows into a destination.
type Consumer struct {
	Manifest       string // the slug of the manifest it stands in
	Name           string
	SourceManifest string // the slug of the public schema's manifest
	Schema         string // the public schema's name
	Major          int
	Destination    string // the data store's slug
	DefinitionFile string
	SQL            string
	DeleteSQL      string // empty: deletes are ignored
	TruncateSQL    string // empty: a truncated base table stops the consumer
	OnError        string // "pause" or "quarantine"; empty: pause
}

// ID names the consumer wherever it runs.
func (c *Consumer) ID() string { return c.Manifest + "/" + c.Name }

// String names the consumer for people.
func (c *Consumer) String() string { return "consumer schema " + c.Name }

// MayUse reports whether a statement of c may use a field: its text has a placeholder of that name, maybe in a comment. Where c
// has no SQL, its destination takes whole rows.
func (c *Consumer) MayUse(field string) bool {
	if c.SQL == "" {
		return true
	}
	all := c.SQL + " " + c.DeleteSQL + " " + c.TruncateSQL
	return strings.Contains(all, ":"+field) || strings.Contains(all, "$")
}

// Reads reports whether c subscribes to a public schema.
func (c *Consumer) Reads(r rejot.Ref) bool {
	return c.SourceManifest == r.Manifest && c.Schema == r.Name && c.Major == r.Major
}
