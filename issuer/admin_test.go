package issuer_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/oauth"
)

type user struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Password string   `json:"password"`
	Roles    []string `json:"roles"`
	Disabled bool     `json:"disabled"`
	Seq      uint64   `json:"seq"`
}

func (n *node) addUser(t *testing.T, name string, roles ...string) user {
	t.Helper()
	body := fmt.Sprintf(`{"name":%q,"roles":[%s]}`, name, quoted(roles))
	var u user
	n.do(t, 201, "POST", "/admin/users", body).into(t, &u)
	return u
}

func quoted(list []string) string {
	var out []string
	for _, s := range list {
		out = append(out, fmt.Sprintf("%q", s))
	}
	return strings.Join(out, ",")
}

// signIn signs in and returns the status and the tokens.
func (n *node) signIn(t *testing.T, u user, more string) (int, oauth.TokenResponse) {
	t.Helper()
	a := send(t, request(t, "POST", n.url+"/sign-in", fmt.Sprintf(`{"username":%q,"password":%q%s}`, u.Name, u.Password, more)))
	var tokens oauth.TokenResponse
	if a.status == 200 {
		a.into(t, &tokens)
	}
	return a.status, tokens
}

func (n *node) refresh(t *testing.T, token string) int {
	t.Helper()
	r := request(t, "POST", n.url+"/token", "grant_type=refresh_token&refresh_token="+token)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(t, r).status
}

func TestUserLife(t *testing.T) {
	n := newNode(t)
	alice := n.addUser(t, "alice", "clerk")
	if alice.Password == "" || !slices.Equal(alice.Roles, []string{"clerk"}) {
		t.Fatalf("made %+v", alice)
	}
	if list := n.do(t, 200, "GET", "/admin/users", "").body; strings.Contains(list, alice.Password) || strings.Contains(list, "argon2") || !strings.Contains(list, alice.ID) {
		t.Errorf("list is %s", list)
	}
	n.do(t, 409, "POST", "/admin/users", `{"name":"alice","password":"a long enough one"}`)
	n.do(t, 400, "POST", "/admin/users", `{"name":"bob","password":"short"}`)
	n.do(t, 400, "POST", "/admin/users", `{"name":"bob","claims":{"sub":"root"}}`)

	status, tokens := n.signIn(t, alice, "")
	if status != 200 {
		t.Fatalf("sign-in: %d", status)
	}
	var changed user
	n.do(t, 200, "PATCH", "/admin/users/alice", `{"disabled":true}`).into(t, &changed)
	if !changed.Disabled || changed.Seq == 0 {
		t.Errorf("disabled: %+v", changed)
	}
	if got := n.refresh(t, tokens.RefreshToken); got != 400 {
		t.Errorf("a disabled user refreshes: %d", got)
	}
	if status, _ := n.signIn(t, alice, ""); status != 401 {
		t.Errorf("a disabled user signs in: %d", status)
	}
	n.do(t, 200, "PATCH", "/admin/users/alice", `{"disabled":false}`)
	if got := n.refresh(t, tokens.RefreshToken); got != 400 {
		t.Errorf("enabling brings old sessions back: %d", got)
	}
	status, tokens = n.signIn(t, alice, "")
	if status != 200 {
		t.Fatalf("sign-in after enabling: %d", status)
	}
	old := alice
	n.do(t, 200, "PATCH", "/admin/users/alice", `{"generate_password":true}`).into(t, &alice)
	if got := n.refresh(t, tokens.RefreshToken); got != 400 {
		t.Errorf("a session survives a new password: %d", got)
	}
	if status, _ := n.signIn(t, old, ""); status != 401 {
		t.Errorf("the old password: %d", status)
	}
	if status, _ := n.signIn(t, alice, ""); status != 200 {
		t.Errorf("the new password: %d", status)
	}
	n.do(t, 404, "PATCH", "/admin/users/nobody", `{"disabled":true}`)
	n.do(t, 400, "PATCH", "/admin/users/alice", `{}`)
	n.do(t, 400, "PATCH", "/admin/users/alice", `{"password":"long enough","generate_password":true}`)
}

func TestSessionsAreListedAndRevoked(t *testing.T) {
	n := newNode(t)
	alice := n.addUser(t, "alice")
	_, tokens := n.signIn(t, alice, "")
	var list struct {
		Items []struct {
			ID   string `json:"id"`
			User string `json:"user"`
		} `json:"items"`
	}
	n.do(t, 200, "GET", "/admin/sessions?user=alice", "").into(t, &list)
	if len(list.Items) != 1 || list.Items[0].ID != tokens.SessionID || list.Items[0].User != "alice" {
		t.Fatalf("%+v", list)
	}
	n.revoke(t, "session", tokens.SessionID)
	if got := n.refresh(t, tokens.RefreshToken); got != 400 {
		t.Errorf("refresh: %d", got)
	}
	n.do(t, 200, "GET", "/admin/sessions?user=alice", "").into(t, &list)
	if len(list.Items) != 0 {
		t.Errorf("still alive: %+v", list)
	}
	n.signIn(t, alice, "")
	n.revoke(t, "subject", "alice")
	n.do(t, 200, "GET", "/admin/sessions?user=alice", "").into(t, &list)
	if len(list.Items) != 0 {
		t.Errorf("alive although the user was revoked: %+v", list)
	}
	n.do(t, 404, "GET", "/admin/sessions?user=nobody", "")
}

func TestRevokeIsChecked(t *testing.T) {
	n := newNode(t)
	alice := n.addUser(t, "alice")
	for body, want := range map[string]int{
		`{"kind":"subject","value":"alice"}`:                           200,
		`{"kind":"subject","value":"` + alice.ID + `"}`:                200,
		`{"kind":"subject","value":"nobody"}`:                          404,
		`{"kind":"session","value":"nosuch"}`:                          404,
		`{"kind":"client","value":"nosuch"}`:                           404,
		`{"kind":"key","value":"nosuch"}`:                              404,
		`{"kind":"key","value":"nosuch","absolute":true}`:              404,
		`{"kind":"subject","value":""}`:                                400,
		`{"kind":"subject","value":"alice","absolute":true}`:           400,
		`{"kind":"everything","value":"x"}`:                            400,
		`{"kind":"everything","value":""}`:                             200,
		`{"kind":"nothing","value":"x"}`:                               400,
		`{"kind":"tenant","value":"x","wait":61}`:                      400,
		`{"kind":"tenant","value":"x","wait":-1}`:                      400,
		`{"kind":"tenant","value":"` + strings.Repeat("x", 257) + `"}`: 400,
		`{"kind":"tenant","value":"x","kind":"everything"}`:            400,
		`{"kind":"tenant","value":"x\u0000"}`:                          400,
	} {
		if a := send(t, request(t, "POST", n.admin.URL+"/admin/revoke", body)); a.status != want {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	// The user is revoked by id, whichever way he was named.
	status, _ := n.signIn(t, alice, "")
	if status != 200 {
		t.Errorf("sign-in after the revocation: %d", status)
	}
}

func TestKillTheActiveKey(t *testing.T) {
	n := newNode(t)
	alice := n.addUser(t, "alice")
	if status, _ := n.signIn(t, alice, ""); status != 200 {
		t.Fatal(status)
	}
	signer, err := n.ring.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	kid := signer.Key().KeyID()
	n.do(t, 200, "POST", "/admin/revoke", fmt.Sprintf(`{"kind":"key","value":%q,"absolute":true}`, kid))
	if strings.Contains(n.get(t, "/jwks").body, kid) {
		t.Error("a killed key is published")
	}
	if status, _ := n.signIn(t, alice, ""); status != 200 {
		t.Errorf("nobody signs in after a kill: %d", status)
	}
	if list := n.do(t, 200, "GET", "/admin/keys", "").body; !strings.Contains(list, `"killed"`) {
		t.Error(list)
	}
}

func TestRotateOverHTTP(t *testing.T) {
	n := newNode(t)
	if a := n.do(t, 409, "POST", "/admin/keys/rotate", `{}`); a.header.Get("Retry-After") == "" {
		t.Error("too soon, and no Retry-After")
	}
	n.do(t, 400, "POST", "/admin/keys/rotate", `{"alg":"none"}`)
	var done keyring.Rotation
	n.do(t, 200, "POST", "/admin/keys/rotate", `{"force":true}`).into(t, &done)
	signer, err := n.ring.Signer("")
	if err != nil || signer.Key().KeyID() != done.To {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestAuditTrail(t *testing.T) {
	n := newNode(t)
	alice := n.addUser(t, "alice")
	n.revoke(t, "subject", "alice")
	var list struct {
		Items []struct {
			N       uint64 `json:"n"`
			Actor   string `json:"actor"`
			Action  string `json:"action"`
			Subject string `json:"subject"`
			Hash    string `json:"hash"`
		} `json:"items"`
	}
	n.do(t, 200, "GET", "/admin/audit", "").into(t, &list)
	var actions []string
	for _, row := range list.Items {
		if row.Subject == alice.ID && row.Actor == "socket" {
			actions = append(actions, row.Action)
		}
	}
	if !slices.Equal(actions, []string{"user.add", "revoke"}) {
		t.Errorf("actions %v", actions)
	}
	var report audit.Report
	n.do(t, 200, "GET", "/admin/audit/verify", "").into(t, &report)
	last := list.Items[len(list.Items)-1]
	if !report.OK || report.Rows != last.N || report.Hash != last.Hash {
		t.Errorf("%+v, last %+v", report, last)
	}
	if _, err := hex.DecodeString(report.Hash); err != nil {
		t.Error(err)
	}
	if a := send(t, request(t, "GET", n.admin.URL+"/admin/audit?limit=x", "")); a.status != 400 {
		t.Errorf("limit=x: %d", a.status)
	}
	n.do(t, 200, "GET", fmt.Sprintf("/admin/audit?after=%d", last.N), "").into(t, &list)
	if len(list.Items) != 0 {
		t.Errorf("rows after the last one: %+v", list)
	}
}

// When the trail cannot be written the deed is not done.
func TestNoDeedWithoutAuditRow(t *testing.T) {
	n := newNode(t)
	err := n.store.Update(context.Background(), func(tx *store.Tx) error {
		if err := tx.CreateClient(store.Client{ID: "ghost", Kind: "public", Created: time.Now()}); err != nil {
			return err
		}
		return audit.Record(tx, time.Now(), audit.Event{}) // no action: refused
	})
	if err == nil {
		t.Fatal("an event without an action was written")
	}
	if body := n.do(t, 200, "GET", "/admin/clients", "").body; strings.Contains(body, "ghost") {
		t.Error("the deed was done")
	}
}

// Administration over the public listener takes a token of this issuer, for this
// issuer, with the scope admin, and nothing else.
func TestAdminByToken(t *testing.T) {
	n := newNode(t)
	root, alice := n.addUser(t, "root", "admin"), n.addUser(t, "alice")
	forIssuer := fmt.Sprintf(`,"audience":%q,"scope":"admin"`, n.ring.Issuer())
	status, admin := n.signIn(t, root, forIssuer)
	if status != 200 || admin.Scope != "admin" {
		t.Fatalf("sign-in for administration: %d %q", status, admin.Scope)
	}
	get := func(headers ...string) int { return n.get(t, "/admin/users", headers...).status }
	bearer := func(token string) string { return "Authorization: Bearer " + token }
	if got := get(bearer(admin.AccessToken)); got != 200 {
		t.Fatalf("with a good token: %d", got)
	}
	_, wrongAudience := n.signIn(t, root, `,"scope":"admin"`)
	_, noScope := n.signIn(t, root, fmt.Sprintf(`,"audience":%q`, n.ring.Issuer()))
	_, byAlice := n.signIn(t, alice, forIssuer)
	for name, c := range map[string]struct {
		headers []string
		want    int
	}{
		"nothing":        {nil, 401},
		"wrong audience": {[]string{bearer(wrongAudience.AccessToken)}, 401},
		"no scope":       {[]string{bearer(noScope.AccessToken)}, 403},
		"refresh token":  {[]string{bearer(admin.RefreshToken)}, 401},
		"two headers":    {[]string{bearer(admin.AccessToken), bearer(admin.AccessToken)}, 400},
		"two spaces":     {[]string{"Authorization: Bearer  " + admin.AccessToken}, 400},
		"basic":          {[]string{basic("root:" + root.Password)}, 400},
		"cookie":         {[]string{"Cookie: __Host-Http-access_token=" + admin.AccessToken}, 401},
		"junk":           {[]string{bearer("a.b.c")}, 401},
	} {
		if got := get(c.headers...); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if byAlice.AccessToken != "" {
		if got := get(bearer(byAlice.AccessToken)); got != 403 {
			t.Errorf("a user without the role: %d", got)
		}
	}
	a := send(t, request(t, "POST", n.url+"/admin/revoke", fmt.Sprintf(`{"kind":"session","value":%q}`, admin.SessionID), bearer(admin.AccessToken)))
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got := get(bearer(admin.AccessToken)); got != 401 {
		t.Errorf("a revoked administrator: %d", got)
	}
	if body := n.do(t, 200, "GET", "/admin/audit", "").body; !strings.Contains(body, "user:"+root.ID) {
		t.Error("the trail does not say who did it")
	}
}

// A token with the right signature and no tag of the notary's does nothing.
func TestThreat136ForgedTokenAtAdministration(t *testing.T) {
	n := newNode(t)
	root := n.addUser(t, "root", "admin")
	_, tokens := n.signIn(t, root, fmt.Sprintf(`,"audience":%q,"scope":"admin"`, n.ring.Issuer()))
	forged := n.forge(t, tokens.AccessToken)
	if got := n.get(t, "/admin/users", "Authorization: Bearer "+forged).status; got != 401 {
		t.Errorf("%d", got)
	}
	if got := n.get(t, "/admin/users", "Authorization: Bearer "+tokens.AccessToken).status; got != 200 {
		t.Errorf("the genuine token: %d", got)
	}
}

// An ordinary revocation of the key that goes on signing ends what it has signed
// until then, here as at every verifier.
func TestThreat62RevokedKeyAtAdministration(t *testing.T) {
	n := newNode(t)
	root := n.addUser(t, "root", "admin")
	forIssuer := fmt.Sprintf(`,"audience":%q,"scope":"admin"`, n.ring.Issuer())
	_, before := n.signIn(t, root, forIssuer)
	signer, err := n.ring.Signer("")
	if err != nil {
		t.Fatal(err)
	}
	n.revoke(t, "key", signer.Key().KeyID())
	_, after := n.signIn(t, root, forIssuer)
	if got := n.get(t, "/admin/users", "Authorization: Bearer "+before.AccessToken).status; got != 401 {
		t.Errorf("a token from before the revocation: %d", got)
	}
	if got := n.get(t, "/admin/users", "Authorization: Bearer "+after.AccessToken).status; got != 200 {
		t.Errorf("a token from after it: %d", got)
	}
}
