package derive

// A Mutant is one rule turned wrong, so that a test can show that the judge notices.
type Mutant uint8

// The mutants. Each says what the wrong rule claims; zero is none of them.
const (
	MutantNone        Mutant = iota
	LimitPasses              // a LIMIT passes columns
	WindowPasses             // a window passes every column
	DistinctOnPasses         // DISTINCT ON passes every column
	RecursionPasses          // a recursive CTE passes columns
	OrCounts                 // an arm of OR is a fact
	NotCounts                // what stands under NOT is a fact
	NotInCounts              // NOT IN is a fact
	CoalesceCounts           // what stands in coalesce is a fact
	CaseCounts               // what stands in CASE is a fact
	FilterCounts             // what stands in FILTER is a fact
	LeftBindsBoth            // ON of a left join binds both sides
	FullBinds                // ON of a full join binds both sides
	IsNullStrict             // IS NULL makes an outer join inner
	OneAlternative           // of a fact's target one branch is enough
	AnyPath                  // a way may go through a leaf that has none
	NullableBase             // the base may be on a nullable side
	SetBase                  // the base may be below a set operation
	AggregateBase            // the base may be below an aggregate without GROUP BY
	AnyEquality              // a barrier's own equality does not matter
	FixedByUnfixed           // rows may be fixed by rows that are not
	GroupByNullable          // grouping by a nullable side's columns gives one row
	FixedWhereUnbound        // ON of a left join fixes its left side
	FullIsOne                // a full join of one row and one row gives one
	InCountsAnywhere         // IN inside another expression is a fact
	SeriesIsOne              // a set-returning output gives one row
	MutantEnd                // one more than the last
)
