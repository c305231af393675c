// Package derivetest judges derived keys: it makes random schemas, queries and transactions, evaluates
// every key of a query before and after each transaction, and reports a key whose result differs and
// that the plan did not name, a second row of a key where one was proved, and a row without a base row.
//
// Queries come from a grammar that has every construct which DERIVE's rules speak of, and a quarter from
// templates near the border of one rule each, since a uniform grammar hardly reaches borders. One seed
// replays a case. The server and the derivation are given by the caller (DB, Deriver).
package derivetest
