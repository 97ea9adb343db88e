package notary

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"

	"github.com/counterfoil/counterfoil/internal/wire"
)

const (
	nonceSize  = 8
	tagSize    = 12
	digestSize = 16

	// IDSize is the length of a tagged jti: nonce and tag in base64url.
	IDSize = (8*(nonceSize+tagSize) + 5) / 6

	maxKeyID = math.MaxUint16 // its length is two bytes of the MAC's input

	tagLabel = "cf1"                       // first bytes of the MAC's input
	keyLabel = "counterfoil/notary/tag/v1" // HKDF info, before NUL and kid
)

// A Digest is what the notary learns of a token: 16 bytes of a hash.
type Digest [digestSize]byte

// Sum returns SHA-256(header ‖ '.' ‖ rest)[:16]. header is the encoded header
// segment, and rest is the payload after the jti's value, as SplitPayload
// returns it.
func Sum(header string, rest []byte) Digest {
	h := sha256.New()
	io.WriteString(h, header)
	io.WriteString(h, ".")
	h.Write(rest)
	return Digest(h.Sum(nil)[:digestSize])
}

// A Tagger makes the jti of a token that the key named kid will sign. The
// notary implements it, in this process or in one of its own. It must be safe
// for concurrent use, must return another jti at each call, and must refuse
// rather than return an untagged one.
type Tagger interface {
	Tag(ctx context.Context, kid string, d Digest) (jti string, err error)
}

// SecretSize is the length of a Secret in bytes.
const SecretSize = 32

// A Secret is what the notary keeps from the signer. No format verb prints it.
type Secret [SecretSize]byte

const hidden = "notary secret (not shown)"

// Format writes that there is a secret, whatever the verb.
func (Secret) Format(s fmt.State, _ rune) { io.WriteString(s, hidden) }

// LogValue returns that there is a secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText refuses: a secret is sealed by whoever keeps it, never encoded
// by accident.
func (Secret) MarshalText() ([]byte, error) {
	return nil, errors.New("a notary secret is not encoded")
}

// Local is a notary inside this process. It is safe for concurrent use.
type Local struct {
	// A pointer, since package fmt prints the value of an unexported field
	// without asking its Format method.
	secret *Secret
}

// NewLocal returns a notary that tags with secret. A secret of zeros is refused
// by Tag, and nothing matches it.
func NewLocal(secret Secret) *Local { return &Local{secret: &secret} }

var errNoSecret = errors.New("the notary has no secret")

// Tag returns a new jti for a token with digest d that the key kid signs: 27
// characters of base64url(nonce ‖ tag). It fails only without a secret or with
// a kid of no or of more than 65,535 bytes.
func (l *Local) Tag(_ context.Context, kid string, d Digest) (string, error) {
	var nonce [nonceSize]byte
	rand.Read(nonce[:])
	tag, err := l.tag(kid, nonce, d)
	if err != nil {
		return "", err
	}
	return wire.Encode(append(nonce[:], tag[:]...)), nil
}

// Check reports, in constant time, whether jti is one that this notary made for
// kid and d.
func (l *Local) Check(kid, jti string, d Digest) bool {
	b, err := decodeID(jti)
	if err != nil {
		return false
	}
	want, err := l.tag(kid, [nonceSize]byte(b), d)
	return err == nil && hmac.Equal(want[:], b[nonceSize:])
}

// tag returns HMAC-SHA256(K_tag, "cf1" ‖ len(kid) ‖ kid ‖ nonce ‖ d)[:12], the
// length as two bytes, big-endian.
func (l *Local) tag(kid string, nonce [nonceSize]byte, d Digest) (tag [tagSize]byte, err error) {
	if *l.secret == (Secret{}) {
		return tag, errNoSecret
	}
	if kid == "" || len(kid) > maxKeyID {
		return tag, errors.New("kid is empty or too long to be tagged")
	}
	key, err := hkdf.Key(sha256.New, l.secret[:], nil, keyLabel+"\x00"+kid, sha256.Size)
	if err != nil {
		return tag, err
	}
	mac := hmac.New(sha256.New, key)
	b := append(make([]byte, 0, 128), tagLabel...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(kid)))
	b = append(append(b, kid...), nonce[:]...)
	mac.Write(append(b, d[:]...))
	return [tagSize]byte(mac.Sum(nil)), nil
}
