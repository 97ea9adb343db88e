package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/issuertest"
	"github.com/counterfoil/counterfoil/revocation"
)

func TestOrders(t *testing.T) {
	iss := issuertest.New(t)
	s := httptest.NewServer(iss.Verifier(t).Protect(http.HandlerFunc(orders)))
	defer s.Close()
	in := iss.SignIn(t, iss.User(t, "ada", "clerk"))

	get := func() (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+in.AccessToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if status, body := get(); status != 200 || !strings.Contains(body, `["clerk"]`) {
		t.Errorf("%d %s", status, body)
	}
	iss.Revoke(t, revocation.Session, in.SessionID)
	if status, body := get(); status != 401 {
		t.Errorf("after the revocation: %d %s", status, body)
	}
}
