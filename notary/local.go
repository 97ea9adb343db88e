package notary

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash"
	"slices"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

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
