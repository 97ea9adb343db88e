// Package verifier checks access tokens in a service: signature, claims and
// revocation, without asking the issuer.
//
//	v, err := verifier.Open(ctx, verifier.Config{Issuer: "https://id.example", Audience: "orders"})
//	if err != nil {
//		return err
//	}
//	defer v.Close()
//	mux.Handle("/", v.Protect(handler))
//
//	tok, ok := verifier.From[verifier.Access](r.Context()) // in handler
//
// A [Verifier] finds the issuer's keys and its revocation feed by discovery
// (RFC 8414) and follows both in the background, so that a check does no I/O.
// A revocation is refused here within a second while the feed is connected.
// When it is not, the Verifier goes on with what it holds and says how old that
// is: see [State] and [Route.Sensitive].
//
// An issuer without a feed is served too: then a token is good until it expires.
package verifier
