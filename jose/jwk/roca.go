package jwk

import "math/big"

// rocaPrimes are those among the primes that the broken generator built its keys
// on whose residues tell something: modulo the others up to 167 every number is
// a power of 65537. Those that rule out the most come first.
var rocaPrimes = [...]int64{97, 37, 79, 11, 61, 73, 127, 151, 13, 17, 19, 53, 71, 103, 107, 109, 157}

// hasROCA recognises a modulus from the smart card library of CVE-2017-15361:
// modulo each of these primes it is a power of 65537. Such a key can be
// factored; any other modulus looks like one once in 2^27 at most.
func hasROCA(n *big.Int) bool {
	var residue, prime big.Int
	for _, p := range rocaPrimes {
		residue.Mod(n, prime.SetInt64(p))
		if !isPower(residue.Int64(), 65537%p, p) {
			return false
		}
	}
	return true
}

// isPower reports whether x is a power of g modulo the prime p.
func isPower(x, g, p int64) bool {
	power := int64(1)
	for range p {
		if power == x {
			return true
		}
		power = power * g % p
	}
	return false
}
