package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot/internal/dbtest/dbserver"
)

// A database is one of the demo's, with a session in it.
type database struct {
	name   string
	server *dbserver.Server
	pg     *pgconn.PgConn
	my     *client.Conn
}

// openPostgres creates a database and runs a file of statements in it.
func openPostgres(ctx context.Context, s *dbserver.Server, name, file string) (*database, error) {
	admin, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return nil, err
	}
	defer admin.Close(ctx)
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, err
	}
	conn, err := pgconn.Connect(ctx, s.URL(name))
	if err != nil {
		return nil, err
	}
	db := &database{name: name, server: s, pg: conn}
	return db, db.run(ctx, file)
}

// openMariaDB creates a database and runs a file of statements in it.
func openMariaDB(ctx context.Context, s *dbserver.Server, name, file string) (*database, error) {
	conn, err := client.ConnectWithContext(ctx, s.Addr(), s.User, s.Password, "", 0)
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{"CREATE DATABASE " + name + " CHARACTER SET utf8mb4", "USE " + name} {
		if _, err := conn.Execute(sql); err != nil {
			return nil, err
		}
	}
	db := &database{name: name, server: s, my: conn}
	return db, db.run(ctx, file)
}

func (db *database) run(ctx context.Context, file string) error {
	sql, err := os.ReadFile(file) //nolint:gosec // the example's own file
	if err != nil {
		return err
	}
	if err := db.exec(ctx, string(sql)); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// exec runs one or more statements; for MariaDB each ends its line with a semicolon.
func (db *database) exec(ctx context.Context, sql string) error {
	if db.pg != nil {
		return db.pg.Exec(ctx, sql).Close()
	}
	for one := range strings.SplitSeq(sql, ";\n") {
		if strings.TrimSpace(one) == "" {
			continue
		}
		if _, err := db.my.Execute(one); err != nil {
			return err
		}
	}
	return nil
}

// rows gives a query's rows as text; NULL is empty.
func (db *database) rows(ctx context.Context, sql string) ([][]string, error) {
	rows := [][]string{}
	if db.pg == nil {
		result, err := db.my.Execute(sql)
		if err != nil {
			return nil, err
		}
		defer result.Close()
		for r := range result.Values {
			row := make([]string, result.ColumnNumber())
			for c := range row {
				if row[c], err = result.GetString(r, c); err != nil {
					return nil, err
				}
			}
			rows = append(rows, row)
		}
		return rows, nil
	}
	results, err := db.pg.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, values := range results[0].Rows {
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = string(v)
		}
		rows = append(rows, row)
	}
	return rows, nil
}
