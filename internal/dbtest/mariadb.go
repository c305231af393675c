package dbtest

import (
	"context"
	"errors"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

const dialWithin = 5 * time.Second

type mySession struct{ conn *client.Conn }

func openMariaDB(ctx context.Context, d *Database) (session, error) {
	conn, err := client.ConnectWithContext(ctx, d.server.Addr(), d.User, d.Password, d.Name, dialWithin,
		func(c *client.Conn) error {
			c.SetCapability(mysql.CLIENT_MULTI_STATEMENTS)
			return nil
		})
	return mySession{conn}, err
}

func (s mySession) query(ctx context.Context, sql string) ([][]string, error) {
	// The library knows no contexts: one that ends closes the connection, below what the library notes of it itself.
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = s.conn.Conn.Conn.Close()
	})
	defer func() {
		if !stop() {
			<-closed
		}
	}()
	var rows [][]string
	var errs []error
	_, err := s.conn.ExecuteMultiple(sql, func(result *mysql.Result, err error) {
		if err == nil && result.HasResultset() {
			err = appendTexts(&rows, result.Resultset)
		}
		errs = append(errs, err)
	})
	return rows, errors.Join(append(errs, err)...)
}

// appendTexts reads the rows as they came over the wire; the library's values are no longer the server's text.
func appendTexts(rows *[][]string, set *mysql.Resultset) error {
	for _, data := range set.RowDatas {
		row := make([]string, len(set.Fields))
		for i := range row {
			value, null, size, err := mysql.LengthEncodedString(data)
			if err != nil {
				return err
			}
			if row[i] = string(value); null {
				row[i] = "NULL"
			}
			data = data[size:]
		}
		*rows = append(*rows, row)
	}
	return nil
}

func (s mySession) close(context.Context) error { return s.conn.Close() }
