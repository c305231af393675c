// Command bench runs Postgres' own logical replication (CREATE SUBSCRIPTION) and ReJot side by side and prints their ratios.
//
// It builds the program as a user gets it and starts three private servers: a source, a destination of a subscription, which
// replicates the accounts example's tables one to one, and a destination of ReJot, which keeps the example's joining query there.
// Both follow the same source and the same load. They are measured one after the other, the other one stopped meanwhile, in
// rounds that change the order; what is printed are medians. After each measurement the destination is compared with the source, and
// a difference ends the bench.
//
// Reading order: main.go, world.go (servers, data), side.go (what both have in common), native.go and program.go (how each is started,
// stopped and asked), catchup.go, backfill.go and latency.go (the jobs), report.go.
package main
