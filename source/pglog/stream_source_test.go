package pglog

import (
	"context"
	"testing"
	"time"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
	"rejot.dev/rejot/source/sourcetest"
)

func TestSource(t *testing.T) {
	for name, gear := range map[string]gearConfig{
		"stream": {force: onlyStream},
		"fast":   {force: onlyFast, advance: 50 * time.Millisecond},
		// It changes from one to the other now and again.
		"chosen": {enter: 1, leave: 400, back: 800, advance: 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) sourcetest.Fixture { return sourceFixture(t, gear) })
		})
	}
}

func sourceFixture(t *testing.T, gear gearConfig) sourcetest.Fixture {
	t.Helper()
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, `ALTER DATABASE `+db.Name+` SET logical_decoding_work_mem = '64kB'`)
	s, err := Open(t.Context(), Config{Log: testLog(t), Store: contract.DataStore{
		SlotName: "slot_" + db.Name, PublicationName: "pub_" + db.Name,
		Connection: contract.Connection{
			Slug: "source", Type: "postgres", Host: db.Host, Port: db.Port, User: db.User, Password: contract.NewSecret(db.Password), Database: db.Name,
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	gear.fill()
	s.cfg.gear = gear
	f := sourcetest.Fixture{Source: s, Resolve: s.Resolve, DB: db, Slot: "slot_" + db.Name, Begin: func(ctx context.Context, tables []contract.TableName) (rejot.Position, error) {
		return s.Begin(ctx, Setup{Tables: tables})
	}}
	if gear.force != onlyStream {
		f.Whole, f.Snapshots = true, 60
	}
	if gear.force == chosen {
		s.cfg.beat = 5 * time.Millisecond
	}
	return f
}
