// Package dbserver starts real database servers that belong to one process and vanish with it.
//
// A [Home] is a folder with a lock. Servers live in it, listen on loopback only, run as another
// user where the process is root (neither Postgres nor MariaDB is started as root), and are killed by the
// kernel when the process dies, however it dies. A folder whose lock nobody holds is left over from a
// process that was killed; the next [Open] removes it.
//
// Tests use package dbtest, which adds what needs a testing.TB. This package is what the demo uses too.
package dbserver
