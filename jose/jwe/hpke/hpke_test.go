package hpke_test

import (
	"bytes"
	"crypto/ecdh"
	stdlib "crypto/hpke"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwe/hpke"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A suite is what the draft says of an algorithm (Tables 1 to 3).
type suite struct {
	kty, crv string
	kdf      stdlib.KDF
	aead     stdlib.AEAD
}

var integrated = map[jwk.Algorithm]suite{
	hpke.HPKE0: {"EC", "P-256", stdlib.HKDFSHA256(), stdlib.AES128GCM()},
	hpke.HPKE1: {"EC", "P-384", stdlib.HKDFSHA384(), stdlib.AES256GCM()},
	hpke.HPKE2: {"EC", "P-521", stdlib.HKDFSHA512(), stdlib.AES256GCM()},
	hpke.HPKE3: {"OKP", "X25519", stdlib.HKDFSHA256(), stdlib.AES128GCM()},
	hpke.HPKE4: {"OKP", "X25519", stdlib.HKDFSHA256(), stdlib.ChaCha20Poly1305()},
	hpke.HPKE7: {"EC", "P-256", stdlib.HKDFSHA256(), stdlib.AES256GCM()},
}

var keyEncryption = map[jwk.Algorithm]suite{
	hpke.HPKE0KE: integrated[hpke.HPKE0], hpke.HPKE1KE: integrated[hpke.HPKE1], hpke.HPKE2KE: integrated[hpke.HPKE2],
	hpke.HPKE3KE: integrated[hpke.HPKE3], hpke.HPKE4KE: integrated[hpke.HPKE4], hpke.HPKE7KE: integrated[hpke.HPKE7],
}

// policies are those that the tests use, one for each algorithm.
func policies() (all []jwe.Policy) {
	for _, alg := range slices.Sorted(maps.Keys(integrated)) {
		all = append(all, jwe.Policy{Algorithm: alg}, jwe.Policy{Algorithm: alg + "-KE", Encryption: jwe.A128CBCHS256})
	}
	return all
}

var plaintext = []byte("for your eyes only")

func generate(t testing.TB, alg jwk.Algorithm) *jwk.Key {
	t.Helper()
	k, err := jwk.Generate(jwk.Params{Algorithm: alg})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func encrypter(t testing.TB, k *jwk.Key, enc jwe.Encryption) *jwe.Encrypter {
	t.Helper()
	pub, err := k.Public()
	if err != nil {
		t.Fatal(err)
	}
	e, err := jwe.NewEncrypter(pub, enc, jwe.Header{ContentType: "text/plain"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func seal(t testing.TB, k *jwk.Key, enc jwe.Encryption) string {
	t.Helper()
	token, err := encrypter(t, k, enc).Encrypt(plaintext)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestRoundTrip(t *testing.T) {
	for _, p := range policies() {
		k := generate(t, p.Algorithm)
		e := encrypter(t, k, p.Encryption)
		for _, text := range [][]byte{nil, plaintext, make([]byte, 10_000)} {
			token, err := e.Encrypt(text)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := jwe.Decrypt(k, p, token); err != nil || !bytes.Equal(got, text) {
				t.Errorf("%s: %d bytes, %v", p.Algorithm, len(got), err)
			}
			for _, aad := range [][]byte{nil, []byte("aad")} {
				data, err := jwe.EncryptJSON(text, aad, e)
				if err != nil {
					t.Fatal(err)
				}
				m, err := jwe.DecryptJSON(k, p, data)
				if err != nil || !bytes.Equal(m.Plaintext(), text) || !bytes.Equal(m.AAD(), aad) || m.Header().ContentType != "text/plain" {
					t.Errorf("%s: in JSON: %v", p.Algorithm, err)
				}
			}
		}
		first, second := seal(t, k, p.Encryption), seal(t, k, p.Encryption)
		if first == second {
			t.Errorf("%s: two messages are alike", p.Algorithm)
		}
	}
}

// The keys of the draft's Table 3, and the thumbprint of any key of their type.
func TestKeys(t *testing.T) {
	for _, algorithms := range []map[jwk.Algorithm]suite{integrated, keyEncryption} {
		for alg, s := range algorithms {
			k := generate(t, alg)
			f := membersOf(t, k)
			if f["kty"] != s.kty || f["crv"] != s.crv || f["use"] != "enc" || f["alg"] != string(alg) {
				t.Errorf("%s: %v", alg, f)
			}
			f["alg"] = "ECDH-ES"
			if other, err := parse(f); err != nil || other.Thumbprint() != k.Thumbprint() {
				t.Errorf("%s: %v", alg, err)
			}
			f["alg"] = string(alg)
			for name, value := range map[string]any{"crv": "P-192", "kty": "oct", "use": "sig", "x": "AA", "key_ops": []string{"sign"}} {
				bad := maps.Clone(f)
				bad[name] = value
				if _, err := parse(bad); err == nil {
					t.Errorf("%s: %s = %v was taken", alg, name, value)
				}
			}
			// Another curve than that of the algorithm, with a point that is on it.
			for _, c := range []ecdh.Curve{ecdh.P256(), ecdh.P384(), ecdh.P521(), ecdh.X25519()} {
				priv, err := c.GenerateKey(rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				_, err = jwk.New(priv, jwk.Params{Algorithm: alg})
				if fits := curves[s.crv] == c; fits != (err == nil) || !fits && !errors.Is(err, jwk.ErrAlgorithm) {
					t.Errorf("%s with %v: %v", alg, c, err)
				}
			}
		}
	}
	for _, alg := range []jwk.Algorithm{"HPKE-5", "HPKE-6-KE", "HPKE-8", "HPKE", "HPKE-0-KE-KE", "hpke-0"} {
		if _, err := jwk.Generate(jwk.Params{Algorithm: alg}); !errors.Is(err, jwk.ErrUnsupported) {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

var curves = map[string]ecdh.Curve{"P-256": ecdh.P256(), "P-384": ecdh.P384(), "P-521": ecdh.P521(), "X25519": ecdh.X25519()}

func membersOf(t testing.TB, k *jwk.Key) map[string]any {
	t.Helper()
	data, err := k.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	var f map[string]any
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func parse(f map[string]any) (*jwk.Key, error) {
	data, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	return jwk.Parse(data)
}

// receiver makes a key of crypto/hpke of k, past package jwk.
func receiver(t testing.TB, k *jwk.Key) stdlib.PrivateKey {
	t.Helper()
	f := membersOf(t, k)
	d, err := wire.Decode(f["d"].(string))
	if err != nil {
		t.Fatal(err)
	}
	priv, err := curves[f["crv"].(string)].NewPrivateKey(d)
	if err != nil {
		t.Fatal(err)
	}
	r, err := stdlib.NewDHKEMPrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func parts(t testing.TB, token string) (segments []string, decoded [][]byte) {
	t.Helper()
	segments = strings.Split(token, ".")
	if len(segments) != 5 {
		t.Fatalf("%d segments", len(segments))
	}
	for _, s := range segments {
		b, err := wire.Decode(s)
		if err != nil {
			t.Fatal(err)
		}
		decoded = append(decoded, b)
	}
	return segments, decoded
}

// Section 5 of the draft, step by step with crypto/hpke itself, in both directions.
func TestIntegratedEncryptionByHand(t *testing.T) {
	for alg, s := range integrated {
		k := generate(t, alg)
		segments, decoded := parts(t, seal(t, k, hpke.Integrated))
		if len(decoded[2]) != 0 || len(decoded[4]) != 0 {
			t.Errorf("%s: an iv or a tag", alg)
		}
		if strings.Contains(string(decoded[0]), `"enc"`) || strings.Contains(string(decoded[0]), `"ek"`) {
			t.Errorf("%s: header %s", alg, decoded[0])
		}
		r, err := stdlib.NewRecipient(decoded[1], receiver(t, k), s.kdf, s.aead, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Open([]byte(segments[0]), decoded[3]); err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("%s: %v", alg, err)
		}

		header := wire.Encode([]byte(`{"alg":"` + string(alg) + `"}`))
		encapsulated, sender, err := stdlib.NewSender(receiver(t, k).PublicKey(), s.kdf, s.aead, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := sender.Seal([]byte(header), plaintext)
		if err != nil {
			t.Fatal(err)
		}
		token := header + "." + wire.Encode(encapsulated) + ".." + wire.Encode(text) + "."
		if got, err := jwe.Decrypt(k, jwe.Policy{Algorithm: alg}, token); err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("%s: theirs: %v", alg, err)
		}
	}
}

// Section 6 of the draft: the info is the Recipient_structure, whose example in
// Section 6.1.1 is this one.
func TestKeyEncryptionByHand(t *testing.T) {
	const example = "JOSE-HPKE rcpt\xffA128GCM\xff"
	for alg, s := range keyEncryption {
		k := generate(t, alg)
		_, decoded := parts(t, seal(t, k, jwe.A128GCM))
		var header struct{ Enc, Ek string }
		if err := json.Unmarshal(decoded[0], &header); err != nil || header.Enc != "A128GCM" {
			t.Fatalf("%s: %s, %v", alg, decoded[0], err)
		}
		encapsulated, err := wire.Decode(header.Ek)
		if err != nil {
			t.Fatal(err)
		}
		r, err := stdlib.NewRecipient(encapsulated, receiver(t, k), s.kdf, s.aead, []byte(example))
		if err != nil {
			t.Fatal(err)
		}
		if cek, err := r.Open(nil, decoded[1]); err != nil || len(cek) != 16 {
			t.Errorf("%s: a key of %d bytes, %v", alg, len(cek), err)
		}
	}
}

func TestEveryBitAndEveryCut(t *testing.T) {
	for _, p := range policies() {
		k := generate(t, p.Algorithm)
		token := seal(t, k, p.Encryption)
		for i := range token {
			bad := []byte(token)
			bad[i] ^= 1 << (i % 7)
			if got, err := jwe.Decrypt(k, p, string(bad)); err == nil && string(bad) != token {
				t.Errorf("%s: byte %d changed: %q", p.Algorithm, i, got)
			}
		}
		for n := range token {
			if _, err := jwe.Decrypt(k, p, token[:n]); err == nil {
				t.Errorf("%s: cut to %d", p.Algorithm, n)
			}
		}
	}
}

// The two modes, and suites on one curve, are different algorithms: a key for one
// opens nothing of another, whatever the header says.
func TestThreat120OneAlgorithmForAKey(t *testing.T) {
	k := generate(t, hpke.HPKE0)
	f := membersOf(t, k)
	token := seal(t, k, hpke.Integrated)
	for _, other := range []jwk.Algorithm{hpke.HPKE7, hpke.HPKE0KE, hpke.HPKE7KE, jwk.ECDHES} {
		f["alg"] = string(other)
		twin, err := parse(f)
		if err != nil {
			t.Fatal(err)
		}
		p := jwe.Policy{Algorithm: other, Encryption: jwe.A128GCM}
		if other.Integrated() {
			p.Encryption = ""
		}
		if _, err := jwe.Decrypt(twin, p, token); !errors.Is(err, jwe.ErrAlgorithm) {
			t.Errorf("%s: %v", other, err)
		}
		segments, decoded := parts(t, token)
		segments[0] = wire.Encode(bytes.Replace(decoded[0], []byte(`"HPKE-0"`), []byte(`"`+other+`"`), 1))
		if _, err := jwe.Decrypt(twin, p, strings.Join(segments, ".")); err == nil {
			t.Errorf("%s: took what %s has sealed", other, hpke.HPKE0)
		}
	}
}

func TestThreat120PolicyPinsBoth(t *testing.T) {
	whole, wrapped := generate(t, hpke.HPKE0), generate(t, hpke.HPKE0KE)
	for what, p := range map[string]jwe.Policy{
		"integrated with enc": {Algorithm: hpke.HPKE0, Encryption: jwe.A128GCM},
		"KE without enc":      {Algorithm: hpke.HPKE0KE},
		"no algorithm":        {},
	} {
		for _, token := range []string{seal(t, whole, hpke.Integrated), seal(t, wrapped, jwe.A128GCM)} {
			if _, err := jwe.Decrypt(whole, p, token); err == nil || errors.Is(err, jwe.ErrDecrypt) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	token := seal(t, wrapped, jwe.A128GCM)
	if _, err := jwe.Decrypt(wrapped, jwe.Policy{Algorithm: hpke.HPKE0KE, Encryption: jwe.A256GCM}, token); !errors.Is(err, jwe.ErrEncryption) {
		t.Errorf("another enc: %v", err)
	}
	for _, enc := range []jwe.Encryption{hpke.Integrated, "A128", "none"} {
		if _, err := jwe.NewEncrypter(wrapped, enc, jwe.Header{}); !errors.Is(err, jwe.ErrEncryption) {
			t.Errorf("key encryption for enc %q: %v", enc, err)
		}
	}
	if _, err := jwe.NewEncrypter(whole, jwe.A128GCM, jwe.Header{}); !errors.Is(err, jwe.ErrEncryption) {
		t.Errorf("integrated encryption with an enc: %v", err)
	}
}

// remake seals under a header with the given members, so that only the header can
// be what is refused.
func remake(t testing.TB, k *jwk.Key, header string) string {
	t.Helper()
	s := integrated[k.Algorithm()]
	segment := wire.Encode([]byte(header))
	encapsulated, sender, err := stdlib.NewSender(receiver(t, k).PublicKey(), s.kdf, s.aead, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := sender.Seal([]byte(segment), plaintext)
	if err != nil {
		t.Fatal(err)
	}
	return segment + "." + wire.Encode(encapsulated) + ".." + wire.Encode(text) + "."
}

// Section 5 of the draft: neither enc nor ek, iv and tag empty, the encapsulated
// secret exact.
func TestIntegratedEncryptionIsRefused(t *testing.T) {
	k := generate(t, hpke.HPKE0)
	p := jwe.Policy{Algorithm: hpke.HPKE0}
	if _, err := jwe.Decrypt(k, p, remake(t, k, `{"alg":"HPKE-0"}`)); err != nil {
		t.Fatal(err)
	}
	for _, extra := range []string{`"enc":"A128GCM"`, `"enc":""`, `"enc":null`, `"ek":"AA"`, `"ek":""`, `"psk_id":"AA"`, `"zip":"DEF"`, `"crit":["x"],"x":1`} {
		_, err := jwe.Decrypt(k, p, remake(t, k, `{"alg":"HPKE-0",`+extra+`}`))
		if !errors.Is(err, jwe.ErrMalformed) {
			t.Errorf("%s: %v", extra, err)
		}
	}
	segments, decoded := parts(t, remake(t, k, `{"alg":"HPKE-0"}`))
	key := decoded[1]
	off := bytes.Clone(key)
	off[64] ^= 1
	for what, change := range map[string]map[int]string{
		"an iv":              {2: "AAAAAAAAAAAAAAAA"},
		"a tag":              {4: "AAAAAAAAAAAAAAAAAAAAAA"},
		"tag apart":          {3: wire.Encode(decoded[3][:len(decoded[3])-16]), 4: wire.Encode(decoded[3][len(decoded[3])-16:])},
		"no secret":          {1: ""},
		"secret short":       {1: wire.Encode(key[:64])},
		"secret long":        {1: wire.Encode(append(bytes.Clone(key), 0))},
		"secret compressed":  {1: wire.Encode(append([]byte{2 + key[64]&1}, key[1:33]...))},
		"off the curve":      {1: wire.Encode(off)},
		"at infinity":        {1: "AA"},
		"other secret":       {1: strings.Split(remake(t, k, `{"alg":"HPKE-0"}`), ".")[1]},
		"no ciphertext":      {3: ""},
		"less than its tag":  {3: wire.Encode(decoded[3][:15])},
		"header spaced":      {0: wire.Encode([]byte(`{"alg": "HPKE-0"}`))},
		"ciphertext shifted": {1: wire.Encode(append(bytes.Clone(key), decoded[3][0])), 3: wire.Encode(decoded[3][1:])},
	} {
		bad := slices.Clone(segments)
		for i, s := range change {
			bad[i] = s
		}
		if _, err := jwe.Decrypt(k, p, strings.Join(bad, ".")); !errors.Is(err, jwe.ErrDecrypt) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The eight points of low order on X25519 give a secret that everybody knows.
func TestThreat122LowOrderSecret(t *testing.T) {
	k := generate(t, hpke.HPKE3)
	segments, _ := parts(t, seal(t, k, hpke.Integrated))
	for _, point := range [][]byte{make([]byte, 32), append([]byte{1}, make([]byte, 31)...)} {
		segments[1] = wire.Encode(point)
		if _, err := jwe.Decrypt(k, jwe.Policy{Algorithm: hpke.HPKE3}, strings.Join(segments, ".")); !errors.Is(err, jwe.ErrDecrypt) {
			t.Errorf("%x: %v", point, err)
		}
	}
	f := membersOf(t, k)
	delete(f, "d")
	f["x"] = wire.Encode(make([]byte, 32))
	if _, err := parse(f); !errors.Is(err, jwk.ErrWeakKey) {
		t.Errorf("a key of low order: %v", err)
	}
}

func TestKeyEncryptionIsRefused(t *testing.T) {
	k := generate(t, hpke.HPKE0KE)
	p := jwe.Policy{Algorithm: hpke.HPKE0KE, Encryption: jwe.A128GCM}
	segments, decoded := parts(t, seal(t, k, jwe.A128GCM))
	var header map[string]any
	if err := json.Unmarshal(decoded[0], &header); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]any{"ek": nil, "ek ": "", "ek  ": 5, "ek   ": "AA", "enc": "A256GCM", "psk_id": "AA"} {
		h := maps.Clone(header)
		if h[strings.TrimSpace(what)] = change; change == nil {
			delete(h, what)
		}
		data, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		bad := slices.Clone(segments)
		bad[0] = wire.Encode(data)
		if _, err := jwe.Decrypt(k, p, strings.Join(bad, ".")); err == nil {
			t.Errorf("%s = %v was taken", what, change)
		}
	}
	for _, key := range []string{"", wire.Encode(decoded[1][:31]), wire.Encode(append(decoded[1], 0))} {
		bad := slices.Clone(segments)
		bad[1] = key
		if _, err := jwe.Decrypt(k, p, strings.Join(bad, ".")); !errors.Is(err, jwe.ErrDecrypt) {
			t.Errorf("encrypted key %q: %v", key, err)
		}
	}
}

// A key that was wrapped for one content encryption is not used with another of
// the same size.
func TestKeyIsTiedToItsEncryption(t *testing.T) {
	k := generate(t, hpke.HPKE0KE)
	w, err := k.WrapKey(make([]byte, 32), jwk.WrapParams{Encryption: jwe.A256GCM})
	if err != nil {
		t.Fatal(err)
	}
	if cek, err := k.UnwrapKey(w); err != nil || len(cek) != 32 {
		t.Fatalf("%d bytes, %v", len(cek), err)
	}
	w.Encryption = jwe.A128CBCHS256
	if _, err := k.UnwrapKey(w); err != jwk.ErrUnwrap {
		t.Errorf("for another enc: %v", err)
	}
	for _, enc := range []jwe.Encryption{"", jwe.A128GCM, "none"} {
		if _, err := k.WrapKey(make([]byte, 32), jwk.WrapParams{Encryption: enc}); err == nil {
			t.Errorf("32 bytes for enc %q", enc)
		}
	}
}

// Recipients of other algorithms stand beside one of key encryption; integrated
// encryption stands alone, with its alg protected.
func TestRecipients(t *testing.T) {
	a, b := generate(t, hpke.HPKE0KE), generate(t, jwk.ECDHESA128KW)
	data, err := jwe.EncryptJSON(plaintext, nil, encrypter(t, a, jwe.A128GCM), encrypter(t, b, jwe.A128GCM))
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range []*jwk.Key{a, b} {
		m, err := jwe.DecryptJSON(k, jwe.Policy{Algorithm: k.Algorithm(), Encryption: jwe.A128GCM}, data)
		if err != nil || m.Recipient() != i || !bytes.Equal(m.Plaintext(), plaintext) {
			t.Errorf("%s: %v", k.Algorithm(), err)
		}
	}
	whole := generate(t, hpke.HPKE0)
	if _, err := jwe.EncryptJSON(plaintext, nil, encrypter(t, whole, ""), encrypter(t, whole, "")); err == nil {
		t.Error("integrated encryption for two")
	}
	p := jwe.Policy{Algorithm: hpke.HPKE0}
	segments, _ := parts(t, remake(t, whole, `{"alg":"HPKE-0"}`))
	flat := `{"protected":"` + segments[0] + `","encrypted_key":"` + segments[1] + `","ciphertext":"` + segments[3] + `"`
	if _, err := jwe.DecryptJSON(whole, p, []byte(flat+"}")); err != nil {
		t.Fatal(err)
	}
	general := `{"protected":"` + segments[0] + `","ciphertext":"` + segments[3] + `","recipients":[{"encrypted_key":"` + segments[1] + `"}`
	for what, text := range map[string]string{
		"enc beside":      flat + `,"unprotected":{"enc":"A128GCM"}}`,
		"ek beside":       flat + `,"header":{"ek":"AA"}}`,
		"two recipients":  general + `,{"encrypted_key":"` + segments[1] + `"}]}`,
		"aad of somebody": flat + `,"aad":"AA"}`,
	} {
		if _, err := jwe.DecryptJSON(whole, p, []byte(text)); !errors.Is(err, jwe.ErrMalformed) && !errors.Is(err, jwe.ErrDecrypt) {
			t.Errorf("%s: %v", what, err)
		}
	}
	bare, _ := parts(t, remake(t, whole, `{"typ":"x"}`))
	unprotected := `{"protected":"` + bare[0] + `","encrypted_key":"` + bare[1] + `","ciphertext":"` + bare[3] + `","header":{"alg":"HPKE-0"}}`
	if _, err := jwe.DecryptJSON(whole, p, []byte(unprotected)); !errors.Is(err, jwe.ErrMalformed) {
		t.Errorf("alg that is not protected: %v", err)
	}
	if _, err := jwe.DecryptJSON(whole, p, []byte(general+"]}")); err != nil {
		t.Errorf("general for one: %v", err)
	}
}

// key_ops of the private half, and of the public one that follows.
func TestOperations(t *testing.T) {
	for _, c := range []struct {
		ops   []string
		opens bool
	}{
		{[]string{"decrypt"}, true}, {[]string{"unwrapKey"}, true}, {[]string{"deriveBits"}, true}, {[]string{"encrypt"}, false},
	} {
		f := membersOf(t, generate(t, hpke.HPKE0))
		delete(f, "use")
		f["key_ops"] = c.ops
		k, err := parse(f)
		if err != nil {
			t.Fatalf("%v: %v", c.ops, err)
		}
		data, err := k.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jwk.Parse(data); err != nil {
			t.Errorf("%v: the public half, %s: %v", c.ops, data, err)
		}
		_, err = jwe.Decrypt(k, jwe.Policy{Algorithm: hpke.HPKE0}, seal(t, k, hpke.Integrated))
		if c.opens && err != nil || !c.opens && err != jwk.ErrUse {
			t.Errorf("%v: %v", c.ops, err)
		}
	}
	pub, err := generate(t, hpke.HPKE0).Public()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jwe.Decrypt(pub, jwe.Policy{Algorithm: hpke.HPKE0}, seal(t, pub, hpke.Integrated)); err != jwk.ErrNotPrivate {
		t.Errorf("a public key opened: %v", err)
	}
}

func FuzzDecrypt(f *testing.F) {
	keys := map[jwk.Algorithm]*jwk.Key{}
	for _, p := range policies() {
		keys[p.Algorithm] = generate(f, p.Algorithm)
		f.Add(seal(f, keys[p.Algorithm], p.Encryption))
	}
	f.Add(`eyJhbGciOiJIUEtFLTAifQ.BA..AA.`)
	f.Fuzz(func(t *testing.T, token string) {
		for _, p := range policies() {
			got, err := jwe.Decrypt(keys[p.Algorithm], p, token)
			if err == nil && !bytes.Equal(got, plaintext) {
				t.Errorf("%s: %q", p.Algorithm, got)
			}
		}
	})
}
