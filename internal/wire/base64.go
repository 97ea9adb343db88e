package wire

import (
	"encoding/binary"
	"errors"
)

// ErrBase64 reports text that is not base64url in the one spelling that JOSE
// allows. It never carries the text.
var ErrBase64 = errors.New("not canonical unpadded base64url")

// alphabet is that of RFC 4648, Section 5; RFC 7515, Section 2, leaves the
// padding out.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// sextets give a character its six bits, in the place that it has among the 24
// bits of four characters; badSextet for one outside the alphabet.
var sextets = func() (table [4][256]uint32) {
	for place := range table {
		for c := range table[place] {
			table[place][c] = badSextet
		}
		for bits := range len(alphabet) {
			table[place][alphabet[bits]] = uint32(bits) << (18 - 6*place)
		}
	}
	return table
}()

const badSextet = 1 << 24

// pairs are the two characters of 12 bits, the first in the lower byte.
var pairs = func() (table [1 << 12]uint16) {
	for bits := range table {
		table[bits] = uint16(alphabet[bits>>6]) | uint16(alphabet[bits&0x3f])<<8
	}
	return table
}()

// EncodedLen returns the length of n bytes in unpadded base64url.
func EncodedLen(n int) int { return n/3*4 + (n%3*8+5)/6 }

// Encode returns b in unpadded base64url.
func Encode(b []byte) string { return string(AppendEncode(nil, b)) }

// AppendEncode appends b in unpadded base64url to dst.
func AppendEncode(dst, b []byte) []byte {
	start := len(dst)
	dst = grow(dst, EncodedLen(len(b)))
	encode(dst[start:], b)
	return dst
}

// encode fills dst, which has the encoded length of src.
func encode(dst, src []byte) {
	i, j := 0, 0
	for ; i+8 <= len(src); i, j = i+6, j+8 {
		x := binary.BigEndian.Uint64(src[i : i+8])
		binary.LittleEndian.PutUint64(dst[j:j+8],
			uint64(pairs[x>>52])|uint64(pairs[x>>40&0xfff])<<16|
				uint64(pairs[x>>28&0xfff])<<32|uint64(pairs[x>>16&0xfff])<<48)
	}
	for ; i+3 <= len(src); i, j = i+3, j+4 {
		x := uint32(src[i])<<16 | uint32(src[i+1])<<8 | uint32(src[i+2])
		binary.LittleEndian.PutUint32(dst[j:j+4], uint32(pairs[x>>12])|uint32(pairs[x&0xfff])<<16)
	}
	switch len(src) - i {
	case 1:
		binary.LittleEndian.PutUint16(dst[j:], pairs[uint(src[i])<<4])
	case 2:
		x := uint(src[i])<<10 | uint(src[i+1])<<2
		binary.LittleEndian.PutUint16(dst[j:], pairs[x>>6])
		dst[j+2] = alphabet[x&0x3f]
	}
}

// decodedLen returns how many bytes n characters are.
func decodedLen(n int) int { return n/4*3 + n%4*6/8 }

// Decode reads unpadded base64url and nothing else: no padding, no white space,
// no line ends, no standard alphabet, no stray trailing bits, which would give
// one value several spellings (RFC 4648, Section 3.5). For every value there is
// exactly one text that Decode accepts. The error is [ErrBase64].
func Decode[S ~string | ~[]byte](s S) ([]byte, error) {
	return AppendDecode(nil, s)
}

// AppendDecode is [Decode] into memory of the caller: it appends to dst and
// returns the longer slice, or nil and [ErrBase64].
func AppendDecode[S ~string | ~[]byte](dst []byte, s S) ([]byte, error) {
	if len(s)%4 == 1 {
		return nil, ErrBase64
	}
	start := len(dst)
	dst = grow(dst, decodedLen(len(s)))
	if !decode(dst[start:], []byte(s)) { // which copies nothing: decode only reads
		return nil, ErrBase64
	}
	return dst, nil
}

// decode fills dst, which has the decoded length of s, and reports whether s was
// spelled as it has to be.
func decode(dst, s []byte) bool {
	i, j := 0, 0
	var seen, stray uint32 // the bits of all characters, and those behind the last byte
	for ; i+16 <= len(s) && j+14 <= len(dst); i, j = i+16, j+12 {
		c, d := s[i:i+16], dst[j:j+14]
		a := sextets[0][c[0]] | sextets[1][c[1]] | sextets[2][c[2]] | sextets[3][c[3]]
		b := sextets[0][c[4]] | sextets[1][c[5]] | sextets[2][c[6]] | sextets[3][c[7]]
		seen |= a | b
		binary.BigEndian.PutUint64(d, uint64(a)<<40|uint64(b)<<16)
		a = sextets[0][c[8]] | sextets[1][c[9]] | sextets[2][c[10]] | sextets[3][c[11]]
		b = sextets[0][c[12]] | sextets[1][c[13]] | sextets[2][c[14]] | sextets[3][c[15]]
		seen |= a | b
		binary.BigEndian.PutUint64(d[6:], uint64(a)<<40|uint64(b)<<16)
	}
	for ; i+4 <= len(s); i, j = i+4, j+3 {
		a := sextets[0][s[i]] | sextets[1][s[i+1]] | sextets[2][s[i+2]] | sextets[3][s[i+3]]
		seen |= a
		dst[j], dst[j+1], dst[j+2] = byte(a>>16), byte(a>>8), byte(a)
	}
	switch len(s) - i {
	case 2:
		a := sextets[0][s[i]] | sextets[1][s[i+1]]
		seen, stray = seen|a, a&0xffff
		dst[j] = byte(a >> 16)
	case 3:
		a := sextets[0][s[i]] | sextets[1][s[i+1]] | sextets[2][s[i+2]]
		seen, stray = seen|a, a&0xff
		dst[j], dst[j+1] = byte(a>>16), byte(a>>8)
	}
	return seen < badSextet && stray == 0
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
