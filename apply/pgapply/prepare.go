package pgapply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/postgres"
	"rejot.dev/rejot/internal/sqltext"
)

// A consumer is a consumer schema with its statements as they go to the server.
type consumer struct {
	*contract.Consumer
	target *apply.Target
	names  [apply.Kinds]string // of the prepared statements; empty where there is none
	sql    [apply.Kinds]string
	writes [apply.Kinds]table    // the table that it writes; zero where that is not known
	params [apply.Kinds][]uint32 // the types of the parameters

	sets    [apply.Kinds]string // the prepared statements for many rows; empty where there is none
	used    [apply.Kinds][]bool // which parameters a set needs
	refused int                 // how often in a row a set was
}

// newConsumer gives each occurrence of a placeholder a parameter of its own, so that the server finds
// the type of each: one field may be a bigint here and text there.
func newConsumer(number int, c *contract.Consumer) (*consumer, error) {
	own := &consumer{Consumer: c, target: &apply.Target{Consumer: c}}
	var errs []error
	switch c.OnError {
	case "", "pause", quarantine:
	default:
		err := rejot.Errorf(rejot.Invalid, "%s: onError %q is not known", c, c.OnError)
		errs = append(errs, rejot.WithMend(err, `use "pause" or "quarantine"%s`, in(c)))
	}
	for k := range apply.Kind(apply.Kinds) {
		text := apply.SQL(c, k)
		if strings.TrimSpace(text) == "" {
			if k == apply.Upsert {
				errs = append(errs, rejot.WithMend(rejot.Errorf(rejot.Invalid, "%s has no sql", c), "give it the statement that writes a row"))
			}
			continue
		}
		st, err := sqltext.Parse(sqltext.Postgres, text)
		if err != nil {
			err = rejot.Errorf(rejot.Invalid, "%s: its %s: %w", c, k, err)
			errs = append(errs, rejot.WithMend(err, "correct its %s%s", k, in(c)))
			continue
		}
		target := &apply.Statement{}
		for _, p := range st.Places {
			target.Names = append(target.Names, p.Name)
		}
		n := 0
		own.sql[k] = st.Render(func(int, string) string {
			n++
			return "$" + strconv.Itoa(n)
		})
		own.names[k] = fmt.Sprintf("rejot_%d_%s", number, k)
		own.target.Statements[k] = target
	}
	return own, errors.Join(errs...)
}

// in names the file that a consumer schema stands in.
func in(c *contract.Consumer) string {
	if c.DefinitionFile == "" {
		return ""
	}
	return " in " + c.DefinitionFile
}

// prepareOwn prepares the statements that move cursors.
func (a *Applier) prepareOwn(ctx context.Context) error {
	ctx, end := a.within(ctx, a.stall)
	defer end()
	for _, st := range ownStatements {
		if _, err := a.conn.Prepare(ctx, st.name, st.sql, nil); err != nil {
			return a.named(because(ctx, err))
		}
	}
	return nil
}

// prepareConsumers prepares the consumers' statements and asks what tables they write. What is wrong
// with one consumer breaks its target; the error is of the connection.
func (a *Applier) prepareConsumers(ctx context.Context) error {
	for _, c := range a.consumers {
		c.target.Broken = nil
	}
	err := a.each(ctx, func(pipe *pgconn.Pipeline, c *consumer, k apply.Kind) {
		pipe.SendPrepare(c.names[k], c.sql[k], nil)
	}, func(c *consumer, k apply.Kind, got answer) error {
		c.params[k] = got.params
		return nil
	})
	if err != nil {
		return err
	}
	// With the generic plan, parameters that are NULL cannot let a part of the statement vanish.
	if _, err := a.exec(ctx, `SET plan_cache_mode = force_generic_plan`); err != nil {
		return err
	}
	err = a.each(ctx, func(pipe *pgconn.Pipeline, c *consumer, k apply.Kind) {
		pipe.SendQueryParams(explain(c.names[k], len(c.target.Statements[k].Names)), nil, nil, nil, nil)
	}, readPlan)
	if err != nil {
		return err
	}
	if _, err := a.exec(ctx, `RESET plan_cache_mode`); err != nil {
		return err
	}
	return a.rank(ctx)
}

// each sends something for each statement of the consumers that are not broken, in one round trip.
// What the server or took says of it breaks the consumer.
func (a *Applier) each(ctx context.Context, send func(*pgconn.Pipeline, *consumer, apply.Kind), took func(*consumer, apply.Kind, answer) error) error {
	ctx, end := a.within(ctx, a.stall)
	defer end()
	type sent struct {
		c *consumer
		k apply.Kind
	}
	var all []sent
	pipe := a.conn.StartPipeline(ctx)
	for _, c := range a.consumers {
		for k, name := range c.names {
			if name != "" && c.target.Broken == nil {
				send(pipe, c, apply.Kind(k)) //nolint:gosec // k < Kinds
				pipe.SendPipelineSync()
				all = append(all, sent{c, apply.Kind(k)}) //nolint:gosec // k < Kinds
			}
		}
	}
	err := pipe.Flush()
	for i := 0; i < len(all) && err == nil; i++ {
		s := all[i]
		got, e := receive(pipe)
		switch {
		case e == nil:
			e = took(s.c, s.k, got)
		case !fromServer(e):
			err = e
			continue
		case transient(e) && !slow(e):
			err = e
			continue
		default:
			e = a.unprepared(s.c, s.k, e)
		}
		s.c.target.Broken = errors.Join(s.c.target.Broken, e)
	}
	if e := pipe.Close(); err == nil && !fromServer(e) {
		err = e
	}
	return a.named(because(ctx, err))
}

// An answer is what came of one request: the types of a statement's parameters, or rows.
type answer struct {
	params []uint32
	rows   [][][]byte
}

// receive reads one answer and the synchronisation point behind it.
func receive(pipe *pgconn.Pipeline) (got answer, err error) {
	for {
		result, e := pipe.GetResults()
		switch r := result.(type) {
		case *pgconn.PipelineSync:
			return got, err
		case *pgconn.StatementDescription:
			got.params = r.ParamOIDs
		case *pgconn.ResultReader:
			read := r.Read()
			got.rows, e = read.Rows, read.Err
		case nil:
			if e == nil {
				e = errors.New("the server has ended the pipeline")
			}
		}
		if e == nil {
			continue
		}
		if err == nil {
			err = e
		}
		if !fromServer(e) {
			return answer{}, err
		}
	}
}

func explain(name string, params int) string {
	list := ""
	if params > 0 {
		list = "(" + strings.Repeat("NULL, ", params-1) + "NULL)"
	}
	return "EXPLAIN (FORMAT JSON, VERBOSE, COSTS OFF) EXECUTE " + postgres.Quote(name) + list
}

// A node is what is read of a plan.
type node struct {
	Type    string `json:"Node Type"`
	Schema  string
	Table   string `json:"Relation Name"`
	Plans   []node
	Utility string `json:"Utility Statement"`
}

// readPlan finds the table that a statement writes, the outermost one first, and refuses commands.
func readPlan(c *consumer, k apply.Kind, got answer) error {
	var plans []struct {
		Plan *node
	}
	if len(got.rows) != 1 || json.Unmarshal(got.rows[0][0], &plans) != nil || len(plans) == 0 || plans[0].Plan == nil {
		if k == apply.Truncate && isTruncate(c.TruncateSQL) {
			return nil
		}
		err := rejot.Errorf(rejot.Invalid, "%s: its %s is not a statement that writes rows", c, k)
		return rejot.WithMend(err, "write one INSERT, UPDATE, DELETE, MERGE or SELECT of a function%s; transactions are ReJot's matter", in(c.Consumer))
	}
	c.writes[k] = plans[0].Plan.target()
	return nil
}

// isTruncate reports whether a command is TRUNCATE, the one that the server does not explain and that is wanted.
func isTruncate(sql string) bool {
	words := strings.Fields(sql)
	return len(words) > 0 && strings.EqualFold(words[0], "TRUNCATE")
}

func (n *node) target() table {
	if n.Type == "ModifyTable" {
		return table{n.Schema, n.Table}
	}
	for i := range n.Plans {
		if t := n.Plans[i].target(); t != (table{}) {
			return t
		}
	}
	return table{}
}
