package jwk

import (
	"fmt"
	"slices"
)

// The values of "key_ops" that say something about our algorithms (RFC 7517,
// Section 4.3).
const (
	opSign    = "sign"
	opVerify  = "verify"
	opEncrypt = "encrypt"
	opDecrypt = "decrypt"
	opWrap    = "wrapKey"
	opUnwrap  = "unwrapKey"
)

// operations is the "key_ops" of a key; nil allows all that the algorithm can do.
type operations []string

// signing and wrapping are what the two sorts of algorithm can do. Keys for A*KW
// are found labelled both ways.
var (
	signing  = operations{opSign, opVerify}
	wrapping = operations{opEncrypt, opDecrypt, opWrap, opUnwrap}
)

// allow reports whether ops contains one of names, or is silent.
func (ops operations) allow(names ...string) bool {
	if ops == nil {
		return true
	}
	for _, name := range names {
		if slices.Contains(ops, name) {
			return true
		}
	}
	return false
}

// check refuses operations that contradict the algorithm, or that leave a key
// with nothing to do. Operations that are not registered are passed over.
func (ops operations) check(info algorithmInfo, private bool) error {
	if ops == nil {
		return nil
	}
	able, other := signing, wrapping
	if info.wraps {
		able, other = wrapping, signing
	}
	if !ops.allow(able...) || ops.allow(other...) || ops.allow("deriveKey", "deriveBits") {
		return fmt.Errorf("%w: key_ops against alg", ErrUse)
	}
	if !private && !ops.allow(opVerify) {
		return fmt.Errorf("%w: key_ops of a public key without verify", ErrUse)
	}
	for i, op := range ops {
		if slices.Contains(ops[:i], op) { // RFC 7517, Section 4.3
			return fmt.Errorf("%w: duplicate key_ops", ErrMalformed)
		}
	}
	return nil
}

// public returns what the public half of a signing key may do.
func (ops operations) public() operations {
	if ops == nil {
		return nil
	}
	return operations{opVerify}
}

// useOf returns the "use" (RFC 7517, Section 4.2) of an algorithm's keys.
func useOf(info algorithmInfo) string {
	if info.wraps {
		return "enc"
	}
	return "sig"
}
