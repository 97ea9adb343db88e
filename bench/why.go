package main

import "github.com/counterfoil/counterfoil/jose/jwk"

const (
	whyClaims = "what is added to the bare operation is 2 to 3 µs, the same under every algorithm. Under HS256 a quarter of the whole is the MAC, two fifths are reading and " +
		"checking the claims and filling the struct, a seventh is base64url, and the rest memory and copying."
	whyWritten = "what is added is writing the claims and encoding them, some 1.5 µs under every algorithm."
	whyFresh   = "all of the bare operation takes 1 to 4 µs here, so that base64url in and out, the header and the memory of the message, together about 1 µs, cannot disappear; " +
		"key schedules of the fresh key are in both."
)

// What the profile shows where a target is missed. A sentence here is printed
// only when its row misses; look at the profile again before changing one.
var (
	whyVerify = map[jwk.Algorithm]string{
		jwk.HS256: whyClaims, jwk.RS256: whyClaims, jwk.PS256: whyClaims, jwk.ES256: whyClaims, jwk.ES384: whyClaims, jwk.Ed25519: whyClaims,
	}
	whySign = map[jwk.Algorithm]string{
		jwk.HS256: whyWritten, jwk.RS256: whyWritten, jwk.PS256: whyWritten, jwk.ES256: whyWritten, jwk.ES384: whyWritten, jwk.Ed25519: whyWritten,
	}
	whyPair = map[string]string{ // by family
		"A*KW": whyFresh, "A*GCMKW": whyFresh, "dir": whyFresh,
		"ECDH-ES":      "beside the agreement: reading the sender's key from JSON, and checking that it is on the curve, which the bare operation does too.",
		"ECDH-ES+A*KW": "beside the agreement: reading the sender's key from JSON, and checking that it is on the curve, which the bare operation does too.",
		"RSA-OAEP":     "encrypting is cheap with a public key: what is added is base64url and the memory of the message, 2 µs of 40.",
		"PBES2":        "the iterations are everything: what differs is noise.",
	}
	whyKeySet = map[string]string{
		"Ed25519":         "nine tenths are decompressing the point, which refuses keys that are none; go-jose checks nothing of them.",
		"EC P-256":        "a third is the check that the point is on the curve, a third is memory for keys that are used for long, a quarter reading the JSON.",
		"RSA 2048":        "most is checking the modulus, which go-jose does not.",
		"RSA, EC and OKP": "half is decompressing the points of the Ed25519 keys, which refuses keys that are none; go-jose checks nothing of them.",
	}
)

const (
	whyDirect       = "half is AES-GCM itself and a quarter base64url; the standard library's operation alone is at 0.03× and 0.015×."
	whyNested       = "two layers of base64url around the claims."
	whyFind         = "the lookup in the map of the set."
	whyHostile      = "see the rows below."
	whyCache        = "most is waiting for memory: the token, its entry and what later checks look at lie in 100,000 different places, and every byte of the token is hashed and compared."
	whyTagBytes     = "27 characters in place of 22, and base64url over them."
	whyWitnessBytes = "64 bytes of signature, twice in base64url, and the parameter's name."
	whyTagIssue     = "a hash of the claims, the key of the kid and a MAC."
	whyTagSight     = "a MAC over the token, its place among those seen, and its share of a request."
	whyUpload       = "37 bytes a distinct token, and the headers of a request each 250 ms."
	whyClock        = "a report waits for its batch, the evidence for a request, the entry for the store, and the guards for a frame."
)
