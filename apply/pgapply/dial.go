package pgapply

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// dial opens a session whose settings make text canonical and silence finite.
func dial(ctx context.Context, c contract.Connection) (*pgconn.PgConn, error) {
	settings := "sslmode=" + sslMode(c) + " host=" + keyword(c.Host) + " user=" + keyword(c.User) + " dbname=" + keyword(c.Database)
	if c.TLS.CAFile != "" {
		settings += " sslrootcert=" + keyword(c.TLS.CAFile)
	}
	cfg, err := pgconn.ParseConfig(settings)
	if err != nil {
		return nil, &rejot.Error{Code: rejot.Invalid, Text: fmt.Sprintf("connect to %s: the connection's settings do not work", c), Err: err}
	}
	cfg.Port, cfg.Password = uint16(c.Port), c.Password.Reveal() //nolint:gosec // a port
	cfg.Fallbacks = nil
	cfg.ConnectTimeout = connectTimeout
	cfg.RuntimeParams = map[string]string{
		"application_name": "rejot apply", "datestyle": "ISO, YMD", "intervalstyle": "postgres", "timezone": "UTC", "extra_float_digits": "3",
		"bytea_output": "hex", "standard_conforming_strings": "on", "client_encoding": "UTF8", "xmloption": "content", "lc_monetary": "C",
		"statement_timeout": statementTimeout, "lock_timeout": lockTimeout, "idle_in_transaction_session_timeout": "15min",
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err == nil {
		return conn, nil
	}
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return nil, &rejot.Error{Code: code(e), Text: fmt.Sprintf("connect to %s: %s (%s)", c, e.Message, e.Code), Err: err}
	}
	return nil, &rejot.Error{Code: rejot.Transient, Text: fmt.Sprintf("connect to %s: %v", c, err), Err: err}
}

// sslMode is the connection's, or verify-full for a remote host and plain for this one.
func sslMode(c contract.Connection) string {
	if c.TLS.Mode != "" {
		return c.TLS.Mode
	}
	ip := net.ParseIP(c.Host)
	if strings.HasPrefix(c.Host, "/") || c.Host == "localhost" || ip != nil && ip.IsLoopback() {
		return "disable"
	}
	return "verify-full"
}

// keyword quotes a value of a connection string.
func keyword(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// ident quotes an identifier.
func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
