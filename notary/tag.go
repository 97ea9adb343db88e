package notary

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"math"
	"slices"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
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

	witnessKeyLabel = "counterfoil/notary/witness/v1" // HKDF info
)

// A Digest is what the notary learns of a token: 16 bytes of a hash.
type Digest [digestSize]byte

// Sum returns SHA-256(header ‖ '.' ‖ rest)[:16]. header is the encoded header
// segment, without its witness if it has one (see [SplitWitness]): that is made
// later. rest is the payload after the jti's value, as SplitPayload returns it.
func Sum(header string, rest []byte) Digest {
	bare, _ := SplitWitness(header)
	h := sum(bare, rest)
	return Digest(h[:digestSize])
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

// MaxSecrets is how many secrets a notary has at most.
const MaxSecrets = 4

// Local is a notary inside this process: it tags, checks and witnesses. It is safe
// for concurrent use.
type Local struct {
	// A pointer, since package fmt prints the value of an unexported field
	// without asking its Format method.
	own *local
}

type local struct {
	secrets   []Secret   // the first tags, each checks
	witnesses []*jwk.Key // of each secret
}

// NewLocal returns a notary that tags with secret, and that finds tags right which
// were made with any of the others too. So a secret is changed without a false
// alarm: the new one is one of the others everywhere, becomes the first, and the
// old one goes when the last token under it has expired.
//
// With a secret of zeros, or with more than MaxSecrets, it tags and checks nothing.
func NewLocal(secret Secret, others ...Secret) *Local {
	own := &local{secrets: append([]Secret{secret}, others...)}
	if len(own.secrets) > MaxSecrets || slices.Contains(own.secrets, Secret{}) {
		return &Local{own: new(local)}
	}
	for i := range own.secrets {
		own.witnesses = append(own.witnesses, own.secrets[i].witnessKey())
	}
	return &Local{own: own}
}

// ErrKeyID reports a kid of no or of more than 65,535 bytes.
var ErrKeyID = errors.New("kid is empty or too long to be tagged")

var (
	errNoSecret = errors.New("the notary has no secret")
	errRecords  = errors.New("too many records to be checked at once")
)

// first returns the secret that tags.
func (l *Local) first() (*Secret, error) {
	if len(l.own.secrets) == 0 {
		return nil, errNoSecret
	}
	return &l.own.secrets[0], nil
}

// Tag returns a new jti for a token with digest d that the key kid signs: 27
// characters of base64url(nonce ‖ tag). It fails only without a secret or with
// [ErrKeyID].
func (l *Local) Tag(_ context.Context, kid string, d Digest) (string, error) {
	secret, err := l.first()
	if err != nil {
		return "", err
	}
	mac, err := secret.tagMAC(kid)
	if err != nil {
		return "", err
	}
	var nonce [nonceSize]byte
	rand.Read(nonce[:])
	tag := tagOf(mac, kid, nonce, d)
	return wire.Encode(append(nonce[:], tag[:]...)), nil
}

// Check reports of each record, in constant time, whether this notary made its
// tag. It fails only without a secret or with more than MaxRecords records.
func (l *Local) Check(_ context.Context, records []Record) ([]bool, error) {
	if _, err := l.first(); err != nil {
		return nil, err
	}
	if len(records) > MaxRecords {
		return nil, errRecords
	}
	right := make([]bool, len(records))
	macs := make(map[string][]hash.Hash) // of each kid among records, which are few
	for i := range records {
		r := &records[i]
		of, known := macs[r.KeyID]
		if !known {
			of = l.tagMACs(r.KeyID)
			macs[r.KeyID] = of
		}
		for _, mac := range of {
			want := tagOf(mac, r.KeyID, r.Nonce, r.Digest)
			right[i] = hmac.Equal(want[:], r.Tag[:]) || right[i]
		}
	}
	return right, nil
}

// tagMACs returns the MACs of all secrets for kid, none for one that is not tagged.
func (l *Local) tagMACs(kid string) (macs []hash.Hash) {
	for i := range l.own.secrets {
		mac, err := l.own.secrets[i].tagMAC(kid)
		if err != nil {
			return nil
		}
		macs = append(macs, mac)
	}
	return macs
}

// TagWitness returns a jti as Tag does, and its witness. header is the header
// segment of the token without a witness.
func (l *Local) TagWitness(ctx context.Context, kid, header string, rest []byte) (jti, witness string, err error) {
	return l.TagWitnessSum(ctx, kid, sum(header, rest))
}

// TagWitnessSum is TagWitness for a token of which no more is known than
// SHA-256(header ‖ '.' ‖ rest): its first 16 bytes are the Digest.
func (l *Local) TagWitnessSum(ctx context.Context, kid string, h [sha256.Size]byte) (jti, witness string, err error) {
	jti, err = l.Tag(ctx, kid, Digest(h[:digestSize]))
	if err != nil {
		return "", "", err
	}
	signature, err := l.own.witnesses[0].Sign(witnessInput(kid, jti, h))
	if err != nil {
		return "", "", err
	}
	return jti, wire.Encode(signature), nil
}

// WitnessKeys returns the public keys that verify the witnesses of all secrets.
func (l *Local) WitnessKeys(context.Context) (*jwk.Set, error) {
	if _, err := l.first(); err != nil {
		return nil, err
	}
	public := make([]*jwk.Key, 0, MaxSecrets)
	for _, key := range l.own.witnesses {
		key, err := key.Public()
		if err != nil {
			return nil, err
		}
		public = append(public, key)
	}
	return jwk.NewSet(public...)
}

// tagMAC returns HMAC-SHA256 under K_tag, which is of its own for each kid.
func (s *Secret) tagMAC(kid string) (hash.Hash, error) {
	if kid == "" || len(kid) > maxKeyID {
		return nil, ErrKeyID
	}
	key, err := hkdf.Key(sha256.New, s[:], nil, keyLabel+"\x00"+kid, sha256.Size)
	if err != nil {
		return nil, err
	}
	return hmac.New(sha256.New, key), nil
}

// witnessKey returns the key that signs witnesses. It is made of the secret, so
// that notaries with the same secret make the same.
func (s *Secret) witnessKey() *jwk.Key {
	seed, err := hkdf.Key(sha256.New, s[:], nil, witnessKeyLabel, ed25519.SeedSize)
	if err != nil {
		panic(err) // the length is right
	}
	private := ed25519.NewKeyFromSeed(seed)
	id := sha256.Sum256(private.Public().(ed25519.PublicKey))
	key, err := jwk.New(private, jwk.Params{Algorithm: jwk.EdDSA, KeyID: "witness-" + wire.Encode(id[:9])})
	if err != nil {
		panic(err) // a fresh key of this algorithm
	}
	return key
}

// tagOf returns mac("cf1" ‖ len(kid) ‖ kid ‖ nonce ‖ d)[:12], the length as two
// bytes, big-endian.
func tagOf(mac hash.Hash, kid string, nonce [nonceSize]byte, d Digest) [tagSize]byte {
	var room [128]byte
	b := appendKeyID(append(room[:0], tagLabel...), kid)
	b = append(append(b, nonce[:]...), d[:]...)
	mac.Reset()
	mac.Write(b)
	return [tagSize]byte(mac.Sum(b[:0]))
}
