// Package dpop checks DPoP proofs (RFC 9449): small signed tokens by which
// whoever makes a request shows that it holds the key to which its access token
// is bound.
//
//	text, err := dpop.FromHeader(r.Header.Values("DPoP"))
//	proof, err := dpop.Verify(policy, dpop.Request{
//		Method: r.Method, URL: "https://rs.example" + r.URL.Path,
//		AccessToken: token, Thumbprint: jkt,
//	}, text)
//
// A proof brings the key that verifies it. So it proves that one key, known by
// its [Proof.Thumbprint], and nothing about who holds it.
//
// The package remembers nothing: whether [Proof.ID] has been seen before, and
// which nonces are good, is for the server to know (RFC 9449, Sections 8 and
// 11.1).
package dpop

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// Defaults of a Policy, and the longest "jti".
const (
	DefaultMaxAge = 60 * time.Second
	DefaultLeeway = 5 * time.Second
	MaxID         = 256 // bytes
)

// A Policy says which proofs a server accepts. Now is required.
type Policy struct {
	Now        func() time.Time // usually time.Now
	MaxAge     time.Duration    // of a proof, from "iat" on; default 60 s
	Leeway     time.Duration    // difference of clocks forgiven, once each way; default 5 s, jwt.NoLeeway is zero
	Algorithms []jwk.Algorithm  // names that "alg" may have; default all that sign with a key pair
}

// A Request is what a proof has to be made for. Method and URL are required.
type Request struct {
	Method string // "htm" must be it, in this case
	URL    string // "htu" must be it, but for query and fragment: http or https, as the client sees it

	// AccessToken came with the request: "ath" must be its hash. Thumbprint is
	// the "jkt" to which it is bound: that of the proof's key. Both are required,
	// but at a token endpoint.
	AccessToken string
	Thumbprint  string

	// TokenEndpoint says that there is no access token yet. Thumbprint is then
	// that of the code or the refresh token, and empty where neither is bound.
	TokenEndpoint bool

	Nonces []string // "nonce" must be one of them; default not looked at
}

// A Proof is a proof that has been verified. Only [Verify] makes one.
type Proof struct{ token *jwt.Token[claims] }

// Key returns the public key that the proof brought, and that verified it.
func (p *Proof) Key() *jwk.Key { return p.token.Key() }

// Thumbprint returns the thumbprint of Key (RFC 7638): what stands in the claim
// "cnf" of a token that is bound to it (RFC 9449, Section 6.1), as "jkt".
func (p *Proof) Thumbprint() string { return p.token.Key().Thumbprint() }

// ID returns "jti", of 1 to MaxID bytes.
func (p *Proof) ID() string { return p.token.ID() }

// IssuedAt returns "iat". A server that remembers ID forgets it when no policy
// accepts the proof any longer: MaxAge and Leeway later.
func (p *Proof) IssuedAt() time.Time { return p.token.IssuedAt() }

// Nonce returns "nonce", or "".
func (p *Proof) Nonce() string { return p.token.Claims().Nonce }

type claims struct {
	Method string `json:"htm"`
	URL    string `json:"htu"`
	Hash   string `json:"ath"`
	Nonce  string `json:"nonce"`
}

// Verify checks a proof as RFC 9449, Section 4.3 says: one compact JWS of type
// dpop+jwt, under an asymmetric algorithm, verified by the public key in its own
// header; "jti", "htm", "htu" and "iat" there and fitting; "ath" and "nonce" where
// the request asks for them.
//
// The errors are those of [jwt.Verify], and [jwt.Explain] explains them. A
// [*jwt.ClaimError] names the claim, the header parameter "jwk", or "jkt" where
// the key is another than the one wanted. [ErrorCode] says what to answer.
func Verify(p Policy, r Request, proof string) (*Proof, error) {
	target, err := r.check()
	if err != nil {
		return nil, err
	}
	tok, err := jwt.Verify[claims](p.profile(), embedded{}, proof)
	if err != nil {
		return nil, err
	}
	if err := r.fits(tok, target); err != nil {
		return nil, err
	}
	return &Proof{tok}, nil
}

// profile is the part of the policy that jwt knows how to check.
func (p Policy) profile() jwt.Policy {
	if p.MaxAge == 0 {
		p.MaxAge = DefaultMaxAge
	}
	if p.Leeway == 0 {
		p.Leeway = DefaultLeeway
	}
	return jwt.Policy{Profile: jwt.DPoPProof{}, Now: p.Now, MaxLife: p.MaxAge, Leeway: p.Leeway, Algorithms: p.Algorithms}
}

// check refuses what no proof could fit, and returns the normal form of the URL.
func (r Request) check() (target string, err error) {
	target, ok := normalize(r.URL)
	switch {
	case r.Method == "":
		return "", &jwt.PolicyError{Field: "Method", Reason: "is required"}
	case !ok:
		return "", &jwt.PolicyError{Field: "URL", Reason: "is not an absolute http or https URL"}
	case r.AccessToken == "" && !r.TokenEndpoint:
		return "", &jwt.PolicyError{Field: "AccessToken", Reason: "is required, but at a token endpoint"}
	case r.Thumbprint == "" && !r.TokenEndpoint:
		return "", &jwt.PolicyError{Field: "Thumbprint", Reason: "is required, but at a token endpoint"}
	case r.AccessToken != "" && r.TokenEndpoint:
		return "", &jwt.PolicyError{Field: "AccessToken", Reason: "is given at a token endpoint"}
	case r.Nonces != nil && len(r.Nonces) == 0:
		return "", &jwt.PolicyError{Field: "Nonces", Reason: "allows none; nil allows all"}
	}
	return target, nil
}

// fits compares a proof with the request.
func (r Request) fits(tok *jwt.Token[claims], target string) error {
	c := tok.Claims()
	if len(tok.ID()) > MaxID {
		return &jwt.ClaimError{Claim: "jti", Reason: "is longer than 256 bytes"}
	}
	if c.Method != r.Method {
		return &jwt.ClaimError{Claim: "htm", Reason: "is not the method of the request"}
	}
	if htu, ok := normalize(c.URL); !ok || htu != target {
		return &jwt.ClaimError{Claim: "htu", Reason: "is not the URL of the request"}
	}
	if !r.TokenEndpoint && c.Hash != hash(r.AccessToken) {
		return mismatch("ath", c.Hash, "is not the hash of the access token")
	}
	if r.Thumbprint != "" && tok.Key().Thumbprint() != r.Thumbprint {
		return &jwt.ClaimError{Claim: "jkt", Reason: "is not that of the proof's key"}
	}
	if r.Nonces != nil && (c.Nonce == "" || !slices.Contains(r.Nonces, c.Nonce)) {
		return mismatch("nonce", c.Nonce, "is not one that is good now")
	}
	return nil
}

// mismatch says of a claim that it is missing, or else what is wrong.
func mismatch(claim, value, wrong string) error {
	if value == "" {
		wrong = "is missing"
	}
	return &jwt.ClaimError{Claim: claim, Reason: wrong}
}

// hash is "ath" (RFC 9449, Section 4.2).
func hash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return wire.Encode(sum[:])
}

// embedded finds the key that a proof brings. It is a Source for nothing else:
// whoever trusts the key in a header trusts everybody.
type embedded struct{}

// Find implements [jwk.Source]. No key is known before the proof is.
func (embedded) Find(string, string) (*jwk.Key, error) { return nil, jwk.ErrUnknownKey }

// FindHeader implements [jws.HeaderSource].
func (embedded) FindHeader(h jws.Header) (*jwk.Key, error) {
	member, ok := h.Member("jwk")
	if !ok {
		return nil, &jwt.ClaimError{Claim: "jwk", Reason: "is missing"}
	}
	return jwk.ParsePublicAs(member, jwk.Params{Algorithm: h.Algorithm})
}
