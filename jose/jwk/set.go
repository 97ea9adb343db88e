package jwk

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
)

// Bounds of a set.
const (
	MaxSet  = 256 << 10 // bytes
	MaxKeys = 128
)

// A Source finds the key that a token names. Find does no I/O and never waits.
//
// The kid and alg come from an unverified header. An empty kid finds a key only
// if exactly one is for alg. The error is [ErrUnknownKey], or [ErrAlgorithm] if
// the key that kid names is for another algorithm. [*Key] and [*Set] are Sources.
type Source interface {
	Find(kid, alg string) (*Key, error)
}

// A Set is a JWK Set (RFC 7517, Section 5). It never changes and may be used by
// several goroutines at once.
type Set struct {
	keys []*Key
	byID map[string]*Key // the key that signs, if there is one

	encrypting map[keyName]*Key
	skipped    []Skipped
}

// A keyName is the name of a key for encryption within a set.
type keyName struct {
	kid string
	alg Algorithm
}

// A Skipped is a key that [ParseSet] left out: one bad key must not take the
// others down.
type Skipped struct {
	Index int    // in the array "keys"
	KeyID string // if it had a usable one
	Err   error
}

var errSetTooLarge = malformed("set too large")

// errMixed refuses shared secrets beside key pairs for signing: what a member of
// such a set is for depends on who looks.
var errMixed = fmt.Errorf("%w: shared secrets and key pairs in one set", ErrUse)

// NewSet returns a set of keys, in this order. Two keys with one kid are
// [ErrDuplicate], unless all but one are for encryption, with an algorithm each;
// secrets for HMAC do not go with key pairs that sign.
func NewSet(keys ...*Key) (*Set, error) {
	if len(keys) > MaxKeys {
		return nil, malformed("too many keys in a set")
	}
	s := &Set{keys: slices.Clone(keys), byID: make(map[string]*Key, len(keys))}
	secrets, pairs := 0, 0
	for _, k := range keys {
		if k == nil {
			return nil, errors.New("jwk: nil key in a set")
		}
		switch {
		case k.info.wraps:
		case k.IsSymmetric():
			secrets++
		default:
			pairs++
		}
		if err := s.index(k); err != nil {
			return nil, err
		}
	}
	if secrets > 0 && pairs > 0 {
		return nil, errMixed
	}
	return s, nil
}

// index makes k known under its kid. A kid names one key that signs and, for each
// algorithm, one that encrypts: some issuers derive the kid from the numbers
// alone, and publish one key pair under it for each use.
func (s *Set) index(k *Key) error {
	if k.kid == "" {
		return nil
	}
	old := s.byID[k.kid]
	if k.info.wraps {
		name := keyName{k.kid, k.alg}
		if s.encrypting[name] != nil {
			return ErrDuplicate
		}
		if s.encrypting == nil {
			s.encrypting = make(map[keyName]*Key)
		}
		s.encrypting[name] = k
		if old != nil {
			return nil
		}
	} else if old != nil && !old.info.wraps {
		return ErrDuplicate
	}
	s.byID[k.kid] = k
	return nil
}

// ParseSet reads a set of public keys. A key that is private or symmetric, of an
// unknown kind, without an algorithm, weak or broken is left out and listed by
// [Set.Skipped]. A text that is no set, is larger than [MaxSet] or has more than
// [MaxKeys] keys, or in which two keys share a kid, is refused as a whole. Keys
// for encryption may share theirs with one that signs, and with others for another
// algorithm.
func ParseSet(data []byte) (*Set, error) { return ParseSetAs(data, Params{}) }

// ParseSetAs is [ParseSet] for an issuer that publishes keys without "alg":
// those whose type fits take the algorithm of p. Its Limits bound each key, beside
// those that the key brings, and its Extensions may be the algorithm of any; the
// other fields are not used.
func ParseSetAs(data []byte, p Params) (*Set, error) {
	if err := checkExtensions(p.Extensions); err != nil {
		return nil, err
	}
	if len(data) > MaxSet {
		return nil, errSetTooLarge // before any memory is used
	}
	own := p
	return parseSet(data, func(j object) (*Key, error) {
		if j.isPrivate() {
			return nil, ErrPrivate
		}
		return j.member(&own)
	})
}

// ParsePrivateSet reads a set whose keys may be private or symmetric. It is for a
// file of one's own: keys of a kind that is not supported are left out and listed
// by [Set.Skipped], any other that cannot be used is an error.
func ParsePrivateSet(data []byte) (*Set, error) { return ParsePrivateSetAs(data, Params{}) }

// ParsePrivateSetAs is [ParsePrivateSet] with p where a key leaves something
// open, as [ParseSetAs] has it.
func ParsePrivateSetAs(data []byte, p Params) (*Set, error) {
	if err := checkExtensions(p.Extensions); err != nil {
		return nil, err
	}
	s, err := parseSet(data, func(j object) (*Key, error) { return j.member(&p) })
	if err != nil {
		return nil, err
	}
	for _, skipped := range s.skipped {
		if !errors.Is(skipped.Err, ErrUnsupported) {
			return nil, fmt.Errorf("key %d of the set: %w", skipped.Index, skipped.Err)
		}
	}
	return s, nil
}

// member makes the key of j, with p only where j leaves it open.
func (j object) member(p *Params) (*Key, error) {
	own := Params{Extensions: p.Extensions}
	if !j.has("alg") && j.fits(p) {
		own.Algorithm, own.Also = p.Algorithm, p.Also
	}
	k, err := j.key(&own)
	if err != nil || p.Limits.isZero() {
		return k, err
	}
	limits, err := k.Limits().and(p.Limits)
	if err != nil {
		return nil, err
	}
	return k.WithLimits(limits), nil
}

// fits reports whether a key without "alg" can be for that of p, by its type and
// its use.
func (j object) fits(p *Params) bool {
	info, err := p.algorithm()
	if err != nil {
		return false
	}
	kty, err := j.text("kty")
	if err != nil || kty != info.kty && !(info.kty == "" && (kty == ktyEC || kty == ktyOKP)) {
		return false
	}
	use, err := j.text("use")
	return err == nil && (use == "" || use == useOf(info))
}

// parseSet reads a set (RFC 7517, Section 5) and makes its keys with build. Members
// of the set that are not known are passed over.
func parseSet(data []byte, build func(object) (*Key, error)) (*Set, error) {
	if len(data) > MaxSet {
		return nil, errSetTooLarge
	}
	b := setBuilder{build: build}
	found, err := wire.EachElement(string(data), "keys", &b.members, b.add)
	if syntax, ok := errors.AsType[*wire.JSONError](err); ok {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, syntax)
	}
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, malformed("not a JWK Set")
	}
	s, err := NewSet(b.keys...)
	if err != nil {
		return nil, err
	}
	if err := b.checkLeftOut(s); err != nil {
		return nil, err
	}
	s.skipped = b.skipped
	return s, nil
}

// A setBuilder collects the keys of a set.
type setBuilder struct {
	build   func(object) (*Key, error)
	members wire.Object // of the element at hand
	n       int         // elements so far
	keys    []*Key
	skipped []Skipped
	leftOut []string // each kid of a key that is left out and does not say that it is for encryption
}

// add takes the next element of "keys", or notes why not. The error is for the
// set as a whole.
func (b *setBuilder) add(entry wire.Value) error {
	if b.n++; b.n > MaxKeys {
		return malformed("too many keys in a set")
	}
	kid, key, err := b.key(entry)
	if err == nil && key.info.wraps && b.duplicate(key) {
		err = ErrDuplicate
	}
	if err == nil {
		b.keys = append(b.keys, key)
		return nil
	}
	kid = strings.Clone(kid)
	b.skipped = append(b.skipped, Skipped{Index: b.n - 1, KeyID: kid, Err: err})
	if kid != "" && !b.encrypts(key) {
		b.leftOut = append(b.leftOut, kid)
	}
	return nil
}

// checkLeftOut refuses the set if a key that was left out shares its kid with one
// that signs: which of them is meant is not for us to guess.
func (b *setBuilder) checkLeftOut(s *Set) error {
	slices.Sort(b.leftOut)
	for i, kid := range b.leftOut {
		if k := s.byID[kid]; k != nil && !k.info.wraps || i > 0 && kid == b.leftOut[i-1] {
			return ErrDuplicate
		}
	}
	return nil
}

// key makes the key of an element. The kid is also that of a key that is left out.
func (b *setBuilder) key(entry wire.Value) (kid string, key *Key, err error) {
	if entry.Kind() != '{' {
		return "", nil, malformed("not an object")
	}
	j := object{&b.members}
	if kid, err = j.text("kid"); err != nil {
		return "", nil, err
	}
	if len(entry.Text()) > MaxKey {
		return kid, nil, errTooLarge
	}
	key, err = b.build(j)
	return kid, key, err
}

// duplicate reports whether there is another key like k for encryption. It is left
// out, and takes down no set that somebody needs for signatures.
func (b *setBuilder) duplicate(k *Key) bool {
	return k.kid != "" && slices.ContainsFunc(b.keys, func(other *Key) bool { return other.kid == k.kid && other.alg == k.alg })
}

// encrypts reports whether a key is for encryption or, where there is no key
// because it is left out, says that it is.
func (b *setBuilder) encrypts(key *Key) bool {
	if key != nil {
		return key.info.wraps
	}
	use, ok := b.members.Find("use").Unquote()
	return ok && use == "enc"
}

// Find returns the key that kid names if it is for alg. See [Source]. A nil Set
// has no keys.
func (s *Set) Find(kid, alg string) (*Key, error) {
	if s == nil {
		return nil, ErrUnknownKey
	}
	if kid == "" {
		return s.findOnly(alg)
	}
	k := s.byID[kid]
	if k == nil {
		return nil, ErrUnknownKey
	}
	if k.Accepts(alg) {
		return k, nil
	}
	if k := s.encrypting[keyName{kid, Algorithm(alg)}]; k != nil {
		return k, nil
	}
	return nil, ErrAlgorithm
}

// findOnly returns the one key that is for alg.
func (s *Set) findOnly(alg string) (*Key, error) {
	var found *Key
	for _, k := range s.keys {
		if !k.Accepts(alg) {
			continue
		}
		if found != nil {
			return nil, ErrUnknownKey
		}
		found = k
	}
	if found == nil {
		return nil, ErrUnknownKey
	}
	return found, nil
}

// Keys returns the keys in the order in which they were given.
func (s *Set) Keys() []*Key { return slices.Clone(s.keys) }

// Len returns the number of keys.
func (s *Set) Len() int { return len(s.keys) }

// Skipped returns the keys that [ParseSet] left out, and why.
func (s *Set) Skipped() []Skipped { return slices.Clone(s.skipped) }

// MarshalJSON returns the set for publication. If any key in it is private or
// symmetric it refuses with [ErrPrivate] or [ErrSymmetric] rather than leave the
// part out: that the key is there is already a mistake.
func (s *Set) MarshalJSON() ([]byte, error) {
	w := struct {
		Keys []jsontext.Value `json:"keys"`
	}{Keys: make([]jsontext.Value, 0, len(s.keys))}
	for _, k := range s.keys {
		if k.IsSymmetric() {
			return nil, ErrSymmetric
		}
		if k.IsPrivate() {
			return nil, ErrPrivate
		}
		data, err := k.MarshalJSON()
		if err != nil {
			return nil, err
		}
		w.Keys = append(w.Keys, data)
	}
	return wire.Marshal(w)
}
