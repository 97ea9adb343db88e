// Package keyring keeps the keys of an issuer: for each algorithm one key that
// signs access tokens and two that wait, the key and the secret of the feed, the
// root that vouches for both, and the key of refresh tokens.
//
//	ring, err := keyring.Open(ctx, st, keyring.Config{Issuer: url, KEK: kek})
//	signer, err := ring.Signer(jwk.ES256)
//
// All of them lie in the store as compact JWEs under one key-encryption key, which
// [Reseal] changes, or signing keys in a token that they never leave. Where the
// notary is a process of its own, standbys are sealed to it besides. Any number of
// nodes may open the same store, and may do so at the same moment for the first time.
//
// A key goes from standby to active, retiring and retired, or is killed; nothing leads
// back, its id is not used again, and each step is in the audit trail. One key signs
// for each algorithm. [Keyring.Scheduled] rotates what is due, and a [Gate] says which
// verifiers have to be waited for. The package knows no verifier, and it does not
// know the notary's secret.
package keyring
