package keyring

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/notary"
)

// What a sealed key is for. The purpose is the beginning of the key id of what is
// not published, so that a sealed key put into the row of another is noticed.
const (
	purposeFeed    = "feed"
	purposeRoot    = "root"
	purposeHandle  = "handle"
	purposeRefresh = "refresh"
	purposeStandby = "standby"
)

const (
	sealEncryption  = "A256GCM"
	sealContentType = "jwk+json" // RFC 7517, Section 8.5.1
)

// kidBytes is the size of a key id: 48 random bits, 8 characters in the header of
// each token. The primary key of the store, which keeps retired ids, makes sure
// that none is used twice.
const kidBytes = 6

// newKeyID returns an id that begins with a letter or digit: on a command line one
// that begins with a dash would be taken for a flag.
func newKeyID() string {
	var b [kidBytes]byte
	for {
		rand.Read(b[:])
		if kid := wire.Encode(b[:]); kid[0] != '-' && kid[0] != '_' {
			return kid
		}
	}
}

// sealJSON encrypts v under the key-encryption key that the store is sealed under,
// or fails with a [*KEKError] when this node does not have it.
func (l *locker) sealJSON(id string, v any) (string, error) {
	plain, err := wire.Marshal(v)
	if err != nil {
		return "", err
	}
	return l.seal(id, plain)
}

// sealKey encrypts the whole JWK of key.
func (l *locker) sealKey(id string, key *jwk.Key) (string, error) {
	plain, err := key.MarshalPrivate()
	if err != nil {
		return "", err
	}
	return l.seal(id, plain)
}

// seal encrypts plain and forgets it.
func (l *locker) seal(id string, plain []byte) (string, error) {
	defer clear(plain)
	kek, err := l.find(id)
	if err != nil {
		return "", err
	}
	return sealUnder(kek, plain)
}

// parseSealed makes a key of what was sealed, and forgets that.
func parseSealed(plain []byte) (*jwk.Key, error) {
	defer clear(plain)
	key, err := jwk.Parse(plain)
	if err != nil {
		return nil, ErrKEK
	}
	return key, nil
}

func (l *locker) openKey(sealed string) (*jwk.Key, error) {
	plain, err := l.open(sealed)
	if err != nil {
		return nil, err
	}
	return parseSealed(plain)
}

func (l *locker) openJSON(sealed string, v any) error {
	plain, err := l.open(sealed)
	if err != nil {
		return err
	}
	defer clear(plain)
	if wire.Unmarshal(plain, v) != nil {
		return ErrKEK
	}
	return nil
}

// openFor opens a sealed key that must be for the given purpose.
func (l *locker) openFor(purpose, sealed string) (*jwk.Key, error) {
	key, err := l.openKey(sealed)
	if err != nil {
		return nil, err
	}
	if got, _, _ := strings.Cut(key.KeyID(), "."); got != purpose {
		return nil, ErrKEK
	}
	return key, nil
}

// ErrHeld reports that a key cannot sign because it is sealed to a notary that
// this node was not started with, or that cannot open it.
var ErrHeld = errors.New("the standby keys are sealed to another notary, or to one that this node was not started with")

// heldScheme begins what is sealed to the notary. No JWE has a colon.
const heldScheme = "notary:"

func held(sealed string) bool { return strings.HasPrefix(sealed, heldScheme) }

// hold seals a standby to the notary, so that whoever steals the store and the
// key-encryption key has none. Below the notary's layer is one under a secret of the
// keyring, so that the notary never sees a signing key; not under the key-encryption
// key itself, since that can change without the notary.
func (k *Keyring) hold(release, key *jwk.Key) (string, error) {
	plain, err := key.MarshalPrivate()
	if err != nil {
		return "", err
	}
	defer clear(plain)
	inner, err := sealUnder(k.fixed.standby, plain)
	if err != nil {
		return "", err
	}
	sealed, err := notary.SealFor(release, key.KeyID(), inner)
	return heldScheme + sealed, err
}

// A candidate is a key that can sign next: a standby that was opened or, where none
// could be and nobody can wait, a key that was just made.
type candidate struct {
	kid    string
	sealed string   // as the row of the standby holds it
	key    *jwk.Key // the private half
	fresh  *draft   // in place of a standby
	left   []string // connected verifiers that do not hold it and are waited for no longer
}

// candidate opens the first standby of a place that can be opened, or the one with
// the given id. It asks the notary for one that is sealed to it, and should be
// called only when that is about to sign.
func (k *Keyring) candidate(ctx context.Context, at place, kid string) (*candidate, error) {
	var waiting []*store.KeyRow
	err := k.st.View(ctx, func(tx *store.Tx) error {
		rows, err := k.own(tx)
		waiting = rowsIn(rows, at, Standby)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = ErrNoActive
	for _, row := range waiting { // Keys has the oldest first
		if kid != "" && kid != row.KID {
			continue
		}
		key, trouble := k.openStandby(ctx, row)
		if trouble == nil {
			return &candidate{kid: row.KID, sealed: row.Sealed, key: key}, nil
		}
		err = fmt.Errorf("standby %s: %w", row.KID, trouble)
	}
	return nil, err
}

// openStandby opens the sealed key of a row, and the notary's layer above it.
func (k *Keyring) openStandby(ctx context.Context, row *store.KeyRow) (*jwk.Key, error) {
	key, err := k.openRow(ctx, row)
	if err != nil {
		return nil, err
	}
	public, err := jwk.Parse(row.Public)
	if err != nil {
		return nil, err
	}
	return key, sameKey(key, public)
}

func (k *Keyring) openHeld(ctx context.Context, row *store.KeyRow) (*jwk.Key, error) {
	if k.cfg.Notary == nil {
		return nil, ErrHeld
	}
	inner, err := k.cfg.Notary.Release(ctx, row.KID, strings.TrimPrefix(row.Sealed, heldScheme))
	if err != nil {
		return nil, err
	}
	plain, err := openUnder(k.fixed.standby, inner)
	if err != nil {
		return nil, ErrHeld
	}
	return parseSealed(plain)
}
