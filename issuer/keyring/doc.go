// Package keyring keeps the keys of an issuer: for each algorithm one key that
// signs access tokens and two that wait, the key and the secret of the feed, the
// root that vouches for both, and the key of refresh tokens.
//
//	ring, err := keyring.Open(ctx, st, keyring.Config{Issuer: url, KEK: kek})
//	signer, err := ring.Signer(jwk.ES256)
//
// All of them lie in the store as compact JWEs under one key-encryption key. Any
// number of nodes may open the same store, and may do so at the same moment for
// the first time. The package does not decide when to rotate, and it does not
// know the notary's secret.
package keyring
