package pglog

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rejot.dev/rejot/derive"
	"rejot.dev/rejot/derive/derivetest"
)

var (
	deriveSeed  = flag.Uint64("derive.seed", 0, "first seed of the judge of derived keys; 0 takes the time")
	deriveCases = flag.Int("derive.cases", 14, "random schemas of the judge")
	deriveHunt  = flag.Int("derive.hunt", 150, "random schemas at most in the hunt for mutants")
)

// deriveDB is the judge's session.
type deriveDB struct{ conn *pgx.Conn }

func (d deriveDB) Exec(ctx context.Context, sql string) error {
	_, err := d.conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

func (d deriveDB) Rows(ctx context.Context, sql string, args ...any) ([][]*string, error) {
	if len(args) == 0 {
		args = append(args, pgx.QueryExecModeExec)
	}
	rows, err := d.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]*string, error) {
		out := make([]*string, len(row.FieldDescriptions()))
		into := make([]any, len(out))
		for i := range out {
			into[i] = &out[i]
		}
		return out, row.Scan(into...)
	})
}

func judgeQuery(q derivetest.Query) deriveQuery {
	return deriveQuery{SQL: q.SQL, Names: q.Names, Types: q.Types, Table: q.Table, Text: q.Render}
}

// plansWith proves one query by the rules and by mutants of them, reading the tree once.
func plansWith(ctx context.Context, conn *pgx.Conn, q deriveQuery, mutants []derive.Mutant) (plans []*derive.Plan, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	d := &deriver{tx: tx, q: q}
	if _, err := d.plan(ctx); err != nil {
		return nil, err
	}
	for _, m := range mutants {
		d.q.mutant = m
		in, err := d.input()
		if err != nil {
			return nil, err
		}
		plan := derive.Prove(in)
		for i, r := range plan.Routes {
			if !r.Direct {
				plan.Routes[i].SQL = d.routeSQL(plan, r)
			}
		}
		plans = append(plans, plan)
	}
	return plans, nil
}

func deriveFirstSeed(t *testing.T) uint64 {
	seed := *deriveSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) //nolint:gosec // any number is a seed
	}
	t.Logf("replay with -derive.seed=%d", seed)
	return seed
}

func planText(p *derive.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "key %v many %v\n", p.Key, p.Many)
	for _, r := range p.Routes {
		fmt.Fprintf(&b, "%s %s direct %v columns %v way %v\n%s\n", r.Table, r.Leaf, r.Direct, r.Columns, r.Way, r.SQL)
	}
	for _, r := range p.Refused {
		fmt.Fprintln(&b, r)
	}
	return b.String()
}

func TestNoChangedResultIsMissed(t *testing.T) {
	seed := deriveFirstSeed(t)
	conn := deriveConn(t, "")
	var stats derivetest.Stats
	var queries, derived, invalid int
	for i := range *deriveCases {
		c := derivetest.NewCase(seed + uint64(i)) //nolint:gosec // small
		if err := c.Setup(t.Context(), deriveDB{conn}); err != nil {
			t.Fatal(err)
		}
		for range 30 {
			q := c.Query()
			plan, err := derivePlan(t.Context(), conn, judgeQuery(q))
			if err != nil {
				if t.Context().Err() != nil || conn.IsClosed() {
					t.Fatal(err)
				}
				invalid++
				if testing.Verbose() && *deriveCases < 3 {
					t.Log(err, q.SQL)
				}
				continue
			}
			queries++
			if len(plan.Refused) > 0 {
				continue
			}
			derived++
			s, wrong, err := c.Judge(t.Context(), deriveDB{conn}, q, plan, 12)
			stats.Add(s)
			if err != nil {
				t.Fatalf("seed %d: %v\nin %s", c.Seed, err, q.SQL)
			}
			if wrong != "" {
				t.Fatalf("seed %d (%s): %s\nquery %s\nplan %s", c.Seed, q.Border, wrong, q.SQL, planText(plan))
			}
		}
	}
	t.Logf("%d queries, %d derived whole (%d %%), %d not valid; %+v; %.1f keys a changed row", queries, derived,
		100*derived/max(1, queries), invalid, stats, float64(stats.Keys)/float64(max(1, stats.Changes)))
	if derived == 0 || stats.Differing == 0 {
		t.Error("the judge has judged nothing")
	}
}

// deriveMutants lists the wrong rules that the judge has to notice, each with the template near its border.
func deriveMutants() map[derive.Mutant]string {
	return map[derive.Mutant]string{
		derive.LimitPasses: "limit", derive.WindowPasses: "window", derive.DistinctOnPasses: "distinct on",
		derive.RecursionPasses: "recursion", derive.OrCounts: "or", derive.NotCounts: "not", derive.NotInCounts: "not in",
		derive.CoalesceCounts: "coalesce", derive.CaseCounts: "case", derive.FilterCounts: "filter",
		derive.LeftBindsBoth: "left join's left side", derive.FullBinds: "full join", derive.IsNullStrict: "is null",
		derive.OneAlternative: "expression in a branch", derive.AnyPath: "branches of two ranks",
		derive.NullableBase: "nullable base", derive.SetBase: "base below a set operation",
		derive.AggregateBase: "aggregate of the base", derive.FixedByUnfixed: "fixed by each other",
		derive.GroupByNullable: "grouped by a nullable side", derive.FixedWhereUnbound: "fixed by ON of a left join",
		derive.FullIsOne: "full join of single rows", derive.InCountsAnywhere: "in of an output", derive.SeriesIsOne: "series",
		derive.AnyEquality: "window by words",
	}
}

// TestJudgeNoticesEveryMutant hunts each wrong rule among the queries whose plan it changes, near its border.
func TestJudgeNoticesEveryMutant(t *testing.T) {
	seed := deriveFirstSeed(t)
	conn := deriveConn(t, "")
	alive := deriveMutants()
	total := len(alive)
	if total != int(derive.MutantEnd)-1 {
		t.Fatalf("%d mutants are hunted, and there are %d", total, derive.MutantEnd-1)
	}
	for i := 0; i < *deriveHunt && len(alive) > 0; i++ {
		c := derivetest.NewCase(seed + uint64(i)) //nolint:gosec // small
		if err := c.Setup(t.Context(), deriveDB{conn}); err != nil {
			t.Fatal(err)
		}
		c.Borders = 90
		for range 60 {
			c.Near = slices.Collect(maps.Values(alive))
			slices.Sort(c.Near) // a seed replays
			huntMutants(t, conn, c, c.Query(), alive)
		}
	}
	t.Logf("%d of %d mutants killed", total-len(alive), total)
	for m, near := range alive {
		t.Errorf("mutant %d (%s) was not noticed", m, near)
	}
}

func huntMutants(t *testing.T, conn *pgx.Conn, c *derivetest.Case, q derivetest.Query, alive map[derive.Mutant]string) {
	t.Helper()
	mutants := append([]derive.Mutant{derive.MutantNone}, slices.Sorted(maps.Keys(alive))...)
	plans, err := plansWith(t.Context(), conn, judgeQuery(q), mutants)
	if err != nil {
		if conn.IsClosed() {
			t.Fatal(err)
		}
		return
	}
	right := planText(plans[0])
	for i, plan := range plans[1:] {
		if len(plan.Refused) > 0 || planText(plan) == right {
			continue
		}
		_, wrong, err := c.Judge(t.Context(), deriveDB{conn}, q, plan, 20)
		if err != nil {
			t.Fatalf("seed %d: mutant %d: %v\nin %s", c.Seed, mutants[i+1], err, q.SQL)
		}
		if wrong != "" {
			t.Logf("mutant %d: seed %d (%s)", mutants[i+1], c.Seed, q.Border)
			delete(alive, mutants[i+1])
		}
	}
}
