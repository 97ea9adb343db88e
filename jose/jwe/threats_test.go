package jwe_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// deflate compresses content through a writer of one of the three formats.
func deflate(t testing.TB, newWriter func(io.Writer) io.WriteCloser, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := newWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func raw(w io.Writer) io.WriteCloser {
	z, _ := flate.NewWriter(w, flate.BestCompression)
	return z
}

var (
	zipHeader = directHeader.with("zip", "DEF")
	zipPolicy = jwe.Policy{Algorithm: jwk.Dir, Encryption: jwe.A256GCM, AllowZip: true}
)

func TestThreat46ZipBomb(t *testing.T) {
	d := newDirect(t)
	bomb := deflate(t, raw, make([]byte, 50<<20))
	if len(bomb) > jwe.MaxToken/2 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	token := d.forge(t, zipHeader, bomb)
	refuseBy(t, "a bomb", d, zipPolicy, token, jwe.ErrDecrypt)
	refuseBy(t, "a bomb where none is allowed", d, directPolicy, token, jwe.ErrCompressed)
	refuseBy(t, "one byte too many", d, zipPolicy, d.forge(t, zipHeader, deflate(t, raw, make([]byte, jwe.MaxInflated+1))), jwe.ErrDecrypt)
	if plaintext, err := jwe.Decrypt(d, zipPolicy, d.forge(t, zipHeader, deflate(t, raw, make([]byte, jwe.MaxInflated)))); err != nil || len(plaintext) != jwe.MaxInflated {
		t.Errorf("as much as is allowed: %d, %v", len(plaintext), err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	jwe.Decrypt(d, zipPolicy, token)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
		t.Errorf("a bomb costs %d bytes", n)
	}
}

func TestThreat124Zip(t *testing.T) {
	d := newDirect(t)
	good := deflate(t, raw, []byte(secret))
	opens(t, "a stream", d, zipPolicy, d.forge(t, zipHeader, good))
	opens(t, "no compression", d, zipPolicy, d.forge(t, directHeader, []byte(secret)))
	refuseBy(t, "not asked for", d, directPolicy, d.forge(t, zipHeader, good), jwe.ErrCompressed)
	for n := range good {
		refuseBy(t, fmt.Sprintf("cut to %d bytes", n), d, zipPolicy, d.forge(t, zipHeader, good[:n]), jwe.ErrDecrypt)
	}
	stored := deflate(t, func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, flate.NoCompression); return z }, []byte(secret))
	opens(t, "a stored stream", d, zipPolicy, d.forge(t, zipHeader, stored))
	for what, content := range map[string][]byte{
		"zlib":          deflate(t, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }, []byte(secret)),
		"gzip":          deflate(t, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, []byte(secret)),
		"trailing byte": append(bytes.Clone(good), 0),
		"trailing text": append(bytes.Clone(good), "x"...),
		"two streams":   append(bytes.Clone(good), good...),
		"stored, more":  append(bytes.Clone(stored), 0),
		"no stream":     []byte(secret),
		"nothing":       nil,
	} {
		refuseBy(t, what, d, zipPolicy, d.forge(t, zipHeader, content), jwe.ErrDecrypt)
	}
	for _, zip := range []any{"", "def", "GZ", "DEFLATE", 1, true, []string{"DEF"}, header{}, json.RawMessage("null")} {
		refuseBy(t, fmt.Sprint("zip ", zip), d, zipPolicy, d.forge(t, directHeader.with("zip", zip), good), jwe.ErrMalformed)
	}
	// Compressed before it was encrypted, and said where anybody can say it.
	p := sealGCM(t, d.secret, directHeader.json(t), "", good)
	for _, member := range []string{"unprotected", "header"} {
		data := fmt.Sprintf(`{"protected":%q,%q:{"zip":"DEF"},"iv":%q,"ciphertext":%q,"tag":%q}`, p.protected, member, p.iv, p.text, p.tag)
		refuseJSON(t, "zip in "+member, d, zipPolicy, data, jwe.ErrMalformed)
	}
	data := fmt.Sprintf(`{"protected":%q,"iv":%q,"ciphertext":%q,"tag":%q}`, p.protected, p.iv, p.text, p.tag)
	if m, err := jwe.DecryptJSON(d, zipPolicy, []byte(data)); err != nil || !bytes.Equal(m.Plaintext(), good) {
		t.Errorf("the same without it: %v", err)
	}
}

// A half of RSA1_5 is not there to be attacked: no key has that algorithm, and no
// policy and no header brings it back.
func TestThreat48RSA15(t *testing.T) {
	k := newKey(t, jwk.Params{Algorithm: jwk.RSAOAEP})
	var members header
	data, err := k.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	if _, err := jwk.Parse([]byte(members.with("alg", "RSA1_5").json(t))); !errors.Is(err, jwk.ErrUnsupported) || !strings.Contains(err.Error(), "not allowed") {
		t.Errorf("a key for RSA1_5: %v", err)
	}
	if _, err := jwk.Generate(jwk.Params{Algorithm: "RSA1_5"}); !errors.Is(err, jwk.ErrUnsupported) {
		t.Errorf("Generate: %v", err)
	}
	token, err := jwe.Encrypt(k, jwe.A128GCM, "", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(token, ".")
	token = wire.Encode([]byte(header{"alg": "RSA1_5", "enc": "A128GCM", "kid": k.KeyID()}.json(t))) + "." + rest
	for _, alg := range []jwk.Algorithm{"RSA1_5", jwk.RSAOAEP} {
		p := jwe.Policy{Algorithm: alg, Encryption: jwe.A128GCM}
		refuseBy(t, "RSA1_5", k, p, token, jwe.ErrAlgorithm)
		_, err := jwe.Decrypt(k, p, token)
		if !strings.Contains(err.Error(), "RSA1_5 is never allowed") {
			t.Errorf("the error does not say why: %v", err)
		}
	}
}

func TestThreat120CBCTagIsHalfAKey(t *testing.T) {
	for _, enc := range []jwe.Encryption{jwe.A128CBCHS256, jwe.A192CBCHS384, jwe.A256CBCHS512} {
		k := newKey(t, jwk.Params{Algorithm: jwk.Dir, Encryption: enc})
		p := jwe.Policy{Algorithm: jwk.Dir, Encryption: enc}
		token, err := jwe.Encrypt(k, enc, "", []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		segments := strings.Split(token, ".")
		iv, text, tag := decode(t, segments[2]), decode(t, segments[3]), decode(t, segments[4])
		if len(iv) != 16 || len(tag) != enc.KeySize()/2 || len(text)%16 != 0 {
			t.Errorf("%s: %d, %d, %d", enc, len(iv), len(text), len(tag))
		}
		all := slices.Concat(iv, text, tag)
		// Bytes moved from one part to the next leave what they are together.
		for _, cut := range [][2]int{{15, len(iv) + len(text)}, {17, len(iv) + len(text)}, {0, len(iv) + len(text)}, {16, len(all)}, {16, len(iv) + len(text) + 1},
			{16, len(iv) + len(text) - 1}, {16, len(iv) + len(text) + len(tag)/2}, {16, len(iv) + len(text) - 16}, {32, len(iv) + len(text)}} {
			moved := slices.Concat(segments[:2], []string{wire.Encode(all[:cut[0]]), wire.Encode(all[cut[0]:cut[1]]), wire.Encode(all[cut[1]:])})
			refuseBy(t, fmt.Sprint(enc, cut), k, p, strings.Join(moved, "."), jwe.ErrDecrypt)
		}
		// The whole HMAC, of which a tag is the first half.
		segments[4] = wire.Encode(append(tag, tag...))
		refuseBy(t, "twice the tag", k, p, strings.Join(segments, "."), jwe.ErrDecrypt)
	}
}

func TestThreat121EncryptedKeyWhereNoneBelongs(t *testing.T) {
	d := newDirect(t)
	segments := strings.Split(d.forge(t, directHeader, []byte(secret)), ".")
	opens(t, "dir", d, directPolicy, strings.Join(segments, "."))
	for _, key := range []string{"AA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", wire.Encode(d.secret)} {
		segments[1] = key
		refuseBy(t, "dir with a key", d, directPolicy, strings.Join(segments, "."), jwe.ErrMalformed)
	}
	k, priv := newAgreeing(t, "P-256")
	ephemeral, z := agree(t, priv)
	segments = strings.Split(forgeAgreed(t, z, agreedHeader(ephemeral)), ".")
	opens(t, "ECDH-ES", k, agreedPolicy, strings.Join(segments, "."))
	segments[1] = "AAAA"
	refuseBy(t, "ECDH-ES with a key", k, agreedPolicy, strings.Join(segments, "."), jwe.ErrMalformed)
	for _, params := range management {
		if params.Algorithm == jwk.Dir || params.Algorithm == jwk.ECDHES || jwk.DefaultIterations(params.Algorithm) > 0 {
			continue
		}
		k := newKey(t, params)
		segments := strings.Split(encrypt(t, k, []byte(secret)), ".")
		segments[1] = ""
		refuseBy(t, string(params.Algorithm)+" without a key", k, jwe.Policy{Algorithm: params.Algorithm, Encryption: jwe.A256GCM}, strings.Join(segments, "."), jwe.ErrDecrypt)
	}
}

// A key of another size that AES would take must not decide how strong it is.
func TestThreat121UnwrappedKeyOfAnotherSize(t *testing.T) {
	for _, params := range management {
		if params.Algorithm == jwk.Dir || params.Algorithm == jwk.ECDHES || jwk.DefaultIterations(params.Algorithm) > 0 {
			continue
		}
		k := newKey(t, params)
		p := jwe.Policy{Algorithm: params.Algorithm, Encryption: jwe.A256GCM}
		for _, size := range []int{16, 24, 32} {
			cek := bytes.Repeat([]byte{9}, size)
			w, err := k.WrapKey(cek, jwk.WrapParams{})
			if err != nil {
				t.Fatal(err)
			}
			h := header{"alg": params.Algorithm, "enc": "A256GCM"}
			if w.EPK != nil {
				h["epk"] = json.RawMessage(w.EPK)
			}
			if w.IV != nil {
				h["iv"], h["tag"] = wire.Encode(w.IV), wire.Encode(w.Tag)
			}
			forged := sealGCM(t, cek, h.json(t), "", []byte(secret))
			forged.key = wire.Encode(w.Key)
			if size == 32 {
				opens(t, string(params.Algorithm), k, p, forged.compact())
			} else {
				refuseBy(t, fmt.Sprint(params.Algorithm, " with ", size), k, p, forged.compact(), jwe.ErrDecrypt)
			}
		}
	}
}

// agree makes an ephemeral key for the holder of priv, and what they share.
func agree(t testing.TB, priv *ecdh.PrivateKey) (epk header, z []byte) {
	t.Helper()
	for crv, curve := range curveOf {
		if curve != priv.Curve() {
			continue
		}
		ephemeral, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if z, err = ephemeral.ECDH(priv.PublicKey()); err != nil {
			t.Fatal(err)
		}
		epk = epkOf(crv, ephemeral.PublicKey())
		epk["private"] = wire.Encode(ephemeral.Bytes()) // known to nobody: passed over
	}
	return epk, z
}

func TestThreat122EPK(t *testing.T) {
	for _, crv := range []string{"P-256", "P-384", "P-521", "X25519"} {
		k, priv := newAgreeing(t, crv)
		epk, z := agree(t, priv)
		opens(t, crv, k, agreedPolicy, forgeAgreed(t, z, agreedHeader(epk)))
		size := len(decode(t, epk["x"].(string)))
		zeros := wire.Encode(make([]byte, size))
		other := map[string]string{"P-256": "P-384", "P-384": "P-521", "P-521": "P-256", "X25519": "P-256"}[crv]
		_, foreign := newAgreeing(t, other)
		otherEPK, _ := agree(t, foreign)
		changed := map[string]any{
			"a private part":     epk.with("d", epk["private"]),
			"another member k":   epk.with("k", "AAAA"),
			"another curve":      otherEPK,
			"another crv":        epk.with("crv", other),
			"no crv":             epk.with("crv", nil),
			"another kty":        epk.with("kty", "RSA"),
			"oct":                epk.with("kty", "oct"),
			"no kty":             epk.with("kty", nil),
			"no x":               epk.with("x", nil),
			"short x":            epk.with("x", wire.Encode(decode(t, epk["x"].(string))[1:])),
			"long x":             epk.with("x", wire.Encode(append([]byte{0}, decode(t, epk["x"].(string))...))),
			"x padded":           epk.with("x", epk["x"].(string)+"="),
			"x is a number":      epk.with("x", 1),
			"nothing":            nil,
			"null":               json.RawMessage("null"),
			"a string":           wire.Encode([]byte("epk")),
			"an array":           []any{epk},
			"only the point":     epk["x"],
			"the recipient's":    nil,
			"all zero":           epk.with("x", zeros),
			"crv with a newline": epk.with("crv", crv+"\n"),
		}
		delete(changed, "the recipient's")
		if crv == "X25519" {
			changed["EC"] = epk.with("kty", "EC")
			changed["a y"] = epk.with("y", zeros)
			changed["Ed25519"] = epk.with("crv", "Ed25519")
		} else {
			y := decode(t, epk["y"].(string))
			off := bytes.Clone(y)
			off[len(off)-1] ^= 1
			changed["OKP"] = epk.with("kty", "OKP")
			changed["no y"] = epk.with("y", nil)
			changed["(0,0)"] = epk.with("x", zeros).with("y", zeros)
			changed["off the curve"] = epk.with("y", wire.Encode(off))
			changed["short y"] = epk.with("y", wire.Encode(y[1:]))
		}
		for what, bad := range changed {
			h := agreedHeader(bad)
			if bad == nil {
				h = h.with("epk", nil)
			}
			refuseBy(t, crv+", "+what, k, agreedPolicy, forgeAgreed(t, z, h), jwe.ErrDecrypt)
		}
	}
}

// A coordinate not below p: on P-521 there is room for p more in the bytes.
func TestThreat122EPKUnreduced(t *testing.T) {
	k, priv := newAgreeing(t, "P-521")
	epk, z := agree(t, priv)
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 521), big.NewInt(1))
	for _, name := range []string{"x", "y"} {
		n := new(big.Int).SetBytes(decode(t, epk[name].(string)))
		more := n.Add(n, p).FillBytes(make([]byte, 66))
		refuseBy(t, name, k, agreedPolicy, forgeAgreed(t, z, agreedHeader(epk.with(name, wire.Encode(more)))), jwe.ErrDecrypt)
	}
	// RFC 7748 passes over the highest bit, and over p, in what it reads.
	k, priv = newAgreeing(t, "X25519")
	epk, z = agree(t, priv)
	x := decode(t, epk["x"].(string))
	x[31] |= 0x80
	refuseBy(t, "the highest bit", k, agreedPolicy, forgeAgreed(t, z, agreedHeader(epk.with("x", wire.Encode(x)))), jwe.ErrDecrypt)
	nine := append([]byte{0xf6}, bytes.Repeat([]byte{0xff}, 30)...)
	nine = append(nine, 0x7f) // 9 + p
	base, err := ecdh.X25519().NewPublicKey(append([]byte{9}, make([]byte, 31)...))
	if err != nil {
		t.Fatal(err)
	}
	if z, err = priv.ECDH(base); err != nil {
		t.Fatal(err)
	}
	opens(t, "9", k, agreedPolicy, forgeAgreed(t, z, agreedHeader(epkOf("X25519", base))))
	refuseBy(t, "9 + p", k, agreedPolicy, forgeAgreed(t, z, agreedHeader(epkOf("X25519", base).with("x", wire.Encode(nine)))), jwe.ErrDecrypt)
}

// With a point of low order everybody knows what was agreed.
func TestThreat122X25519ZeroSecret(t *testing.T) {
	k, _ := newAgreeing(t, "X25519")
	for _, first := range []byte{0, 1} {
		x := make([]byte, 32)
		x[0] = first
		epk := header{"kty": "OKP", "crv": "X25519", "x": wire.Encode(x)}
		refuseBy(t, fmt.Sprint("x = ", first), k, agreedPolicy, forgeAgreed(t, make([]byte, 32), agreedHeader(epk)), jwe.ErrDecrypt)
		if _, err := jwk.ParseAs([]byte(epk.json(t)), jwk.Params{Algorithm: jwk.ECDHES}); !errors.Is(err, jwk.ErrWeakKey) {
			t.Errorf("a key with x = %d: %v", first, err)
		}
	}
}

func TestThreat122LeadingZerosOfZ(t *testing.T) {
	for _, crv := range []string{"P-256", "X25519"} {
		k, priv := newAgreeing(t, crv)
		var epk header
		z := []byte{1}
		for i := 0; z[0] != 0; i++ {
			if i == 5000 {
				t.Fatal("no such secret found")
			}
			epk, z = agree(t, priv)
		}
		opens(t, crv, k, agreedPolicy, forgeAgreed(t, z, agreedHeader(epk)))
		refuseBy(t, crv+" without them", k, agreedPolicy, forgeAgreed(t, z[1:], agreedHeader(epk)), jwe.ErrDecrypt)
	}
}

func TestThreat122PartiesAndAlgorithmEnterTheKey(t *testing.T) {
	k, priv := newAgreeing(t, "P-256")
	epk, z := agree(t, priv)
	alice, bob := []byte("Alice"), []byte("Bob")
	h := agreedHeader(epk).with("apu", wire.Encode(alice)).with("apv", wire.Encode(bob))
	forge := func(algorithm string, apu, apv []byte) string {
		return sealGCM(t, concatKDF(z, algorithm, apu, apv, 16), h.json(t), "", []byte(secret)).compact()
	}
	opens(t, "with parties", k, agreedPolicy, forge("A128GCM", alice, bob))
	for what, token := range map[string]string{
		"no parties":         forge("A128GCM", nil, nil),
		"parties exchanged":  forge("A128GCM", bob, alice),
		"one party":          forge("A128GCM", alice, nil),
		"alg instead of enc": forge("ECDH-ES", alice, bob),
		"another enc":        forge("A256GCM", alice, bob),
		"encoded parties":    forge("A128GCM", []byte(wire.Encode(alice)), []byte(wire.Encode(bob))),
	} {
		refuseBy(t, what, k, agreedPolicy, token, jwe.ErrDecrypt)
	}
	for _, bad := range []any{1, nil, "Alice=", "Ali\n", []string{"Alice"}} {
		if bad != nil {
			refuseBy(t, fmt.Sprint("apu ", bad), k, agreedPolicy, forgeAgreed(t, z, agreedHeader(epk).with("apu", bad)), jwe.ErrMalformed)
		}
	}
	// With key wrapping it is alg that enters.
	for _, c := range []struct {
		alg, wrap jwk.Algorithm
		size      int
	}{{jwk.ECDHESA128KW, jwk.A128KW, 16}, {jwk.ECDHESA192KW, jwk.A192KW, 24}, {jwk.ECDHESA256KW, jwk.A256KW, 32}} {
		k, err := jwk.New(priv, jwk.Params{Algorithm: c.alg})
		if err != nil {
			t.Fatal(err)
		}
		p := jwe.Policy{Algorithm: c.alg, Encryption: jwe.A128GCM}
		forge := func(algorithm string, size int) string {
			kek, err := jwk.New(concatKDF(z, algorithm, alice, bob, size), jwk.Params{Algorithm: map[int]jwk.Algorithm{16: jwk.A128KW, 24: jwk.A192KW, 32: jwk.A256KW}[size]})
			if err != nil {
				t.Fatal(err)
			}
			cek := bytes.Repeat([]byte{9}, 16)
			w, err := kek.WrapKey(cek, jwk.WrapParams{})
			if err != nil {
				t.Fatal(err)
			}
			forged := sealGCM(t, cek, h.with("alg", c.alg).json(t), "", []byte(secret))
			forged.key = wire.Encode(w.Key)
			return forged.compact()
		}
		opens(t, string(c.alg), k, p, forge(string(c.alg), c.size))
		refuseBy(t, "enc", k, p, forge("A128GCM", c.size), jwe.ErrDecrypt)
		refuseBy(t, "the wrapping", k, p, forge(string(c.wrap), c.size), jwe.ErrDecrypt)
		refuseBy(t, "another size", k, p, forge(string(c.alg), 48-c.size+8*((c.size/8)%2)), jwe.ErrDecrypt)
	}
	// And what we write has them.
	e, err := jwe.NewEncrypter(k, jwe.A128GCM, jwe.Header{APU: alice, APV: bob})
	if err != nil {
		t.Fatal(err)
	}
	token, err := e.Encrypt([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	m, err := jwe.DecryptMessage(k, agreedPolicy, token)
	if err != nil || string(m.Header().APU) != "Alice" || string(m.Header().APV) != "Bob" {
		t.Errorf("%v, %v", m, err)
	}
}

// newPassword makes a password and a message with it that has 1,000 iterations.
func newPassword(t testing.TB) (*jwk.Key, []string, header) {
	t.Helper()
	k, err := jwk.New([]byte("correct horse battery staple"), jwk.Params{Algorithm: jwk.PBES2HS256A128KW})
	if err != nil {
		t.Fatal(err)
	}
	e, err := jwe.NewEncrypter(k, jwe.A128GCM, jwe.Header{Iterations: 1000})
	if err != nil {
		t.Fatal(err)
	}
	token, err := e.Encrypt([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	segments := strings.Split(token, ".")
	var h header
	if err := json.Unmarshal(decode(t, segments[0]), &h); err != nil {
		t.Fatal(err)
	}
	return k, segments, h
}

func passwordPolicy(iterations int) jwe.Policy {
	return jwe.Policy{Algorithm: jwk.PBES2HS256A128KW, Encryption: jwe.A128GCM, MaxIterations: iterations}
}

func TestThreat47PBES2Iterations(t *testing.T) {
	k, segments, h := newPassword(t)
	token := strings.Join(segments, ".")
	opens(t, "as many as are allowed", k, passwordPolicy(1000), token)
	refuseBy(t, "passwords are not allowed", k, passwordPolicy(0), token, jwe.ErrIterations)
	refuseBy(t, "one more than is allowed", k, passwordPolicy(999), token, jwe.ErrIterations)
	for _, n := range []int{-1, jwe.MaxIterations + 1} {
		if _, err := jwe.Decrypt(k, passwordPolicy(n), token); err == nil || errors.Is(err, jwe.ErrIterations) {
			t.Errorf("a policy with %d iterations: %v", n, err)
		}
	}
	for _, p2c := range []int{1_200_001, 2_000_000, 1<<31 - 1} {
		segments[0] = wire.Encode([]byte(h.with("p2c", p2c).json(t)))
		refuseBy(t, fmt.Sprint(p2c), k, passwordPolicy(jwe.MaxIterations), strings.Join(segments, "."), jwe.ErrIterations)
	}
}

// All of this is refused before a key is derived: the policy allows so many
// iterations that doing them would show.
func TestThreat123PBES2Parameters(t *testing.T) {
	k, segments, h := newPassword(t)
	for _, p2c := range []any{
		0, 1, 999, -1, 1000.5, "1000", json.RawMessage("1e3"), json.RawMessage("1000.0"), json.RawMessage("+1000"), nil, json.RawMessage("null"),
		json.RawMessage("4294968296"), json.RawMessage("18446744073709552616"), []int{1000}, true,
	} {
		text := h.with("p2c", p2c)
		if raw, ok := p2c.(json.RawMessage); ok && raw[0] == '+' {
			continue // not JSON
		}
		segments[0] = wire.Encode([]byte(text.json(t)))
		refuseBy(t, fmt.Sprint("p2c ", p2c), k, passwordPolicy(jwe.MaxIterations), strings.Join(segments, "."), jwe.ErrMalformed)
	}
	for _, p2s := range []any{nil, "", wire.Encode(make([]byte, 7)), "AAAAAAAAAA=", 12345678, wire.Encode(make([]byte, 8)) + "\n"} {
		segments[0] = wire.Encode([]byte(h.with("p2s", p2s).json(t)))
		refuseBy(t, fmt.Sprint("p2s ", p2s), k, passwordPolicy(jwe.MaxIterations), strings.Join(segments, "."), jwe.ErrMalformed)
	}
	segments[0] = wire.Encode([]byte(h.with("p2c", jwe.MaxIterations).json(t)))
	segments[1] = "AAAA"
	if n := testing.AllocsPerRun(20, func() { jwe.Decrypt(k, passwordPolicy(jwe.MaxIterations), strings.Join(segments, ".")) }); n > 100 {
		t.Errorf("a key that cannot be one: %v allocations", n)
	}
	for _, n := range []int{1, 999, jwe.MaxIterations + 1, -5} {
		e, err := jwe.NewEncrypter(k, jwe.A128GCM, jwe.Header{Iterations: n})
		if err == nil {
			_, err = e.Encrypt(nil)
		}
		if err == nil {
			t.Errorf("encrypted with %d iterations", n)
		}
	}
}

// A counting source shows whether anything was done with a key.
type counting struct {
	*jwk.Key
	found int
}

func (c *counting) Find(kid, alg string) (*jwk.Key, error) {
	c.found++
	return c.Key.Find(kid, alg)
}

// many returns a message with n copies of one recipient.
func many(t testing.TB, n int, protected header, one string) string {
	t.Helper()
	list := strings.TrimSuffix(strings.Repeat(one+",", n), ",")
	return fmt.Sprintf(`{"protected":%q,"recipients":[%s],"iv":"AAAAAAAAAAAAAAAA","ciphertext":"AAAA","tag":"AAAAAAAAAAAAAAAAAAAAAA"}`,
		wire.Encode([]byte(protected.json(t))), list)
}

func TestThreat125WorkIsBounded(t *testing.T) {
	enc := header{"enc": "A128GCM"}
	oaep := newKey(t, jwk.Params{Algorithm: jwk.RSAOAEP256})
	p := jwe.Policy{Algorithm: jwk.RSAOAEP256, Encryption: jwe.A128GCM}
	one := `{"header":{"alg":"RSA-OAEP-256"},"encrypted_key":"` + wire.Encode(make([]byte, 256)) + `"}`
	small := `{"header":{"alg":"RSA-OAEP-256"}}`
	keys := &counting{Key: oaep}
	for what, data := range map[string]string{
		"1,000 recipients":          many(t, 1000, enc, small),
		"5,000 recipients":          many(t, 5000, enc, small),
		"one recipient too many":    many(t, jwe.MaxRecipients+1, enc, small),
		"empty recipients":          many(t, 80_000, enc, "{}"),
		"recipients of other kinds": many(t, 80_000, enc, "1"),
		"no recipients":             many(t, 0, enc, ""),
	} {
		refuseJSON(t, what, keys, p, data, jwe.ErrMalformed)
		if keys.found != 0 {
			t.Fatalf("%s: keys were looked for", what)
		}
	}
	// The same key again and again: nine times the work for one message.
	refuseJSON(t, "nine for one key", keys, p, many(t, 9, enc, one), jwe.ErrMalformed)
	refuseJSON(t, "eight for one key", keys, p, many(t, 8, enc, one), jwe.ErrDecrypt)

	password, _, _ := newPassword(t)
	for what, c := range map[string]struct {
		n, p2c int
		want   error
	}{
		"300 passwords":             {300, 1000, jwe.ErrMalformed},
		"more together":             {7, 200_000, jwe.ErrIterations},
		"one of them is over":       {1, jwe.MaxIterations + 1, jwe.ErrIterations},
		"as many as are allowed in": {3, 1000, jwe.ErrDecrypt},
	} {
		one := fmt.Sprintf(`{"header":{"alg":"PBES2-HS256+A128KW","p2c":%d,"p2s":"AAAAAAAAAAAAAAAA"},"encrypted_key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`, c.p2c)
		refuseJSON(t, what, password, passwordPolicy(jwe.MaxIterations), many(t, c.n, enc, one), c.want)
	}
	var recipients []*jwe.Encrypter
	e, err := jwe.NewEncrypter(newKey(t, jwk.Params{}), jwe.A128GCM, jwe.Header{})
	if err != nil {
		t.Fatal(err)
	}
	for range jwe.MaxRecipients + 1 {
		recipients = append(recipients, e)
	}
	if _, err := jwe.EncryptJSON(nil, nil, recipients...); err == nil {
		t.Error("encrypted for too many")
	}
}

// What is hostile costs next to nothing.
func TestThreat125OversizedInput(t *testing.T) {
	d := newDirect(t)
	const size = 10 << 20
	var keys jwk.Source = d
	for what, token := range map[string]string{
		"dots":     strings.Repeat(".", size),
		"a header": strings.Repeat("A", size) + "....",
		"a text":   wire.Encode([]byte(directHeader.json(t))) + "..AAAAAAAAAAAAAAAA." + strings.Repeat("A", size) + ".AAAAAAAAAAAAAAAAAAAAAA",
		"braces":   strings.Repeat("{", size),
		"members":  "{" + strings.Repeat(`"a":1,`, size/6),
	} {
		if n := testing.AllocsPerRun(5, func() { jwe.Decrypt(keys, directPolicy, token) }); n > 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
		data := []byte(token)
		if n := testing.AllocsPerRun(5, func() { jwe.DecryptJSON(keys, directPolicy, data) }); n > 0 {
			t.Errorf("%s as JSON: %v allocations", what, n)
		}
		refuseBy(t, what, d, directPolicy, token, jwe.ErrMalformed)
		refuseJSON(t, what, d, directPolicy, token, jwe.ErrMalformed)
	}
}

func TestThreat42CriticalHandlers(t *testing.T) {
	d := newDirect(t)
	seen := ""
	p := directPolicy
	p.Critical = map[string]func(jwe.Header, jsontext.Value) error{
		"ext": func(h jwe.Header, v jsontext.Value) error {
			seen = string(v)
			if seen == `"bad"` {
				return io.ErrUnexpectedEOF
			}
			if own, ok := h.Member("ext"); !ok || string(own) != seen || h.Algorithm != jwk.Dir {
				t.Errorf("the header does not go with the value: %+v", h)
			}
			return nil
		},
		"alg": func(jwe.Header, jsontext.Value) error { return nil },
		"jku": func(jwe.Header, jsontext.Value) error { return nil },
	}
	good := directHeader.with("crit", []string{"ext"}).with("ext", header{"a": 1})
	opens(t, "an extension", d, p, d.forge(t, good, []byte(secret)))
	if seen != `{"a":1}` {
		t.Errorf("the handler got %q", seen)
	}
	refuseBy(t, "nobody understands it", d, directPolicy, d.forge(t, good, []byte(secret)), jwe.ErrCritical)
	refuseBy(t, "the handler says no", d, p, d.forge(t, good.with("ext", "bad"), []byte(secret)), io.ErrUnexpectedEOF)
	seen = ""
	refuseBy(t, "not genuine", d, p, newDirect(t).forge(t, good, []byte(secret)), jwe.ErrDecrypt)
	if seen != "" {
		t.Error("the handler was called for a message that does not open")
	}
	for what, h := range map[string]header{
		"one of two":      good.with("crit", []string{"ext", "more"}).with("more", 1),
		"not there":       good.with("ext", nil),
		"twice":           good.with("crit", []string{"ext", "ext"}),
		"empty":           good.with("crit", []string{}),
		"a string":        good.with("crit", "ext"),
		"null":            good.with("crit", json.RawMessage("null")),
		"a number inside": good.with("crit", []any{"ext", 1}),
		"alg":             good.with("crit", []string{"alg"}),
		"jku":             good.with("crit", []string{"jku"}).with("jku", "https://a.example"),
		"crit":            good.with("crit", []string{"crit"}),
		"the empty name":  good.with("crit", []string{""}),
	} {
		refuseBy(t, what, d, p, d.forge(t, h, []byte(secret)), jwe.ErrMalformed)
	}
	// RFC 7515, Section 4.1.11: only protected.
	s := sealGCM(t, d.secret, directHeader.json(t), "", []byte(secret))
	for _, member := range []string{"unprotected", "header"} {
		data := fmt.Sprintf(`{"protected":%q,%q:{"crit":["ext"],"ext":1},"iv":%q,"ciphertext":%q,"tag":%q}`, s.protected, member, s.iv, s.text, s.tag)
		refuseJSON(t, "crit in "+member, d, p, data, jwe.ErrMalformed)
	}
	s = sealGCM(t, d.secret, directHeader.with("crit", []string{"ext"}).json(t), "", []byte(secret))
	data := fmt.Sprintf(`{"protected":%q,"unprotected":{"ext":1},"iv":%q,"ciphertext":%q,"tag":%q}`, s.protected, s.iv, s.text, s.tag)
	refuseJSON(t, "an extension that is not protected", d, p, data, jwe.ErrMalformed)
}
