package jwks_test

import (
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/internal/josetest"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwks"
)

// rsaPublic returns a key for RS256, as a source publishes it.
func rsaPublic(t testing.TB) (*jwk.Key, string) {
	t.Helper()
	priv, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	k, err := jwk.New(&priv.PublicKey, jwk.Params{Algorithm: jwk.RS256, KeyID: "k"})
	if err != nil {
		t.Fatal(err)
	}
	return k, document(t, k)
}

func cryptoPublic(t testing.TB, k *jwk.Key) any {
	t.Helper()
	pub, err := k.CryptoPublic()
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

// Keys of Microsoft Entra have no "alg", and several members more.
func TestKeysWithoutAlgorithm(t *testing.T) {
	key, _ := rsaPublic(t)
	certified, err := key.WithCertificates(josetest.NewAuthority(t).Issue(t, cryptoPublic(t, key))[0])
	if err != nil {
		t.Fatal(err)
	}
	x5t, _ := certified.CertificateThumbprints()
	doc := strings.Replace(document(t, certified), `"alg":"RS256"`, `"x5t":"`+x5t+`","issuer":"https:\/\/login.microsoftonline.com\/{tenantid}\/v2.0"`, 1)
	state := filepath.Join(t.TempDir(), "keys.json")
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		src.answer(serve(doc))
		r := open(jwks.Config{})
		if err := found(r, key); err == nil || len(r.Status().Skipped) != 1 || r.Status().Skipped[0].Err != jwk.ErrNoAlgorithm {
			t.Errorf("%v, skipped %v", err, r.Status().Skipped)
		}
		told := jwks.Config{Algorithm: jwk.RS256, StateFile: state}
		first := open(told)
		src.answer(down)
		for where, r := range map[string]*jwks.Remote{"fetched": first, "from disk": open(told)} {
			if err := found(r, key); err != nil {
				t.Errorf("%s: %v", where, err)
			}
			if _, err := r.Find("k", "PS256"); err != jwk.ErrAlgorithm {
				t.Errorf("%s: it serves a second algorithm: %v", where, err)
			}
		}
		if err := found(open(jwks.Config{Algorithm: jwk.ES256, StateFile: state}), key); err == nil {
			t.Error("an RSA key for ES256")
		}
	})
}

// The digest is of what the source wrote, white space and all: also when the set
// was read from disk, and confirmed from there on.
func TestDigestFromDisk(t *testing.T) {
	_, doc := rsaPublic(t)
	for _, body := range []string{
		doc, doc + "\n", "\r\n\t " + strings.ReplaceAll(doc, ",", " ,\n  ") + "\n\n",
		strings.Replace(doc, `"k"`, `"\u006b"`, 1), strings.Replace(doc, `"k"`, `"<&>\u2028é"`, 1),
	} {
		state := filepath.Join(t.TempDir(), "keys.json")
		bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
			src.answer(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("If-None-Match") != "" {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				w.Header().Set("ETag", `"a"`)
				io.WriteString(w, body)
			})
			before := open(jwks.Config{StateFile: state})
			again := open(jwks.Config{StateFile: state})
			if d := before.Digest(); d == "" || d != again.Digest() {
				t.Errorf("%.40q: %s from disk, %s as it came", body, again.Digest(), d)
			}
			pass(time.Hour)
			if before.Digest() != again.Digest() || again.Status().Age > jwks.DefaultMaxAge {
				t.Errorf("%.40q: %s an hour later, age %v", body, again.Digest(), again.Status().Age)
			}
		})
	}
}

// The largest set that is read also fits on disk.
func TestLargestSetFromDisk(t *testing.T) {
	key, doc := rsaPublic(t)
	doc = strings.Replace(doc, `{"keys"`, `{"note":"`, 1)
	fill := jwks.MaxBody - len(doc) - len(`","keys"`)
	doc = strings.Replace(doc, `{"note":"`, `{"note":"`+strings.Repeat(`\"`, fill/2)+`","keys"`, 1)
	state := filepath.Join(t.TempDir(), "keys.json")
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		src.answer(serve(doc))
		if err := found(open(jwks.Config{StateFile: state}), key); err != nil {
			t.Fatal(err)
		}
		src.answer(down)
		if err := found(open(jwks.Config{StateFile: state}), key); err != nil {
			t.Error(err)
		}
	})
}

// A 304 that nobody asked for confirms nothing.
func TestStrayNotModified(t *testing.T) {
	key := generate(t)
	bubble(t, func(t *testing.T, src *source, open func(jwks.Config) *jwks.Remote) {
		src.publish(t, key) // without an entity tag
		r := open(jwks.Config{MaxStale: time.Hour})
		src.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
		pass(2 * time.Hour)
		if err := found(r, key); err != jwks.ErrWithdrawn {
			t.Errorf("%v, age %v", err, r.Status().Age)
		}
	})
}
