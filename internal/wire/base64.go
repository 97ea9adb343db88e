package wire

import (
	"encoding/base64"
	"errors"
)

// ErrBase64 reports text that is not base64url in the one spelling that JOSE
// allows. It never carries the text.
var ErrBase64 = errors.New("not canonical unpadded base64url")

// base64url is the alphabet of RFC 4648, Section 5, without padding (RFC 7515,
// Section 2). Strict also refuses trailing bits that are not zero: they would
// give one value several spellings (RFC 4648, Section 3.5).
var base64url = base64.RawURLEncoding.Strict()

// Encode returns b in unpadded base64url.
func Encode(b []byte) string { return base64url.EncodeToString(b) }

// AppendEncode appends b in unpadded base64url to dst.
func AppendEncode(dst, b []byte) []byte { return base64url.AppendEncode(dst, b) }

// Decode reads unpadded base64url and nothing else: no padding, no white space,
// no line ends, no standard alphabet, no stray trailing bits. For every value
// there is exactly one text that Decode accepts. The error is [ErrBase64].
func Decode[S ~string | ~[]byte](s S) ([]byte, error) {
	return AppendDecode(nil, s)
}

// AppendDecode is [Decode] into memory of the caller: it appends to dst and
// returns the longer slice, or nil and [ErrBase64].
func AppendDecode[S ~string | ~[]byte](dst []byte, s S) ([]byte, error) {
	want := base64url.DecodedLen(len(s))
	start := len(dst)
	dst = grow(dst, want)
	n, err := base64url.Decode(dst[start:start+want], []byte(s))
	// encoding/base64 skips CR and LF even when strict. A skipped byte shows
	// in the count: among the lengths that base64 can have (never 1 modulo 4)
	// the decoded length is strictly increasing.
	if err != nil || n != want || len(s)%4 == 1 {
		return nil, ErrBase64
	}
	return dst[:start+n], nil
}

// grow returns dst with room for n more bytes, never nil.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n && dst != nil {
		return dst[:len(dst)+n]
	}
	grown := make([]byte, len(dst)+n)
	copy(grown, dst)
	return grown
}
