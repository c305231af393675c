package mysql

import (
	"encoding/binary"
	"errors"

	"github.com/go-mysql-org/go-mysql/mysql"
)

func isError(data []byte) bool { return len(data) > 8 && data[0] == mysql.ERR_HEADER }

func isEnd(data []byte) bool { return len(data) == 5 && data[0] == mysql.EOF_HEADER }

// isAnswer reports whether err came in the place of an answer, so that the conversation goes on.
func isAnswer(err error) bool {
	var answer *mysql.MyError
	return errors.As(err, &answer)
}

// append adds one COM_STMT_EXECUTE to dst, without the packet's header.
func (st *Stmt) append(dst []byte, params []Param) []byte {
	dst = append(dst, mysql.COM_STMT_EXECUTE)
	dst = binary.LittleEndian.AppendUint32(dst, st.id)
	flags := byte(0) // no cursor
	if st.session.attributes && len(params) > 0 {
		flags = mysql.PARAMETER_COUNT_AVAILABLE
	}
	dst = append(dst, flags, 1, 0, 0, 0) // once
	if len(params) == 0 {
		return dst
	}
	if st.session.attributes {
		dst = mysql.AppendLengthEncodedInteger(dst, uint64(len(params)))
	}
	nulls := len(dst)
	dst = append(dst, make([]byte, (len(params)+7)/8)...)
	dst = append(dst, 1) // the types follow
	for i, p := range params {
		kind := p.kind
		if p.IsNull() {
			dst[nulls+i/8] |= 1 << (i % 8)
			kind = mysql.MYSQL_TYPE_NULL
		}
		dst = append(dst, kind, p.flag)
		if st.session.attributes {
			dst = append(dst, 0) // without a name
		}
	}
	for _, p := range params {
		dst = p.append(dst)
	}
	return dst
}

// answer reads what an execution did. Rows, where there are any, are read and dropped.
func (st *Stmt) answer(sequence uint8) (Result, error) {
	conn := st.session.conn
	conn.Sequence = sequence
	data, err := conn.ReadPacket()
	if err != nil {
		return Result{}, err
	}
	switch {
	case isError(data):
		return Result{}, conn.HandleErrorPacket(data)
	case len(data) >= 7 && data[0] == mysql.OK_HEADER:
		r := conn.HandleOKPacket(data)
		return Result{Affected: r.AffectedRows, Warnings: int(r.Warnings), InTransaction: r.Status&mysql.SERVER_STATUS_IN_TRANS != 0}, nil
	case len(data) == 0 || data[0] == mysql.LocalInFile_HEADER || data[0] == mysql.OK_HEADER:
		return Result{}, mysql.ErrMalformPacket
	}
	for ends := 0; ends < 2; { // after the columns, after the rows
		if data, err = conn.ReadPacket(); err != nil {
			return Result{}, err
		}
		switch {
		case isError(data):
			return Result{}, conn.HandleErrorPacket(data)
		case isEnd(data):
			ends++
		}
	}
	return Result{
		Warnings:      int(binary.LittleEndian.Uint16(data[1:])),
		InTransaction: binary.LittleEndian.Uint16(data[3:])&mysql.SERVER_STATUS_IN_TRANS != 0,
	}, nil
}
