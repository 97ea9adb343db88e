package jwk

import (
	"crypto/fips140"
	"fmt"
	"math/big"
)

// With GODEBUG=fips140=only the standard library refuses at each use what FIPS
// 140-3 does not approve. Such a key is refused here when it is made, with the
// reason, before it looks like a bad signature or a key whose numbers do not
// belong together.

// minApprovedExponent is 2^16 + 1, FIPS 186-5, Section A.1.1.
const minApprovedExponent = 1<<16 + 1

// errUnapproved says that what is refused for the mode only.
func errUnapproved(what string) error {
	return fmt.Errorf("%w: %s is not allowed in FIPS 140-only mode", ErrUnsupported, what)
}

// approvedAlgorithm refuses OAEP with SHA-1.
func approvedAlgorithm(alg Algorithm) error {
	if alg == RSAOAEP && fips140.Enforced() {
		return errUnapproved(string(alg))
	}
	return nil
}

// approvedCurve refuses X25519.
func approvedCurve(crv string) error {
	if crv == crvX25519 && fips140.Enforced() {
		return errUnapproved(crv)
	}
	return nil
}

// approvedRSA refuses a modulus of odd length and small exponents.
func approvedRSA(modulus *big.Int, exponent int64) error {
	if (modulus.BitLen()%2 == 1 || exponent < minApprovedExponent) && fips140.Enforced() {
		return errUnapproved("this RSA modulus or exponent")
	}
	return nil
}

// approvedPrimes refuses a private key that is n, e and d alone.
func approvedPrimes(primes int) error {
	if primes != 2 && fips140.Enforced() {
		return errUnapproved("an RSA key without its primes")
	}
	return nil
}
