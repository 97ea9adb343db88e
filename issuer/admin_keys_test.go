package issuer_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// A canary's private half is in one answer, and nowhere after that; its public half
// is for verifiers with a credential, and in no published set.
func TestCanaryOverHTTP(t *testing.T) {
	n := newNode(t)
	var made struct {
		KeyID string          `json:"kid"`
		Key   json.RawMessage `json:"key"`
	}
	n.do(t, http.StatusCreated, "POST", "/admin/keys/canary", `{"alg":"ES256"}`).into(t, &made)
	key, err := jwk.Parse(made.Key)
	if err != nil || !key.IsPrivate() || key.KeyID() != made.KeyID {
		t.Fatalf("%v: %v", key, err)
	}
	var private struct {
		D string `json:"d"`
	}
	if err := json.Unmarshal(made.Key, &private); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/jwks", "/jwks.jwt", "/revocation/manifest"} {
		if body := n.get(t, path).body; strings.Contains(body, made.KeyID) || strings.Contains(body, private.D) {
			t.Errorf("GET %s shows the canary", path)
		}
	}
	list := n.do(t, 200, "GET", "/admin/keys", "").body
	if !strings.Contains(list, `"kid":"`+made.KeyID+`","use":"canary"`) {
		t.Error(list)
	}
	for what, body := range map[string]string{
		"list": list, "trail": n.do(t, 200, "GET", "/admin/audit", "").body, "feed key": n.get(t, "/revocation/key").body,
	} {
		if strings.Contains(body, private.D) {
			t.Errorf("%s shows the private half", what)
		}
	}
	kill := n.do(t, http.StatusConflict, "POST", "/admin/revoke", `{"kind":"key","value":"`+made.KeyID+`","absolute":true}`).body
	if !strings.Contains(kill, "counterfoil keys canary --remove KID") {
		t.Error(kill)
	}
	n.do(t, http.StatusNoContent, "DELETE", "/admin/keys/canary/"+made.KeyID, "")
	n.do(t, 404, "DELETE", "/admin/keys/canary/"+made.KeyID, "")
	n.do(t, 400, "POST", "/admin/keys/canary", `{"alg":"HS256"}`)
}

// The list of keys says what comes next, for the key that signs and for the next one.
func TestListOfKeysSaysWhatIsNext(t *testing.T) {
	n := newNode(t)
	var list struct {
		Items []struct {
			KeyID string `json:"kid"`
			State string `json:"state"`
			Due   string `json:"due"`
			Ready string `json:"ready"`
		} `json:"items"`
	}
	n.do(t, 200, "GET", "/admin/keys", "").into(t, &list)
	due, ready := 0, 0
	for _, k := range list.Items {
		if k.Due != "" {
			due++
		}
		if k.Ready != "" {
			ready++
		}
		if (k.Due != "") != (k.State == "active") || k.Ready != "" && k.State != "standby" {
			t.Errorf("%+v", k)
		}
	}
	if len(list.Items) != 3 || due != 1 || ready != 1 {
		t.Errorf("%+v", list.Items)
	}
}

// A hash that somebody kept is found in the trail, and one that never was there is not.
func TestKeptHashOverHTTP(t *testing.T) {
	n := newNode(t)
	var report struct {
		OK   bool   `json:"ok"`
		Rows uint64 `json:"rows"`
		Hash string `json:"hash"`
		Kept uint64 `json:"kept"`
	}
	n.do(t, 200, "GET", "/admin/audit/verify", "").into(t, &report)
	rows := report.Rows
	n.addUser(t, "alice")
	n.do(t, 200, "GET", "/admin/audit/verify?kept="+report.Hash, "").into(t, &report)
	if !report.OK || report.Kept != rows || report.Rows <= rows {
		t.Errorf("%+v, want row %d kept", report, rows)
	}
	n.do(t, 200, "GET", "/admin/audit/verify?kept="+strings.Repeat("0", 64), "").into(t, &report)
	if report.OK {
		t.Errorf("%+v", report)
	}
	n.do(t, 400, "GET", "/admin/audit/verify?kept=x", "")
}
