package mysql

import (
	"github.com/go-mysql-org/go-mysql/client"

	"rejot.dev/rejot/contract"
)

// encryption makes the library encrypt as a connection asks for.
func encryption(c contract.Connection) (client.Option, error) {
	conf, err := c.TLSConfig()
	if err != nil {
		return nil, err
	}
	return func(conn *client.Conn) error {
		if conf != nil {
			conn.SetTLSConfig(conf)
		}
		return nil
	}, nil
}
