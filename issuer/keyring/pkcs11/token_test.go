//go:build pkcs11 && cgo

package pkcs11_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/internal/softhsm"
	"github.com/counterfoil/counterfoil/issuer/keyring/pkcs11"
	"github.com/counterfoil/counterfoil/jose/jwe"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

func pin() (string, error) { return softhsm.PIN, nil }

func parse(t testing.TB, s string) *pkcs11.URI {
	t.Helper()
	uri, err := pkcs11.ParseURI(s)
	if err != nil {
		t.Fatal(err)
	}
	return uri
}

func open(t testing.TB, cfg pkcs11.Config) *pkcs11.Token {
	t.Helper()
	token, err := pkcs11.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := token.Close(); err != nil {
			t.Error(err)
		}
	})
	return token
}

// openNew opens a new token.
func openNew(t testing.TB) *pkcs11.Token {
	t.Helper()
	return open(t, pkcs11.Config{URI: parse(t, softhsm.New(t).URI("object=kek")), PIN: pin})
}

func makeKey(t testing.TB, token *pkcs11.Token, p jwk.Params) (*jwk.Key, string) {
	t.Helper()
	key, name, err := token.MakeKey(t.Context(), p)
	if err != nil {
		t.Fatalf("%s: %v", p.Algorithm, err)
	}
	return key, name
}

var algorithms = []jwk.Algorithm{
	jwk.ES256, jwk.ES384, jwk.ES512, jwk.RS256, jwk.RS384, jwk.RS512, jwk.PS256, jwk.PS384, jwk.PS512, jwk.EdDSA, jwk.Ed25519,
}

func checkSigns(t *testing.T, key *jwk.Key) {
	t.Helper()
	public, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := key.SignContext(t.Context(), []byte("input"))
	if err != nil {
		t.Errorf("%v: %v", key, err)
	} else if public.Verify([]byte("input"), sig) != nil || public.Verify([]byte("other"), sig) == nil {
		t.Errorf("%v: not its signature", key)
	}
}

func TestSigningKeys(t *testing.T) {
	token := openNew(t)
	for _, alg := range algorithms {
		p := jwk.Params{Algorithm: alg, KeyID: "kid-" + string(alg)}
		key, name := makeKey(t, token, p)
		checkSigns(t, key)
		if !strings.HasPrefix(name, pkcs11.Scheme) || len(name) > 128 || strings.ContainsAny(name, " \n\"") {
			t.Errorf("%s: named %q", alg, name)
		}
		again, err := token.FindKey(t.Context(), name, p)
		if err != nil {
			t.Fatal(err)
		}
		checkSigns(t, again)
		if again.Thumbprint() != key.Thumbprint() || again.KeyID() != p.KeyID {
			t.Errorf("%s: found %v", alg, again)
		}
		if _, err := again.MarshalPrivate(); !errors.Is(err, jwk.ErrOpaque) {
			t.Errorf("%s: %v", alg, err)
		}
		for range 2 { // gone, and still gone
			if err := token.ForgetKey(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
		if _, err := token.FindKey(t.Context(), name, p); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("%s: forgotten: %v", alg, err)
		}
		if _, err := key.SignContext(t.Context(), nil); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("%s: a forgotten key signs: %v", alg, err)
		}
	}
}

func TestNoKeyIsMadeForOtherAlgorithms(t *testing.T) {
	token := openNew(t)
	for _, p := range []jwk.Params{
		{Algorithm: jwk.HS256, KeyID: "k"}, {Algorithm: jwk.A256GCMKW, KeyID: "k"}, {Algorithm: jwk.MLDSA44, KeyID: "k"}, {KeyID: "k"},
		{Algorithm: jwk.ES256}, {Algorithm: jwk.ES256, KeyID: strings.Repeat("k", 33)}, {Algorithm: jwk.ES256, KeyID: "k\n"},
	} {
		if key, name, err := token.MakeKey(t.Context(), p); err == nil {
			t.Errorf("%+v: %v, %s", p, key, name)
		}
	}
}

// A name lies in a database: whoever writes there must not pick another key of the
// token, the key-encryption key for one.
func TestNamesOfOtherKeys(t *testing.T) {
	token := openNew(t)
	if _, err := token.KEK(t.Context(), pkcs11.Make); err != nil {
		t.Fatal(err)
	}
	p := jwk.Params{Algorithm: jwk.ES256, KeyID: "mine"}
	_, name := makeKey(t, token, p)
	_, other := makeKey(t, token, jwk.Params{Algorithm: jwk.ES256, KeyID: "other"})
	for _, bad := range []string{
		"", "pkcs11:", "pkcs11:object=kek", "pkcs11:object=kek;id=" + strings.Repeat("a", 16), "pkcs11:object=counterfoil.mine",
		name + "a", name[:len(name)-1], " " + name, other, strings.Replace(name, "counterfoil.", "", 1), name + ";type=private", name + "?x",
	} {
		if key, err := token.FindKey(t.Context(), bad, p); err == nil {
			t.Errorf("%q: %v", bad, key)
		}
	}
	for _, bad := range []string{"", "pkcs11:object=kek", "pkcs11:object=kek;id=" + strings.Repeat("a", 16), "pkcs11:object=counterfoil.mine"} {
		if err := token.ForgetKey(t.Context(), bad); err == nil {
			t.Errorf("%q was forgotten", bad)
		}
	}
	if _, err := token.KEK(t.Context(), pkcs11.Find); err != nil {
		t.Error(err)
	}
}

func TestKeyEncryptionKey(t *testing.T) {
	token := openNew(t)
	if _, err := token.KEK(t.Context(), pkcs11.Find); !errors.Is(err, jwk.ErrUnknownKey) {
		t.Fatalf("found before it was made: %v", err)
	}
	kek, err := token.KEK(t.Context(), pkcs11.Make)
	if err != nil {
		t.Fatal(err)
	}
	checkSeals(t, kek, jwk.ECDHESA256KW)
	again, err := token.KEK(t.Context(), pkcs11.Make)
	if err != nil || again.KeyID() != kek.KeyID() {
		t.Fatalf("%v, %v", again, err)
	}
}

func checkSeals(t *testing.T, kek *jwk.Key, alg jwk.Algorithm) {
	t.Helper()
	public, err := kek.Public()
	if err != nil {
		t.Fatal(err)
	}
	for range 300 { // one agreed secret in 256 begins with a zero
		sealed, err := jwe.Encrypt(public, jwe.A256GCM, "", []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := jwe.Decrypt(kek, jwe.Policy{Algorithm: alg, Encryption: jwe.A256GCM}, sealed)
		if err != nil || string(got) != "secret" {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// An operator may have made the key: with RSA, and under an id instead of a label.
func TestKeyEncryptionKeyOfOthers(t *testing.T) {
	hsm := softhsm.New(t)
	hsm.Util(t, "--import", writePEM(t), "--token", softhsm.Label, "--pin", softhsm.PIN, "--label", "theirs", "--id", "0a0b")
	for _, object := range []string{"object=theirs", "id=%0A%0B", "object=theirs;id=%0a%0b;type=private"} {
		token := open(t, pkcs11.Config{URI: parse(t, hsm.URI(object)), PIN: pin})
		kek, err := token.KEK(t.Context(), pkcs11.Find)
		if err != nil {
			t.Fatal(err)
		}
		checkSeals(t, kek, jwk.RSAOAEP)
		w, err := kek.WrapKey(make([]byte, 32), jwk.WrapParams{})
		if err != nil {
			t.Fatal(err)
		}
		w.Key[7] ^= 1
		if _, err := kek.UnwrapKey(w); !errors.Is(err, jwk.ErrUnwrap) {
			t.Errorf("a broken message: %v", err)
		}
	}
}

func writePEM(t *testing.T) string {
	t.Helper()
	key, err := jwk.Generate(jwk.Params{Algorithm: jwk.RSAOAEP})
	if err != nil {
		t.Fatal(err)
	}
	pem, err := key.MarshalPrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	name := t.TempDir() + "/key.pem"
	if err := os.WriteFile(name, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Processes that start together make one key. In one process they share a login,
// and two tokens with a module.
func TestKeyEncryptionKeyIsMadeOnce(t *testing.T) {
	uri := parse(t, softhsm.New(t).URI("object=kek"))
	var (
		mu   sync.Mutex
		kids = map[string]bool{}
		all  sync.WaitGroup
	)
	for range 4 {
		token := open(t, pkcs11.Config{URI: uri, PIN: pin})
		all.Go(func() {
			kek, err := token.KEK(context.Background(), pkcs11.Make)
			if err != nil {
				return // all but one may be told to start again
			}
			mu.Lock()
			defer mu.Unlock()
			kids[kek.KeyID()] = true
		})
	}
	all.Wait()
	token := open(t, pkcs11.Config{URI: uri, PIN: pin})
	kek, err := token.KEK(t.Context(), pkcs11.Make)
	if err != nil {
		t.Fatal(err)
	}
	kids[kek.KeyID()] = true
	if len(kids) != 1 {
		t.Errorf("%d keys", len(kids))
	}
}

func TestConcurrentUse(t *testing.T) {
	token := open(t, pkcs11.Config{URI: parse(t, softhsm.New(t).URI("")), PIN: pin, Sessions: 3})
	key, _ := makeKey(t, token, jwk.Params{Algorithm: jwk.ES256, KeyID: "k"})
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			for range 20 {
				checkSigns(t, key)
			}
		})
	}
	all.Wait()
}

func TestContextEnds(t *testing.T) {
	token := openNew(t)
	key, name := makeKey(t, token, jwk.Params{Algorithm: jwk.ES256, KeyID: "k"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // a call that is under way is left to itself, and gives its session back
		if _, err := key.SignContext(ctx, []byte("x")); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := token.ForgetKey(ctx, name); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	other, _ := makeKey(t, token, jwk.Params{Algorithm: jwk.ES256, KeyID: "other"})
	checkSigns(t, other)
}

func TestClosedToken(t *testing.T) {
	token := openNew(t)
	key, _ := makeKey(t, token, jwk.Params{Algorithm: jwk.ES256, KeyID: "k"})
	if err := token.Close(); err != nil {
		t.Fatal(err)
	}
	if err := token.Close(); err != nil {
		t.Error(err)
	}
	if _, err := key.SignContext(t.Context(), nil); !errors.Is(err, pkcs11.ErrClosed) {
		t.Error(err)
	}
}
