// Package hpke names the algorithms that bring Hybrid Public Key Encryption (RFC
// 9180) to JWE.
//
// It is experimental: it follows draft-ietf-jose-hpke-encrypt-20, and will change
// with that text and without notice until it is an RFC. What is written today may
// not be readable then.
//
//	sealed, err := jwe.Encrypt(key, hpke.Integrated, "text/plain", plaintext)
//	plaintext, err := jwe.Decrypt(key, jwe.Policy{Algorithm: hpke.HPKE0}, sealed)
//
// The calls are those of package jwe, for both serializations and for tokens that
// are signed first. There are two modes. In integrated encryption HPKE encrypts
// the plaintext: the message has no "enc", hence a policy without Encryption, and
// one recipient. In key encryption (names that end in KE) it encrypts the content
// encryption key, and recipients with other algorithms may stand beside:
//
//	sealed, err := jwe.Encrypt(key, jwe.A128GCM, "text/plain", plaintext)
//	policy := jwe.Policy{Algorithm: hpke.HPKE0KE, Encryption: jwe.A128GCM}
//
// Only the base mode is here, without extra information from the application
// (Section 6.1 of the draft): a message with "psk_id" is refused. HPKE-5 and
// HPKE-6 need X448, which the standard library does not have. Nothing says who
// wrote a message.
package hpke

import (
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Integrated encryption, Section 5.1 of the draft. Keys are of type EC, or OKP on
// X25519, with "alg" as here.
const (
	HPKE0 jwk.Algorithm = "HPKE-0" // P-256, HKDF-SHA256, AES-128-GCM
	HPKE1 jwk.Algorithm = "HPKE-1" // P-384, HKDF-SHA384, AES-256-GCM
	HPKE2 jwk.Algorithm = "HPKE-2" // P-521, HKDF-SHA512, AES-256-GCM
	HPKE3 jwk.Algorithm = "HPKE-3" // X25519, HKDF-SHA256, AES-128-GCM
	HPKE4 jwk.Algorithm = "HPKE-4" // X25519, HKDF-SHA256, ChaCha20Poly1305
	HPKE7 jwk.Algorithm = "HPKE-7" // P-256, HKDF-SHA256, AES-256-GCM
)

// Key encryption, Section 6.2 of the draft, with the same suites.
const (
	HPKE0KE jwk.Algorithm = "HPKE-0-KE"
	HPKE1KE jwk.Algorithm = "HPKE-1-KE"
	HPKE2KE jwk.Algorithm = "HPKE-2-KE"
	HPKE3KE jwk.Algorithm = "HPKE-3-KE"
	HPKE4KE jwk.Algorithm = "HPKE-4-KE"
	HPKE7KE jwk.Algorithm = "HPKE-7-KE"
)

// Integrated stands where package jwe asks for a content encryption and the
// algorithm has it in itself.
const Integrated jwe.Encryption = ""
