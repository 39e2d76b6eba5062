//go:build tools

// Package artifact pins the module whose commands are built; nothing here is compiled into them.
package artifact

import (
	_ "github.com/OffchainLabs/prysm/v6/cmd/beacon-chain"
	_ "github.com/OffchainLabs/prysm/v6/cmd/prysmctl"
	_ "github.com/OffchainLabs/prysm/v6/cmd/validator"
)
