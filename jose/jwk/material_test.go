package jwk_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
)

// spoil overwrites what can be reached of a key of the standard library.
func spoil(material any) {
	switch key := material.(type) {
	case *rsa.PublicKey:
		key.N.SetInt64(1)
		key.E = 1
	case *rsa.PrivateKey:
		key.N.SetInt64(1)
		key.D.SetInt64(1)
		for _, p := range key.Primes {
			p.SetInt64(1)
		}
	case *ecdsa.PublicKey:
		//lint:ignore SA1019 the caller may do so
		key.X.SetInt64(1)
	case *ecdsa.PrivateKey:
		key.X.SetInt64(1)
		//lint:ignore SA1019 the caller may do so
		key.D.SetInt64(1)
	case ed25519.PublicKey:
		clear(key)
	case ed25519.PrivateKey:
		clear(key)
	}
}
