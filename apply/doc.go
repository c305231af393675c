// Package apply is what every destination's applier does in the same way, whatever its database:
// which event of a batch runs which statement of which consumer, in what order, in what portions,
// and what happens when one is refused.
//
// A batch is a state and not a history, so the order of its events is ours to choose, and no order
// suits every constraint: a row that takes over a unique value from a deleted row needs the delete
// first, a child that leaves a deleted parent needs the upsert first. A [Run] begins with what worked
// last for each consumer and goes through the orders until the destination takes one:
//
//	DeletesFirst   deletes, children before parents; then upserts, parents before children
//	UpsertsFirst   upserts, then deletes
//	Swap           deletes of all keys in the batch, then upserts, for values that change places;
//	               never the first choice, since it rewrites rows that need it not
//
// A batch that needs more than one [Chunk] is ordered chunk by chunk, so that it can be applied while
// it is still being evaluated. When such a batch meets a violation it is ordered as one: the events
// are ranged over once for each class of statements, and no more of them than a chunk is in memory.
//
// A consumer whose statement is refused in every order leaves the run, and the others are applied
// again without it. So there is one transaction, with those that can move, and no savepoint in it.
// An implementation is a loop:
//
//	run, err := apply.NewRun(targets, moves, batch)
//	for err == nil && len(run.Moves()) > 0 {
//		err = attempt(ctx, run) // begin, cursors of run.Moves(), run.Chunks(), commit
//		if err == nil {
//			return run.Outcomes(), nil
//		}
//		err = run.Again(err) // nil: try again
//	}
//
// Package applytest is what every implementation must pass.
package apply
