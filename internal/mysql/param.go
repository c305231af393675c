package mysql

import (
	"encoding/binary"
	"math"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// A Param is a value for a placeholder of a prepared statement, under the type that the server is
// to take it for. The zero Param is NULL.
type Param struct {
	kind byte // of the protocol; 0 for NULL
	flag byte
	bits uint64
	text string
}

// Null is SQL NULL.
func Null() Param { return Param{} }

// Int is a signed integer.
func Int(v int64) Param {
	return Param{kind: mysql.MYSQL_TYPE_LONGLONG, bits: uint64(v)} //nolint:gosec // two's complement is what travels
}

// Uint is an unsigned integer.
func Uint(v uint64) Param {
	return Param{kind: mysql.MYSQL_TYPE_LONGLONG, flag: mysql.PARAM_UNSIGNED, bits: v}
}

// Double is a double. For values that are one at their source.
func Double(v float64) Param {
	return Param{kind: mysql.MYSQL_TYPE_DOUBLE, bits: math.Float64bits(v)}
}

// Decimal is an exact number, written in digits with an optional sign and point.
func Decimal(text string) Param { return Param{kind: mysql.MYSQL_TYPE_NEWDECIMAL, text: text} }

// String is text in UTF-8.
func String(text string) Param { return Param{kind: mysql.MYSQL_TYPE_VAR_STRING, text: text} }

// Bytes is binary.
func Bytes(b []byte) Param { return Param{kind: mysql.MYSQL_TYPE_BLOB, text: string(b)} }

// IsNull reports whether p is NULL.
func (p Param) IsNull() bool { return p.kind == 0 }

// Text is what a String, Bytes or Decimal was made of.
func (p Param) Text() string { return p.text }

// Size is how many bytes p has on its way, at most.
func (p Param) Size() int { return len(p.text) + 12 }

// append adds the value as the protocol has it.
func (p Param) append(dst []byte) []byte {
	switch p.kind {
	case 0:
		return dst
	case mysql.MYSQL_TYPE_LONGLONG, mysql.MYSQL_TYPE_DOUBLE:
		return binary.LittleEndian.AppendUint64(dst, p.bits)
	default:
		dst = mysql.AppendLengthEncodedInteger(dst, uint64(len(p.text)))
		return append(dst, p.text...)
	}
}
