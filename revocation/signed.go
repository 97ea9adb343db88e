package revocation

import (
	"fmt"
	"slices"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

// The "typ" of what is signed here. A frame cannot pass for a manifest, and
// nothing here for an access token.
const (
	FrameType    = "revocations+jwt"
	ManifestType = "revocation-manifest+jwt"
	TrustType    = "revocation-trust+jwt"
	AnswerType   = "revocation-answer+jwt"
)

// maxIssuer bounds an issuer's URL in bytes, so that a full frame fits a token.
const maxIssuer = 512

// sign returns v as a compact JWS by an EdDSA key.
func sign(key *jwk.Key, typ string, v any) (string, error) {
	if key == nil || key.Algorithm() != jwk.EdDSA || !mayBe(key, typ) {
		return "", ErrFeedKey
	}
	payload, err := wire.Marshal(v)
	if err != nil {
		return "", err
	}
	return jws.Sign(key, jws.Header{Type: typ}, payload)
}

// open verifies token and reads its payload into v. typ and algorithm are
// looked at first, so that no key is ever tried on another kind of token.
func open(keys jwk.Source, typ, token string, v any) error {
	u, err := jws.Parse(token)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if h := u.UnverifiedHeader(); h.Type != typ {
		return errFormat("typ")
	} else if h.Algorithm != jwk.EdDSA {
		return ErrFeedKey
	}
	msg, err := u.Verify(keys)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFeedKey, err)
	}
	if !mayBe(msg.Key(), typ) {
		return ErrFeedKey
	}
	if err := wire.Unmarshal(msg.Payload(), v); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}

// mayBe applies what a key says of itself: one that signs access tokens does
// not sign the feed, even if somebody put it among the feed keys.
func mayBe(key *jwk.Key, typ string) bool {
	l := key.Limits()
	return !l.Tagged && (len(l.Types) == 0 || slices.Contains(l.Types, typ))
}

// checkIssuer compares exactly: a slash more is another issuer.
func checkIssuer(got, want string) error {
	if want == "" || len(want) > maxIssuer {
		return errFormat("issuer")
	}
	if got != want {
		return ErrIssuer
	}
	return nil
}
