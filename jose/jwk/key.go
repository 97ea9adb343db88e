package jwk

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// MaxKeyID is the longest "kid", in bytes.
const MaxKeyID = 256

// Params say what a key is for. Algorithm is required.
type Params struct {
	Algorithm Algorithm
	Also      Algorithm // second name of the same key: Ed25519 beside EdDSA or the reverse, nothing else
	KeyID     string    // default: the thumbprint; for a symmetric key none in New, random in Generate
	Limits    Limits    // default: none

	// Encryption is the one content encryption that a key for Dir is for; default:
	// each that has keys of this size. Once it is named, a JWK may have it for its
	// "alg", as is the custom (RFC 7520, Section 5.6.1).
	Encryption Encryption

	// Curve is the curve on which Generate makes a key for ECDH-ES: "P-256", the
	// default, "P-384", "P-521" or "X25519". It is not used elsewhere.
	Curve string

	Extensions []Extension // algorithms beside those of this package; default: none
}

// A Key is one key for one algorithm. It never changes and may be used by
// several goroutines at once. Printing or logging one shows its names only.
type Key struct {
	info     algorithmInfo
	alg      Algorithm
	also     Algorithm
	kid      string
	ops      operations
	limits   *Limits // nil: none
	material *hidden // nil in the zero Key, which is good for nothing: see held

	certificates *certificates // nil: none
}

// A hidden stands between a Key and its material. When a struct that holds a Key
// in an unexported field is printed with a wrong verb, package fmt asks no method
// and follows one pointer; it does not follow the second.
type hidden struct {
	material

	once       sync.Once
	thumbprint string // made when it is first asked for
}

// held returns the material, and one that can do nothing for the zero Key.
func (k *Key) held() material {
	if k.material == nil {
		return nothing{}
	}
	return k.material.material
}

// A nothing is the material of the zero Key.
type nothing struct{}

func (nothing) members() members            { return nil }
func (nothing) required() []member          { return nil }
func (nothing) isPrivate() bool             { return false }
func (nothing) public() material            { return nothing{} }
func (nothing) sign([]byte) ([]byte, error) { return nil, ErrNotPrivate }
func (nothing) verify(_, _ []byte) bool     { return false }

// A material is the mathematical part of a key. Implementations are immutable.
// Those of a public key answer ErrNotPrivate to sign.
type material interface {
	members() members   // of the JWK, all that the material holds, without kty
	required() []member // those that enter the thumbprint, without kty
	isPrivate() bool    // holds a private or symmetric part
	public() material   // without the private part; nil when symmetric
	sign(input []byte) ([]byte, error)
	verify(input, sig []byte) bool
}

// newKey puts a key together. ops has been checked against the algorithm, whose
// row is info. It keeps no memory of p.
func newKey(m material, info algorithmInfo, ops operations, p *Params) (*Key, error) {
	if p.Also != "" && !sameKey(p.Algorithm, p.Also) {
		return nil, fmt.Errorf("%w: only Ed25519 and EdDSA name one key", ErrAlgorithm)
	}
	if len(p.KeyID) > MaxKeyID {
		return nil, malformed("kid")
	}
	if m, ok := m.(*ecdhKey); ok {
		info.kty = m.kty
	}
	memory := new(struct { // of both at once
		key    Key
		hidden hidden
	})
	memory.hidden.material = m
	k := &memory.key
	*k = Key{
		info:     info,
		alg:      info.alg,
		also:     p.Also,
		kid:      strings.Clone(p.KeyID),
		ops:      ops,
		limits:   p.Limits.normal(),
		material: &memory.hidden,
	}
	if k.kid == "" && !k.IsSymmetric() {
		k.kid = k.Thumbprint()
	}
	return k, nil
}

// KeyID returns the "kid". Only a symmetric key can have none.
func (k *Key) KeyID() string { return k.kid }

// Algorithm returns the one algorithm that the key is for.
func (k *Key) Algorithm() Algorithm { return k.alg }

// Also returns the second name under which the key may be used, or "".
func (k *Key) Also() Algorithm { return k.also }

// Accepts reports whether alg, from a token's header, names the key's algorithm.
func (k *Key) Accepts(alg string) bool {
	return alg != "" && (alg == string(k.alg) || alg == string(k.also))
}

// IsPrivate reports whether the key holds a private or symmetric part, so that
// it must be kept secret.
func (k *Key) IsPrivate() bool { return k.held().isPrivate() }

// IsSymmetric reports whether the key is a shared secret.
func (k *Key) IsSymmetric() bool { return k.info.kty == ktyOct }

// Public returns the key without its private part: k itself if there is none.
// For a symmetric key the error is [ErrSymmetric].
func (k *Key) Public() (*Key, error) {
	if k.IsSymmetric() {
		return nil, ErrSymmetric
	}
	if !k.IsPrivate() {
		return k, nil
	}
	pub := *k
	pub.material = &hidden{material: k.material.public()}
	pub.ops = k.ops.public(k.info)
	return &pub, nil
}

// Limits returns the bounds on what the key's signatures are worth.
func (k *Key) Limits() Limits {
	if k.limits == nil {
		return Limits{}
	}
	return k.limits.copy()
}

// Limited reports whether the key has any [Limits], at no cost.
func (k *Key) Limited() bool { return k.limits != nil && !k.limits.isZero() }

// WithLimits returns the same key with other bounds.
func (k *Key) WithLimits(l Limits) *Key {
	bounded := *k
	bounded.limits = l.normal()
	return &bounded
}

// Thumbprint returns the SHA-256 thumbprint of RFC 7638 in base64url. That of a
// symmetric key is a hash of the secret and not for publication (Section 7).
func (k *Key) Thumbprint() string {
	if k.material == nil {
		return ""
	}
	k.material.once.Do(func() { k.material.thumbprint = thumbprint(k.info.kty, k.material) })
	return k.material.thumbprint
}

// Sign returns the signature of input as it stands in a JWS: for ECDSA that is
// r and s, each as long as the curve's order. The error is [ErrNotPrivate] or
// [ErrUse] unless the system is out of order.
func (k *Key) Sign(input []byte) ([]byte, error) {
	if !k.maySign() {
		return nil, ErrUse
	}
	return k.held().sign(input)
}

// Verify checks the signature sig of input, as it stands in a JWS. Whatever is
// wrong with sig, the error is [ErrSignature]; a key that is not for verifying
// answers [ErrUse].
func (k *Key) Verify(input, sig []byte) error {
	if !k.mayVerify() {
		return ErrUse
	}
	if !k.held().verify(input, sig) {
		return ErrSignature
	}
	return nil
}

// Find makes a Key a [Source] of itself. An empty kid finds it too. A nil Key
// finds nothing.
func (k *Key) Find(kid, alg string) (*Key, error) {
	if k == nil || kid != "" && kid != k.kid {
		return nil, ErrUnknownKey
	}
	if !k.Accepts(alg) {
		return nil, ErrAlgorithm
	}
	return k, nil
}

// String names the key and shows nothing of its material.
func (k Key) String() string {
	return fmt.Sprintf("jwk.Key{alg: %s, kid: %q}", cmp.Or(k.alg, "?"), k.kid)
}

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (k Key) Format(s fmt.State, _ rune) { fmt.Fprint(s, k.String()) }

// LogValue implements [slog.LogValuer].
func (k Key) LogValue() slog.Value {
	return slog.GroupValue(slog.String("alg", string(k.alg)), slog.String("kid", k.kid))
}

// randomKeyID returns a fresh "kid" for a key that has no public thumbprint.
func randomKeyID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	return wire.Encode(b[:])
}

func malformed(member string) error {
	return fmt.Errorf("%w: %s", ErrMalformed, member)
}
