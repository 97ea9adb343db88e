// Package session signs people in and keeps them signed in: the endpoints
// /sign-in, /token, /sign-out and /revoke, the access tokens that they hand out,
// and the refresh tokens that renew them.
//
//	srv, err := session.New(ctx, session.Config{Issuer: url, Store: st, Keys: ring, …})
//	srv.Register(mux)
//
// One row is kept for each session and nothing for each token. A [Minter] makes
// access tokens from what the store says in one statement ([store.Tx.Standing]);
// [Decide] is the whole of the rules for refresh tokens, without I/O.
//
// What it does not promise: a thief who shares the owner's address and
// User-Agent, and who presents each refresh token within 30 seconds of the
// owner, gets the same tokens as the owner and is not told apart.
package session
