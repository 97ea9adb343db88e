package jwk

import "math/big"

// rocaPrimes are the primes whose product the broken generator built its keys
// on, as far as a fingerprint needs them.
var rocaPrimes = [...]int64{
	3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101,
	103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
}

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
