package main

import "github.com/counterfoil/counterfoil/jose/jwk"

// What the profile shows where a target is missed. A sentence here is printed
// only when its row misses; look at the profile again before changing one.
var (
	whyVerify = map[jwk.Algorithm]string{}
	whySign   = map[jwk.Algorithm]string{}

	whyKeySet = map[string]string{}
	whyPair   = map[string]string{} // by family

	whyDirect, whyNested, whyFind, whyHostile, whyCache string
)
