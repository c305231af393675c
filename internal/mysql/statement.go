package mysql

import (
	"context"
	"encoding/binary"

	"github.com/go-mysql-org/go-mysql/mysql"

	"rejot.dev/rejot"
)

// The limits of a write. While the server works on one, the next is made; then the answers of the
// first are read. An answer has at most some 500 bytes, so that the answers of two writes always fit
// into the buffers between, and the server never waits for us to read while we wait for it to.
const (
	aheadStatements = 128
	aheadBytes      = 1 << 20
)

// A Stmt is a prepared statement of its session.
type Stmt struct {
	session *Session
	id      uint32
	params  int
	columns int
}

// Params is how many parameters it has.
func (st *Stmt) Params() int { return st.params }

// Columns is how many columns its rows have; 0 where it gives none.
func (st *Stmt) Columns() int { return st.columns }

// Prepare lets the server read a statement whose placeholders are question marks.
func (s *Session) Prepare(ctx context.Context, sql string) (*Stmt, error) {
	st := &Stmt{session: s}
	err := s.during(ctx, func() error {
		s.conn.ResetSequence()
		packet := append(make([]byte, 4, len(sql)+5), mysql.COM_STMT_PREPARE)
		if err := s.conn.WritePacket(append(packet, sql...)); err != nil {
			return err
		}
		data, err := s.conn.ReadPacket()
		if err != nil {
			return err
		}
		return st.prepared(data)
	})
	if err != nil {
		return nil, err
	}
	return st, nil
}

// prepared reads the answer to a preparation.
func (st *Stmt) prepared(data []byte) error {
	conn := st.session.conn
	switch {
	case isError(data):
		return conn.HandleErrorPacket(data)
	case len(data) < 12 || data[0] != mysql.OK_HEADER:
		return mysql.ErrMalformPacket
	}
	st.id = binary.LittleEndian.Uint32(data[1:])
	st.columns = int(binary.LittleEndian.Uint16(data[5:]))
	st.params = int(binary.LittleEndian.Uint16(data[7:]))
	for _, definitions := range []int{st.params, st.columns} {
		if definitions == 0 {
			continue
		}
		for range definitions + 1 { // each, and the end
			if _, err := conn.ReadPacket(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close lets the server forget the statement. It waits for no answer, as there is none.
func (st *Stmt) Close(ctx context.Context) error {
	s := st.session
	return s.during(ctx, func() error {
		s.conn.ResetSequence()
		packet := append(make([]byte, 4, 9), mysql.COM_STMT_CLOSE)
		return s.conn.WritePacket(binary.LittleEndian.AppendUint32(packet, st.id))
	})
}

// Exec executes the statement once.
func (st *Stmt) Exec(ctx context.Context, params []Param) (Result, error) {
	var out Result
	err := st.session.ExecAll(ctx, 1, func(int, []Param) (*Stmt, []Param, error) { return st, params, nil }, func(_ int, r Result) error {
		out = r
		return nil
	})
	return out, err
}

// ExecAll makes n executions, with many on their way at a time. next gives the statement of each and
// its parameters, for which it may use the slice it is given; done hears of each that succeeded, in
// order. The error is the first, of next, of done or of the server; executions that were already on
// their way are carried out nevertheless, so that a rollback has to follow.
func (s *Session) ExecAll(ctx context.Context, n int, next func(i int, room []Param) (*Stmt, []Param, error), done func(i int, r Result) error) error {
	e := &execution{session: s, done: done}
	return s.during(ctx, func() error {
		for i := range n {
			st, params, err := next(i, e.room[:0])
			if err != nil {
				return e.drain(ownError{err})
			}
			e.room = params
			if err := e.send(st); err != nil {
				return err
			}
			if len(e.sent)-e.behind >= aheadStatements || len(e.out) >= aheadBytes {
				if err := e.flush(e.behind); err != nil {
					return err
				}
			}
		}
		return e.flush(len(e.sent))
	})
}

// An execution is a run of executions that are on their way.
type execution struct {
	session  *Session
	done     func(i int, r Result) error
	room     []Param
	out      []byte
	sent     []*Stmt
	behind   int // how many of them were written before the last write: these have been worked on meanwhile
	answered int
}

// send adds one execution to what is to be written.
func (e *execution) send(st *Stmt) error {
	if len(e.room) != st.params {
		return e.drain(ownError{rejot.Errorf(rejot.Internal, "a statement with %d parameters was given %d", st.params, len(e.room))})
	}
	begin := len(e.out)
	e.out = st.append(append(e.out, 0, 0, 0, 0), e.room)
	size := len(e.out) - begin - 4
	if size < mysql.MaxPayloadLen {
		e.out[begin], e.out[begin+1], e.out[begin+2] = byte(size), byte(size>>8), byte(size>>16) //nolint:gosec // three bytes of a length
		e.sent = append(e.sent, st)
		return nil
	}
	// Longer than one packet: alone, cut by the library. What went before is answered first.
	packet := append([]byte(nil), e.out[begin:]...)
	e.out = e.out[:begin]
	if err := e.flush(len(e.sent)); err != nil {
		return err
	}
	conn := e.session.conn
	conn.ResetSequence()
	if err := conn.WritePacket(packet); err != nil {
		return err
	}
	e.sent = append(e.sent, st)
	return e.answers(len(e.sent), conn.Sequence)
}

// drain reads the answers of what is on its way, so that the session stays usable, and gives err.
func (e *execution) drain(err error) error {
	if earlier := e.flush(len(e.sent)); earlier != nil {
		return earlier
	}
	return err
}

// flush writes what is to be written and reads the first answers, up to a number of them.
func (e *execution) flush(upTo int) error {
	if len(e.out) > 0 {
		if _, err := e.session.conn.Write(e.out); err != nil {
			return err
		}
		e.out = e.out[:0]
	}
	e.behind = len(e.sent)
	return e.answers(upTo, 1)
}

// answers reads answers up to a number of them. After an error it reads all that is on its way, and
// gives the first.
func (e *execution) answers(upTo int, sequence uint8) error {
	var first error
	for ; e.answered < upTo; e.answered++ {
		r, err := e.sent[e.answered].answer(sequence)
		if err != nil && !isAnswer(err) {
			return err
		}
		if err == nil && first == nil {
			if later := e.done(e.answered, r); later != nil {
				err = ownError{later}
			}
		}
		if err != nil && first == nil {
			first, upTo = err, len(e.sent)
		}
	}
	return first
}
