// Package jws signs and verifies JSON Web Signatures (RFC 7515) in the compact
// serialization, for the algorithms of package jwk.
//
//	msg, err := jws.Verify(keys, token)
//	if err != nil {
//		return err
//	}
//	use(msg.Payload())
//
// A [Message] comes from verification and from nowhere else. What has only been
// parsed is an [Unverified], whose accessors say so in their names.
//
// The token chooses neither its algorithm nor its key. "alg" must be the
// algorithm of the key that "kid" names in the caller's own [jwk.Source], and
// the header parameters that carry or locate keys ("jwk", "jku", "x5u", "x5c",
// "x5t", "x5t#S256") are never used: nothing is fetched, and a token that has
// them is judged as if it had not. [Header.Member] shows them to protocols that
// define what they mean, such as RFC 9449.
//
// The package is strict where RFC 7515 leaves room. A token has exactly one
// spelling: base64url without padding, line ends or stray bits. The header is
// one JSON object with distinct, case-sensitive names. "crit" is refused, since
// no extension is understood, and with it "b64" (RFC 7797). Only the signature
// can vary: ECDSA has two valid ones for each message, so nothing may be keyed
// by the bytes of a token.
//
// An empty payload is a payload. Detached content and the JSON serialization
// are refused. Whether a payload is fresh or meant for the caller is for
// package jwt to say.
package jws
