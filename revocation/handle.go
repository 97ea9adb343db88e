package revocation

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"sync"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// A Handle names a revocable thing to those who hold the handle key, and
// nothing to others.
type Handle uint64

const (
	// HandleSecretSize is the length of K_feed in bytes. It is fixed, since HMAC
	// takes a key and the same key with zeros after it for one.
	HandleSecretSize = 32

	handleIDSize = 12 // bytes: enough to tell keys apart
)

// A HandleKey is K_feed: it turns values into handles. It is safe for concurrent
// use, and no format verb prints it. The zero HandleKey is not usable.
type HandleKey struct{ inner *handleKey }

type handleKey struct {
	id   string
	macs sync.Pool // of *handleMAC, keyed once, reset for each use
}

type handleMAC struct {
	hash.Hash
	buf []byte
	sum [sha256.Size]byte
}

// NewHandleKey makes a handle key of HandleSecretSize random bytes.
func NewHandleKey(secret []byte) (HandleKey, error) {
	if len(secret) != HandleSecretSize {
		return HandleKey{}, errors.New("a handle key has 32 bytes")
	}
	own := append([]byte(nil), secret...)
	k := &handleKey{id: handleKeyID(own)}
	k.macs.New = func() any { return &handleMAC{Hash: hmac.New(sha256.New, own)} }
	return HandleKey{k}, nil
}

func handleKeyID(secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	io.WriteString(mac, "counterfoil/revocation/kfid/v1")
	return wire.Encode(mac.Sum(nil)[:handleIDSize])
}

// ID returns the kfid under which frames name this key.
func (k HandleKey) ID() string { return k.inner.id }

// Handle returns HMAC-SHA256(K_feed, kind ‖ 0 ‖ iss ‖ 0 ‖ value)[:8], read as a
// big-endian number. The kind is one byte. For Everything the value is empty.
func (k HandleKey) Handle(kind Kind, iss, value string) Handle {
	m := k.inner.macs.Get().(*handleMAC)
	defer k.inner.macs.Put(m)
	m.Reset()
	m.buf = append(m.buf[:0], byte(kind), 0)
	m.buf = append(append(m.buf, iss...), 0)
	m.buf = append(m.buf, value...)
	m.Write(m.buf)
	return Handle(binary.BigEndian.Uint64(m.Sum(m.sum[:0])))
}

// Target is Handle with its kind, as Query and Entry want it.
func (k HandleKey) Target(kind Kind, iss, value string) Target {
	return Target{Kind: kind, Handle: k.Handle(kind, iss, value)}
}

// Format writes the key's id, whatever the verb.
func (k HandleKey) Format(s fmt.State, _ rune) { io.WriteString(s, k.name()) }

// LogValue returns the key's id.
func (k HandleKey) LogValue() slog.Value { return slog.StringValue(k.name()) }

func (k HandleKey) name() string {
	if k.inner == nil {
		return "handle key (none)"
	}
	return "handle key " + k.inner.id
}
