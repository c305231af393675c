// Command rejot is ReJot as one program: the service that keeps destinations equal to public schemas
// (rejot sync), what tells how it stands (rejot status), and the commands that create and change manifests.
//
// run in root.go is the program without its process: arguments and streams in, an exit code out. Each
// command stands in a file of its name, and is a function of app, which holds the streams.
//
// Exit codes: 0 done, 1 a check found something, 2 a flag, a manifest or a contract is wrong, 3 something
// stopped on an error or could not be reached.
package main
