package postgres

import (
	"context"
	"maps"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// connectTimeout bounds the opening of a session: name, handshake, encryption and password.
const connectTimeout = 8 * time.Second

// Options say what a session is for.
type Options struct {
	Replication bool              // a walsender of the connection's database
	Application string            // follows "rejot " in application_name
	Settings    map[string]string // beside those that every session has
}

// alive notices within half a minute that the other side is no longer there.
func alive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}
}

// pinned makes the text of values canonical: a role's or a database's own settings change it otherwise.
func pinned() map[string]string {
	return map[string]string{
		"datestyle": "ISO, YMD", "intervalstyle": "postgres", "timezone": "UTC", "extra_float_digits": "3",
		"bytea_output": "hex", "standard_conforming_strings": "on", "client_encoding": "UTF8", "xmloption": "content",
		"lc_monetary": "C",
	}
}

// base is read by the library's parser, which would take what is not said from the environment.
const base = "host=localhost port=5432 user=none password=none dbname=none sslmode=disable target_session_attrs=any"

// Dial opens a session.
func Dial(ctx context.Context, c contract.Connection, o Options) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(base)
	if err != nil {
		return nil, Classify(err, "connect to "+c.String())
	}
	if err := fill(cfg, c, o); err != nil {
		return nil, err
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, notConnected(c, err)
	}
	return conn, nil
}

// DialConn opens a session with the library's conversion of values on top. It prepares nothing by
// itself: a prepared statement survives what it was prepared for.
func DialConn(ctx context.Context, c contract.Connection, o Options) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(base)
	if err != nil {
		return nil, Classify(err, "connect to "+c.String())
	}
	if err := fill(&cfg.Config, c, o); err != nil {
		return nil, err
	}
	cfg.StatementCacheCapacity, cfg.DescriptionCacheCapacity = 0, 0
	cfg.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, notConnected(c, err)
	}
	return conn, nil
}

func fill(cfg *pgconn.Config, c contract.Connection, o Options) error {
	encryption, err := c.TLSConfig()
	if err != nil {
		return err
	}
	if c.Port < 1 || c.Port > 65535 {
		return rejot.Errorf(rejot.Invalid, "connection %s: %d is no port", c.Slug, c.Port)
	}
	cfg.Host, cfg.Port, cfg.Database = c.Host, uint16(c.Port), c.Database //nolint:gosec // its range was checked
	cfg.User, cfg.Password = c.User, c.Password.Reveal()
	cfg.TLSConfig, cfg.Fallbacks, cfg.ConnectTimeout = encryption, nil, connectTimeout
	cfg.DialFunc = (&net.Dialer{KeepAliveConfig: alive()}).DialContext
	cfg.ValidateConnect, cfg.AfterConnect = nil, nil
	cfg.RuntimeParams = pinned()
	maps.Copy(cfg.RuntimeParams, o.Settings)
	cfg.RuntimeParams["application_name"] = "rejot"
	if o.Application != "" {
		cfg.RuntimeParams["application_name"] = "rejot " + o.Application
	}
	if o.Replication {
		cfg.RuntimeParams["replication"] = "database"
	}
	return nil
}

// notConnected says why there is no session, and what mends it where that is known.
func notConnected(c contract.Connection, err error) error {
	out := Classify(err, "connect to "+c.String())
	switch {
	case isUnverified(err):
		return rejot.WithMend(out, `give connection %s a tls with the caFile that signed the server's certificate, or with mode "require" or "disable"`, c.Slug)
	case isRefused(err):
		return rejot.WithMend(out, `set ssl = on in the server, or give connection %s a tls with mode "disable"`, c.Slug)
	case rejot.CodeOf(out) == rejot.Denied:
		return rejot.WithMend(out, "check user and password of connection %s and the server's pg_hba.conf", c.Slug)
	}
	return out
}
