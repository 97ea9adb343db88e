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

	opDeriveKey  = "deriveKey"
	opDeriveBits = "deriveBits"
)

// operations is the "key_ops" of a key; nil allows all that the algorithm can do.
type operations []string

// What the kinds of algorithm can do. Keys for A*KW and RSA-OAEP are found
// labelled both as encrypting and as wrapping.
var (
	signing   = operations{opSign, opVerify}
	direct    = operations{opEncrypt, opDecrypt}
	wrapping  = operations{opEncrypt, opDecrypt, opWrap, opUnwrap}
	agreeing  = operations{opDeriveKey, opDeriveBits}
	passwords = slices.Concat(wrapping, agreeing)

	registered = slices.Concat(signing, wrapping, agreeing) // all of RFC 7517, Section 4.3
)

// able returns what keys of an algorithm can do.
func (info algorithmInfo) able() operations {
	switch {
	case !info.wraps:
		return signing
	case info.family == familyDirect:
		return direct
	case info.family == familyECDH:
		return agreeing
	case info.family == familyPBES2 || info.family == familyHPKE:
		return passwords
	default:
		return wrapping
	}
}

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
	able := info.able()
	for _, op := range ops {
		if slices.Contains(registered, op) && !slices.Contains(able, op) {
			return fmt.Errorf("%w: key_ops against alg", ErrUse)
		}
	}
	switch {
	case !private && info.agrees(): // there is no operation for it: often an empty list
	case !ops.allow(able...):
		return fmt.Errorf("%w: key_ops against alg", ErrUse)
	case !private && !ops.allow(opVerify, opEncrypt, opWrap):
		return fmt.Errorf("%w: key_ops of a public key without verify, encrypt and wrapKey", ErrUse)
	}
	for i, op := range ops {
		if slices.Contains(ops[:i], op) { // RFC 7517, Section 4.3
			return fmt.Errorf("%w: duplicate key_ops", ErrMalformed)
		}
	}
	return nil
}

// public returns what the public half of a key pair may do.
func (ops operations) public(info algorithmInfo) operations {
	switch {
	case ops == nil:
		return nil
	case !info.wraps:
		return operations{opVerify}
	case info.family == familyECDH:
		return operations{}
	}
	public := operations{}
	if ops.allow(opEncrypt, opDecrypt) {
		public = append(public, opEncrypt)
	}
	if ops.allow(opWrap, opUnwrap) {
		public = append(public, opWrap)
	}
	return public
}

// maySign reports whether both algorithm and "key_ops" of a key let it sign.
func (k *Key) maySign() bool { return !k.info.wraps && k.ops.allow(opSign) }

func (k *Key) mayVerify() bool { return !k.info.wraps && k.ops.allow(opVerify) }

// mayEncrypt looks at "key_ops". What the public half of a key for agreement has
// there was never settled: it is usually empty.
func (k *Key) mayEncrypt() bool {
	switch k.info.family {
	case familyECDH, familyHPKE:
		return true
	case familyPBES2:
		return k.ops.allow(opWrap, opEncrypt, opDeriveKey, opDeriveBits)
	case familyDirect:
		return k.ops.allow(opEncrypt)
	default:
		return k.ops.allow(opWrap, opEncrypt)
	}
}

func (k *Key) mayDecrypt() bool {
	switch k.info.family {
	case familyECDH:
		return k.ops.allow(opDeriveKey, opDeriveBits)
	case familyPBES2, familyHPKE:
		return k.ops.allow(opUnwrap, opDecrypt, opDeriveKey, opDeriveBits)
	default:
		return k.ops.allow(opUnwrap, opDecrypt)
	}
}

// useOf returns the "use" (RFC 7517, Section 4.2) of an algorithm's keys.
func useOf(info algorithmInfo) string {
	if info.wraps {
		return "enc"
	}
	return "sig"
}
