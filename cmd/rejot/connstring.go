package main

import (
	"net/url"
	"strconv"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/manifest"
)

// schemes are the beginnings of connection strings, with the type of connection.
var schemes = map[string]string{"postgresql": "postgres", "postgres": "postgres", "mysql": "mysql", "mariadb": "mysql"}

// parseConnection reads scheme://user[:password]@host[:port]/database[?sslmode=MODE]. Every part may have
// references, which is why a URL's parser is not enough: ${env:NAME} is no URL. An error does not show
// the text, as a password may be in it.
func parseConnection(text string) (conf manifest.ConnectionConfig, err error) {
	wrong := func(what string) (manifest.ConnectionConfig, error) {
		err := rejot.Errorf(rejot.Invalid, "the connection string %s", what)
		return manifest.ConnectionConfig{}, rejot.WithMend(err, "write postgresql://user[:password]@host[:port]/database, with %%40 for @ and %%2F for / inside a part")
	}
	scheme, rest, ok := strings.Cut(text, "://")
	kind, known := schemes[scheme]
	if !ok || !known {
		return wrong("does not begin with postgresql:// or mysql://")
	}
	user, place, ok := cutLast(rest, "@")
	if !ok {
		return wrong("has no user")
	}
	user, password, hasPassword := cutOutside(user, ":")
	place, query, _ := cutOutside(place, "?")
	host, database, ok := cutOutside(place, "/")
	if !ok || database == "" {
		return wrong("has no database")
	}
	host, port, hasPort := splitPort(host)
	conf = manifest.ConnectionConfig{Type: kind, Port: defaultPort(kind)}
	for _, part := range []struct {
		text string
		to   *string
	}{{user, &conf.User}, {host, &conf.Host}, {database, &conf.Database}, {password, &password}} {
		if *part.to, err = url.PathUnescape(part.text); err != nil {
			return wrong("has a % that no two hexadecimal digits follow")
		}
	}
	if conf.User == "" || conf.Host == "" {
		return wrong("has no user or no host")
	}
	if hasPassword {
		conf.Password = &password
	}
	if hasPort {
		if conf.Port, err = parsePort(port); err != nil {
			return conf, err
		}
	}
	if conf.TLS, err = tlsOf(query); err != nil {
		return wrong(err.Error())
	}
	return conf, nil
}

// tlsOf reads the options after the question mark; the one that is known is how the connection is encrypted.
func tlsOf(query string) (*manifest.TLS, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, rejot.Errorf(rejot.Invalid, "has options that cannot be read")
	}
	var tls *manifest.TLS
	for name := range values {
		switch name {
		case "sslmode", "sslrootcert":
			if tls == nil {
				tls = &manifest.TLS{}
			}
		default:
			return nil, rejot.Errorf(rejot.Invalid, "has the option %s; known are sslmode and sslrootcert", name)
		}
	}
	if tls != nil {
		tls.Mode, tls.CAFile = values.Get("sslmode"), values.Get("sslrootcert")
	}
	return tls, nil
}

// cutOutside cuts at the first separator that is not inside ${…}.
func cutOutside(s, sep string) (before, after string, found bool) {
	depth := false
	for i := range s {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			depth = true
		case s[i] == '}':
			depth = false
		case !depth && strings.HasPrefix(s[i:], sep):
			return s[:i], s[i+len(sep):], true
		}
	}
	return s, "", false
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// splitPort takes the port from a host; an IPv6 address stands in brackets.
func splitPort(s string) (host, port string, found bool) {
	if inside, rest, ok := strings.Cut(strings.TrimPrefix(s, "["), "]"); ok && strings.HasPrefix(s, "[") {
		port, found = strings.CutPrefix(rest, ":")
		return inside, port, found
	}
	return cutOutside(s, ":")
}

func parsePort(s string) (manifest.Port, error) {
	if manifest.IsReference(s) {
		return manifest.Port{Reference: s}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 65535 {
		return manifest.Port{}, rejot.WithMend(rejot.Errorf(rejot.Invalid, "%q is no port", s), "give a number from 1 to 65535, or ${env:NAME}")
	}
	return manifest.Port{Number: n}, nil
}

func defaultPort(kind string) manifest.Port {
	if kind == "mysql" {
		return manifest.Port{Number: 3306}
	}
	return manifest.Port{Number: 5432}
}
