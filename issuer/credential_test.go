package issuer_test

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/issuer"
)

// basic shows the first line of a credential.
func basic(credential string) string {
	shown, _, _ := strings.Cut(credential, "\n")
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(shown))
}

// newRemote is an issuer whose URL is not on loopback.
func newRemote(t *testing.T) *node {
	t.Helper()
	return startNode(t, httptest.NewUnstartedServer(nil), newShared(t, "https://id.example"), issuer.Config{})
}

type credential struct {
	Secret     string `json:"secret"`
	Credential string `json:"credential"`
}

func (n *node) addClient(t *testing.T, id, kind string) credential {
	t.Helper()
	var c credential
	n.do(t, 201, "POST", "/admin/clients", fmt.Sprintf(`{"id":%q,"kind":%q}`, id, kind)).into(t, &c)
	return c
}

func TestVerifierCredential(t *testing.T) {
	n := newRemote(t)
	good := n.addClient(t, "orders", "verifier")
	other := n.addClient(t, "program", "confidential")
	if good.Credential != "orders:"+good.Secret+"\nroot "+n.ring.Root().Thumbprint() {
		t.Errorf("credential is not NAME:SECRET and the root key")
	}
	if other.Credential != "program:"+other.Secret {
		t.Errorf("credential of a program is not NAME:SECRET")
	}
	status := func(headers ...string) int { return n.get(t, "/revocation/key", headers...).status }
	for name, c := range map[string]struct {
		headers []string
		want    int
	}{
		"none":             {nil, 401},
		"good":             {[]string{basic(good.Credential)}, 200},
		"wrong secret":     {[]string{basic("orders:" + other.Secret)}, 401},
		"empty secret":     {[]string{basic("orders:")}, 401},
		"unknown client":   {[]string{basic("nobody:" + good.Secret)}, 401},
		"not a verifier":   {[]string{basic(other.Credential)}, 401},
		"two headers":      {[]string{basic(good.Credential), basic(good.Credential)}, 401},
		"bearer":           {[]string{"Authorization: Bearer " + good.Secret}, 401},
		"first-party":      {[]string{basic("first-party:")}, 401},
		"quote in name":    {[]string{basic("x' OR '1'='1:" + good.Secret)}, 401},
		"NUL in name":      {[]string{basic("orders\x00:" + good.Secret)}, 401},
		"form-encoded":     {[]string{basic("%6Frders:" + good.Secret)}, 200},
		"through loopback": {[]string{"X-Forwarded-For: 127.0.0.1"}, 401},
	} {
		if got := status(c.headers...); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	var renewed credential
	n.do(t, 200, "POST", "/admin/clients/orders/secret", `{}`).into(t, &renewed)
	if status(basic(good.Credential)) != 401 || status(basic(renewed.Credential)) != 200 {
		t.Error("the old secret is still good, or the new one is not")
	}
	n.do(t, 200, "DELETE", "/admin/clients/orders", "")
	if status(basic(renewed.Credential)) != 401 {
		t.Error("a removed client still gets the key")
	}
}

// Without a credential only loopback gets the key, and only of an issuer that is
// on loopback itself, and not through a proxy.
func TestLoopbackRule(t *testing.T) {
	n := newNode(t)
	for _, path := range []string{"/revocation/key"} {
		if got := n.get(t, path).status; got != 200 {
			t.Errorf("loopback: %d", got)
		}
		for _, h := range []string{"Forwarded: for=1.2.3.4", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: x", "X-Forwarded-Proto: https", "X-Real-Ip: 1.2.3.4", "Via: 1.1 x", "X-Forwarded-Port: 443", "X-Forwarded-Server: x", "Cf-Connecting-Ip: 1.2.3.4", "True-Client-Ip: 1.2.3.4"} {
			if got := n.get(t, path, h).status; got != 401 {
				t.Errorf("%s: %d", h, got)
			}
		}
	}
	port := strings.TrimPrefix(n.url, "http://127.0.0.1")
	for host, want := range map[string]int{
		"localhost" + port: 200, "127.0.0.1" + port: 200, "[::1]" + port: 200, "LOCALHOST": 200,
		// A page of evil.example whose name now leads here (DNS rebinding).
		"evil.example" + port: 401, "127.0.0.1.evil.example": 401, "localhost.evil.example": 401, "10.0.0.1" + port: 401,
	} {
		r := request(t, "GET", n.url+"/revocation/key", "")
		r.Host = host
		if got := send(t, r).status; got != want {
			t.Errorf("Host %s: %d, want %d", host, got, want)
		}
	}
	r := httptest.NewRequest("GET", "/revocation/key", nil) // from 192.0.2.1
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	if w.Code != 401 {
		t.Errorf("from elsewhere: %d", w.Code)
	}
}
