package jws

import (
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// WithUnencoded returns the header for a payload that is signed as it is, without
// base64url (RFC 7797): it sets "b64" to false and lists it in "crit". That saves
// a third of the size of a payload that can stand in the token as text, and the
// encoding of one that is detached. Only who knows the extension can verify, and
// a JWT must not use it (RFC 7797, Section 7).
func (h Header) WithUnencoded() Header {
	return h.with("b64", jsontext.Value("false")).criticalize("b64")
}

// Unencoded reports whether the payload is signed without base64url encoding:
// whether "b64" is false (RFC 7797).
func (h Header) Unencoded() bool { return unencoded(h.members) }

func unencoded(members map[string]jsontext.Value) bool { return string(members["b64"]) == "false" }

// checkUnencoded judges "b64". RFC 7797, Section 6: it is a boolean and listed in
// "crit", where it has been understood.
func checkUnencoded(protected map[string]jsontext.Value, critical []string) error {
	b64, ok := protected["b64"]
	if !ok || slices.Contains(critical, "b64") && (string(b64) == "true" || string(b64) == "false") {
		return nil
	}
	return ErrCritical
}

// checkCompactPayload refuses a payload that cannot stand in a compact token as it
// is. RFC 7797, Section 5.2, forbids the dot, and expects printable ASCII alone to
// arrive unharmed.
func checkCompactPayload[S ~string | ~[]byte](payload S) error {
	for i := range len(payload) {
		if c := payload[i]; c < ' ' || c > '~' || c == '.' {
			return errCompactPayload
		}
	}
	return nil
}

// checkTextPayload refuses a payload that no JSON string can hold.
func checkTextPayload(payload []byte) error {
	if !utf8.Valid(payload) {
		return errTextPayload
	}
	return nil
}
