package jwk_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 3394, Section 4.
func TestKeyWrapRFC3394(t *testing.T) {
	const long = "00112233445566778899AABBCCDDEEFF0001020304050607 08090A0B0C0D0E0F"
	for _, c := range []struct {
		alg               jwk.Algorithm
		size              int
		key, wrapped, why string
	}{
		{jwk.A128KW, 16, long[:32], "1FA68B0A8112B447 AEF34BD8FB5A7B82 9D3E862371D2CFE5", "4.1"},
		{jwk.A192KW, 24, long[:32], "96778B25AE6CA435 F92B5B97C050AED2 468AB8A17AD84E5D", "4.2"},
		{jwk.A256KW, 32, long[:32], "64E8C3F9CE0F5BA2 63E9777905818A2A 93C8191E7D6E8AE7", "4.3"},
		{jwk.A192KW, 24, long[:48], "031D33264E15D332 68F24EC260743EDC E1C6C7DDEE725A93 6BA814915C6762D2", "4.4"},
		{jwk.A256KW, 32, long[:48], "A8F9BC1612C68B3F F6E6F4FBE30E71E4 769C8B80A32CB895 8CD5D17D6B254DA1", "4.5"},
		{jwk.A256KW, 32, long, "28C9F404C4B810F4 CBCCB35CFB87F826 3F5786E2D80ED326 CBC7F0E71A99F43B FB988B9B7A02DD21", "4.6"},
	} {
		kek := make([]byte, c.size)
		for i := range kek {
			kek[i] = byte(i)
		}
		k, err := jwk.New(kek, jwk.Params{Algorithm: c.alg})
		if err != nil {
			t.Fatal(err)
		}
		w, err := k.WrapKey(unhex(t, c.key), jwk.WrapParams{})
		if err != nil || !bytes.Equal(w.Key, unhex(t, c.wrapped)) {
			t.Errorf("%s: %X, %v", c.why, w.Key, err)
		}
		if got, err := k.UnwrapKey(w); err != nil || !bytes.Equal(got, unhex(t, c.key)) {
			t.Errorf("%s: %X, %v", c.why, got, err)
		}
	}
}

func TestKeyWrapRefusesEveryChange(t *testing.T) {
	k := accept(t, generated(t, jwk.A128KW))
	w, err := k.WrapKey(make([]byte, 32), jwk.WrapParams{})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, wrapped []byte) {
		t.Helper()
		if got, err := k.UnwrapKey(jwk.Wrapped{Key: wrapped}); got != nil || err != jwk.ErrUnwrap {
			t.Errorf("%s: %x, %v", what, got, err)
		}
	}
	for bit := range 8 * len(w.Key) {
		bad := bytes.Clone(w.Key)
		bad[bit/8] ^= 1 << (bit % 8)
		refused("flipped", bad)
	}
	for n := range len(w.Key) {
		refused("cut", w.Key[:n])
	}
	refused("longer", append(bytes.Clone(w.Key), make([]byte, 8)...))
	for _, n := range []int{0, 1, 7, 8, 9, 15, 17, 20} { // RFC 3394, Section 2: two halves of a block at least
		if w, err := k.WrapKey(make([]byte, n), jwk.WrapParams{}); err == nil {
			t.Errorf("%d bytes wrapped: %x", n, w.Key)
		}
	}
}

func TestSecretsForEncryptionHaveTheirSize(t *testing.T) {
	sizes := map[jwk.Algorithm][]int{
		jwk.A128KW: {16}, jwk.A192KW: {24}, jwk.A256KW: {32}, jwk.A128GCMKW: {16}, jwk.A192GCMKW: {24}, jwk.A256GCMKW: {32},
		jwk.Dir: {16, 24, 32, 48, 64},
	}
	random := make([]byte, 130)
	rand.Read(random)
	for alg, right := range sizes {
		for n := range 100 {
			_, err := jwk.New(random[:n], jwk.Params{Algorithm: alg})
			switch {
			case slices.Contains(right, n) && err != nil:
				t.Errorf("%s, %d bytes: %v", alg, n, err)
			case n < 16 && !errors.Is(err, jwk.ErrWeakKey):
				t.Errorf("%s, %d bytes: %v", alg, n, err)
			case !slices.Contains(right, n) && err == nil:
				t.Errorf("%s took %d bytes", alg, n)
			}
		}
		for what, secret := range map[string][]byte{"zeros": make([]byte, right[0]), "a pattern": bytes.Repeat([]byte("abcdefgh"), right[0]/8)} {
			if _, err := jwk.New(secret, jwk.Params{Algorithm: alg}); !errors.Is(err, jwk.ErrWeakKey) {
				t.Errorf("%s, %s: %v", alg, what, err)
			}
		}
	}
}

func TestPasswords(t *testing.T) {
	random := make([]byte, 130)
	rand.Read(random)
	for alg, shortest := range map[jwk.Algorithm]int{jwk.PBES2HS256A128KW: 16, jwk.PBES2HS384A192KW: 24, jwk.PBES2HS512A256KW: 32} {
		for _, n := range []int{0, 1, shortest - 1, shortest, 128, 129} {
			_, err := jwk.New(random[:n], jwk.Params{Algorithm: alg})
			if ok := shortest <= n && n <= 128; ok != (err == nil) {
				t.Errorf("%s, %d bytes: %v", alg, n, err)
			}
		}
		if n := jwk.DefaultIterations(alg); n < 200_000 || n > jwk.MaxIterations {
			t.Errorf("%s: %d iterations", alg, n)
		}
	}
	if n := jwk.DefaultIterations(jwk.A128KW); n != 0 {
		t.Errorf("A128KW: %d iterations", n)
	}
	k := accept(t, generated(t, jwk.PBES2HS256A128KW))
	w, err := k.WrapKey(make([]byte, 16), jwk.WrapParams{Iterations: jwk.MinIterations})
	if err != nil || len(w.P2S) < 8 || w.P2C != jwk.MinIterations {
		t.Fatalf("%+v, %v", w, err)
	}
	if _, err := k.UnwrapKey(w); err != nil {
		t.Error(err)
	}
	for what, bad := range map[string]func(jwk.Wrapped) jwk.Wrapped{
		"too many":     func(w jwk.Wrapped) jwk.Wrapped { w.P2C = 1<<31 - 1; return w }, // an hour of work, if it were done
		"another":      func(w jwk.Wrapped) jwk.Wrapped { w.P2C++; return w },
		"negative":     func(w jwk.Wrapped) jwk.Wrapped { w.P2C = -w.P2C; return w },
		"short salt":   func(w jwk.Wrapped) jwk.Wrapped { w.P2S = w.P2S[:7]; return w },
		"another salt": func(w jwk.Wrapped) jwk.Wrapped { w.P2S = w.P2S[1:]; return w },
		"long salt":    func(w jwk.Wrapped) jwk.Wrapped { w.P2S = make([]byte, 2000); return w },
		"no key":       func(w jwk.Wrapped) jwk.Wrapped { w.Key = nil; return w },
		"long key":     func(w jwk.Wrapped) jwk.Wrapped { w.Key = make([]byte, 80); return w },
	} {
		if _, err := k.UnwrapKey(bad(w)); err != jwk.ErrUnwrap {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// RFC 7518, Section 4.8, by way of another implementation of all but the hash.
func TestPasswordDerivation(t *testing.T) {
	password, cek := []byte("correct horse battery staple"), bytes.Repeat([]byte{7}, 32)
	k, err := jwk.New(password, jwk.Params{Algorithm: jwk.PBES2HS256A128KW})
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(iterations int, salt []byte, prefix string) jwk.Wrapped {
		kek, err := pbkdf2.Key(sha256.New, string(password), append([]byte(prefix), salt...), iterations, 16)
		if err != nil {
			t.Fatal(err)
		}
		aes, err := jwk.New(kek, jwk.Params{Algorithm: jwk.A128KW})
		if err != nil {
			t.Fatal(err)
		}
		w, err := aes.WrapKey(cek, jwk.WrapParams{})
		if err != nil {
			t.Fatal(err)
		}
		w.P2S, w.P2C = salt, iterations
		return w
	}
	const prefix = "PBES2-HS256+A128KW\x00"
	salt := []byte("saltsalt")
	if got, err := k.UnwrapKey(wrap(1000, salt, prefix)); err != nil || !bytes.Equal(got, cek) {
		t.Errorf("%x, %v", got, err)
	}
	for what, w := range map[string]jwk.Wrapped{
		"too few iterations":   wrap(999, salt, prefix),
		"a short salt":         wrap(1000, salt[:7], prefix),
		"salt without the alg": wrap(1000, salt, ""),
		"another alg":          wrap(1000, salt, "PBES2-HS384+A192KW\x00"),
		"no zero between":      wrap(1000, salt, "PBES2-HS256+A128KW"),
	} {
		if got, err := k.UnwrapKey(w); err != jwk.ErrUnwrap {
			t.Errorf("%s: %x, %v", what, got, err)
		}
	}
}

// RFC 7520, Section 5.6.1, has the name of an enc for the alg of a key for dir.
func TestDirectKeysForOneEncryption(t *testing.T) {
	custom := fields{"kty": "oct", "kid": "77c7e2b8-6e13-45cf-8672-617b5b45243a", "use": "enc", "alg": "A128GCM", "k": "XctOhJAkA-pD9Lh7ZgW_2A"}
	for _, p := range []jwk.Params{
		{}, {Algorithm: jwk.Dir}, {Algorithm: jwk.Dir, Encryption: "A256GCM"}, {Algorithm: jwk.Dir, Encryption: "A128CBC-HS256"},
		{Algorithm: jwk.A128KW}, {Algorithm: jwk.A128KW, Encryption: "A128GCM"}, {Algorithm: jwk.Dir, Encryption: "A129GCM"}, {Encryption: "A128GCM"},
	} {
		if k, err := jwk.ParseAs(custom.json(t), p); !errors.Is(err, jwk.ErrAlgorithm) {
			t.Errorf("%+v: %v, %v", p, k, err)
		}
	}
	k, err := jwk.ParseAs(custom.json(t), jwk.Params{Algorithm: jwk.Dir, Encryption: "A128GCM"})
	if err != nil || k.Algorithm() != jwk.Dir || k.Encryption() != "A128GCM" {
		t.Fatalf("%v, %v", k, err)
	}
	if fieldsOf(t, k)["alg"] != "dir" {
		t.Error("written as something else than dir")
	}
	bare := custom.without("alg")
	random := make([]byte, 32)
	rand.Read(random)
	open, err := jwk.New(random, jwk.Params{Algorithm: jwk.Dir})
	if err != nil || open.Encryption() != "" {
		t.Fatal(err)
	}
	pinned, err := jwk.New(random, jwk.Params{Algorithm: jwk.Dir, Encryption: "A256GCM"})
	if err != nil {
		t.Fatal(err)
	}
	for _, enc := range []jwk.Encryption{"A256GCM", "A128CBC-HS256", "A128GCM", "A512GCM", ""} {
		for _, k := range []*jwk.Key{open, pinned} {
			want := enc == "A256GCM" || enc == "A128CBC-HS256" && k == open
			sealed, err := k.Seal(enc, nil, input, nil)
			if want != (err == nil) || !want && err != jwk.ErrUnsupported {
				t.Errorf("Seal %s: %v", enc, err)
			}
			if !want {
				continue
			}
			if got, err := k.Open(enc, nil, sealed, nil); err != nil || !bytes.Equal(got, input) {
				t.Errorf("Open %s: %v", enc, err)
			}
			if _, err := k.Open(enc, nil, sealed, []byte("a")); err != jwk.ErrUnwrap {
				t.Errorf("another aad: %v", err)
			}
		}
	}
	for n, enc := range map[int]jwk.Encryption{16: "A256GCM", 32: "A128GCM", 64: "A192CBC-HS384"} {
		secret := make([]byte, n)
		rand.Read(secret)
		if _, err := jwk.New(secret, jwk.Params{Algorithm: jwk.Dir, Encryption: enc}); err == nil {
			t.Errorf("%s took a key of %d bytes", enc, n)
		}
	}
	if _, err := jwk.ParseAs(bare.json(t), jwk.Params{Algorithm: jwk.Dir, Encryption: "A128GCM"}); err != nil {
		t.Error(err)
	}
	for _, enc := range []jwk.Encryption{"A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"} {
		k, err := jwk.Generate(jwk.Params{Algorithm: jwk.Dir, Encryption: enc})
		if err != nil || len(fieldsOf(t, k).bytes(t, "k")) != enc.KeySize() {
			t.Errorf("%s: %v", enc, err)
		}
	}
}

// agreeing returns the JWK of a fresh key for ECDH-ES.
func agreeing(t testing.TB, crv string) fields {
	t.Helper()
	k, err := jwk.Generate(jwk.Params{Algorithm: jwk.ECDHES, Curve: crv})
	if err != nil {
		t.Fatal(err)
	}
	return fieldsOf(t, k)
}

func TestAgreementKeys(t *testing.T) {
	for crv, kty := range map[string]string{"P-256": "EC", "P-384": "EC", "P-521": "EC", "X25519": "OKP"} {
		f, other := agreeing(t, crv), agreeing(t, crv)
		if f["kty"] != kty || f["crv"] != crv || f["use"] != "enc" || f["kid"] == nil || (f["y"] != nil) != (kty == "EC") {
			t.Errorf("%v", f.without("d"))
		}
		k, public := accept(t, f), accept(t, f.public())
		if k.Thumbprint() != public.Thumbprint() || k.KeyID() != public.KeyID() || public.IsPrivate() || !k.IsPrivate() {
			t.Errorf("%s: private and public half differ", crv)
		}
		size := len(f.bytes(t, "x"))
		zeros := make([]byte, size)
		refuse(t, f.with("d", other["d"]), jwk.ErrMalformed)
		refuse(t, f.with("x", other["x"]), jwk.ErrMalformed)
		refuse(t, f.without("x"), jwk.ErrMalformed)
		refuse(t, f.withBytes("x", f.bytes(t, "x")[1:]), jwk.ErrMalformed)
		refuse(t, f.withBytes("x", append([]byte{0}, f.bytes(t, "x")...)), jwk.ErrMalformed)
		refuse(t, f.withBytes("d", f.bytes(t, "d")[1:]), jwk.ErrMalformed)
		refuse(t, f.withBytes("d", append([]byte{0}, f.bytes(t, "d")...)), jwk.ErrMalformed)
		refuse(t, f.with("crv", "P-192"), jwk.ErrUnsupported)
		refuse(t, f.without("crv"), jwk.ErrUnsupported)
		refuse(t, f.with("crv", "Ed25519"), jwk.ErrUnsupported)
		refuse(t, f.with("kty", "RSA"), jwk.ErrAlgorithm)
		refuse(t, f.with("kty", "oct"), jwk.ErrAlgorithm)
		refuse(t, f.with("kty", map[string]string{"EC": "OKP", "OKP": "EC"}[kty]), jwk.ErrMalformed)
		if kty == "EC" {
			off := f.bytes(t, "y")
			off[len(off)-1] ^= 1
			refuse(t, f.public().withBytes("y", off), jwk.ErrMalformed)
			refuse(t, f.public().withBytes("x", zeros).withBytes("y", zeros), jwk.ErrMalformed)
			refuse(t, f.without("y"), jwk.ErrMalformed)
			refuse(t, f.withBytes("d", zeros), jwk.ErrMalformed)
		} else {
			refuse(t, f.public().withBytes("x", zeros), jwk.ErrWeakKey)
			refuse(t, f.with("y", f["x"]), jwk.ErrMalformed)
			high := f.bytes(t, "x")
			high[31] |= 0x80
			refuse(t, f.public().withBytes("x", high), jwk.ErrMalformed)
			refuse(t, f.public().withBytes("x", append(append([]byte{0xf6}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f)), jwk.ErrMalformed) // 9 + p
		}
		// A key without alg that is for encryption: the caller says for which.
		bare := f.without("alg")
		if _, err := jwk.Parse(bare.json(t)); !errors.Is(err, jwk.ErrUnsupported) {
			t.Errorf("%s without alg: %v", crv, err)
		}
		for _, alg := range []jwk.Algorithm{jwk.ECDHES, jwk.ECDHESA128KW, jwk.ECDHESA192KW, jwk.ECDHESA256KW} {
			if k, err := jwk.ParseAs(bare.json(t), jwk.Params{Algorithm: alg}); err != nil || k.Algorithm() != alg {
				t.Errorf("%s as %s: %v", crv, alg, err)
			}
		}
		if _, err := jwk.ParseAs(bare.json(t), jwk.Params{Algorithm: jwk.RSAOAEP}); !errors.Is(err, jwk.ErrAlgorithm) {
			t.Errorf("%s as RSA-OAEP: %v", crv, err)
		}
	}
	if _, err := jwk.Generate(jwk.Params{Algorithm: jwk.ECDHES, Curve: "P-224"}); !errors.Is(err, jwk.ErrUnsupported) {
		t.Errorf("P-224: %v", err)
	}
}

// RFC 7748, Section 6.1, as JWKs of RFC 8037, Appendix A.6.
func TestX25519PublicHalfBelongsToPrivate(t *testing.T) {
	f := fields{"kty": "OKP", "crv": "X25519", "alg": "ECDH-ES", "x": "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo", "d": "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo"}
	k := accept(t, f)
	if got := fieldsOf(t, k); got["x"] != f["x"] || got["d"] != f["d"] {
		t.Errorf("%v", got["x"])
	}
	refuse(t, f.with("x", "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"), jwk.ErrMalformed)
	refuse(t, f.with("x", f["d"]), jwk.ErrMalformed)
}

func TestNewAgreementKeys(t *testing.T) {
	p := jwk.Params{Algorithm: jwk.ECDHESA128KW}
	for _, curve := range []ecdh.Curve{ecdh.P256(), ecdh.P384(), ecdh.P521(), ecdh.X25519()} {
		priv, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k, err := jwk.New(priv, p)
		if err != nil {
			t.Fatal(err)
		}
		pub, err := jwk.New(priv.PublicKey(), p)
		if err != nil || pub.Thumbprint() != k.Thumbprint() || pub.IsPrivate() {
			t.Errorf("%v, %v", pub, err)
		}
		if got, err := k.CryptoPublic(); err != nil || !priv.PublicKey().Equal(got) {
			t.Errorf("CryptoPublic: %v", err)
		}
		if got, err := k.CryptoPrivate(); err != nil || !priv.Equal(got) {
			t.Errorf("CryptoPrivate: %v", err)
		}
		if _, err := jwk.New(priv, jwk.Params{Algorithm: jwk.ES256}); !errors.Is(err, jwk.ErrAlgorithm) {
			t.Errorf("ES256: %v", err)
		}
	}
	a, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := jwk.New(a, p)
	if err != nil {
		t.Fatal(err)
	}
	if pub, err := jwk.New(&a.PublicKey, p); err != nil || pub.Thumbprint() != k.Thumbprint() {
		t.Errorf("%v, %v", pub, err)
	}
	//lint:ignore SA1019 the halves of two keys
	if _, err := jwk.New(&ecdsa.PrivateKey{PublicKey: b.PublicKey, D: a.D}, p); !errors.Is(err, jwk.ErrMalformed) {
		t.Errorf("halves of two keys: %v", err)
	}
	withoutNumbers := ecdsa.PublicKey{Curve: elliptic.P256()}
	for _, bad := range []any{
		&ecdsa.PublicKey{}, &ecdsa.PrivateKey{}, (*ecdh.PublicKey)(nil), (*ecdh.PrivateKey)(nil), (*ecdsa.PublicKey)(nil),
		&withoutNumbers, &ecdsa.PrivateKey{PublicKey: withoutNumbers}, &ecdh.PublicKey{}, &ecdh.PrivateKey{},
		&ecdsa.PrivateKey{PublicKey: withoutNumbers, D: a.D}, &ecdsa.PrivateKey{PublicKey: a.PublicKey}, //lint:ignore SA1019 halves of a key
	} {
		if _, err := jwk.New(bad, p); err == nil {
			t.Errorf("%T was taken", bad)
		}
	}
}

// What a private key opens its public half encrypts, and nothing else works.
func TestPublicHalvesEncryptOnly(t *testing.T) {
	cek := make([]byte, 32)
	rand.Read(cek)
	for _, alg := range encryptingPairs {
		k := accept(t, generated(t, alg))
		pub, err := k.Public()
		if err != nil {
			t.Fatal(err)
		}
		if alg == jwk.ECDHES {
			key, w, err := pub.AgreeKey("A256GCM", jwk.WrapParams{})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := k.AgreedKey("A256GCM", w); err != nil || !bytes.Equal(got, key) || len(key) != 32 {
				t.Errorf("%s: %v", alg, err)
			}
			if got, err := k.AgreedKey("A128CBC-HS256", w); err != nil || bytes.Equal(got, key) {
				t.Errorf("enc does not enter the key: %v", err)
			}
			if _, err := pub.AgreedKey("A256GCM", w); err != jwk.ErrNotPrivate {
				t.Errorf("%s: %v", alg, err)
			}
			if _, _, err := pub.AgreeKey("A257GCM", jwk.WrapParams{}); err != jwk.ErrUnsupported {
				t.Errorf("%s: %v", alg, err)
			}
			if _, err := pub.WrapKey(cek, jwk.WrapParams{}); err != jwk.ErrUse {
				t.Errorf("%s: %v", alg, err)
			}
			continue
		}
		w, err := pub.WrapKey(cek, jwk.WrapParams{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.UnwrapKey(w); err != nil || !bytes.Equal(got, cek) {
			t.Errorf("%s: %v", alg, err)
		}
		if _, err := pub.UnwrapKey(w); err != jwk.ErrNotPrivate {
			t.Errorf("%s: %v", alg, err)
		}
		for n := range len(w.Key) {
			if got, err := k.UnwrapKey(jwk.Wrapped{Key: w.Key[:n], EPK: w.EPK}); err != jwk.ErrUnwrap || got != nil {
				t.Errorf("%s, cut: %v", alg, err)
				break
			}
		}
		if _, err := k.UnwrapKey(jwk.Wrapped{Key: append([]byte{0}, w.Key...), EPK: w.EPK}); err != jwk.ErrUnwrap {
			t.Errorf("%s, longer: %v", alg, err)
		}
		if _, _, err := k.AgreeKey("A256GCM", jwk.WrapParams{}); err != jwk.ErrUse {
			t.Errorf("%s: %v", alg, err)
		}
		if _, err := k.Seal("A256GCM", nil, nil, nil); err != jwk.ErrUse {
			t.Errorf("%s: %v", alg, err)
		}
		if sig, err := k.Sign(input); err != jwk.ErrUse {
			t.Errorf("%s signed: %x, %v", alg, sig, err)
		}
		if err := k.Verify(input, w.Key); err != jwk.ErrUse {
			t.Errorf("%s verified: %v", alg, err)
		}
	}
}

// A number with leading zeros is as long as the others (RFC 8017, Section 7.1.2).
func TestOAEPLengthIsThatOfTheModulus(t *testing.T) {
	k := accept(t, generated(t, jwk.RSAOAEP256))
	w := jwk.Wrapped{Key: []byte{1}}
	for i := 0; w.Key[0] != 0; i++ {
		if i == 10_000 {
			t.Fatal("no such number found")
		}
		var err error
		if w, err = k.WrapKey(make([]byte, 16), jwk.WrapParams{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.UnwrapKey(w); err != nil {
		t.Error(err)
	}
	for _, key := range [][]byte{w.Key[1:], append([]byte{0}, w.Key...)} {
		if _, err := k.UnwrapKey(jwk.Wrapped{Key: key}); err != jwk.ErrUnwrap {
			t.Errorf("%d bytes: %v", len(key), err)
		}
	}
}

func TestThreat35KeyOpsForEncryption(t *testing.T) {
	for alg, c := range map[jwk.Algorithm]struct{ good, bad [][]string }{
		jwk.A128KW:           {[][]string{{"wrapKey"}, {"decrypt"}, {"encrypt", "other"}}, [][]string{{}, {"other"}, {"deriveKey"}, {"wrapKey", "deriveBits"}, {"sign"}, {"verify", "wrapKey"}}},
		jwk.RSAOAEP256:       {[][]string{{"unwrapKey"}, {"decrypt"}, {"wrapKey", "unwrapKey"}}, [][]string{{}, {"sign", "decrypt"}, {"deriveKey"}}},
		jwk.Dir:              {[][]string{{"encrypt"}, {"encrypt", "decrypt"}}, [][]string{{}, {"wrapKey"}, {"encrypt", "wrapKey"}, {"deriveKey"}}},
		jwk.ECDHES:           {[][]string{{"deriveKey"}, {"deriveBits"}, {"deriveKey", "deriveBits"}}, [][]string{{}, {"encrypt"}, {"deriveKey", "wrapKey"}, {"sign"}, {"deriveKey", "sign"}}},
		jwk.ECDHESA256KW:     {[][]string{{"deriveKey"}, {"deriveBits"}}, [][]string{{}, {"unwrapKey"}}},
		jwk.PBES2HS256A128KW: {[][]string{{"deriveKey"}, {"deriveBits"}, {"wrapKey", "unwrapKey"}}, [][]string{{}, {"sign"}}},
	} {
		f := generated(t, alg).without("use")
		for _, ops := range c.good {
			accept(t, f.with("key_ops", ops))
		}
		for _, ops := range c.bad {
			refuse(t, f.with("key_ops", ops), jwk.ErrUse)
		}
	}
	// A key for dir does what its operations say.
	sealer := accept(t, generated(t, jwk.Dir).without("use").with("key_ops", []string{"encrypt"}))
	opener := accept(t, fieldsOf(t, sealer).with("key_ops", []string{"decrypt"}))
	sealed, err := sealer.Seal("A256GCM", nil, input, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := opener.Open("A256GCM", nil, sealed, nil); err != nil || !bytes.Equal(got, input) {
		t.Errorf("Open: %v", err)
	}
	if _, err := sealer.Open("A256GCM", nil, sealed, nil); err != jwk.ErrUse {
		t.Errorf("a key for encrypting opened: %v", err)
	}
	if _, err := opener.Seal("A256GCM", nil, input, nil); err != jwk.ErrUse {
		t.Errorf("a key for decrypting sealed: %v", err)
	}
	// The public halves.
	oaep := accept(t, generated(t, jwk.RSAOAEP256).without("use").with("key_ops", []string{"unwrapKey", "decrypt"}))
	if err := oaep.CanEncrypt(); err != jwk.ErrUse {
		t.Errorf("a key for decrypting encrypts: %v", err)
	}
	pub, err := oaep.Public()
	if err != nil || pub.CanEncrypt() != nil {
		t.Errorf("its public half does not: %v", err)
	}
	again := accept(t, fieldsOf(t, pub))
	if again.CanEncrypt() != nil {
		t.Error("nor once it was written and read")
	}
	refuse(t, fieldsOf(t, pub).with("key_ops", []string{"decrypt"}), jwk.ErrUse)
	for _, ops := range [][]string{{}, {"deriveKey"}} {
		f := generated(t, jwk.ECDHES).without("use")
		if accept(t, f.public().with("key_ops", ops)).CanEncrypt() != nil {
			t.Errorf("%v: a public half that cannot be encrypted for", ops)
		}
		refuse(t, f.public().with("key_ops", append(ops, "verify")), jwk.ErrUse)
	}
}

// There is no memory that two keys share, and none of the caller's.
func TestNewCopiesSecrets(t *testing.T) {
	for _, alg := range encryptingSecrets {
		secret := generated(t, alg).bytes(t, "k")
		k, err := jwk.New(secret, jwk.Params{Algorithm: alg})
		if err != nil {
			t.Fatal(err)
		}
		want := wire.Encode(secret)
		clear(secret)
		if got := fieldsOf(t, k)["k"]; got != want {
			t.Errorf("%s: the key has changed with the caller's memory", alg)
		}
	}
}

// The zero Key is good for nothing, and says so.
func TestZeroKeyDoesNotEncrypt(t *testing.T) {
	var k jwk.Key
	for what, use := range map[string]func() error{
		"WrapKey":        func() error { _, err := k.WrapKey(make([]byte, 16), jwk.WrapParams{}); return err },
		"UnwrapKey":      func() error { _, err := k.UnwrapKey(jwk.Wrapped{}); return err },
		"AgreeKey":       func() error { _, _, err := k.AgreeKey("A128GCM", jwk.WrapParams{}); return err },
		"AgreedKey":      func() error { _, err := k.AgreedKey("A128GCM", jwk.Wrapped{}); return err },
		"Seal":           func() error { _, err := k.Seal("A128GCM", nil, nil, nil); return err },
		"Open":           func() error { _, err := k.Open("A128GCM", nil, nil, nil); return err },
		"SealIntegrated": func() error { _, _, err := k.SealIntegrated(nil, nil); return err },
		"OpenIntegrated": func() error { _, err := k.OpenIntegrated(nil, nil, nil); return err },
		"CanEncrypt":     k.CanEncrypt,
	} {
		if err := use(); !errors.Is(err, jwk.ErrUse) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
