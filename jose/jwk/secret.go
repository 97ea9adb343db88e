package jwk

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// Bounds on what passes for random. A random secret of 32 bytes breaks one of
// them with a probability below 2^-90.
const (
	minDistinct = 8 // different byte values in a secret
	maxRun      = 7 // equal bytes in a row
)

// wellKnown are secrets of sufficient length that stand in tutorials and sample
// configurations, and hence in every cracker's word list. Shorter ones need no
// list.
var wellKnown = [][]byte{
	[]byte("a-string-secret-at-least-256-bits-long"),
	[]byte("a-string-secret-at-least-384-bits-long-which-is-long"),
	[]byte("a-valid-string-secret-that-is-at-least-384-bits-long"),
	[]byte("a-string-secret-at-least-512-bits-long-this-is-just-a-sample"),
	[]byte("a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long"),
	[]byte("your-super-secret-jwt-token-with-at-least-32-characters-long"),
	[]byte("super-secret-jwt-token-with-at-least-32-characters-long"),
	[]byte("reallyreallyreallyreallyverysafe"),
	[]byte("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"),
	[]byte("404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970"),
	[]byte("3cfa76ef14937c1c0ea519f8fc057a80fcd04a7420f8e8bcd0a7567c272e007b"),
	[]byte("012345678901234567890123456789XY"),
	[]byte("0123456789ABCDEF0123456789ABCDEF"),
	[]byte("0123456789abcdef0123456789abcdef"),
	[]byte("abcdefghijklmnopqrstuvwxyz123456"),
	[]byte("abcdefghijklmnopqrstuvwxyz0123456789"),
	[]byte("12345678901234567890123456789012"),
	[]byte("0x64charHexEncodedSecretToken"),
}

// checkSecret refuses a shared secret of less than size bytes, one that cannot
// be random, and one that is the text or encoding of a public key.
func checkSecret(secret []byte, size int) error {
	switch {
	case len(secret) < size:
		return fmt.Errorf("%w: secret shorter than %d bytes", ErrWeakKey, size)
	case isKeyText(secret) || isKeyDER(secret):
		return fmt.Errorf("%w: secret is an encoded key or certificate", ErrWeakKey)
	case len(secret) > maxSecret:
		return fmt.Errorf("%w: secret longer than %d bytes", ErrMalformed, maxSecret)
	case patterned(secret):
		return fmt.Errorf("%w: secret is a pattern", ErrWeakKey)
	case isWellKnown(secret):
		return fmt.Errorf("%w: secret is a published example", ErrWeakKey)
	}
	return nil
}

// patterned reports whether secret is blank, padded, or one short block over
// and over.
func patterned(secret []byte) bool {
	var seen [256]bool
	distinct, run, last := 0, 0, -1
	for _, b := range secret {
		if !seen[b] {
			seen[b] = true
			distinct++
		}
		if int(b) != last {
			run, last = 0, int(b)
		}
		if run++; run > maxRun {
			return true
		}
	}
	return distinct < minDistinct || periodic(secret)
}

// periodic reports whether secret repeats a block of at most half its length.
func periodic(secret []byte) bool {
	for p := 1; p <= len(secret)/2; p++ {
		if bytes.Equal(secret[p:], secret[:len(secret)-p]) {
			return true
		}
	}
	return false
}

func isWellKnown(secret []byte) bool {
	trimmed := bytes.TrimSpace(secret)
	for _, known := range wellKnown {
		if bytes.EqualFold(trimmed, known) {
			return true
		}
	}
	return false
}

// isKeyText recognises the text forms of a key that is probably public: handing
// it to HMAC is the algorithm confusion of CVE-2016-10555.
func isKeyText(secret []byte) bool {
	text := bytes.TrimSpace(secret)
	for _, prefix := range []string{"ssh-", "ecdsa-sha2-"} {
		if bytes.HasPrefix(text, []byte(prefix)) {
			return true
		}
	}
	if bytes.Contains(text, []byte("-----BEGIN ")) || isJWKText(text) {
		return true
	}
	// The inside of a PEM block; encoding/base64 passes over its line ends.
	der, err := base64.StdEncoding.DecodeString(string(text))
	return err == nil && isKeyDER(der)
}

func isJWKText(text []byte) bool {
	var object map[string]jsontext.Value
	if wire.Unmarshal(text, &object) != nil {
		return false
	}
	return object["kty"] != nil || object["keys"] != nil
}

// isKeyDER recognises SubjectPublicKeyInfo, PKCS #1 and PKCS #8 keys and
// certificates, by their outer structure.
func isKeyDER(der []byte) bool {
	type identifier struct {
		OID    asn1.ObjectIdentifier
		Params asn1.RawValue `asn1:"optional"`
	}
	var (
		spki struct {
			Algorithm identifier
			Key       asn1.BitString
		}
		pkcs1 struct{ N, E asn1.RawValue }
		pkcs8 struct {
			Version   int
			Algorithm identifier
			Key       []byte
		}
		certificate struct {
			TBS       struct{ Raw asn1.RawContent }
			Algorithm identifier
			Signature asn1.BitString
		}
	)
	return isDER(der, &spki) || isDER(der, &pkcs8) || isDER(der, &certificate) ||
		isDER(der, &pkcs1) && pkcs1.N.Tag == asn1.TagInteger && pkcs1.E.Tag == asn1.TagInteger
}

func isDER(der []byte, v any) bool {
	rest, err := asn1.Unmarshal(der, v)
	return err == nil && len(rest) == 0
}
