package jwk

import (
	"crypto/sha256"
	"slices"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// A member is one name and value of a JWK, both free of characters that JSON
// would escape.
type member struct{ name, value string }

// members are in the order in which they are written.
type members []member

// thumbprint hashes the required members, and only them, in lexicographic order
// and without white space (RFC 7638, Section 3).
func thumbprint(kty string, m material) string {
	required := append(m.required(), member{"kty", kty})
	slices.SortFunc(required, func(a, b member) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	text := []byte{'{'}
	for i, r := range required {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, `"`+r.name+`":"`+r.value+`"`...)
	}
	sum := sha256.Sum256(append(text, '}'))
	return wire.Encode(sum[:])
}

// thumbprintURI is the prefix of RFC 9278, Section 3, for SHA-256.
const thumbprintURI = "urn:ietf:params:oauth:jwk-thumbprint:sha-256:"

// ThumbprintURI returns the thumbprint as a URI (RFC 9278). For a symmetric key
// that is no more fit for publication than [Key.Thumbprint].
func (k *Key) ThumbprintURI() string { return thumbprintURI + k.Thumbprint() }
