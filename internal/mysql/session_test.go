package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
	"rejot.dev/rejot/internal/mysql"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func connection(db *dbtest.Database) contract.Connection {
	return contract.Connection{
		Slug: "dest", Type: "mysql", Host: db.Host, Port: db.Port, User: db.User, Password: contract.NewSecret(db.Password), Database: db.Name,
	}
}

func connect(t *testing.T, c contract.Connection) *mysql.Session {
	t.Helper()
	s, err := mysql.Connect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func exec(t *testing.T, s *mysql.Session, sql string) mysql.Result {
	t.Helper()
	r, err := s.Exec(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return r
}

// query gives the rows as text.
func query(t *testing.T, s *mysql.Session, sql string) string {
	t.Helper()
	rows, err := s.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	var lines []string
	for _, row := range rows {
		var cells []string
		for _, v := range row {
			text, ok := v.Text()
			if !ok {
				text = "NULL"
			}
			cells = append(cells, text)
		}
		lines = append(lines, strings.Join(cells, " "))
	}
	return strings.Join(lines, ", ")
}

func TestSessionIsPinned(t *testing.T) {
	server := dbtest.MariaDB(t, dbtest.Setting("sql-mode", ""), dbtest.Setting("default-time-zone", "+05:30"), dbtest.Setting("character-set-server", "latin1"))
	s := connect(t, connection(server.NewDatabase(t)))
	got := query(t, s, `SELECT @@character_set_client, @@character_set_connection, @@time_zone, @@autocommit, @@tx_isolation`)
	if want := "utf8mb4 utf8mb4 +00:00 0 READ-COMMITTED"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, mode := range []string{"STRICT_ALL_TABLES", "NO_ZERO_DATE", "ERROR_FOR_DIVISION_BY_ZERO", "NO_ENGINE_SUBSTITUTION"} {
		if got := query(t, s, `SELECT FIND_IN_SET('`+mode+`', @@sql_mode) > 0`); got != "1" {
			t.Errorf("sql_mode has no %s", mode)
		}
	}
	if !s.MariaDB() || !s.AtLeast(10, 6) || s.AtLeast(99, 0) || !strings.HasPrefix(s.Version(), "MariaDB 1") {
		t.Errorf("version %s", s.Version())
	}
}

func TestParametersKeepTheirTypes(t *testing.T) {
	s := connect(t, connection(dbtest.MariaDB(t).NewDatabase(t)))
	exec(t, s, `CREATE TABLE p (a bigint, b bigint unsigned, c decimal(65,30), d double, e longtext, f longblob, g varchar(80), h varchar(80))`)
	st, err := s.Prepare(t.Context(), `INSERT INTO p VALUES (?, ?, ?, ?, ?, ?, ?, COLLATION(?))`)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err = st.Exec(t.Context(), []mysql.Param{
			mysql.Int(-1 << 63), mysql.Uint(1<<64 - 1), mysql.Decimal("1.10"), mysql.Double(0.1), mysql.String("é😀'\\\x00"), mysql.Bytes([]byte{0, 0xff}),
			mysql.Decimal("-12345678901234567890123456789012345.5"), mysql.Bytes(nil),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = st.Exec(t.Context(), make([]mysql.Param, 8))
		if err != nil {
			t.Fatal(err)
		}
	}
	want := "-9223372036854775808 18446744073709551615 1.100000000000000000000000000000 0.1 C3A9F09F9880275C00 00FF -12345678901234567890123456789012345.5 binary"
	if got := query(t, s, `SELECT DISTINCT a, b, c, d, HEX(e), HEX(f), g, h FROM p WHERE a IS NOT NULL`); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := query(t, s, `SELECT count(*), count(a), count(e) FROM p`); got != "4 2 2" {
		t.Errorf("got %s", got)
	}
	if err := st.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestErrorInTheMiddleOfManyLeavesTheSessionUsable(t *testing.T) {
	s := connect(t, connection(dbtest.MariaDB(t).NewDatabase(t)))
	exec(t, s, `CREATE TABLE p (a bigint PRIMARY KEY)`)
	st, err := s.Prepare(t.Context(), `INSERT INTO p VALUES (?)`)
	if err != nil {
		t.Fatal(err)
	}
	own := errors.New("own")
	for _, bad := range []int{0, 1, 127, 128, 129, 300, 999} {
		for _, how := range []string{"server", "next", "done"} {
			heard := 0
			err = s.ExecAll(t.Context(), 1000, func(i int, room []mysql.Param) (*mysql.Stmt, []mysql.Param, error) {
				switch {
				case i == bad && how == "next":
					return nil, nil, own
				case i == bad && how == "server":
					return st, append(room, mysql.Null()), nil
				default:
					return st, append(room, mysql.Int(int64(i))), nil
				}
			}, func(i int, r mysql.Result) error {
				if i != heard || r.Affected != 1 || !r.InTransaction {
					t.Errorf("heard %d of %d, %+v", heard, i, r)
				}
				if heard++; i == bad && how == "done" {
					return own
				}
				return nil
			})
			var answer *mysql.ServerError
			if how == "server" && (!errors.As(err, &answer) || answer.Number != 1048 || heard != bad) || how != "server" && !errors.Is(err, own) {
				t.Fatalf("%s %d: error %v after %d", how, bad, err, heard)
			}
			exec(t, s, "ROLLBACK")
			if got := query(t, s, `SELECT count(*) FROM p`); got != "0" {
				t.Fatalf("%s %d: %s rows are left", how, bad, got)
			}
		}
	}
}

func TestWrongNumberOfParameters(t *testing.T) {
	s := connect(t, connection(dbtest.MariaDB(t).NewDatabase(t)))
	st, err := s.Prepare(t.Context(), `SELECT ?`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Exec(t.Context(), nil); rejot.CodeOf(err) != rejot.Internal {
		t.Fatalf("error %v", err)
	}
	if _, err := st.Exec(t.Context(), []mysql.Param{mysql.Int(1)}); err != nil {
		t.Fatal(err)
	}
}

func TestEndOfTheContextEndsACall(t *testing.T) {
	s := connect(t, connection(dbtest.MariaDB(t).NewDatabase(t)))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Exec(ctx, `DO SLEEP(30)`); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	if !s.Broken() {
		t.Error("the session is in the middle of an answer and not broken")
	}
	if _, err := s.Exec(t.Context(), `DO 1`); rejot.CodeOf(err) != rejot.Transient {
		t.Fatalf("error %v", err)
	}
}

func TestConnectSaysWhyNot(t *testing.T) {
	server := dbtest.MariaDB(t)
	good := connection(server.NewDatabase(t))
	silent := listen(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
	web := listen(t, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) })
	short := listen(t, func(c net.Conn) { _, _ = c.Write([]byte{3, 0, 0, 0, 10, 'x', 0}) })
	for name, e := range map[string]struct {
		change func(c *contract.Connection)
		code   rejot.Code
	}{
		"password": {func(c *contract.Connection) { c.Password = contract.NewSecret("s3cret") }, rejot.Denied},
		"database": {func(c *contract.Connection) { c.Database = "gone" }, rejot.NotFound},
		"port":     {func(c *contract.Connection) { c.Port = 1 }, rejot.Transient},
		"web":      {func(c *contract.Connection) { c.Port = web }, rejot.Transient},
		"short":    {func(c *contract.Connection) { c.Port = short }, rejot.Transient},
		"mode":     {func(c *contract.Connection) { c.TLS.Mode = "prefer" }, rejot.Invalid},
		"ca":       {func(c *contract.Connection) { c.TLS = contract.TLS{Mode: "verify-full", CAFile: "no/such"} }, rejot.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			e.change(&c)
			_, err := mysql.Connect(t.Context(), c)
			if rejot.CodeOf(err) != e.code || err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %v has code %s, want %s", err, rejot.CodeOf(err), e.code)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	good.Port = silent
	begin := time.Now()
	if _, err := mysql.Connect(ctx, good); err == nil || time.Since(begin) > 5*time.Second {
		t.Errorf("error %v after %s", err, time.Since(begin))
	}
}

// listen answers one connection after the other.
func listen(t *testing.T, answer func(net.Conn)) (port int) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	addr, _ := l.Addr().(*net.TCPAddr)
	return addr.Port
}

func TestLiteralHoldsEveryText(t *testing.T) {
	s := connect(t, connection(dbtest.MariaDB(t).NewDatabase(t)))
	for _, text := range []string{"", "'", `\`, "é😀", "a\x00b", "'; DROP TABLE x; --"} {
		if got := query(t, s, `SELECT `+mysql.Literal(text)); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	if got, want := mysql.Quote("a`b"), "`a``b`"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := fmt.Sprint(mysql.Null().IsNull(), mysql.String("").IsNull()); got != "true false" {
		t.Error(got)
	}
}
