package myapply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/internal/failpoint"
	"rejot.dev/rejot/internal/mysql"
)

// MariaDB runs a consumer's statement for many rows in one call, inside an anonymous block over
// JSON_TABLE, in half to all of the time that executions sent one behind the other take:
//
//	BEGIN NOT ATOMIC
//	  DECLARE EXIT HANDLER FOR SQLWARNING SIGNAL …;
//	  FOR rejot_row IN (SELECT * FROM JSON_TABLE('[[1,"a"],…]', '$[*]' COLUMNS (rejot_c0 BIGINT PATH '$[0]' …)) j) DO
//	    <the statement with rejot_row.rejot_c0 for its first placeholder>;
//	  END FOR;
//	END
//
// Each column has the type that its parameter would have, so that a comparison goes neither through
// a float nor past an index. Types of which JSON_TABLE would change something (a numeric without a
// fixed scale, binary, floats) have no column, and their statements no block. A variable is not quite
// a parameter: it has a collation of its own, and the server may refuse to compare it with a column's.
// So whatever a block meets, an error or a warning, undoes the attempt, and the next is made without
// blocks; then the row that is to blame is known, or there is none.

// blockFrom is how many executions make a block worth its own parsing.
const blockFrom = 32

// A cell is a column of a block's JSON_TABLE.
type cell struct {
	sqlType string
	write   func(dst []byte, text string) ([]byte, error)
}

// cellOf gives the column for a source's type, or none. What it writes is what converterOf binds.
func cellOf(t *rejot.Type) *cell {
	if t.Kind != rejot.Scalar {
		return textCell(converterOf(t))
	}
	base := baseName(t.Name)
	switch base {
	case "boolean", "bool":
		return &cell{"BIGINT", func(dst []byte, text string) ([]byte, error) {
			if _, err := asBool(text); err != nil {
				return nil, err
			}
			if text[0] == 't' {
				return append(dst, '1'), nil
			}
			return append(dst, '0'), nil
		}}
	case "smallint", "integer", "bigint", "int", "int2", "int4", "int8", "oid":
		return &cell{"BIGINT", func(dst []byte, text string) ([]byte, error) {
			if _, err := asInt(text); err != nil {
				return nil, err
			}
			return checked(checkExact)(dst, text)
		}}
	case "numeric", "decimal":
		return decimalCell(t.Name)
	case "tinyint", "mediumint", "year", "tinyint unsigned", "smallint unsigned", "mediumint unsigned", "int unsigned", "bigint unsigned", "xid8",
		"decimal unsigned", "real", "double precision", "float4", "float8", "float", "double", "money",
		"bytea", "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return nil
	default:
		return textCell(scalar(base))
	}
}

// textCell is for what is bound as text.
func textCell(convert converter) *cell {
	return &cell{"LONGTEXT", func(dst []byte, text string) ([]byte, error) {
		p, err := convert(text)
		if err != nil {
			return nil, err
		}
		return writeString(dst, p.Text())
	}}
}

// decimalCell is for a numeric whose scale is fixed, so that all its values have as many decimal places.
func decimalCell(name string) *cell {
	var precision, scale int
	if n, _ := fmt.Sscanf(name, "numeric(%d,%d)", &precision, &scale); n != 2 || precision < 1 || precision > decimalDigits ||
		scale < 0 || scale > decimalScale || scale > precision {
		return nil
	}
	return &cell{fmt.Sprintf("DECIMAL(%d,%d)", precision, scale), func(dst []byte, text string) ([]byte, error) {
		if _, err := asDecimal(text); err != nil {
			return nil, err
		}
		return checked(checkExact)(dst, text)
	}}
}

// A block is how the statement of a kind is run for many rows of one form.
type block struct {
	cells      []*cell // by occurrence; nil where an earlier occurrence of the name has it
	head, tail string  // around the JSON
}

// blockable is how many of ops one block may do: as many as are of one consumer, kind and form; 0 where
// these have no block, or are too few.
func (a *Applier) blockable(ops []apply.Op) int {
	if !a.session.MariaDB() || len(ops) < blockFrom || len(ops[0].Columns) == 0 || ops[0].Park != apply.NotParked {
		return 0
	}
	first := &ops[0]
	if own := a.own(first.Target); own.careful || own.slow || own.stmts[first.Kind] == nil || failpoint.Setting("apply") == "rows" || a.blockOf(first) == nil {
		return 0
	}
	n := slices.IndexFunc(ops, func(op apply.Op) bool {
		return op.Target != first.Target || op.Kind != first.Kind || op.Park != apply.NotParked || len(op.Columns) == 0 || &op.Columns[0] != &first.Columns[0]
	})
	if n < 0 {
		n = len(ops)
	}
	if n < blockFrom {
		return 0
	}
	return n
}

// blockKey tells forms apart. The columns of one form are one slice.
type blockKey struct {
	columns *rejot.Column
	target  *apply.Target
	kind    apply.Kind
}

// blockOf gives the block for an operation, nil where it has none.
func (a *Applier) blockOf(op *apply.Op) *block {
	id := blockKey{&op.Columns[0], op.Target, op.Kind}
	b, known := a.blocks[id]
	if !known {
		b = a.makeBlock(op)
		a.blocks[id] = b
	}
	return b
}

func (a *Applier) makeBlock(op *apply.Op) *block {
	b := &block{cells: make([]*cell, len(op.Columns))}
	names := op.Target.Statements[op.Kind].Names
	var columns []string
	for i := range op.Columns {
		if slices.Index(names, names[i]) < i {
			continue
		}
		if b.cells[i] = cellOf(&op.Columns[i].Type); b.cells[i] == nil {
			op.Target.SetWay(op.Kind, apply.Pipeline, "a "+op.Columns[i].Type.Name+" has no exact column in a block")
			return nil
		}
		columns = append(columns, fmt.Sprintf("%s %s PATH '$[%d]' NULL ON EMPTY ERROR ON ERROR", blockColumn(i), b.cells[i].sqlType, len(columns)))
	}
	b.head = "BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLWARNING SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31000; " +
		"FOR rejot_row IN (SELECT * FROM JSON_TABLE('"
	b.tail = "', '$[*]' COLUMNS (" + strings.Join(columns, ", ") + ")) rejot_rows) DO " + a.own(op.Target).blocks[op.Kind] + "; END FOR; END"
	return b
}

// blockColumn names the column for the value of a statement's nth placeholder.
func blockColumn(n int) string { return fmt.Sprintf("rejot_c%d", n) }

// runBlock runs operations of one form in one call.
func (a *Applier) runBlock(ctx context.Context, ops []apply.Op) error {
	b := a.blockOf(&ops[0])
	text := append(make([]byte, 0, len(b.head)+len(b.tail)+64*len(ops)), b.head...)
	var err error
	for i := range ops {
		if i == 0 {
			text = append(text, "[["...)
		} else {
			text = append(text, "],["...)
		}
		if text, err = b.appendRow(text, &ops[i]); err != nil {
			return err
		}
	}
	text = append(append(text, "]]"...), b.tail...)
	if len(text) > a.session.MaxPacket()-packetSpare {
		tasks := make([]task, len(ops))
		for i := range ops {
			tasks[i].op = &ops[i]
		}
		return a.run(ctx, tasks, false)
	}
	r, err := a.session.Exec(ctx, string(text))
	var answer *mysql.ServerError
	switch {
	case err == nil && r.InTransaction:
		a.blocked++
		return nil
	case err == nil || errors.As(err, &answer) && rejot.CodeOf(err) != rejot.Transient:
		return &again{own: a.own(ops[0].Target), slow: true}
	default:
		return a.failed(&ops[0], err)
	}
}

// appendRow adds an operation's values, within a literal of the statement.
func (b *block) appendRow(dst []byte, op *apply.Op) (_ []byte, err error) {
	var room [256]byte
	first := true
	for j, v := range op.Params {
		if b.cells[j] == nil {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		text, ok := v.Text()
		if !ok { // what is Unknown was refused before
			dst = append(dst, "null"...)
			continue
		}
		value, err := b.cells[j].write(room[:0], text)
		if err != nil {
			return nil, refuseValue(op, j, err)
		}
		for _, c := range value {
			if c == '\'' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
	}
	return dst, nil
}
