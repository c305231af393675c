// Package derive proves which keys of a keyed query a changed row affects.
//
// A source reads a query's resolved tree from its database and hands it over as an Input: levels of
// SELECT, joins, conditions, barriers such as GROUP BY or LIMIT, and facts of the catalogue (unique
// keys, types, operator families). Prove finds the base, whose unique key the placeholders bind;
// collects facts of the form "a row of leaf X influences the result only together with rows of leaf Y
// where X.c = Y.d"; ranks the leaves outward from the base; and returns a Plan with a way from each
// leaf to the key. What no rule proves is refused: a superset of keys costs time, a missing key is wrong.
//
// The package names no database: SQL text is written by the source that filled the Input.
// Start reading at Prove; the rules are in facts.go (what binds), pass.go (barriers) and way.go (ways).
package derive
