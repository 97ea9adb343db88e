package notary

import (
	"context"
	"hash"
)

const (
	nonceSize  = 8
	tagSize    = 12
	digestSize = 16

	// IDSize is the length of a tagged jti: nonce and tag in base64url.
	IDSize = (8*(nonceSize+tagSize) + 5) / 6

	tagLabel = "cf1" // first bytes of the MAC's input
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
