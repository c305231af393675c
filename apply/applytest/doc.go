// Package applytest is what every destination's applier must pass, whatever its database.
//
//	func TestConformance(t *testing.T) { applytest.Run(t, open) }
//
// open makes a [Fixture]: an empty database and the few words that differ between dialects. The cases
// then say in SQL that every database has what tables there are, and look at what is in them.
package applytest

import (
	"testing"

	"rejot.dev/rejot"
	"rejot.dev/rejot/contract"
)

// A Fixture is an empty destination of one test.
type Fixture struct {
	// Open opens an applier. It may be called several times, for several appliers of one database.
	// The test closes what it opened.
	Open func(t testing.TB, consumers ...*contract.Consumer) (rejot.Applier, error)
	// Exec runs statements, one after the other.
	Exec func(t testing.TB, sql ...string)
	// Query gives the rows of a query as text, NULL as "NULL".
	Query func(t testing.TB, sql string) [][]string
	// Upsert writes the dialect's upsert of a table with placeholders of the columns' names. key is its
	// primary key and is among columns.
	Upsert func(table string, key []string, columns ...string) string
}

// Run runs every case, each on a fixture of its own.
func Run(t *testing.T, open func(t *testing.T) *Fixture) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

type testCase struct {
	name string
	run  func(t *testing.T, f *Fixture)
}

// cases is never changed.
var cases = []testCase{
	{"FirstBatchMakesRowsAndCursor", firstBatch},
	{"UpsertsAndDeletes", upsertsAndDeletes},
	{"EmptyBatchMovesTheCursor", emptyBatch},
	{"CursorKeepsItsBackfill", backfillState},
	{"CursorElsewhereIsConflict", conflict},
	{"TwoInstancesCannotInterleave", twoInstances},
	{"NullAndEmptyAreDistinct", nullAndEmpty},
	{"PlaceholderMayStandSeveralTimes", repeated},
	{"UnknownValueIsRefused", unknownValue},
	{"DeleteWithoutDeleteSQLIsIgnored", noDelete},
	{"EventsOfOtherSchemasAreSkipped", otherSchemas},
	{"AddressedEventsReachOneConsumer", addressed},
	{"RefusedConsumerIsLeftBehind", leftBehind},
	{"RefusalNamesNoValue", namesNoValue},
	{"RefusedRowInALargeBatch", refusedInLarge},
	{"UniqueValueOfADeletedRow", takeOver},
	{"UniqueValuesThatChangePlaces", swap},
	{"SwapInALargeBatch", swapInLarge},
	{"ChildLeavesADeletedParent", childLeaves},
	{"ParentAndChildTogether", parentAndChild},
	{"ParentAndChildGoTogether", parentAndChildGo},
	{"ReplacementDeletesFirst", replacement},
	{"ReplacementKeepsItsOrder", replacementOrder},
	{"ClearRunsTruncateSQL", clearAll},
	{"ClearWithoutTruncateSQLIsRefused", clearRefused},
	{"LargeBatch", large},
	{"FailedEvaluationWritesNothing", failedEvaluation},
	{"CanceledApplyWritesNothing", canceled},
	{"OpenNamesWhatIsWrong", openRefuses},
}
