// Package fileapply writes the events of one consumer schema as lines of JSON, to a file or to the
// program's standard output:
//
//	{"op":"upsert","row":{"id":"7","name":null}}
//	{"op":"delete","key":{"id":"7"}}
//	{"op":"truncate"}
//
// A value is the source's own text, or null. An upsert has every column of the row; a delete has the
// columns that the row is found by; a truncate says that every row is gone. Where a key may have several
// rows, its delete comes first and replaces them all.
//
// # A file
//
// Beside a file FILE stands FILE.rejot-cursor, with the consumer's cursor and with how long FILE was when
// the cursor got there. A batch is appended and synced, then the cursor's file is replaced and synced;
// that is the commit. Lines beyond the length that the cursor knows are of a batch that was not committed:
// they are cut off when the file is opened again, and the batch is written again. So the lines up to that
// length are whole batches, each once:
//
//	lines written ── a crash ──► cut off, written again
//	lines synced ─── a crash ──► the same
//	cursor replaced: the batch is there
//
// One program writes to a file: it holds a lock on it, which ends with the process.
//
// # Standard output
//
// It keeps nothing, so there is no cursor: whoever starts the program gets every row, then the changes.
// A batch is collected before its first line is printed, so that one that could not be made leaves nothing.
package fileapply
