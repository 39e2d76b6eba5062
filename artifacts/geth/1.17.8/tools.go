//go:build tools

// Package artifact pins the module whose command is built; nothing here is compiled into it.
package artifact

import _ "github.com/ethereum/go-ethereum/cmd/geth"
