package main

import (
	"testing"

	"rejot.dev/rejot/manifest"
)

func TestConnectionStrings(t *testing.T) {
	for text, want := range map[string]struct{ shown, password string }{
		"postgresql://u:p@h:1/d":                        {"postgres://u@h:1/d", "p"},
		"postgres://u@h/d":                              {"postgres://u@h:5432/d", "none"},
		"mariadb://u:@h/d":                              {"mysql://u@h:3306/d", ""},
		"postgresql://u:p@ss:w/rd@h/d":                  {"postgres://u@h:5432/d", "p@ss:w/rd"},
		"postgresql://u:a%40b@h/d%2Fe":                  {"postgres://u@h:5432/d/e", "a@b"},
		"postgresql://${env:U}:${env:P}@${env:H}/d":     {"postgres://${env:U}@${env:H}:5432/d", "${env:P}"},
		"postgresql://u:file:/run/pw@h:${env:PORT}/d":   {"postgres://u@h:${env:PORT}/d", "file:/run/pw"},
		"postgresql://u@%2Fvar%2Frun%2Fpostgresql/d":    {"postgres://u@/var/run/postgresql:5432/d", "none"},
		"postgresql://u:p@[::1]:7/d?sslmode=disable":    {"postgres://u@[::1]:7/d", "p"},
		"mysql://u:x${env:P}y@h/d?sslrootcert=ca.pem":   {"mysql://u@h:3306/d", "x${env:P}y"},
		"postgresql://u:pre${env:A}:${env:B}post@h:1/d": {"postgres://u@h:1/d", "pre${env:A}:${env:B}post"},
	} {
		conf, err := parseConnection(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		password := "none"
		if conf.Password != nil {
			password = *conf.Password
		}
		if conf.String() != want.shown || password != want.password {
			t.Errorf("%s: got %s with password %q, want %s with %q", text, conf, password, want.shown, want.password)
		}
	}
}

func TestConnectionStringGivesTLS(t *testing.T) {
	conf, err := parseConnection("postgresql://u@h/d?sslmode=verify-ca&sslrootcert=ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	if want := (manifest.TLS{Mode: "verify-ca", CAFile: "ca.pem"}); conf.TLS == nil || *conf.TLS != want {
		t.Errorf("got %v, want %v", conf.TLS, want)
	}
}
