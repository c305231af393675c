package manifest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// FileName is the name under which manifests are looked for.
const FileName = "rejot-manifest.json"

// A Manifest is one manifest file's form: every field as it is written there, references to the
// environment unresolved. The order of the fields is the order in the file.
type Manifest struct {
	Schema          string            `json:"$schema,omitzero"`
	Slug            string            `json:"slug" need:"always"`
	Version         int               `json:"manifestVersion" need:"always"`
	Connections     []Connection      `json:"connections,omitzero"`
	DataStores      []DataStore       `json:"dataStores,omitzero"`
	EventStores     []EventStore      `json:"eventStores,omitzero"`
	PublicSchemas   []PublicSchema    `json:"publicSchemas,omitzero"`
	ConsumerSchemas []ConsumerSchema  `json:"consumerSchemas,omitzero"`
	Workspaces      []string          `json:"workspaces,omitzero"`
	Hub             *Hub              `json:"hub,omitzero"`
	Resolver        map[string]string `json:"resolver,omitzero"` // slug → host:port
	Checks          map[string]Check  `json:"checks,omitzero"`   // rule id →

	file string // where it was read, for errors
	root *node  // what was read, for lines
}

// File is the name of the file that the manifest was read from; empty where it was not read.
func (m *Manifest) File() string { return m.file }

// A Connection is a named database or service.
type Connection struct {
	Slug   string           `json:"slug" need:"always"`
	Config ConnectionConfig `json:"config" need:"always"`
}

// A ConnectionConfig says where a connection leads. Which fields it has follows from its type:
// postgres, mysql, in-memory, disk or nats.
type ConnectionConfig struct {
	Type     string  `json:"connectionType" need:"always"`
	Host     string  `json:"host,omitzero"`
	Port     Port    `json:"port,omitzero"`
	User     string  `json:"user,omitzero"`
	Password *string `json:"password,omitzero"`
	Database string  `json:"database,omitzero"`
	TLS      *TLS    `json:"tls,omitzero"`
	Roles    *Roles  `json:"roles,omitzero"`
	Path     string  `json:"path,omitzero"`
	URL      string  `json:"url,omitzero"`
	Stream   string  `json:"stream,omitzero"`
	Replicas int     `json:"replicas,omitzero"`
}

// String names the place without the password.
func (c ConnectionConfig) String() string {
	if c.Host != "" {
		return c.Type + "://" + c.Where()
	}
	return strings.TrimRight(c.Type+" "+c.Where(), " ")
}

// Where names the place without type and password: user@host:port/database, a path or a URL.
func (c ConnectionConfig) Where() string {
	host := c.Host
	if strings.Count(host, ":") > 1 && !hasReference(host) {
		host = "[" + host + "]" // an IPv6 address
	}
	switch {
	case c.Host != "":
		return fmt.Sprintf("%s@%s:%s/%s", c.User, host, c.Port, c.Database)
	case c.URL != "":
		return redacted(c.URL)
	default:
		return c.Path
	}
}

// GoString is String, so that no printer shows a password.
func (c ConnectionConfig) GoString() string { return c.String() }

// A TLS says how a connection is encrypted.
type TLS struct {
	Mode   string `json:"mode,omitzero"`
	CAFile string `json:"caFile,omitzero"`
}

// Roles are users with fewer privileges, by what they do. A role that is missing is the connection's user.
type Roles struct {
	Capture  *Role `json:"capture,omitzero"`
	Evaluate *Role `json:"evaluate,omitzero"`
	Store    *Role `json:"store,omitzero"`
	Apply    *Role `json:"apply,omitzero"`
}

// A Role is a user and its password.
type Role struct {
	User     string  `json:"user" need:"always"`
	Password *string `json:"password,omitzero"`
}

// String names the user without the password.
func (r Role) String() string { return r.User }

// GoString is String.
func (r Role) GoString() string { return r.User }

// A DataStore is a connection as a source or destination. Without a config it is a destination only.
type DataStore struct {
	Connection string           `json:"connectionSlug" need:"always"`
	Config     *DataStoreConfig `json:"config,omitzero"`
}

// A DataStoreConfig is what a source needs.
type DataStoreConfig struct {
	Type           string   `json:"connectionType" need:"always"`
	Slot           string   `json:"slotName,omitzero"`
	Publication    string   `json:"publicationName,omitzero"`
	Tables         []string `json:"tables,omitzero"`
	AllTables      *bool    `json:"allTables,omitzero"`
	MaxRetainedLog Size     `json:"maxRetainedLog,omitzero"`
}

// An EventStore is a connection that events are kept in.
type EventStore struct {
	Connection string `json:"connectionSlug" need:"always"`
}

// A PublicSchema is a versioned query that others may use.
type PublicSchema struct {
	Name           string             `json:"name" need:"always"`
	Source         SourceRef          `json:"source" need:"always"`
	OutputSchema   json.RawMessage    `json:"outputSchema" need:"always"`
	Version        SchemaVersion      `json:"version" need:"always"`
	DefinitionFile string             `json:"definitionFile,omitzero"`
	Config         PublicSchemaConfig `json:"config" need:"always"`
	Owner          string             `json:"owner,omitzero"`
	Description    string             `json:"description,omitzero"`
	Validate       string             `json:"validate,omitzero"`
	Freshness      string             `json:"freshness,omitzero"`
	Upcast         []Upcast           `json:"upcast,omitzero"`
}

// A SourceRef names a public schema's data store.
type SourceRef struct {
	DataStore string `json:"dataStoreSlug" need:"always"`
}

// A SchemaVersion is a public schema's version.
type SchemaVersion struct {
	Major int `json:"major" need:"always"`
	Minor int `json:"minor" need:"always"`
}

// A PublicSchemaConfig has a public schema's queries.
type PublicSchemaConfig struct {
	Type            string           `json:"publicSchemaType" need:"always"`
	Transformations []Transformation `json:"transformations" need:"always"`
}

// A Transformation is a query for the changes of one table.
type Transformation struct {
	Operation string            `json:"operation" need:"always"`
	Table     string            `json:"table" need:"always"`
	SQL       string            `json:"sql" need:"always"`
	Params    map[string]string `json:"params,omitzero"`
	Keys      string            `json:"keys,omitzero"`
	Rows      string            `json:"rows,omitzero"`
}

// An Upcast makes rows of an older major version into rows of this one.
type Upcast struct {
	From int    `json:"from" need:"always"`
	SQL  string `json:"sql" need:"always"`
}

// A ConsumerSchema is the statements that write a public schema's rows into a destination.
type ConsumerSchema struct {
	Name           string               `json:"name" need:"always"`
	SourceManifest string               `json:"sourceManifestSlug" need:"always"`
	PublicSchema   PublicSchemaRef      `json:"publicSchema" need:"always"`
	DefinitionFile string               `json:"definitionFile,omitzero"`
	Config         ConsumerSchemaConfig `json:"config" need:"always"`
}

// A PublicSchemaRef names a public schema of the source manifest.
type PublicSchemaRef struct {
	Name  string `json:"name" need:"always"`
	Major int    `json:"majorVersion" need:"always"`
}

// A ConsumerSchemaConfig has a consumer schema's statements.
type ConsumerSchemaConfig struct {
	Type        string `json:"consumerSchemaType" need:"always"`
	Destination string `json:"destinationDataStoreSlug" need:"always"`
	SQL         string `json:"sql" need:"always"`
	DeleteSQL   string `json:"deleteSql,omitzero"`
	TruncateSQL string `json:"truncateSql,omitzero"`
	OnError     string `json:"onError,omitzero"`
}

// A Hub is where a running program reports to.
type Hub struct {
	URL   string `json:"url" need:"always"`
	Token string `json:"token,omitzero"`
}

// String names the hub without its token.
func (h Hub) String() string { return h.URL }

// GoString is String.
func (h Hub) GoString() string { return h.URL }

// A Check changes how severe a rule is, and says why.
type Check struct {
	Severity string `json:"severity" need:"always"`
	Reason   string `json:"reason" need:"always"`
}

// A Port is a port's number, or a reference to it. The zero Port is none.
type Port struct {
	Number    int
	Reference string
}

// IsZero reports whether there is no port.
func (p Port) IsZero() bool { return p == Port{} }

// String is the number or the reference.
func (p Port) String() string {
	if p.Reference != "" {
		return p.Reference
	}
	return strconv.Itoa(p.Number)
}

// MarshalJSON writes a number as such and a reference as text.
func (p Port) MarshalJSON() ([]byte, error) {
	if p.Reference != "" {
		return json.Marshal(p.Reference)
	}
	return strconv.AppendInt(nil, int64(p.Number), 10), nil
}

// take reads a node.
func (p *Port) take(n *node) string {
	switch n.kind {
	case kindNumber:
		if i, err := strconv.Atoi(n.text); err == nil && validPort(i) {
			p.Number = i
			return ""
		}
	case kindText:
		if hasReference(n.text) {
			p.Reference = n.text
			return ""
		}
	default:
	}
	return "has to be a port's number (1 to 65535), or a reference like \"${env:NAME}\""
}

func validPort(i int) bool { return i >= 1 && i <= 65535 }

// A Size is an amount of bytes as it was written: a number, or a text like "10GB".
type Size struct {
	raw    string
	number bool
}

// IsZero reports whether there is none.
func (s Size) IsZero() bool { return s == Size{} }

// String is what was written.
func (s Size) String() string { return s.raw }

// MarshalJSON writes what was read.
func (s Size) MarshalJSON() ([]byte, error) {
	if s.number {
		return []byte(s.raw), nil
	}
	return json.Marshal(s.raw)
}

// take reads a node.
func (s *Size) take(n *node) string {
	const wrong = `has to be a number of bytes, or a text like "10GB"`
	if n.kind != kindNumber && n.kind != kindText {
		return wrong
	}
	if _, ok := parseSize(n.text, n.kind == kindNumber); !ok {
		return wrong
	}
	s.raw, s.number = n.text, n.kind == kindNumber
	return ""
}
