package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
)

// isUnverified reports whether the server's certificate was not accepted.
func isUnverified(err error) bool {
	var handshake *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &handshake) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}

// isRefused reports whether the server speaks plain text alone. The library has no name for it.
func isRefused(err error) bool { return strings.Contains(err.Error(), "server refused TLS connection") }
