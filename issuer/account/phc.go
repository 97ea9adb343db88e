package account

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Params are the cost of one Argon2id computation (RFC 9106, Section 3.1).
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes over the memory
	Threads uint8  // lanes
}

// DefaultParams is the floor below which no new hash is made.
var DefaultParams = Params{Memory: 19 * 1024, Time: 2, Threads: 1}

// Bounds on what a stored hash may ask of us. A hash comes from the database or
// from an import, and its cost is paid at each sign-in.
const (
	minMemory  = 8 // KiB for each lane; RFC 9106, Section 3.1
	maxMemory  = 256 * 1024
	maxTime    = 32
	maxThreads = 16
	minSalt    = 8
	maxSalt    = 64
	minHash    = 16
	maxHash    = 64
	maxPHC     = 256 // characters of the whole string

	saltSize = 16 // of hashes made here
	hashSize = 32 // of hashes made here
)

// ErrHash reports a stored password hash that is not Argon2id in PHC form, or
// asks for more work than this package is willing to do.
var ErrHash = errors.New("account: not an acceptable argon2id hash")

// Check says which parameters a hash can have, when p is not among them.
func (p Params) Check() error {
	if p.valid() {
		return nil
	}
	return fmt.Errorf("argon2id takes time 1 to %d, threads 1 to %d, and memory of %d KiB for each thread up to %d", maxTime, maxThreads, minMemory, maxMemory)
}

func (p Params) valid() bool {
	return p.Threads >= 1 && p.Threads <= maxThreads &&
		p.Time >= 1 && p.Time <= maxTime &&
		p.Memory >= minMemory*uint32(p.Threads) && p.Memory <= maxMemory
}

// weakerThan reports whether a hash made with p should be made again with want.
func (p Params) weakerThan(want Params) bool {
	return p.Memory < want.Memory || p.Time < want.Time || p.Threads != want.Threads
}

// A Hash is a password hash in the form the PHC string format describes:
//
//	$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>
type Hash struct {
	params    Params
	salt, sum []byte
}

// ParseHash reads a PHC string. There is one spelling for each hash: the
// parameters stand in the order m, t, p without leading zeros, and base64 is
// canonical and unpadded. Every refusal is [ErrHash].
func ParseHash(s string) (*Hash, error) {
	if len(s) > maxPHC {
		return nil, ErrHash
	}
	part := strings.Split(s, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != "v=19" {
		return nil, ErrHash
	}
	params, err := parseParams(part[3])
	if err != nil {
		return nil, err
	}
	salt, err := decodeBounded(part[4], minSalt, maxSalt)
	if err != nil {
		return nil, err
	}
	sum, err := decodeBounded(part[5], minHash, maxHash)
	if err != nil {
		return nil, err
	}
	return &Hash{params: params, salt: salt, sum: sum}, nil
}

func parseParams(s string) (Params, error) {
	field := strings.Split(s, ",")
	if len(field) != 3 {
		return Params{}, ErrHash
	}
	var n [3]uint32
	for i, name := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(field[i], name)
		v, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || digits[0] == '0' || digits[0] == '+' {
			return Params{}, ErrHash
		}
		n[i] = uint32(v)
	}
	if n[2] > maxThreads {
		return Params{}, ErrHash
	}
	p := Params{Memory: n[0], Time: n[1], Threads: uint8(n[2])}
	if !p.valid() {
		return Params{}, ErrHash
	}
	return p, nil
}

// phcBase64 is the alphabet of the PHC string format: standard, no padding.
var phcBase64 = base64.RawStdEncoding.Strict()

func decodeBounded(s string, least, most int) ([]byte, error) {
	// encoding/base64 skips CR and LF even when strict.
	if strings.ContainsAny(s, "\r\n") {
		return nil, ErrHash
	}
	b, err := phcBase64.DecodeString(s)
	if err != nil || len(b) < least || len(b) > most {
		return nil, ErrHash
	}
	return b, nil
}

// String returns p as it stands in a PHC string.
func (p Params) String() string {
	return fmt.Sprintf("m=%d,t=%d,p=%d", p.Memory, p.Time, p.Threads)
}

// String returns the PHC string.
func (h *Hash) String() string {
	return "$argon2id$v=19$" + h.params.String() + "$" +
		phcBase64.EncodeToString(h.salt) + "$" + phcBase64.EncodeToString(h.sum)
}

// Params returns the cost with which the hash was made.
func (h *Hash) Params() Params { return h.params }

func newHash(p Params, salt []byte, password string) *Hash {
	sum := argon2.IDKey([]byte(password), salt, p.Time, p.Memory, p.Threads, hashSize)
	return &Hash{params: p, salt: salt, sum: sum}
}

func (h *Hash) matches(password string) bool {
	sum := argon2.IDKey([]byte(password), h.salt, h.params.Time, h.params.Memory, h.params.Threads, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}
