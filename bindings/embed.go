// Package bindings has the packages that contract files import, in TypeScript and Python, as they are published. The
// program carries them, so that a contract can be collected where none of them is installed.
package bindings

import "embed"

// TypeScript has the packages of @rejot-dev, and in vendor the libraries that they use.
//
//go:embed typescript/contract/src typescript/adapter-postgres/src typescript/adapter-mysql/src typescript/vendor
var TypeScript embed.FS

// Python has the package rejot_contract.
//
//go:embed python/rejot_contract/*.py
var Python embed.FS
