// Package mysql is the way to a MariaDB or MySQL server: a [Session] with everything pinned that
// would change what a statement or a value means, prepared statements whose parameters say what
// they are, and errors that say nothing of a row's values.
//
// The client library connects and authenticates, and speaks the text protocol. Prepared statements
// are spoken here, since two things are wanted of them that the library does not have. A parameter
// travels under its own type ([Param]): a decimal bound as text would be compared as a float and
// match the row beside it. And executions are sent one behind the other without waiting for
// answers ([Stmt.ExecAll]).
//
// Every call has a deadline. A session whose conversation was cut off, by a deadline or by the
// network, is [Session.Broken] and only good for closing; an error of the server leaves it usable.
//
// Start reading at session.go.
package mysql
