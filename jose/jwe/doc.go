// Package jwe encrypts and decrypts JSON Web Encryption (RFC 7516): the compact
// serialization and both JSON ones, with the algorithms of RFC 7518, Sections 4
// and 5, and RFC 8037.
//
//	sealed, err := jwe.Encrypt(key, jwe.A256GCM, "text/plain", plaintext)
//	plaintext, err := jwe.Decrypt(key, jwe.Policy{Algorithm: jwk.ECDHES, Encryption: jwe.A256GCM}, sealed)
//
// Decrypting proves nothing about who wrote a text: the public key of a recipient
// is public, and with a shared key whoever can decrypt can also encrypt. A token
// that must prove its origin is signed first: see jwt.SignNested.
//
// RSA1_5 is not here, since every error of it answers a question about the key
// (RFC 8725, Section 3.2). Compression is never written, and read only when a
// [Policy] says so: the length of what is compressed tells about its content.
package jwe
