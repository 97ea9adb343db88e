module github.com/counterfoil/counterfoil/contrib

go 1.26.0

require (
	github.com/cloudflare/circl v1.6.5
	github.com/counterfoil/counterfoil v0.0.0
	github.com/decred/dcrd/dcrec/secp256k1/v4 v4.4.1
)

require (
	filippo.io/mldsa v1.0.0 // indirect
	github.com/go-json-experiment/json v1.27.2 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/counterfoil/counterfoil => ../
