package myapply

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/apply"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/mysql"
)

// A Config says where to apply what.
type Config struct {
	Connection contract.Connection
	Consumers  []*contract.Consumer // those with this destination
	Log        *slog.Logger
}

// An Applier writes to one MariaDB or MySQL database, over one connection that it opens again when it
// is lost. It is used from one goroutine.
type Applier struct {
	connection contract.Connection
	log        *slog.Logger
	consumers  []*consumer
	targets    map[string]*apply.Target // by consumer ID
	byTarget   map[*apply.Target]*consumer

	session *mysql.Session // nil or broken: connect opens it
	insert  *mysql.Stmt    // of a cursor
	move    *mysql.Stmt    // of a cursor
	parking parking
	catalog *catalog
	types   map[*rejot.Column][]converter // by the first of an operation's columns
	blocks  map[blockKey]*block           // nil where there can be none
	blocked int                           // how many were run
}

var _ rejot.Applier = (*Applier)(nil)

// tidyWithin is how long a rollback may take after the caller's time is over.
const tidyWithin = 10 * time.Second

// Open connects, brings ReJot's own tables up to date and prepares the consumers' statements. Its
// error names everything that is wrong with them, each with its mend.
func Open(ctx context.Context, cfg Config) (*Applier, error) {
	a := &Applier{connection: cfg.Connection, log: cfg.Log, targets: map[string]*apply.Target{}, byTarget: map[*apply.Target]*consumer{}}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	var errs []error
	for _, c := range cfg.Consumers {
		own, err := newConsumer(c)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		a.consumers = append(a.consumers, own)
		a.targets[c.ID()], a.byTarget[own.target] = own.target, own
	}
	if err := a.connect(ctx); err != nil {
		return nil, errors.Join(append(errs, err, a.Close())...)
	}
	for _, c := range a.consumers {
		errs = append(errs, c.target.Broken)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// Close lets go of the destination.
func (a *Applier) Close() error {
	a.drop()
	return nil
}

// connect opens the session where there is none, with everything prepared.
func (a *Applier) connect(ctx context.Context) error {
	if a.session != nil && !a.session.Broken() {
		return nil
	}
	a.drop()
	s, err := mysql.Connect(ctx, a.connection)
	if err != nil {
		return err
	}
	a.session = s
	for _, step := range []func(context.Context) error{a.inspect, a.migrate, a.prepareOwn, a.prepareConsumers} {
		if err := step(ctx); err != nil {
			a.drop()
			return err
		}
	}
	return nil
}

// drop lets go of the session.
func (a *Applier) drop() {
	if a.session != nil {
		_ = a.session.Close() // nothing is lost with it
	}
	a.session, a.insert, a.move, a.parking = nil, nil, nil, parking{}
	a.types, a.blocks = map[*rejot.Column][]converter{}, map[blockKey]*block{}
}

// inspect refuses a server that is too old or cannot be written to.
func (a *Applier) inspect(ctx context.Context) error {
	s := a.session
	if s.MariaDB() && !s.AtLeast(10, 6) || !s.MariaDB() && !s.AtLeast(8, 0) {
		return rejot.Errorf(rejot.Unsupported, "%s has %s; MariaDB 10.6 and MySQL 8.0 are the oldest that are supported", a.connection, s.Version())
	}
	if a.connection.Database == "" {
		return rejot.WithMend(rejot.Errorf(rejot.Invalid, "connection %s names no database", a.connection.Slug),
			"set its database: that is where ReJot keeps its cursors")
	}
	rows, err := s.Query(ctx, "SELECT @@read_only")
	if err != nil {
		return err
	}
	if text, _ := rows[0][0].Text(); text != "0" && text != "OFF" {
		err := rejot.Errorf(rejot.Transient, "%s is read-only", a.connection)
		return rejot.WithMend(err, "point connection %s to the primary, or SET GLOBAL read_only = 0", a.connection.Slug)
	}
	return nil
}

// query reads with a statement of our own, and leaves no transaction behind.
func (a *Applier) query(ctx context.Context, sql string) ([][]rejot.Value, error) {
	rows, err := a.session.Query(ctx, sql)
	if err != nil {
		a.rollback(ctx)
		return nil, err
	}
	_, err = a.session.Exec(ctx, "COMMIT")
	return rows, err
}

// rollback ends the transaction whatever became of it, or else the session. The caller's time may be over.
func (a *Applier) rollback(ctx context.Context) {
	if a.session == nil {
		return
	}
	if a.session.Broken() {
		a.drop()
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyWithin)
	defer cancel()
	if _, err := a.session.Exec(ctx, "ROLLBACK"); err != nil {
		a.drop()
	}
}

// Ways tells how a consumer's statements are run. It may be called from any goroutine.
func (a *Applier) Ways(consumer string) []apply.Way {
	if t := a.targets[consumer]; t != nil {
		return t.Ways()
	}
	return nil
}

// Check reports what keeps a consumer from taking the rows of a shape that it reads: placeholders
// that are not its fields, no deleteSql where a key has several rows.
func (a *Applier) Check(consumer string, s *rejot.Shape) error {
	t := a.targets[consumer]
	if t == nil {
		return rejot.Errorf(rejot.NotFound, "%s has no consumer schema %s", a.connection, consumer)
	}
	return t.Check(s)
}

// Drop removes what ReJot keeps about a consumer, or, where consumer is empty, all of ReJot's own
// tables for applying. It leaves the consumers' tables alone.
func (a *Applier) Drop(ctx context.Context, consumer string) error {
	if err := a.connect(ctx); err != nil {
		return err
	}
	if consumer == "" {
		return a.dropTables(ctx)
	}
	_, err := a.session.Exec(ctx, "DELETE FROM rejot_quarantine WHERE consumer = "+mysql.Literal(consumer))
	if err != nil {
		a.rollback(ctx)
		return err
	}
	r, err := a.session.Exec(ctx, "DELETE FROM rejot_cursor WHERE consumer = "+mysql.Literal(consumer))
	if err != nil {
		a.rollback(ctx)
		return err
	}
	if _, err = a.session.Exec(ctx, "COMMIT"); err == nil && r.Affected == 0 {
		err = rejot.Errorf(rejot.NotFound, "%s has no cursor of consumer schema %s", a.connection, consumer)
	}
	return err
}
