// Package notary makes and checks the tag of an access token: a MAC by a second
// secret, which whoever steals the signing key does not have. A token with a
// valid signature and a wrong tag is therefore a forgery.
//
//	jti, err := tagger.Tag(ctx, kid, notary.Sum(header, rest))
//	payload := notary.Join(jti, rest)
//
// The tag lives in the token's jti, at a fixed place at the front of the
// payload, so that nothing here needs canonical JSON. A tag says nothing about
// who signed the token: check the signature first.
package notary
