// Package dbtest gives tests real database servers, alone to themselves.
//
//	func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		db := dbtest.Postgres(t).NewDatabase(t)
//		db.Exec(t, `CREATE TABLE account (id int PRIMARY KEY)`)
//		conn, err := pgx.Connect(t.Context(), db.URL)
//
// A test process has one server of each kind, started when first asked for; a test gets a database of its own in it. A
// test that stops or kills a server, or needs other settings, asks for one of its own with [Private] or [Setting].
// Faults on the way are made by [NewProxy] between the client and the real server. Waiting is [Eventually].
//
// The servers themselves are in package dbserver, which needs no test and which the demo uses too.
package dbtest
