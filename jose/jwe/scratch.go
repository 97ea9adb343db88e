package jwe

import "sync"

// A scratch is memory for one encryption or decryption. It holds nothing secret.
type scratch struct {
	sealed []byte // iv ‖ ciphertext ‖ tag
	aad    []byte
	key    []byte // encrypted
	out    []byte
}

// maxScratch bounds the memory that is kept for the next message, in bytes.
const maxScratch = 64 << 10

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) release() {
	if cap(s.sealed)+cap(s.aad)+cap(s.key)+cap(s.out) <= maxScratch {
		scratches.Put(s)
	}
}
