// Package httpapi is the program's HTTP surface: how it stands (Status), and the command to go on
// (resume). Server answers, Client asks; both share the wire's types, so that `rejot status` shows
// what the page and the probes show.
//
// It listens on loopback addresses, and answers no browser of another origin: what it tells has no
// row values, but what it does (resume) is not for a web page to ask.
package httpapi
