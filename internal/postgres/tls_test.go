package postgres

import (
	"crypto/tls"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"rejot.dev/rejot/contract"
)

func TestCertificatesAreVerified(t *testing.T) {
	server := httptest.NewTLSServer(nil) // its certificate is for 127.0.0.1 and example.com
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host, mode, file string
		accepted         bool
	}{
		{"127.0.0.1", "", file, true},
		{"example.com", "", file, true},
		{"other.org", "", file, false},
		{"example.com", "", "", false},
		{"example.com", "verify-full", file, true},
		{"other.org", "verify-full", file, false},
		{"other.org", "verify-ca", file, true},
		{"other.org", "verify-ca", "", false},
		{"other.org", "require", "", true},
	} {
		conf, err := contract.Connection{Slug: "x", Host: c.host, TLS: contract.TLS{Mode: c.mode, CAFile: c.file}}.TLSConfig()
		if err != nil || conf == nil {
			t.Fatal(conf, err)
		}
		conn, err := tls.Dial("tcp", server.Listener.Addr().String(), conf)
		if err == nil {
			_ = conn.Close()
		}
		if (err == nil) != c.accepted {
			t.Errorf("%s with %q and file %q: %v", c.host, c.mode, c.file, err)
		}
		if err != nil && !isUnverified(err) {
			t.Errorf("%s with %q: %v is not known", c.host, c.mode, err)
		}
	}
}

func TestNobodyListensOnTheWayToOneself(t *testing.T) {
	for host, plain := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true, "/var/run/postgresql": true,
		"db": false, "10.0.0.1": false, "localhost.example.com": false, "0.0.0.0": false,
	} {
		conf, err := contract.Connection{Host: host}.TLSConfig()
		if err != nil || (conf == nil) != plain {
			t.Errorf("%s: plain is %v, %v", host, conf == nil, err)
		}
	}
}
