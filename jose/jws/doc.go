// Package jws signs and verifies JSON Web Signatures (RFC 7515) for the algorithms
// of package jwk.
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
// [Verify] reads the compact serialization and nothing else. The other forms have
// functions of their own, so that nobody reads one without having asked for it:
//
//	                  in the token               beside it                            in a reader
//	compact           Verify, Sign               VerifyDetached, SignDetached         VerifyReader, SignReader
//	JSON, flattened   VerifyJSON, SignFlattened  VerifyDetachedJSON, FlattenDetached  VerifyReaderJSON
//	JSON, general     VerifyJSON, SignJSON       VerifyDetachedJSON, JoinDetached     VerifyReaderJSON
//
// SignDetached, SignReader and SignFlattened are methods of a [Signer].
//
// [VerifyAll] and [VerifyAllDetached] demand that every signature verifies, where
// VerifyJSON is content with one. The methods of [Options] are these functions for
// tokens with critical extensions, with payloads signed without base64url (RFC
// 7797), or with an "alg" that is not protected.
//
// The token chooses neither its algorithm nor its key. "alg" must be the
// algorithm of the key that "kid" names in the caller's own [jwk.Source], and
// the header parameters that carry or locate keys ("jwk", "jku", "x5u", "x5c",
// "x5t", "x5t#S256") are not used: nothing is fetched, and a token that has
// them is judged as if it had not. [Header.Member] shows them to protocols that
// define what they mean, such as RFC 9449, and a [HeaderSource] may choose a key
// by them as it sees fit.
//
// The package is strict where RFC 7515 leaves room. A compact token has exactly one
// spelling: base64url without padding, line ends or stray bits. Each JSON object
// has distinct, case-sensitive names. Only the signature can vary: ECDSA has two
// valid ones for each message, so nothing may be keyed by the bytes of a token.
//
// An empty payload is a payload. Whether a payload is fresh or meant for the caller
// is for package jwt to say.
package jws
