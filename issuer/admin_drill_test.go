package issuer_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
)

// drillKeys is the answer of POST /admin/drill.
type drillKeys struct {
	KeyID    string `json:"kid"`
	Standby  string `json:"standby"`
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"`
	Answer   string `json:"answer"`
}

func (n *node) drillToken(t *testing.T, kid string, forged bool) string {
	t.Helper()
	body := `{"forged":false}`
	if forged {
		body = `{"forged":true}`
	}
	var out struct {
		Token string `json:"token"`
	}
	n.do(t, 200, "POST", "/admin/drill/"+kid+"/token", body).into(t, &out)
	return out.Token
}

// tagIsRight asks the notary about a token.
func (n *node) tagIsRight(t *testing.T, kid, token string) bool {
	t.Helper()
	record, err := notary.RecordOf(kid, token)
	if err != nil {
		t.Fatal(err)
	}
	right, err := notary.NewLocal(n.secret).Check(t.Context(), []notary.Record{record})
	if err != nil {
		t.Fatal(err)
	}
	return right[0]
}

// A drill's tokens are good for its audience and for nobody, and the forged one
// differs from the honest one by its tag alone.
func TestDrillTokens(t *testing.T) {
	n := newNode(t)
	var keys drillKeys
	n.do(t, 200, "POST", "/admin/drill", `{"audience":"orders"}`).into(t, &keys)
	if keys.Issuer != n.shared.url || keys.Audience != "orders" || keys.Answer != "automatic" || keys.KeyID == keys.Standby {
		t.Fatalf("%+v", keys)
	}
	honest, forged := n.drillToken(t, keys.KeyID, false), n.drillToken(t, keys.KeyID, true)
	if !n.tagIsRight(t, keys.KeyID, honest) || n.tagIsRight(t, keys.KeyID, forged) {
		t.Error("the tags are not as they should be")
	}
	if !n.tagIsRight(t, forgery.Rehearsal(keys.KeyID), forged) {
		t.Error("the issuer would not know its own forgery again")
	}
	for name, token := range map[string]string{"honest": honest, "forged": forged} {
		policy := jwt.Policy{Issuer: n.shared.url, Audience: "orders", Type: oauth.AccessTokenType, Now: n.clock.Now}
		tok, err := jwt.Verify[map[string]any](policy, n.ring.Public(), token)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if tok.Key().KeyID() != keys.KeyID || tok.Subject() != "counterfoil-drill" {
			t.Errorf("%s: of key %s, subject %s", name, tok.Key().KeyID(), tok.Subject())
		}
		for _, claim := range []string{"scope", "roles", "sid", "tenant"} {
			if _, ok := tok.Claims()[claim]; ok {
				t.Errorf("%s: it says %s", name, claim)
			}
		}
		policy.Audience = "api"
		if _, err := jwt.Verify[map[string]any](policy, n.ring.Public(), token); err == nil {
			t.Errorf("%s: good for another audience", name)
		}
	}
}

// Whoever gets hold of a drill's key can be nobody with it, and permit himself nothing.
func TestDrillKeyPermitsNothing(t *testing.T) {
	n := newNode(t)
	var keys drillKeys
	n.do(t, 200, "POST", "/admin/drill", `{"audience":"orders"}`).into(t, &keys)
	signer, err := n.ring.DrillSigner()
	if err != nil {
		t.Fatal(err)
	}
	now := n.clock.Now().Unix()
	verify := func(change map[string]any) error {
		claims := map[string]any{
			"iss": n.shared.url, "sub": "counterfoil-drill", "aud": "orders", "client_id": "x", "iat": now, "exp": now + 60, "rsq": 1,
		}
		maps.Copy(claims, change)
		rest, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		rest[0] = ','
		token, err := signer.Sign(notary.Join(strings.Repeat("A", 27), rest))
		if err != nil {
			t.Fatal(err)
		}
		policy := jwt.Policy{Issuer: n.shared.url, Audience: "orders", Type: oauth.AccessTokenType, Now: n.clock.Now}
		_, err = jwt.Verify[map[string]any](policy, n.ring.Public(), token)
		return err
	}
	if err := verify(nil); err != nil {
		t.Fatal(err)
	}
	for claim, value := range map[string]any{"sub": "root", "scope": "admin", "roles": []string{"admin"}, "sid": "s", "tenant": "acme", "act": map[string]string{"sub": "root"}} {
		if _, ok := errors.AsType[*jwt.LimitError](verify(map[string]any{claim: value})); !ok {
			t.Errorf("it may say %s", claim)
		}
	}
}

func TestDrillIsAloneAndEnds(t *testing.T) {
	n := newNode(t)
	published := n.ring.Public().Len()
	var keys drillKeys
	n.do(t, 200, "POST", "/admin/drill", `{}`).into(t, &keys)
	if keys.Audience != "api" {
		t.Errorf("audience %q", keys.Audience)
	}
	n.do(t, 409, "POST", "/admin/drill", `{}`)
	n.do(t, 400, "POST", "/admin/drill", `{"audience":"`+n.shared.url+`"}`)
	n.do(t, 400, "POST", "/admin/drill", `{"audience":"`+strings.Repeat("a", 257)+`"}`)
	n.do(t, 409, "POST", "/admin/drill/"+keys.Standby+"/token", `{"forged":true}`)
	n.do(t, 404, "GET", "/admin/drill/nobody", "")
	signs, err := n.ring.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	n.do(t, 404, "GET", "/admin/drill/"+signs.Key().KeyID(), "")
	n.do(t, 200, "GET", "/admin/drill/"+keys.KeyID, "")

	n.do(t, 204, "DELETE", "/admin/drill/"+keys.KeyID, "")
	if now := n.ring.Public().Len(); now != published {
		t.Errorf("%d keys are published after the drill, %d before", now, published)
	}
	n.do(t, 409, "POST", "/admin/drill/"+keys.KeyID+"/token", `{"forged":false}`)
	if !slices.ContainsFunc(n.ring.Keys(), func(k keyring.Info) bool { return k.KeyID == keys.KeyID && k.State == keyring.Retired }) {
		t.Error("the drill's key has no tombstone")
	}
	n.do(t, 200, "POST", "/admin/drill", `{}`)
}

func TestNoDrillWhereNobodyLooks(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	s := newShared(t, "http://"+server.Listener.Addr().String())
	n := startNode(t, server, s, issuer.Config{Answer: forgery.Off})
	n.do(t, 409, "POST", "/admin/drill", `{}`)
}

// Who has no right to administer starts no drill and gets no token of one.
func TestDrillNeedsRights(t *testing.T) {
	n := newNode(t)
	for _, path := range []string{"/admin/drill", "/admin/drill/k/token"} {
		if a := send(t, request(t, "POST", n.url+path, `{}`)); a.status != 401 {
			t.Errorf("%s answered %d", path, a.status)
		}
	}
}
