package mysql_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
	"rejot.dev/rejot/internal/mysql"
)

// certificate makes a self-signed certificate for an address and gives the files of it and its key.
func certificate(t *testing.T, dir, name string, ip net.IP) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{ip}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		//nolint:gosec // the server runs as another user, and the key is of this test alone
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write(name+".crt", "CERTIFICATE", der), write(name+".key", "PRIVATE KEY", pkcs8)
}

func TestTLSVerifiesWhatItsModeSays(t *testing.T) {
	dir, err := os.MkdirTemp("", "rejot-tls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the server runs as another user
		t.Fatal(err)
	}
	here, hereKey := certificate(t, dir, "here", net.IPv4(127, 0, 0, 1))
	there, thereKey := certificate(t, dir, "there", net.IPv4(10, 0, 0, 1))
	for _, server := range []struct {
		cert, key string
		modes     map[contract.TLS]bool
	}{
		{here, hereKey, map[contract.TLS]bool{
			{Mode: "verify-full", CAFile: here}: true, {Mode: "verify-full", CAFile: there}: false, {Mode: "verify-full"}: false,
			{Mode: "verify-ca", CAFile: here}: true, {Mode: "verify-ca", CAFile: there}: false, {Mode: "require"}: true, {Mode: "disable"}: true, {}: true,
		}},
		{there, thereKey, map[contract.TLS]bool{
			{Mode: "verify-full", CAFile: there}: false, {Mode: "verify-ca", CAFile: there}: true, {Mode: "require"}: true,
		}},
	} {
		db := dbtest.MariaDB(t, dbtest.Setting("ssl-cert", server.cert), dbtest.Setting("ssl-key", server.key)).NewDatabase(t)
		for mode, want := range server.modes {
			c := connection(db)
			c.TLS = mode
			s, err := mysql.Connect(t.Context(), c)
			if (err == nil) != want {
				t.Errorf("%+v: error %v", mode, err)
			}
			if err != nil {
				continue
			}
			encrypted := query(t, s, `SHOW STATUS LIKE 'Ssl_version'`) != "Ssl_version "
			if plain := mode.Mode == "disable" || mode.Mode == ""; encrypted == plain {
				t.Errorf("%+v: encrypted is %t", mode, encrypted)
			}
			exec(t, s, `CREATE TABLE IF NOT EXISTS p (a bigint, b longtext)`)
			st, err := s.Prepare(t.Context(), `INSERT INTO p VALUES (?, ?)`)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := st.Exec(t.Context(), []mysql.Param{mysql.Int(1), mysql.String(string(make([]byte, 1<<20)))}); err != nil {
				t.Fatal(err)
			}
			_ = s.Close()
		}
	}
}

func TestServerWithoutTLSIsNotTalkedToInTheClear(t *testing.T) {
	db := dbtest.MariaDB(t, dbtest.Setting("skip-ssl", "1")).NewDatabase(t)
	c := connection(db)
	c.TLS.Mode = "require"
	if _, err := mysql.Connect(t.Context(), c); err == nil {
		t.Fatal("connected")
	}
}
