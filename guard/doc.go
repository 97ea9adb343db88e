// Package guard checks requests for services written in any language. A proxy
// asks it before it passes a request on: nginx with auth_request, Traefik and
// Caddy with forward authentication.
//
//	g, err := guard.New(guard.Config{Verifiers: map[string]*verifier.Verifier{issuer: v}})
//	if err != nil {
//		return err
//	}
//	http.Handle("/", g.Handler())
//
// GET /auth answers 200, 401 or 403 and nothing else, since nginx turns any
// other status into a 500. What it means is in the header Auth-Status, which the
// proxy's configuration maps to the answer that the client sees: see deploy/.
//
// The guard sees headers and cannot take one away. It therefore refuses a request
// that already carries one of its own, and the proxy must overwrite each of them
// on the way to the service, with an empty value too.
package guard
