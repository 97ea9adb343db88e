package jwk

import (
	"encoding/binary"
	"math/big"
)

// rocaPrimes are those among the primes that the broken generator built its keys
// on whose residues tell something: modulo the others up to 167 every number is
// a power of 65537.
var rocaPrimes = [...]uint64{97, 37, 79, 11, 61, 73, 127, 151, 13, 17, 19, 53, 71, 103, 107, 109, 157}

// hasROCA recognises a modulus from the smart card library of CVE-2017-15361:
// modulo each of these primes it is a power of 65537. Such a key can be
// factored; any other modulus looks like one once in 2^27 at most. n is
// big-endian.
func hasROCA(n []byte) bool {
	if !isPower(mod97(n), 97) { // 15 in 16 end here
		return false
	}
	modulus := new(big.Int).SetBytes(n)
	var residue, prime big.Int
	for _, p := range rocaPrimes[1:] {
		if !isPower(residue.Mod(modulus, prime.SetUint64(p)).Uint64(), p) {
			return false
		}
	}
	return true
}

// mod97 returns n modulo 97, which divides 2^48 - 1: adding up pieces of 48 bits
// changes nothing.
func mod97(n []byte) (sum uint64) {
	for ; len(n) >= 8; n = n[:len(n)-6] {
		sum += binary.BigEndian.Uint64(n[len(n)-8:]) & (1<<48 - 1)
	}
	for i, b := range n {
		sum += uint64(b) << (8 * (len(n) - 1 - i) % 48)
	}
	return sum % 97
}

// isPower reports whether x is a power of 65537 modulo the prime p.
func isPower(x, p uint64) bool {
	power := uint64(1)
	for x != power {
		if power = power * (65537 % p) % p; power == 1 {
			return false
		}
	}
	return true
}
