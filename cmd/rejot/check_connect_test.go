package main

import (
	"net"
	"strconv"
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
	"rejot.dev/rejot/internal/postgres"
)

func TestALostConnectionIsNoRefusalOfReJotsTables(t *testing.T) {
	db := dbtest.Postgres(t).NewDatabase(t)
	proxy := dbtest.NewProxy(t, net.JoinHostPort(db.Host, strconv.Itoa(db.Port)))
	catalog, err := postgres.OpenCatalog(t.Context(), contract.Connection{
		Slug: "to", Type: "postgres", Host: proxy.Host, Port: proxy.Port, User: db.User, Password: contract.NewSecret(db.Password), Database: db.Name,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = catalog.Close(t.Context()) }() // it is cut
	proxy.Cut()
	if _, err := newCheckPostgres(t.Context(), catalog); rejot.CodeOf(err) != rejot.Transient {
		t.Errorf("got %v, want a transient error", err)
	}
}
