// Package postgres is what everything of ours that speaks to a Postgres server has in common: how a
// session is opened, so that text is canonical in it; which of rejot's codes an error has, without a
// row's values in its text; how names are quoted; and the catalogue's types as rejot.Type.
//
// What comes in is a contract.Connection; what goes out is a session, an *rejot.Error or a rejot.Type.
package postgres
