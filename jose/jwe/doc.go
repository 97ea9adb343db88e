// Package jwe encrypts and decrypts JSON Web Encryption (RFC 7516) in the compact
// serialization.
//
//	sealed, err := jwe.Encrypt(key, jwe.A256GCM, "jwk+json", plaintext)
//	plaintext, err := jwe.Decrypt(key, jwe.Policy{Algorithm: "A256GCMKW", Encryption: jwe.A256GCM}, sealed)
//
// With a shared key, whoever can decrypt can also encrypt: that a text decrypts
// does not say who wrote it. A token that must prove its origin is signed first.
//
// Compression ("zip") and extensions ("crit") are refused.
package jwe
