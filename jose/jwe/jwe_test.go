package jwe_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

var policy = jwe.Policy{Algorithm: "A256GCMKW", Encryption: jwe.A256GCM}

const secret = "The true sign of intelligence is not knowledge but imagination."

// rsaKey is the one RSA key of all tests that need no second one.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func newKey(t testing.TB, p jwk.Params) *jwk.Key {
	t.Helper()
	if p.Algorithm == "" {
		p.Algorithm = jwk.A256GCMKW
	}
	if strings.HasPrefix(string(p.Algorithm), "RSA") {
		k, err := jwk.New(rsaKey(), p)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	return generate(t, p)
}

func generate(t testing.TB, p jwk.Params) *jwk.Key {
	t.Helper()
	k, err := jwk.Generate(p)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func encrypt(t testing.TB, k *jwk.Key, plaintext []byte) string {
	t.Helper()
	token, err := jwe.Encrypt(k, jwe.A256GCM, "", plaintext)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// refuse checks that token does not open, with an error that is want if given and
// shows nothing of the token.
func refuse(t testing.TB, k *jwk.Key, token string, want error) {
	t.Helper()
	plaintext, err := jwe.Decrypt(k, policy, token)
	if err == nil || plaintext != nil {
		t.Errorf("opened %.60q", token)
		return
	}
	if want != nil && !errors.Is(err, want) {
		t.Errorf("%.60q: got %v, want %v", token, err, want)
	}
	if want == nil && !errors.Is(err, jwe.ErrMalformed) && !errors.Is(err, jwe.ErrDecrypt) {
		t.Errorf("%.60q: %v", token, err)
	}
	for _, part := range strings.Split(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part[:8]) {
			t.Errorf("the error shows the token: %v", err)
		}
	}
}

// A header is the JSON of a header that a test takes apart.
type header map[string]any

// forge makes a JWE as RFC 7516, Section 5.1, says, without any of the checks of
// Encrypt: header members of change replace or, if nil, remove what belongs there,
// and the content key is cek, whatever its size.
func forge(t testing.TB, k *jwk.Key, change header, cek []byte) string {
	t.Helper()
	w, err := k.WrapKey(cek, jwk.WrapParams{})
	if err != nil {
		t.Fatal(err)
	}
	h := header{"alg": "A256GCMKW", "enc": "A256GCM", "kid": k.KeyID(), "iv": wire.Encode(w.IV), "tag": wire.Encode(w.Tag)}
	for name, value := range change {
		if h[name] = value; value == nil {
			delete(h, name)
		}
	}
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return seal(t, string(data), w, cek)
}

// seal encrypts secret under a header given as text.
func seal(t testing.TB, text string, w jwk.Wrapped, cek []byte) string {
	t.Helper()
	segment := wire.Encode([]byte(text))
	block, err := aes.NewCipher(cek)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	iv := bytes.Repeat([]byte{7}, 12)
	sealed := gcm.Seal(nil, iv, []byte(secret), []byte(segment))
	end := len(sealed) - 16
	parts := []string{segment, wire.Encode(w.Key), wire.Encode(iv), wire.Encode(sealed[:end]), wire.Encode(sealed[end:])}
	return strings.Join(parts, ".")
}

func TestRoundTrip(t *testing.T) {
	k := newKey(t, jwk.Params{})
	for _, n := range []int{0, 1, 15, 16, 17, 100, 7000, 100_000} {
		want := bytes.Repeat([]byte{0xa5}, n)
		got, err := jwe.Decrypt(k, policy, encrypt(t, k, want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d, %v", n, len(got), err)
		}
	}
}

// Row 126 asks for the empty plaintext by name.
func TestThreat126EmptyPlaintext(t *testing.T) {
	k := newKey(t, jwk.Params{})
	for _, empty := range [][]byte{nil, {}} {
		token := encrypt(t, k, empty)
		if !strings.Contains(token, "..") {
			t.Errorf("the ciphertext is not empty: %s", token)
		}
		if got, err := jwe.Decrypt(k, policy, token); err != nil || len(got) != 0 {
			t.Errorf("%x, %v", got, err)
		}
	}
}

func TestHeaderOfWhatWeWrite(t *testing.T) {
	k := newKey(t, jwk.Params{KeyID: "kek-1"})
	token, err := jwe.Encrypt(k, jwe.A256GCM, "jwk+json", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	data, err := wire.Decode(token[:strings.IndexByte(token, '.')])
	if err != nil {
		t.Fatal(err)
	}
	var h map[string]string
	if err := json.Unmarshal(data, &h); err != nil {
		t.Fatal(err)
	}
	if h["alg"] != "A256GCMKW" || h["enc"] != "A256GCM" || h["kid"] != "kek-1" || h["cty"] != "jwk+json" || len(h["iv"]) != 16 || len(h["tag"]) != 22 || len(h) != 6 {
		t.Errorf("%s", data)
	}
	if strings.Count(token, ".") != 4 {
		t.Errorf("%s", token)
	}
}

// Nothing that must be fresh may come twice: content key, both IVs.
func TestEveryTokenIsFresh(t *testing.T) {
	k := newKey(t, jwk.Params{})
	seen := map[string]bool{}
	for range 500 {
		token := encrypt(t, k, []byte(secret))
		if cek := unwrap(t, k, token); seen[cek] {
			t.Fatal("the content key came twice")
		} else {
			seen[cek] = true
		}
		for i, part := range strings.Split(token, ".") {
			if seen[part] {
				t.Fatalf("segment %d came twice: %s", i, part)
			}
			seen[part] = true
		}
	}
}

// unwrap returns the content key of a token.
func unwrap(t *testing.T, k *jwk.Key, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	var h struct{ IV, Tag string }
	if err := json.Unmarshal(decode(t, parts[0]), &h); err != nil {
		t.Fatal(err)
	}
	cek, err := k.UnwrapKey(jwk.Wrapped{Key: decode(t, parts[1]), IV: decode(t, h.IV), Tag: decode(t, h.Tag)})
	if err != nil {
		t.Fatal(err)
	}
	return string(cek)
}

func TestEveryBitMatters(t *testing.T) {
	k := newKey(t, jwk.Params{})
	token := encrypt(t, k, []byte(secret))
	for i := range token {
		for bit := range 8 {
			bad := []byte(token)
			bad[i] ^= 1 << bit
			if plaintext, err := jwe.Decrypt(k, policy, string(bad)); err == nil || plaintext != nil {
				t.Errorf("bit %d of byte %d flipped: opened", bit, i)
			}
		}
	}
}

// Bits under the encoding: each of the key, the IVs, the ciphertext and the tags.
func TestEveryBitOfEverySegmentMatters(t *testing.T) {
	k := newKey(t, jwk.Params{})
	parts := strings.Split(encrypt(t, k, []byte(secret)), ".")
	for i := 1; i < 5; i++ {
		whole, err := wire.Decode(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(whole) {
			bad := bytes.Clone(whole)
			bad[bit/8] ^= 1 << (bit % 8)
			changed := append([]string{}, parts...)
			changed[i] = wire.Encode(bad)
			refuse(t, k, strings.Join(changed, "."), jwe.ErrDecrypt)
		}
		for n := range len(whole) {
			changed := append([]string{}, parts...)
			changed[i] = wire.Encode(whole[:n])
			refuse(t, k, strings.Join(changed, "."), jwe.ErrDecrypt)
		}
		changed := append([]string{}, parts...)
		changed[i] = wire.Encode(append(bytes.Clone(whole), 0))
		refuse(t, k, strings.Join(changed, "."), jwe.ErrDecrypt)
	}
}

func TestEveryLengthCut(t *testing.T) {
	k := newKey(t, jwk.Params{})
	token := encrypt(t, k, []byte(secret))
	for n := range token {
		refuse(t, k, token[:n], nil)
		refuse(t, k, token[n:][min(1, len(token)-n):], nil)
	}
	for _, tail := range []string{".", "A", "=", "\n", " ", ".AAAA", "\x00"} {
		refuse(t, k, token+tail, nil)
	}
}

func TestThreat120AlgAndEncArePinnedApart(t *testing.T) {
	k := newKey(t, jwk.Params{})
	token := encrypt(t, k, []byte(secret))
	for _, p := range []jwe.Policy{{}, {Algorithm: "A256GCMKW"}, {Encryption: jwe.A256GCM}, {Algorithm: "A256GCMKW", Encryption: "A128GCM"}} {
		if _, err := jwe.Decrypt(k, p, token); err == nil {
			t.Errorf("%+v opened", p)
		}
	}
	for _, alg := range []jwk.Algorithm{"dir", "A128GCMKW", "A256KW", "RSA1_5", "a256gcmkw", "A256GCMKW ", "none"} {
		if _, err := jwe.Decrypt(k, jwe.Policy{Algorithm: alg, Encryption: jwe.A256GCM}, token); !errors.Is(err, jwk.ErrAlgorithm) {
			t.Errorf("policy %s: %v", alg, err)
		}
		forged := forge(t, k, header{"alg": alg}, make([]byte, 32))
		refuse(t, k, forged, jwk.ErrAlgorithm)
		if _, err := jwe.Decrypt(k, jwe.Policy{Algorithm: alg, Encryption: jwe.A256GCM}, forged); !errors.Is(err, jwk.ErrAlgorithm) {
			t.Errorf("policy and token %s: %v", alg, err)
		}
	}
	for _, enc := range []string{"A128GCM", "A192GCM", "A256CBC-HS512", "a256gcm", ""} {
		refuse(t, k, forge(t, k, header{"enc": enc}, make([]byte, 32)), jwe.ErrEncryption)
	}
	refuse(t, k, forge(t, k, header{"alg": nil}, make([]byte, 32)), jwk.ErrAlgorithm)
	refuse(t, k, forge(t, k, header{"enc": nil}, make([]byte, 32)), jwe.ErrEncryption)
}

func TestThreat120IVAndTagHaveTheirSizes(t *testing.T) {
	k := newKey(t, jwk.Params{})
	for _, name := range []string{"iv", "tag"} {
		for n := range 40 {
			if name == "iv" && n == 12 || name == "tag" && n == 16 {
				continue
			}
			refuse(t, k, forge(t, k, header{name: wire.Encode(make([]byte, n))}, make([]byte, 32)), jwe.ErrDecrypt)
		}
		refuse(t, k, forge(t, k, header{name: nil}, make([]byte, 32)), jwe.ErrDecrypt)
	}
	// A tag of 12 or more bytes is a valid GCM tag of that length: moving its end
	// to the ciphertext must not pass.
	parts := strings.Split(forge(t, k, nil, make([]byte, 32)), ".")
	text, tag := decode(t, parts[3]), decode(t, parts[4])
	for n := range len(tag) {
		parts[3], parts[4] = wire.Encode(append(bytes.Clone(text), tag[:n]...)), wire.Encode(tag[n:])
		if n > 0 {
			refuse(t, k, strings.Join(parts, "."), jwe.ErrDecrypt)
		}
	}
}

func decode(t testing.TB, s string) []byte {
	t.Helper()
	b, err := wire.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestThreat121UnwrappedKeyHasTheSizeOfEnc(t *testing.T) {
	k := newKey(t, jwk.Params{})
	if got, err := jwe.Decrypt(k, policy, forge(t, k, nil, make([]byte, 32))); err != nil || string(got) != secret {
		t.Fatalf("a JWE made by hand: %q, %v", got, err)
	}
	for _, size := range []int{16, 24} { // sizes that AES would take
		refuse(t, k, forge(t, k, nil, make([]byte, size)), jwe.ErrDecrypt)
	}
	parts := strings.Split(encrypt(t, k, []byte(secret)), ".")
	parts[1] = ""
	refuse(t, k, strings.Join(parts, "."), jwe.ErrDecrypt)
}

func TestThreat42CriticalExtension(t *testing.T) {
	k := newKey(t, jwk.Params{})
	for _, crit := range []any{[]string{"exp"}, []string{}, []string{"alg"}, "exp", 1, false, header{}} {
		refuse(t, k, forge(t, k, header{"crit": crit, "exp": 1}, make([]byte, 32)), jwe.ErrMalformed)
	}
}

func TestThreat46Compression(t *testing.T) {
	k := newKey(t, jwk.Params{})
	for _, zip := range []any{"DEF", "", "GZ", 1} {
		refuse(t, k, forge(t, k, header{"zip": zip}, make([]byte, 32)), jwe.ErrMalformed)
	}
}

func TestHeaderIsStrict(t *testing.T) {
	k := newKey(t, jwk.Params{KeyID: "kek-1"})
	cek := make([]byte, 32)
	w, err := k.WrapKey(cek, jwk.WrapParams{})
	if err != nil {
		t.Fatal(err)
	}
	rest := `"iv":"` + wire.Encode(w.IV) + `","tag":"` + wire.Encode(w.Tag) + `"}`
	good := `{"alg":"A256GCMKW","enc":"A256GCM",` + rest
	for _, text := range []string{good, " " + good + "\n", `{"typ":"JWE","cty":"x","kid":"kek-1","other":[1],` + good[1:]} {
		if got, err := jwe.Decrypt(k, policy, seal(t, text, w, cek)); err != nil || string(got) != secret {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		`{"alg":"A256GCMKW","alg":"A256GCMKW","enc":"A256GCM",` + rest,
		`{"alg":"A256GCMKW","\u0061lg":"dir","enc":"A256GCM",` + rest,
		`{"a":1,"a":1,` + good[1:],
		"\xef\xbb\xbf" + good, good + "{}", "[" + good + "]", "null", "", `""`, "1", good[1:],
		`{"kid":1,` + good[1:], `{"kid":null,` + good[1:], `{"typ":1,` + good[1:], `{"cty":[],` + good[1:],
		`{"a":"` + "\xff" + `",` + good[1:], `{"a":"\ud800",` + good[1:],
		`{"a":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + "," + good[1:],
		`{"a":"` + strings.Repeat("x", jwe.MaxHeader) + `",` + good[1:],
	} {
		refuse(t, k, seal(t, text, w, cek), jwe.ErrMalformed)
	}
	for _, text := range []string{
		`{"ALG":"A256GCMKW","enc":"A256GCM",` + rest,
		`{"alg":"A256GCMKW","ENC":"A256GCM",` + rest,
	} {
		if _, err := jwe.Decrypt(k, policy, seal(t, text, w, cek)); err == nil {
			t.Errorf("%s opened", text)
		}
	}
	refuse(t, k, seal(t, `{"kid":"other",`+good[1:], w, cek), jwk.ErrUnknownKey)
}

func TestFormIsStrict(t *testing.T) {
	k := newKey(t, jwk.Params{})
	token := encrypt(t, k, []byte(secret))
	parts := strings.Split(token, ".")
	for _, bad := range []string{
		"", ".", "....", strings.Repeat(".", 1<<20), token + ".", "." + token, strings.Join(parts[:4], "."), strings.Join(parts[:3], "."),
		" " + token, token + "\n", strings.Replace(token, ".", "\n.", 1), strings.ReplaceAll(token, ".", ".."),
		`{"protected":"` + parts[0] + `","ciphertext":"` + parts[3] + `"}`, "Bearer " + token,
	} {
		refuse(t, k, bad, jwe.ErrMalformed)
	}
	for i := range parts {
		for _, bad := range []string{parts[i] + "=", parts[i] + "\n", parts[i][:2] + "\r\n" + parts[i][2:], parts[i] + "+", "é" + parts[i]} {
			changed := append([]string{}, parts...)
			changed[i] = bad
			refuse(t, k, strings.Join(changed, "."), jwe.ErrMalformed)
		}
	}
}

func TestSizeLimits(t *testing.T) {
	k := newKey(t, jwk.Params{})
	long := strings.Split(encrypt(t, k, []byte(secret)), ".")
	long[3] = strings.Repeat("A", jwe.MaxToken) // refused before it is decrypted
	refuse(t, k, strings.Join(long, "."), jwe.ErrMalformed)
	for _, n := range []int{jwe.MaxToken, jwe.MaxToken + 1, jwe.MaxToken * 3 / 4} {
		if token, err := jwe.Encrypt(k, jwe.A256GCM, "", make([]byte, n)); err == nil || token != "" {
			t.Errorf("%d bytes made a token of %d", n, len(token))
		}
	}
	token := encrypt(t, k, make([]byte, jwe.MaxToken*3/4-400))
	if len(token) > jwe.MaxToken {
		t.Errorf("a token of %d bytes", len(token))
	}
	if _, err := jwe.Decrypt(k, policy, token); err != nil {
		t.Error(err)
	}
	if _, err := jwe.Encrypt(k, jwe.A256GCM, strings.Repeat("x", jwe.MaxHeader), nil); err == nil {
		t.Error("a header over the limit was written")
	}
	dots := strings.Repeat(".", 1<<20)
	if n := testing.AllocsPerRun(10, func() { jwe.Decrypt(k, policy, dots) }); n > 5 {
		t.Errorf("1 MB of dots: %v allocations", n)
	}
}

func TestOtherKeys(t *testing.T) {
	k := newKey(t, jwk.Params{KeyID: "same"})
	other := newKey(t, jwk.Params{KeyID: "same"})
	token := encrypt(t, k, []byte(secret))
	refuse(t, other, token, jwe.ErrDecrypt)
	refuse(t, newKey(t, jwk.Params{KeyID: "another"}), token, jwk.ErrUnknownKey)
	for _, alg := range []jwk.Algorithm{jwk.HS256, jwk.ES256, jwk.Ed25519} {
		signer := newKey(t, jwk.Params{Algorithm: alg, KeyID: "same"})
		refuse(t, signer, token, jwk.ErrAlgorithm)
		if _, err := jwe.Encrypt(signer, jwe.A256GCM, "", nil); !errors.Is(err, jwk.ErrUse) {
			t.Errorf("%s: %v", alg, err)
		}
	}
	for _, enc := range []jwe.Encryption{"", "A512GCM", "none", "a256gcm"} {
		if _, err := jwe.Encrypt(k, enc, "", nil); err != jwe.ErrEncryption {
			t.Errorf("enc %q: %v", enc, err)
		}
	}
}

func TestKeyForOneEncryption(t *testing.T) {
	k := newKey(t, jwk.Params{Algorithm: jwk.Dir, Encryption: jwe.A256GCM})
	if _, err := jwe.NewEncrypter(k, jwe.A128CBCHS256, jwe.Header{}); err != jwe.ErrEncryption {
		t.Errorf("NewEncrypter: %v", err)
	}
	token, err := jwe.Encrypt(k, jwe.A256GCM, "", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	opens(t, "its own", k, directPolicy, token)
	p := jwe.Policy{Algorithm: jwk.Dir, Encryption: jwe.A128CBCHS256}
	refuseBy(t, "another in the policy", k, p, token, jwe.ErrEncryption)
}

func TestKeyThatMayOnlyWrapOrUnwrap(t *testing.T) {
	var members map[string]any
	data, err := newKey(t, jwk.Params{KeyID: "k"}).MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	with := func(op string) *jwk.Key {
		members["key_ops"] = []string{op}
		data, _ := json.Marshal(members)
		k, err := jwk.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	wrap, unwrap := with("wrapKey"), with("unwrapKey")
	token := encrypt(t, wrap, []byte(secret))
	if got, err := jwe.Decrypt(unwrap, policy, token); err != nil || string(got) != secret {
		t.Errorf("%q, %v", got, err)
	}
	refuse(t, wrap, token, jwk.ErrUse)
	if _, err := jwe.Encrypt(unwrap, jwe.A256GCM, "", nil); err != jwk.ErrUse {
		t.Errorf("%v", err)
	}
}

func FuzzDecrypt(f *testing.F) {
	k := newKey(f, jwk.Params{KeyID: "k"})
	f.Add(encrypt(f, k, []byte(secret)))
	f.Add(forge(f, k, header{"zip": "DEF"}, make([]byte, 32)))
	f.Add("....")
	f.Add("eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AA.AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, token string) {
		plaintext, err := jwe.Decrypt(k, policy, token)
		if err == nil && string(plaintext) != secret {
			t.Fatalf("opened %q", plaintext)
		}
		if err != nil && plaintext != nil {
			t.Fatal("an error and a plaintext")
		}
	})
}
