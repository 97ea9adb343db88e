package revocation

import (
	"bytes"
	"crypto/sha256"
	"io"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// The headers in which a verifier asks for a signed answer, and the issuer signs it.
const (
	NonceHeader  = "Counterfoil-Nonce"
	AnswerHeader = "Counterfoil-Answer"
)

// Where answers are signed, below the URL of the feed.
const (
	ManifestPath = "/manifest"
	SeenPath     = "/seen" // where a verifier tells what it has seen
	EvidencePath = "/seen/evidence"
)

// A nonce has 16 to 64 characters.
const (
	minNonce = 16
	maxNonce = 64
)

// An Exchange is a request of a verifier and its answer. What stands between the two,
// where TLS ends, can neither answer in the issuer's place nor with what it
// answered before.
type Exchange struct {
	Issuer  string
	Path    string // [ManifestPath], [SeenPath] or [EvidencePath]
	Nonce   string // by the verifier, for this request only
	Request []byte // its body
	Answer  []byte // body of the answer; empty to a report: 404, the issuer does not look for forged tokens
}

type exchangeJSON struct {
	Issuer string `json:"iss"`
	Sum    string `json:"sum"` // SHA-256 in base64url
}

// Sign returns what goes into [AnswerHeader], a compact JWS.
func (e *Exchange) Sign(feedKey *jwk.Key) (string, error) {
	if err := e.check(); err != nil {
		return "", err
	}
	sum := e.sum()
	return sign(feedKey, AnswerType, exchangeJSON{e.Issuer, wire.Encode(sum[:])})
}

// Verify returns nil if one of keys, the issuer's feed keys, vouches for the
// exchange in token.
//
// Errors: ErrFormat, ErrFeedKey, ErrIssuer.
func (e *Exchange) Verify(keys jwk.Source, token string) error {
	if err := e.check(); err != nil {
		return err
	}
	var w exchangeJSON
	if err := open(keys, AnswerType, token, &w); err != nil {
		return err
	}
	if err := checkIssuer(w.Issuer, e.Issuer); err != nil {
		return err
	}
	sum := e.sum()
	if got, err := wire.Decode(w.Sum); err != nil || !bytes.Equal(got, sum[:]) {
		return errFormat("sum")
	}
	return nil
}

func (e *Exchange) check() error {
	if len(e.Nonce) < minNonce || len(e.Nonce) > maxNonce {
		return errFormat("nonce")
	}
	return checkIssuer(e.Issuer, e.Issuer)
}

// sum hashes each part by itself, so that no byte of one passes for one of another.
func (e *Exchange) sum() [sha256.Size]byte {
	h := sha256.New()
	io.WriteString(h, "counterfoil/revocation/answer/v1")
	for _, part := range [][]byte{[]byte(e.Path), []byte(e.Nonce), e.Request, e.Answer} {
		sum := sha256.Sum256(part)
		h.Write(sum[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}
