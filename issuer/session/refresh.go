package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/account"
)

// A refresh token is
//
//	version 1 ‖ key id 1 ‖ seed 16 ‖ counter 8 ‖ epoch 8 ‖ secret 16 ‖ MAC 16
//
// in base64url, numbers big-endian. The session's id is a hash of the seed, so
// that the seed of a session is in the hands of those who were given one of its
// refresh tokens, and nowhere else: whoever has the database and the MAC key, but
// never had such a token, can make none that names the session.
const (
	refreshVersion = 1
	seedSize       = 16
	secretSize     = 16
	macSize        = 16
	bodySize       = 1 + 1 + seedSize + 8 + 8 + secretSize
	refreshSize    = bodySize + macSize

	// RefreshSize is the length of a refresh token in characters.
	RefreshSize = (8*refreshSize + 5) / 6
)

// Labels keep the uses of hashes and keys apart.
const (
	labelSession = "counterfoil/refresh/sid/v1\x00"
	labelHolder  = "counterfoil/refresh/holder/v1\x00"
	labelMAC     = "counterfoil/refresh/mac/v1\x00"
	labelNext    = "counterfoil/refresh/next/v1\x00"
)

// minRefreshKey is the least length of a MAC key in bytes.
const minRefreshKey = 32

// ErrRefresh reports a refresh token that this issuer did not make. There is one
// error for all the ways in which that can be so.
var ErrRefresh = errors.New("session: not a refresh token of this issuer")

// RefreshKeys hold the MAC keys of refresh tokens. They must be safe for
// concurrent use, and a key's id never names another key.
type RefreshKeys interface {
	RefreshKey(id byte) ([]byte, bool)
	CurrentRefreshKey() (id byte, key []byte)
}

// A Refresh is a refresh token whose MAC is right. No format verb prints it.
type Refresh struct {
	Counter uint64 // rotations before this one
	Epoch   uint64 // of the revocation log, when the token was made

	keys   RefreshKeys
	keyID  byte
	seed   [seedSize]byte
	secret [secretSize]byte
}

// NewRefresh returns the first refresh token of a new session.
func NewRefresh(keys RefreshKeys, epoch uint64) (*Refresh, error) {
	id, key := keys.CurrentRefreshKey()
	if len(key) < minRefreshKey {
		return nil, errors.New("session: refresh key is shorter than 32 bytes")
	}
	r := &Refresh{Epoch: epoch, keys: keys, keyID: id}
	rand.Read(r.seed[:])
	rand.Read(r.secret[:])
	return r, nil
}

// ParseRefresh reads a refresh token. It checks the MAC before it believes
// anything else, and returns [ErrRefresh] for whatever is wrong.
func ParseRefresh(keys RefreshKeys, token string) (*Refresh, error) {
	if len(token) != RefreshSize {
		return nil, ErrRefresh
	}
	b, err := wire.Decode(token)
	if err != nil || len(b) != refreshSize || b[0] != refreshVersion {
		return nil, ErrRefresh
	}
	key, ok := keys.RefreshKey(b[1])
	if !ok || len(key) < minRefreshKey || !hmac.Equal(refreshMAC(key, b[:bodySize]), b[bodySize:]) {
		return nil, ErrRefresh
	}
	r := &Refresh{keys: keys, keyID: b[1]}
	b = b[2:]
	b = b[copy(r.seed[:], b):]
	r.Counter, r.Epoch = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	copy(r.secret[:], b[16:])
	return r, nil
}

func refreshMAC(key, body []byte) []byte {
	return mac(key, labelMAC, body)[:macSize]
}

func mac(key []byte, label string, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	io.WriteString(m, label)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// Token returns the refresh token as the client keeps it.
func (r *Refresh) Token() string {
	b := make([]byte, 0, refreshSize)
	b = append(b, refreshVersion, r.keyID)
	b = append(b, r.seed[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Counter)
	b = binary.BigEndian.AppendUint64(b, r.Epoch)
	b = append(b, r.secret[:]...)
	return wire.Encode(append(b, refreshMAC(r.key(), b)...))
}

// key is there: ParseRefresh and NewRefresh have looked, and keys stay.
func (r *Refresh) key() []byte {
	key, _ := r.keys.RefreshKey(r.keyID)
	return key
}

// SessionID returns the "sid" of the session that the token belongs to.
func (r *Refresh) SessionID() string {
	sum := sha256.Sum256(append([]byte(labelSession), r.seed[:]...))
	return wire.Encode(sum[:seedSize])
}

// SecretHash returns what the session's row keeps of the token.
func (r *Refresh) SecretHash() [sha256.Size]byte { return sha256.Sum256(r.secret[:]) }

// Next returns the successor of the token in the given epoch. It is always the
// same one, so that a retry gets what the answer that was lost held. The secret
// of a token is needed to make the next, and nothing stores it.
func (r *Refresh) Next(epoch uint64) *Refresh {
	next := &Refresh{Counter: r.Counter + 1, Epoch: epoch, keys: r.keys, keyID: r.keyID, seed: r.seed}
	var number [16]byte
	binary.BigEndian.PutUint64(number[:], next.Counter)
	binary.BigEndian.PutUint64(number[8:], epoch)
	copy(next.secret[:], mac(r.key(), labelNext, r.seed[:], number[:], r.secret[:]))
	return next
}

// renewed returns the same token under the current MAC key.
func (r *Refresh) renewed() *Refresh {
	again := *r
	again.keyID, _ = r.keys.CurrentRefreshKey()
	return &again
}

// A Holder is a hash of who holds a refresh token: the client's address and its
// User-Agent. It is keyed by the session's seed, so that the row does not tell
// the address.
type Holder = [sha256.Size]byte

// Holder returns the hash for a client. Addresses count as [account.Network] says.
func (r *Refresh) Holder(addr netip.Addr, userAgent string) Holder {
	return Holder(mac(r.seed[:], labelHolder, []byte(account.Network(addr)), []byte{0}, []byte(userAgent)))
}

// Format writes that there is a refresh token, whatever the verb.
func (Refresh) Format(s fmt.State, _ rune) { io.WriteString(s, "refresh token (not shown)") }
