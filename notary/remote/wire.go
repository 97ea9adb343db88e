package remote

import (
	"crypto/sha256"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/notary"
)

// What the two ends ask each other.
const (
	pathTag         = "/tag"
	pathCheck       = "/check"
	pathWitnessKeys = "/witness-keys"
	pathReleaseKey  = "/release-key"
	pathRelease     = "/release"

	codeNotSealed = "not_sealed_here" // the error code of a release that opens nothing

	jsonType    = "application/json"
	verdictType = "application/octet-stream" // a byte for each record: 1 right, 0 wrong
)

// Bounds on bodies, in bytes.
const (
	maxTagBody     = 4 << 10
	maxReleaseBody = 32 << 10 // around a JWE, which is at most 16 KiB
	maxKeysBody    = 16 << 10
)

// A tagRequest has a digest for a tag alone, and the whole hash for a witness too.
type tagRequest struct {
	KeyID  string `json:"kid"`
	Digest string `json:"digest,omitzero"` // 16 bytes in base64url
	Sum    string `json:"sum,omitzero"`    // 32 bytes in base64url
}

type tagAnswer struct {
	ID      string `json:"jti"`
	Witness string `json:"witness,omitzero"`
}

type releaseMessage struct {
	KeyID  string `json:"kid,omitzero"`
	Sealed string `json:"sealed"`
}

// digest returns the hash that was sent, of which there is one.
func (r *tagRequest) digest() (d notary.Digest, ok bool) {
	return d, r.Sum == "" && decodeInto(d[:], r.Digest)
}

func (r *tagRequest) sum() (h [sha256.Size]byte, ok bool) {
	return h, r.Digest == "" && decodeInto(h[:], r.Sum)
}

func decodeInto(dst []byte, text string) bool {
	b, err := wire.Decode(text)
	return err == nil && copy(dst, b) == len(dst) && len(b) == len(dst)
}
