// Package contracts has the contracts of the accounts example in Go.
package contracts
