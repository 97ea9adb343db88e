// Package issuer is the authorization server: sign-in, tokens, revocation, keys
// and the feed that carries revocations to verifiers, as one http.Handler.
//
//	iss, err := issuer.New(ctx, issuer.Config{
//		URL: "https://id.example", Store: st, Keyring: ring, Tagger: notary.NewLocal(secret),
//	})
//	defer iss.Close()
//	err = http.Serve(ln, iss)
//
// Any number of issuers may share one store. The package opens no listener and no
// database and reads no file. It does not decide who may reach AdminHandler: the
// caller puts that on a socket whose mode does.
package issuer
