package jwk

import (
	"errors"
	"fmt"
	"slices"

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
// those whose type fits take the algorithm of p. Its Limits bound each key that
// brings none, and its Extensions may be the algorithm of any; the other fields
// are not used.
func ParseSetAs(data []byte, p Params) (*Set, error) {
	if err := checkExtensions(p.Extensions); err != nil {
		return nil, err
	}
	return parseSet(data, func(j object) (*Key, error) {
		if j.isPrivate() {
			return nil, ErrPrivate
		}
		return j.member(p)
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
	s, err := parseSet(data, func(j object) (*Key, error) { return j.member(p) })
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
func (j object) member(p Params) (*Key, error) {
	own := Params{Extensions: p.Extensions}
	kty, err := j.text("kty")
	if err != nil {
		return nil, err
	}
	if info, _ := p.algorithm(); !j.has("alg") && info.kty == kty {
		own.Algorithm, own.Also = p.Algorithm, p.Also
	}
	if !j.has("counterfoil") {
		own.Limits = p.Limits
	}
	return j.key(own)
}

// parseSet reads a set and makes its keys with build.
func parseSet(data []byte, build func(object) (*Key, error)) (*Set, error) {
	if len(data) > MaxSet {
		return nil, malformed("set too large")
	}
	r := newReader(data)
	b := setBuilder{build: build, seen: make(map[string]bool)}
	if err := r.set(&b); err != nil {
		return nil, r.refuse(err)
	}
	if !b.found {
		return nil, malformed("not a JWK Set")
	}
	s, err := NewSet(b.keys...)
	if err != nil {
		return nil, err
	}
	s.skipped = b.skipped
	return s, nil
}

// A setBuilder collects the keys of a set while it is read.
type setBuilder struct {
	build   func(object) (*Key, error)
	found   bool // there is an array "keys"
	members object
	keys    []*Key
	skipped []Skipped
	seen    map[string]bool // every kid, also of keys that are left out
}

// set reads a whole set: an object in which "keys" is an array (RFC 7517,
// Section 5). Members that are not known are passed over.
func (r *reader) set(b *setBuilder) error {
	if r.dec.PeekKind() != '{' {
		return malformed("not a JWK Set")
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	for r.dec.PeekKind() == '"' {
		name, err := r.name()
		switch {
		case err != nil:
		case string(name) == "keys":
			err = r.keys(b)
		default:
			_, err = r.value()
		}
		if err != nil {
			return err
		}
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	return r.end()
}

// keys reads the array "keys".
func (r *reader) keys(b *setBuilder) error {
	if r.dec.PeekKind() != '[' {
		return malformed("not a JWK Set")
	}
	b.found = true
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	for i := 0; r.dec.PeekKind() != ']'; i++ {
		if i == MaxKeys {
			return malformed("too many keys in a set")
		}
		if err := r.key(b, i); err != nil {
			return err
		}
	}
	_, err := r.dec.ReadToken()
	return err
}

// key reads the element i of "keys". The error is for the set as a whole.
func (r *reader) key(b *setBuilder, i int) error {
	if r.dec.PeekKind() != '{' {
		if _, err := r.value(); err != nil {
			return err
		}
		b.skipped = append(b.skipped, Skipped{Index: i, Err: errNotObject})
		return nil
	}
	start := r.dec.InputOffset()
	j, err := r.object(b.members[:0])
	if err != nil {
		return err
	}
	b.members = j
	return b.add(i, j, r.dec.InputOffset()-start)
}

// add takes the element i of "keys", of size bytes, or notes why not. The error
// is for the set as a whole.
func (b *setBuilder) add(i int, j object, size int64) error {
	kid, err := j.text("kid")
	var key *Key
	switch {
	case err != nil:
	case size > MaxKey:
		err = malformed("too large")
	default:
		key, err = b.build(j)
	}
	if kid != "" && !j.encrypts(key) {
		if b.seen[kid] { // also beside a key that is left out
			return ErrDuplicate
		}
		b.seen[kid] = true
	}
	if err == nil && kid != "" && j.encrypts(key) && b.duplicate(key) {
		err = ErrDuplicate
	}
	if err != nil {
		b.skipped = append(b.skipped, Skipped{Index: i, KeyID: kid, Err: err})
		return nil
	}
	b.keys = append(b.keys, key)
	return nil
}

// duplicate reports whether there is another key like k for encryption. It is left
// out, and takes down no set that somebody needs for signatures.
func (b *setBuilder) duplicate(k *Key) bool {
	return slices.ContainsFunc(b.keys, func(other *Key) bool { return other.kid == k.kid && other.alg == k.alg })
}

// encrypts reports whether a key is for encryption or, where there is no key
// because it is left out, says that it is.
func (j object) encrypts(key *Key) bool {
	if key != nil {
		return key.info.wraps
	}
	use, err := j.text("use")
	return err == nil && use == "enc"
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
