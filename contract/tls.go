package contract

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"

	"rejot.dev/rejot"
)

// TLSConfig gives the encryption that the connection asks for, nil for none: the whole certificate is
// verified for a remote host unless the manifest says otherwise, and a loopback address needs none.
// Code Invalid: the mode is unknown, or the file has no certificates.
func (c Connection) TLSConfig() (*tls.Config, error) {
	mode := c.TLS.Mode
	if mode == "" {
		mode = "verify-full"
		if isLocal(c.Host) && c.TLS.CAFile == "" {
			mode = "disable"
		}
	}
	conf := &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}
	switch mode {
	case "disable":
		return nil, nil //nolint:nilnil // the library's word for no encryption
	case "require":
		conf.InsecureSkipVerify = true //nolint:gosec // what the mode says: encrypted, not verified
		return conf, nil
	case "verify-ca":
		conf.InsecureSkipVerify = true //nolint:gosec // verified below, without the host's name
		conf.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, conf.RootCAs) }
	case "verify-full":
	default:
		return nil, rejot.WithMend(rejot.Errorf(rejot.Invalid, "connection %s has the unknown TLS mode %q", c.Slug, mode),
			"use verify-full, verify-ca, require or disable")
	}
	if c.TLS.CAFile == "" {
		return conf, nil
	}
	pool, err := trusted(c)
	conf.RootCAs = pool
	return conf, err
}

// isLocal reports whether the host is a socket or a loopback address, so that nobody listens between.
func isLocal(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// trusted is the system's certificates and those of the connection's file.
func trusted(c Connection) (*x509.CertPool, error) {
	pem, err := os.ReadFile(c.TLS.CAFile)
	if err != nil {
		return nil, rejot.Errorf(rejot.Invalid, "connection %s: read its certificates: %w", c.Slug, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, rejot.Errorf(rejot.Invalid, "connection %s: %s holds no certificate in PEM form", c.Slug, c.TLS.CAFile)
	}
	return pool, nil
}

// verifyChain is what crypto/tls does, without the host's name.
func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}
