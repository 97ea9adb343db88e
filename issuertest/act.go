package issuertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// Audience is what tokens and verifiers of this package are for unless a test
// says otherwise.
const Audience = "api"

// Claims are claims of a token by name. A nil value takes a claim away.
type Claims map[string]any

// Mint makes an access token as the issuer would for a session, without one. The
// claims given replace the usual ones; "jti" cannot be given, since it is the tag.
func (i *Issuer) Mint(t testing.TB, claims Claims) string {
	t.Helper()
	r := i.live(t)
	signer, err := r.ring.Signer(jwk.ES256)
	if err != nil {
		t.Fatal(err)
	}
	token, err := r.sign(t.Context(), signer, i.claims(t, claims), i.cfg.Witness)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Forge makes an access token as a thief of the signing key would: its signature is
// right, and no notary made its "jti". Verifiers of this Issuer refuse it, and every
// other token by that key that is not proved, soon after one of them has seen it; the
// next tokens are by another key.
func (i *Issuer) Forge(t testing.TB, claims Claims) string {
	t.Helper()
	signer, err := i.live(t).ring.Signer(jwk.ES256)
	if err != nil {
		t.Fatal(err)
	}
	jti := rand.Text() + "A" // 27 characters, as of a tag
	token, err := signer.Sign(notary.Join(jti, i.claims(t, claims)))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// claims returns the payload of a token from after its jti.
func (i *Issuer) claims(t testing.TB, claims Claims) []byte {
	t.Helper()
	now := time.Now()
	if i.cfg.Now != nil {
		now = i.cfg.Now()
	}
	all := Claims{
		"iss": i.URL, "sub": "user-1", "aud": Audience, "client_id": "test", "scope": "read write",
		"sid": "session-1", "iat": now.Unix(), "exp": now.Add(15 * time.Minute).Unix(),
	}
	if _, given := claims["rsq"]; !given {
		all["rsq"] = i.head(t)
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	rest, err := wire.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	rest[0] = ',' // what follows the jti
	return rest
}

// sign has a payload tagged, and witnessed where the issuer does that, and signs it.
func (r *running) sign(ctx context.Context, signer *jws.Signer, rest []byte, witness bool) (string, error) {
	kid := signer.Key().KeyID()
	if !witness {
		jti, err := r.tagger.Tag(ctx, kid, notary.Sum(signer.Header(), rest))
		if err != nil {
			return "", err
		}
		return signer.Sign(notary.Join(jti, rest))
	}
	jti, value, err := r.tagger.(notary.Witnesser).TagWitness(ctx, kid, signer.Header(), rest) // issuer.New looked
	if err != nil {
		return "", err
	}
	if signer, err = signer.With(notary.WitnessHeader, value); err != nil {
		return "", err
	}
	return signer.Sign(notary.Join(jti, rest))
}

func (i *Issuer) head(t testing.TB) (seq uint64) {
	t.Helper()
	err := i.live(t).store.View(t.Context(), func(tx *store.Tx) error {
		head, err := tx.Head()
		seq = head.Seq
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// A User is somebody who can sign in.
type User struct{ ID, Name, Password string }

// User makes a user with a password.
func (i *Issuer) User(t testing.TB, name string, roles ...string) User {
	t.Helper()
	var out struct {
		ID       string `json:"id"`
		Password string `json:"password"`
	}
	i.Admin(t, "POST", "/admin/users", map[string]any{"name": name, "roles": append([]string{}, roles...)}, &out)
	return User{ID: out.ID, Name: name, Password: out.Password}
}

// SignIn signs a user in with the default audience.
func (i *Issuer) SignIn(t testing.TB, u User) oauth.TokenResponse {
	t.Helper()
	body, err := wire.Marshal(map[string]string{"username": u.Name, "password": u.Password})
	if err != nil {
		t.Fatal(err)
	}
	var out oauth.TokenResponse
	if status := i.post(t, "/sign-in", "application/json", string(body), &out); status != http.StatusOK {
		t.Fatalf("sign-in answered %d", status)
	}
	return out
}

// Refresh renews a session. The status is 200 when it worked.
func (i *Issuer) Refresh(t testing.TB, refreshToken string) (out oauth.TokenResponse, status int) {
	t.Helper()
	form := url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {refreshToken}}
	status = i.post(t, "/token", "application/x-www-form-urlencoded", form.Encode(), &out)
	return out, status
}

// post sends a body and decodes an answer of status 200.
func (i *Issuer) post(t testing.TB, path, contentType, body string, out any) (status int) {
	t.Helper()
	resp, err := http.Post(i.URL+path, contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK {
		err = wire.Unmarshal(data, out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// Admin calls the administration as the operator at its socket, and decodes the
// answer into out unless that is nil.
func (i *Issuer) Admin(t testing.TB, method, path string, in, out any) {
	t.Helper()
	var body []byte
	if in != nil {
		var err error
		if body, err = wire.Marshal(in); err != nil {
			t.Fatal(err)
		}
	}
	req := httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	i.live(t).issuer.AdminHandler().ServeHTTP(rec, req)
	if rec.Code/100 != 2 {
		t.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
	}
	if out == nil {
		return
	}
	if err := wire.Unmarshal(rec.Body.Bytes(), out); err != nil {
		t.Fatal(err)
	}
}

// Credential makes a client of the kind verifier and returns what its file would
// hold: NAME:SECRET, and the root key.
func (i *Issuer) Credential(t testing.TB, name string) string {
	t.Helper()
	var out struct {
		Credential string `json:"credential"`
	}
	i.Admin(t, "POST", "/admin/clients", map[string]string{"id": name, "kind": "verifier"}, &out)
	return out.Credential
}

// Revoke revokes a value of any kind, whether the issuer knows it or not, and
// returns when every verifier of this Issuer has it. The value is the one in the
// token: a subject is [User.ID] and not the name, a session is "sid".
func (i *Issuer) Revoke(t testing.TB, kind revocation.Kind, value string) (seq uint64) {
	t.Helper()
	r := i.live(t)
	entry := revocation.Entry{Kind: kind, Handle: r.ring.HandleKey().Handle(kind, i.URL, value)}
	err := r.store.Update(t.Context(), func(tx *store.Tx) error {
		record, err := tx.Revoke(store.Revocation{Value: value, Entry: entry})
		seq = record.Seq
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	i.Settle(t)
	return seq
}

// Settle waits until every verifier of this Issuer has the head of the log.
func (i *Issuer) Settle(t testing.TB) {
	t.Helper()
	head := i.head(t)
	i.mu.Lock()
	verifiers := i.verifiers
	i.mu.Unlock()
	for _, v := range verifiers {
		await(t, "a verifier that has the head", func() bool { return v.Status().Head >= head })
	}
}

// Verifier opens a verifier of this issuer for [Audience] and returns when it is
// ready. It ends with the test.
func (i *Issuer) Verifier(t testing.TB) *verifier.Verifier {
	t.Helper()
	return i.VerifierWith(t, verifier.Config{})
}

// VerifierWith is Verifier with a configuration, in which Issuer, Audience and
// Log are filled in where they are not set.
func (i *Issuer) VerifierWith(t testing.TB, cfg verifier.Config) *verifier.Verifier {
	t.Helper()
	if cfg.Issuer == "" {
		cfg.Issuer = i.URL
	}
	if cfg.Audience == "" {
		cfg.Audience = Audience
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	v, err := verifier.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	await(t, "a ready verifier", func() bool { return v.Ready() == nil })
	i.mu.Lock()
	defer i.mu.Unlock()
	i.verifiers = append(i.verifiers, v)
	return v
}

// await polls a condition that real time brings about.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}
