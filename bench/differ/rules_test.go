package differ_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/pem"
	"strings"
)

// strictTokens are the rules by which we refuse what others may accept. Each
// stands in docs/specs.md.
var strictTokens = []rule[token]{
	{"base64url has one spelling", "RFC 7515 §2, RFC 4648 §3.5", anySegment(func(s string) bool { return !isCanonical(s) })},
	{"size", "docs/specs.md: sizes", func(t token) bool { return len(t.text) > 16<<10 || len(t.header) > 4<<10 }},
	{"text", "RFC 7493 §2.1: no lone surrogate, no broken UTF-8", func(t token) bool { return !isText(t.header) || !isText(t.claims) }},
	{"duplicate member", "RFC 7493 §2.3", func(t token) bool { return hasDuplicate(t.header) || hasDuplicate(t.claims) }},
	{"nesting", "docs/specs.md: JSON, at most 32 levels", func(t token) bool { return depth(t.header) > 32 || depth(t.claims) > 32 }},
	{"crit or b64", "RFC 7515 §4.1.11, RFC 7797 §6", hasHeader("crit", "b64")},
	{"enc", "RFC 7516 §9", hasHeader("enc")},
	{"header parameter of the wrong type", "RFC 7515 §4.1: alg, kid, typ and cty are strings", func(t token) bool {
		return isWrong(t.headerMembers, isString, "alg", "kid", "typ", "cty")
	}},
	{"kid", "docs/specs.md: sizes", func(t token) bool { return len(headerText(t, "kid")) > 256 }},
	{"typ", "RFC 8725 §3.11: the type that the policy wants, by its exact name", func(t token) bool {
		typ := strings.ToLower(headerText(t, "typ"))
		return !isASCII(typ) || strings.TrimPrefix(typ, "application/") != "at+jwt"
	}},
	{"claim of the wrong type", "RFC 7519 §4.1: iss, sub and jti are strings", func(t token) bool {
		return isWrong(t.claimMembers, isString, "iss", "sub", "jti")
	}},
	{"aud", "RFC 7519 §4.1.3: a string or a list of strings", func(t token) bool { return isWrong(t.claimMembers, isAudience, "aud") }},
	{"claim by another name", "RFC 7493 §2.3: names are compared as they are", func(t token) bool {
		return !hasClaim(t, "iss") || !hasClaim(t, "aud") || !hasClaim(t, "exp")
	}},
	{"date", "RFC 7519 §2: a number, from 0 to below 2^53", func(t token) bool {
		return isWrong(t.claimMembers, isDate, "exp", "nbf", "iat")
	}},
	{"expired", "RFC 7519 §4.1.4: on or after", func(t token) bool { return hasClaim(t, "exp") && date(t, "exp") <= now }},
	{"not yet", "docs/specs.md: fractions count", func(t token) bool { return date(t, "nbf") > now || date(t, "iat") > now }},
	{"life", "RFC 8725 §3.8: a day unless the policy says otherwise", func(t token) bool {
		begun := float64(now)
		if hasClaim(t, "iat") {
			begun = date(t, "iat")
		}
		return date(t, "exp")-begun > 24*60*60
	}},
	{"HMAC secret", "RFC 7518 §3.2 and docs/specs.md: as long as the hash, at most 1,024 bytes, no pattern and no public key", func(t token) bool {
		secret, ok := t.key.private.([]byte)
		return ok && isNoSecret(secret, hashSize[t.key.alg])
	}},
	{"RSA modulus", "RFC 7518 §3.3: 2048 bits", func(t token) bool {
		key, ok := t.key.private.(*rsa.PrivateKey)
		return ok && key.N.BitLen() < 2048
	}},
	{"PSS salt", "RFC 7518 §3.5: as long as the hash", func(t token) bool {
		return isPSS(t, rsa.PSSSaltLengthAuto) && !isPSS(t, rsa.PSSSaltLengthEqualsHash)
	}},
}

// lenientTokens are the reasons for which we accept what nobody else does. There
// is none.
var lenientTokens = []rule[token]{}

// isPSS reports whether the signature of a token verifies with this length of salt.
func isPSS(t token, salt int) bool {
	key, ok := t.key.public.(*rsa.PublicKey)
	dot := strings.LastIndexByte(t.text, '.')
	if !ok || t.key.alg[0] != 'P' || dot < 0 {
		return false
	}
	options := &rsa.PSSOptions{SaltLength: salt}
	return rsa.VerifyPSS(key, t.key.hash(), t.key.digest(t.text[:dot]), loosely(t.text[dot+1:]), options) == nil
}

var hashSize = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

func isNoSecret(secret []byte, size int) bool {
	block, _ := pem.Decode(secret)
	return len(secret) < size || len(secret) > 1024 || block != nil ||
		bytes.Count(secret, secret[:1]) == len(secret)
}

func anySegment(holds func(string) bool) func(token) bool {
	return func(t token) bool {
		for segment := range strings.SplitSeq(t.text, ".") {
			if holds(segment) {
				return true
			}
		}
		return false
	}
}

func hasHeader(names ...string) func(token) bool {
	return func(t token) bool { return hasAny(t.headerMembers, names...) }
}

func headerText(t token, name string) string {
	value, _ := get(t.headerMembers, name)
	return text(value)
}

func hasClaim(t token, name string) bool {
	return hasAny(t.claimMembers, name)
}

// date is a claim's value, 0 if it is absent or no number.
func date(t token, name string) float64 {
	value, _ := get(t.claimMembers, name)
	seconds, _ := number(value)
	return seconds
}

// isWrong reports whether a list has one of the members and it is not what it
// should be.
func isWrong(list []member, right func(value []byte) bool, names ...string) bool {
	for _, name := range names {
		if value, ok := get(list, name); ok && !right(value) {
			return true
		}
	}
	return false
}

func isAudience(value []byte) bool {
	if isString(value) {
		return true
	}
	list := elementsOf(value)
	for _, element := range list {
		if !isString(element) {
			return false
		}
	}
	return len(list) > 0
}

func isDate(value []byte) bool {
	seconds, ok := number(value)
	return ok && seconds >= 0 && seconds < 1<<53
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
