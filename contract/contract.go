package contract

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"rejot.dev/rejot"
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
}

// String names the schema and its version for people.
func (p *PublicSchema) String() string {
	return fmt.Sprintf("public schema %s %d.%d", p.Ref.Name, p.Ref.Major, p.Ref.Minor)
}

// Fingerprint tells two texts of the schema's queries apart; a cursor keeps the one it was written with.
func (p *PublicSchema) Fingerprint() string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, t := range p.Transformations {
		_ = enc.Encode([]any{t.Table, t.SQL, t.Params, t.Keys, t.Rows}) // a hash takes every write, and these types always encode
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
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

// Reads reports whether c subscribes to a public schema.
func (c *Consumer) Reads(r rejot.Ref) bool {
	return c.SourceManifest == r.Manifest && c.Schema == r.Name && c.Major == r.Major
}
