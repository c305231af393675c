// Package spill keeps sets and lists of byte strings that may be larger than memory.
//
// All sets and logs of a Pool share its memory. Whichever grows while the pool is over its limit
// writes itself to a file without a name, which vanishes with the process. Nothing is ever dropped: a
// disk that is full is an error.
package spill
