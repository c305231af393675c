package pglog

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
	"rejot.dev/rejot/internal/dbtest"
)

const accountQuery = `SELECT a.id, (SELECT ARRAY_AGG(e.email) FROM account_emails e WHERE e.account_id = a.id) AS emails,
	a.first_name AS "firstName" FROM account a WHERE a.id = :id`

// openSource opens a fresh database with a schema in it.
func openSource(t testing.TB, schema string) (*Source, *dbtest.Database) {
	t.Helper()
	db := dbtest.Postgres(t).NewDatabase(t)
	db.Exec(t, schema)
	s, err := Open(t.Context(), Config{Store: contract.DataStore{
		Connection: contract.Connection{
			Slug: "accounts", Type: "postgres", Host: db.Host, Port: db.Port, User: db.User,
			Password: contract.NewSecret(db.Password), Database: db.Name,
		},
		SlotName: "rejot_" + db.Name, PublicationName: "rejot",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, db
}

// publicSchema makes a public schema of transformations.
func publicSchema(transformations ...contract.Transformation) *contract.PublicSchema {
	return &contract.PublicSchema{Ref: rejot.Ref{Manifest: "m", Name: "publish", Major: 1}, Source: "accounts", Transformations: transformations}
}

// resolveOne resolves one query of a table to its only view.
func resolveOne(t testing.TB, s *Source, table, sql string) *contract.View {
	t.Helper()
	return resolveView(t, s, publicSchema(contract.Transformation{Table: table, SQL: sql}))
}

func resolveView(t testing.TB, s *Source, schema *contract.PublicSchema) *contract.View {
	t.Helper()
	views, err := s.Resolve(t.Context(), []*contract.PublicSchema{schema})
	if err != nil {
		t.Fatalf("%v (%s)", err, rejot.MendOf(err))
	}
	if len(views) != 1 {
		t.Fatalf("got %d views, want one", len(views))
	}
	return views[0]
}

// tuplesOf makes tuples of texts; "NULL" is NULL.
func tuplesOf(tuples ...[]string) iter.Seq2[[]rejot.Value, error] {
	return func(yield func([]rejot.Value, error) bool) {
		for _, texts := range tuples {
			if !yield(valuesOf(texts...), nil) {
				return
			}
		}
	}
}

func valuesOf(texts ...string) []rejot.Value {
	values := make([]rejot.Value, 0, len(texts))
	for _, s := range texts {
		if s == "NULL" {
			values = append(values, rejot.NullValue())
		} else {
			values = append(values, rejot.TextValue(s))
		}
	}
	return values
}

// ask gives the answers of a query in a snapshot of its own, each as "tuple: value|value", sorted.
func ask(t testing.TB, s *Source, q *rejot.Query, tuples ...[]string) []string {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	return askIn(t, snap, q, tuples...)
}

func askIn(t testing.TB, snap rejot.Snapshot, q *rejot.Query, tuples ...[]string) []string {
	t.Helper()
	var answers []string
	err := snap.Query(t.Context(), q, tuplesOf(tuples...), func(a rejot.Answer) error {
		answers = append(answers, answerText(a))
		return nil
	})
	if err != nil {
		t.Fatalf("%v\nin %s", err, q.SQL)
	}
	slices.Sort(answers)
	return answers
}

func answerText(a rejot.Answer) string {
	texts := make([]string, 0, len(a.Row))
	for _, v := range a.Row {
		s, ok := v.Text()
		if !ok {
			s = "NULL"
		}
		texts = append(texts, s)
	}
	row := strings.Join(texts, "|")
	if a.Tuple < 0 {
		return row
	}
	return string(rune('0'+a.Tuple)) + ": " + row
}

func wantSame(t testing.TB, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestTheExampleIsResolvedAndEvaluated(t *testing.T) {
	s, db := openSource(t, accountSchema+`
		INSERT INTO account VALUES (1, 'Ann', 'A'), (2, 'Bob', 'B'), (3, NULL, 'C');
		INSERT INTO account_emails VALUES (1, 1, 'a@x'), (2, 1, 'b@x'), (3, 3, 'quo"te\');
		ANALYZE;`)
	v := resolveOne(t, s, "account", accountQuery)
	bigint, text := rejot.Type{Name: "bigint"}, rejot.Type{Name: "text"}
	wantSame(t, v.Key, []rejot.Column{{Name: "id", Type: bigint}})
	wantSame(t, v.Shape.Key, []rejot.Column{{Name: "id", Type: bigint}})
	wantSame(t, v.KeyNames, []int{0})
	wantSame(t, v.Shape.Row, []rejot.Column{
		{Name: "id", Type: bigint}, {Name: "emails", Type: rejot.Type{Name: "text[]", Kind: rejot.Array, Elem: &text}}, {Name: "firstName", Type: text},
	})
	wantSame(t, v.Shape.Many, false)
	wantSame(t, v.Estimate, int64(3))
	wantSame(t, v.Base, contract.TableName{Schema: "public", Name: "account"})
	wantSame(t, v.Routes, []contract.Route{
		{Table: contract.TableName{Schema: "public", Name: "account"}, Leaf: v.Routes[0].Leaf, Columns: []string{"id"}, Direct: true, Base: true},
		{Table: contract.TableName{Schema: "public", Name: "account_emails"}, Leaf: v.Routes[1].Leaf, Columns: []string{"account_id"}, Direct: true},
	})
	wantSame(t, ask(t, s, v.Rows, []string{"3"}, []string{"99"}, []string{"1"}, []string{"2"}), []string{
		`0: 3|{"quo\"te\\"}|NULL`, `2: 1|{a@x,b@x}|Ann`, `3: 2|NULL|Bob`,
	})
	wantSame(t, ask(t, s, v.First, []string{"2"}), []string{"1", "2"})
	wantSame(t, ask(t, s, v.Next, []string{"1", "10"}), []string{"2", "3"})
	wantSame(t, ask(t, s, v.Next, []string{"3", "10"}), []string(nil))

	db.Exec(t, `DELETE FROM account WHERE id = 2`)
	wantSame(t, ask(t, s, v.Rows, []string{"2"}), []string(nil))
}

func TestASnapshotStaysAsItWas(t *testing.T) {
	s, db := openSource(t, accountSchema+`INSERT INTO account VALUES (1, 'Ann', 'A')`)
	v := resolveOne(t, s, "account", accountQuery)
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := db.Query(t, `INSERT INTO account VALUES (2, 'Bob', 'B') RETURNING xmin::text::bigint`)
	wantSame(t, askIn(t, snap, v.Rows, []string{"1"}, []string{"2"}), []string{"0: 1|NULL|Ann"})
	xid := number(t, before[0][0])
	if snap.Sees(rejot.Transaction{ID: xid}) {
		t.Error("a later transaction is seen")
	}
	if !snap.Sees(rejot.Transaction{ID: xid - 1}) {
		t.Error("an earlier transaction is not seen")
	}
	for range 2 {
		if err := snap.Close(); err != nil {
			t.Error(err)
		}
	}
	later, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = later.Close() }()
	if !later.Sees(rejot.Transaction{ID: xid}) || later.Through().Less(snap.Through()) {
		t.Error("a later snapshot sees less")
	}
	if err := snap.Query(t.Context(), v.Rows, tuplesOf([]string{"1"}), nil); rejot.CodeOf(err) != rejot.Internal {
		t.Errorf("a closed snapshot answers: %v", err)
	}
}

func number(t testing.TB, text string) rejot.TxID {
	t.Helper()
	p, err := parseVisibility(text + ":" + text + ":")
	if err != nil {
		t.Fatal(err)
	}
	return rejot.TxID(uint32(p.min)) //nolint:gosec // the log's numbers have 32 bits
}

func TestVisibilityKnowsEpochs(t *testing.T) {
	const epoch = 1 << 32
	v, err := parseVisibility("8589934590:8589934600:8589934592,8589934595")
	if err != nil {
		t.Fatal(err)
	}
	for xid, want := range map[uint64]bool{
		2*epoch - 3: true, 2*epoch - 2: true, 2*epoch - 1: true, 2 * epoch: false, 2*epoch + 1: true, 2*epoch + 3: false, 2*epoch + 7: true,
		2*epoch + 8: false, 2*epoch + 9: false, epoch + 500_000_000 + epoch/2: true, 2*epoch + 2_000_000_000: false,
	} {
		if got := v.has(uint32(xid)); got != want { //nolint:gosec // the low half is what the log has
			t.Errorf("%d: got %v", xid, got)
		}
	}
	for _, bad := range []string{"", "1:2", "1:2:x", "x:2:", "1:x:"} {
		if _, err := parseVisibility(bad); rejot.CodeOf(err) != rejot.Corrupt {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestCancelledQueryLeavesTheSourceUsable(t *testing.T) {
	s, _ := openSource(t, accountSchema+`INSERT INTO account VALUES (1, 'Ann', 'A')`)
	v := resolveOne(t, s, "account", accountQuery)
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := snap.Query(ctx, v.Rows, tuplesOf([]string{"1"}), nil); err == nil {
		t.Error("a cancelled query has an answer")
	}
	if err := snap.Close(); err != nil {
		t.Error(err)
	}
	wantSame(t, ask(t, s, v.Rows, []string{"1"}), []string{"0: 1|NULL|Ann"})
}

func TestLostSessionsAreReplaced(t *testing.T) {
	s, db := openSource(t, accountSchema+`INSERT INTO account VALUES (1, 'Ann', 'A')`)
	v := resolveOne(t, s, "account", accountQuery)
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, askIn(t, snap, v.Rows, []string{"1"}), []string{"0: 1|NULL|Ann"})
	end := `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rejot evaluate'`
	db.Exec(t, end)
	err = snap.Query(t.Context(), v.Rows, tuplesOf([]string{"1"}), nil)
	if rejot.CodeOf(err) != rejot.Transient {
		t.Errorf("got %v (%s)", err, rejot.CodeOf(err))
	}
	_ = snap.Close()
	wantSame(t, ask(t, s, v.Rows, []string{"1"}), []string{"0: 1|NULL|Ann"})
	db.Exec(t, end) // of an idle one
	wantSame(t, ask(t, s, v.Rows, []string{"1"}), []string{"0: 1|NULL|Ann"})
}
