// Package jwk holds keys: JSON Web Keys (RFC 7517, RFC 7518, RFC 8037, RFC
// 9964) and sets of them, each key bound to one algorithm and checked when it
// comes in.
//
//	key, err := jwk.Parse(data)
//	sig, err := key.Sign(input)
//
// A [Key] decides which algorithm it is used with; a token never does. Material
// that is weak, malformed or inconsistent is refused by [Parse], [New] and
// [ParseSet], so that signing and verifying have nothing left to check.
//
// Keys are read and written as JWK, PEM and DER, with the certificates that belong
// to them; a private key may also be held elsewhere, see [ContextSigner]. Nothing is
// ever fetched: "x5u" is passed over.
package jwk
