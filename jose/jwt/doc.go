// Package jwt verifies and signs JSON Web Tokens (RFC 7519) as RFC 8725 and RFC
// 9068 want it done.
//
//	tok, err := jwt.Verify[Access](policy, keys, token)
//	if err != nil {
//		return err
//	}
//	use(tok.Subject(), tok.Claims().Scope)
//
// A [Token] comes from [Verify] and from nowhere else, and its claims are read
// from exactly the bytes that were signed. What has only been parsed is an
// [Unverified], whose accessors say so in their names.
//
// A [Policy] must say which issuer, audience and type it wants and where the
// time comes from. Leaving one out is a [PolicyError] at every Verify; to do
// without a check there is a field with Insecure in its name for each, and none
// of them turns off another. "exp" is required and cannot be waived. What a key
// may sign ([jwk.Limits]) is enforced on top of the policy.
//
// A [Profile] takes the place of the type where a specification says what a token
// of its kind has to look like: [AccessToken], [IDToken], [LogoutToken],
// [SecurityEventToken], [ClientAssertion], [StatusListToken], [DPoPProof]. No
// token of one kind passes for another.
//
// Errors are for programs to branch on; [Explain] takes each apart, says what a
// person may do about it, and what may be told to whoever sent the token.
//
// Claims are plain strings and numbers chosen by the issuer and often by its
// users: "sub" may hold a quotation mark, a path or a URL. Nothing here escapes
// them for a database, a directory or a shell (RFC 8725, Section 3.10). Nothing
// here reads one claim in place of another either: a client that calls itself
// like a user is told apart by "client_id", not by "sub".
//
// The package does not know of revocation: package verifier does.
package jwt
