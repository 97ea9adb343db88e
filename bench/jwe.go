package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/counterfoil/counterfoil/bench/rivals"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
)

// What was promised of encryption.
const (
	directEncryptRival = 0.12
	directDecryptRival = 0.04
	encryptionBare     = 1.15
)

// benchIterations of PBES2 are the fewest that keep a slice short: with the
// default a single operation takes a tenth of a second.
const benchIterations = 5_000

// A pair is a key management with the curve of its key, and a content encryption.
type pair struct {
	alg   jwk.Algorithm
	curve ecdh.Curve
	enc   jwe.Encryption
}

func (p pair) String() string {
	if p.curve == nil {
		return fmt.Sprintf("%s, %s", p.alg, p.enc)
	}
	return fmt.Sprintf("%s on %s, %s", p.alg, p.curve, p.enc)
}

// pairs are all key managements with a content encryption of each kind, and every
// curve once.
func pairs() (list []pair) {
	for _, alg := range []jwk.Algorithm{
		jwk.RSAOAEP, jwk.RSAOAEP256, jwk.RSAOAEP384, jwk.RSAOAEP512,
		jwk.ECDHES, jwk.ECDHESA128KW, jwk.ECDHESA192KW, jwk.ECDHESA256KW,
		jwk.A128KW, jwk.A192KW, jwk.A256KW, jwk.A128GCMKW, jwk.A192GCMKW, jwk.A256GCMKW,
		jwk.PBES2HS256A128KW, jwk.PBES2HS384A192KW, jwk.PBES2HS512A256KW, jwk.Dir,
	} {
		var curve ecdh.Curve
		if strings.HasPrefix(string(alg), "ECDH") {
			curve = ecdh.P256()
		}
		list = append(list, pair{alg, curve, jwe.A256GCM}, pair{alg, curve, jwe.A128CBCHS256})
	}
	for _, curve := range []ecdh.Curve{ecdh.P384(), ecdh.P521(), ecdh.X25519()} {
		list = append(list, pair{jwk.ECDHES, curve, jwe.A256GCM})
	}
	for _, enc := range []jwe.Encryption{jwe.A128GCM, jwe.A192GCM, jwe.A192CBCHS384, jwe.A256CBCHS512} {
		list = append(list, pair{jwk.RSAOAEP256, nil, enc})
	}
	return list
}

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// material is the key of a pair, private or shared.
func (p pair) material() (any, error) {
	switch {
	case p.curve != nil:
		return p.curve.GenerateKey(rand.Reader)
	case strings.HasPrefix(string(p.alg), "RSA"):
		return rsaKey()
	case p.alg == jwk.Dir:
		return fresh(p.enc.KeySize()), nil
	case p.isPassword():
		return fresh(32), nil
	}
	return fresh(keySize(string(p.alg))), nil
}

func (p pair) isPassword() bool { return strings.HasPrefix(string(p.alg), "PBES2") }

// An encryption is one pair with its key, ready to be measured: ours and bare.
type encryption struct {
	pair
	private   any
	key       *jwk.Key
	encrypter *jwe.Encrypter
	policy    jwe.Policy
	plaintext []byte
	token     string
	bare      bareEncryption
}

func newEncryption(p pair, h jwe.Header) (*encryption, error) {
	e := &encryption{pair: p, plaintext: []byte(strings.Repeat("x", tokenBytes)), policy: jwe.Policy{Algorithm: p.alg, Encryption: p.enc}}
	var err error
	if e.private, err = p.material(); err != nil {
		return nil, err
	}
	params := jwk.Params{Algorithm: p.alg, KeyID: keyID}
	if p.alg == jwk.Dir {
		params.Encryption = p.enc
	}
	if e.key, err = jwk.New(e.private, params); err != nil {
		return nil, err
	}
	public := e.key
	if !e.key.IsSymmetric() {
		if public, err = e.key.Public(); err != nil {
			return nil, err
		}
	}
	if p.isPassword() {
		h.Iterations, e.policy.MaxIterations = benchIterations, benchIterations
	}
	if e.encrypter, err = jwe.NewEncrypter(public, p.enc, h); err != nil {
		return nil, err
	}
	if e.token, err = e.encrypter.Encrypt(e.plaintext); err != nil {
		return nil, err
	}
	e.bare, err = newBareEncryption(p, e.private, e.plaintext, e.token)
	return e, err
}

// A bareEncryption seals one plaintext and opens one message, with nothing around.
type bareEncryption struct {
	management keyManagement
	direct     contentCipher // under dir
	plaintext  []byte
	message    *bareMessage
	out        []byte
}

func newBareEncryption(p pair, private any, plaintext []byte, token string) (b bareEncryption, err error) {
	b.plaintext, b.out = plaintext, make([]byte, 0, 2*len(plaintext))
	if b.message, err = splitJWE(token); err != nil {
		return b, err
	}
	if p.alg == jwk.Dir {
		b.direct = newContent(string(p.enc), private.([]byte))
		return b, nil
	}
	b.management, err = newKeyManagement(string(p.alg), string(p.enc), private, benchIterations)
	return b, err
}

func (b *bareEncryption) encrypt() error {
	content := b.direct
	if content == nil {
		content = newContent(b.message.enc, b.management.wrap(jwe.Encryption(b.message.enc).KeySize()))
	}
	content.seal(b.out, b.plaintext, b.message.aad)
	return nil
}

func (b *bareEncryption) decrypt() error {
	content := b.direct
	if content == nil {
		cek, err := b.management.unwrap(b.message)
		if err != nil {
			return err
		}
		content = newContent(b.message.enc, cek)
	}
	_, err := content.open(b.out, b.message.sealed, b.message.aad)
	return err
}

// encryptionCost measures encryption: with a shared key beside the rivals, and
// every other pair, and nested tokens, beside the bare operations.
func encryptionCost(s settings) ([]section, error) {
	direct, err := directCost(s)
	if err != nil {
		return nil, err
	}
	others, err := pairsCost(s)
	if err != nil {
		return nil, err
	}
	nested, err := nestedCost(s)
	return []section{direct, others, nested}, err
}

// directCost compares dir with A256GCM, where the key is there and all the rest is
// the library's.
func directCost(s settings) (section, error) {
	sec := section{
		title: "Encrypting with a shared key",
		notes: fmt.Sprintf("`dir` and `A256GCM`, %d bytes of plaintext, compact.", tokenBytes),
		head:  []string{"", "bare", "**Counterfoil**"},
	}
	for _, lib := range rivals.JWE {
		sec.head = append(sec.head, lib.Name+" "+lib.Version)
	}
	e, err := newEncryption(pair{jwk.Dir, nil, jwe.A256GCM}, jwe.Header{})
	if err != nil {
		return sec, err
	}
	encrypt, decrypt, err := e.operations()
	if err != nil {
		return sec, err
	}
	if err := sec.compare(s, "encrypt dir", inRow("encrypt dir", encrypt), promise{rival: directEncryptRival, why: whyDirect}); err != nil {
		return sec, err
	}
	return sec, sec.compare(s, "decrypt dir", inRow("decrypt dir", decrypt), promise{rival: directDecryptRival, why: whyDirect})
}

// operations are bare, ours, and those of the rivals, for each direction.
func (e *encryption) operations() (encrypt, decrypt []operation, err error) {
	encrypt, decrypt = e.ours()
	for _, lib := range rivals.JWE {
		seal, err := lib.Encrypter(string(e.alg), string(e.enc), keyID, e.private)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", lib.Name, err)
		}
		open, err := lib.Decrypter(string(e.alg), string(e.enc), e.private)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", lib.Name, err)
		}
		encrypt = append(encrypt, operation{library: lib.Name, run: func() error {
			_, err := seal(e.plaintext)
			return err
		}})
		decrypt = append(decrypt, operation{library: lib.Name, run: func() error {
			_, err := open(e.token)
			return err
		}})
	}
	return encrypt, decrypt, nil
}

// ours are the bare operations and our own.
func (e *encryption) ours() (encrypt, decrypt []operation) {
	encrypt = []operation{{library: "bare", run: e.bare.encrypt}, {library: "Counterfoil", run: func() error {
		_, err := e.encrypter.Encrypt(e.plaintext)
		return err
	}}}
	decrypt = []operation{{library: "bare", run: e.bare.decrypt}, {library: "Counterfoil", run: func() error {
		_, err := jwe.Decrypt(e.key, e.policy, e.token)
		return err
	}}}
	return encrypt, decrypt
}

// pairsCost compares all pairs with the bare operations, both directions.
func pairsCost(s settings) (section, error) {
	sec := section{
		title: "Encrypting with every pair of algorithms",
		notes: fmt.Sprintf("%d bytes of plaintext, compact. The bare operations are those of key management and of the content encryption, the fresh key included and all else prepared. PBES2 with %d iterations. RSA of 2048 bits.",
			tokenBytes, benchIterations),
		head: []string{"pair", "bare encrypt", "encrypt", "×", "bare decrypt", "decrypt", "×", "target", "met?"},
	}
	worst := map[string][2]target{}
	for _, p := range pairs() {
		if !s.rows.MatchString(p.String()) || p.alg == jwk.Dir && p.enc == jwe.A256GCM {
			continue
		}
		progress("encrypt", p)
		e, err := newEncryption(p, jwe.Header{})
		if err != nil {
			return sec, fmt.Errorf("%s: %w", p, err)
		}
		encrypt, decrypt := e.ours()
		took, err := interleave(s, inRow(p.String(), slices.Concat(encrypt, decrypt)))
		if err != nil {
			return sec, err
		}
		row := pairRow(p.String(), took)
		sec.rows = append(sec.rows, row)
		w := worst[p.family()]
		for i, verb := range []string{"encrypt ", "decrypt "} {
			t := target{verb + p.family() + ", worst is " + p.String() + " : bare operations", quotient(took[2*i+1], took[2*i]), encryptionBare, "×", whyPair[p.family()]}
			if t.got > w[i].got {
				w[i] = t
			}
		}
		worst[p.family()] = w
	}
	for _, name := range slices.Sorted(maps.Keys(worst)) {
		sec.targets = append(sec.targets, worst[name][0], worst[name][1])
	}
	return sec, nil
}

// family is the kind of key management.
func (p pair) family() string {
	name := string(p.alg)
	switch {
	case strings.HasPrefix(name, "RSA-OAEP"):
		return "RSA-OAEP"
	case strings.HasPrefix(name, "ECDH-ES+"):
		return "ECDH-ES+A*KW"
	case strings.HasPrefix(name, "PBES2"):
		return "PBES2"
	case strings.HasSuffix(name, "GCMKW"):
		return "A*GCMKW"
	case strings.HasSuffix(name, "KW"):
		return "A*KW"
	}
	return name
}

func pairRow(name string, took [][]float64) []string {
	encrypt, decrypt := quotient(took[1], took[0]), quotient(took[3], took[2])
	return []string{name, nanos(took[0]), nanos(took[1]), multiple(encrypt), nanos(took[2]), nanos(took[3]), multiple(decrypt),
		multiple(encryptionBare), yes(encrypt <= encryptionBare && decrypt <= encryptionBare)}
}

// nestedCost compares tokens that are signed and then encrypted with the four bare
// operations inside.
func nestedCost(s settings) (section, error) {
	sec := section{
		title: "Nested tokens",
		notes: "The token of the first table, signed and then encrypted with one call, and the other way round into a typed struct. Bare are the signature and the encryption.",
		head:  []string{"signed, encrypted", "bare sign and encrypt", "ours", "×", "bare decrypt and verify", "ours", "×", "target", "met?"},
	}
	for _, n := range []struct {
		alg jwk.Algorithm
		pair
	}{
		{jwk.ES256, pair{jwk.ECDHES, ecdh.P256(), jwe.A256GCM}},
		{jwk.Ed25519, pair{jwk.ECDHES, ecdh.X25519(), jwe.A256GCM}},
		{jwk.RS256, pair{jwk.RSAOAEP256, nil, jwe.A256GCM}},
	} {
		name := fmt.Sprintf("%s, %s", n.alg, n.pair)
		if !s.rows.MatchString(name) {
			continue
		}
		progress("nested", name)
		ops, err := nestedOps(n.alg, n.pair)
		if err != nil {
			return sec, fmt.Errorf("%s: %w", name, err)
		}
		took, err := interleave(s, inRow(name, ops))
		if err != nil {
			return sec, err
		}
		sec.rows = append(sec.rows, pairRow(name, took))
		sec.targets = append(sec.targets,
			target{"sign and encrypt " + name + " : bare operations", quotient(took[1], took[0]), encryptionBare, "×", whyNested},
			target{"decrypt and verify " + name + " : bare operations", quotient(took[3], took[2]), encryptionBare, "×", whyNested})
	}
	return sec, nil
}

func nestedOps(alg jwk.Algorithm, p pair) ([]operation, error) {
	key, err := newSigner(alg)
	if err != nil {
		return nil, err
	}
	e, err := newEncryption(p, jwe.Header{ContentType: "JWT"})
	if err != nil {
		return nil, err
	}
	inner, err := signToken(key.key)
	if err != nil {
		return nil, err
	}
	sign, err := bareSign(alg, key.private)
	if err != nil {
		return nil, err
	}
	check, err := bareCheck(alg, key, inner)
	if err != nil {
		return nil, err
	}
	claims := registered()
	outer, err := jwt.SignNested(key.key, tokenType, claims, access, e.encrypter)
	if err != nil {
		return nil, err
	}
	bare, err := newBareEncryption(p, e.private, []byte(inner), outer)
	if err != nil {
		return nil, err
	}
	input := []byte(inner[:strings.LastIndexByte(inner, '.')])
	return []operation{
		{library: "bare sign and encrypt", run: func() error {
			if _, err := sign(input); err != nil {
				return err
			}
			return bare.encrypt()
		}},
		{library: "Counterfoil sign and encrypt", run: func() error {
			_, err := jwt.SignNested(key.key, tokenType, claims, access, e.encrypter)
			return err
		}},
		{library: "bare decrypt and verify", run: func() error {
			if err := bare.decrypt(); err != nil {
				return err
			}
			return check()
		}},
		{library: "Counterfoil decrypt and verify", run: func() error {
			_, err := jwt.VerifyNested[rivals.Access](policy, key.verify, e.policy, e.key, outer)
			return err
		}},
	}, nil
}
