package oauth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/oauth"
)

func ExampleParseMetadata() {
	body := []byte(`{"issuer":"https://id.example","jwks_uri":"https://id.example/jwks",
		"counterfoil_feed":"https://id.example/revocation"}`)
	meta, err := oauth.ParseMetadata(body, "https://id.example")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(meta.JWKSURI, meta.Feed)

	_, err = oauth.ParseMetadata(body, "https://id.example/")
	fmt.Println(err)
	// Output:
	// https://id.example/jwks https://id.example/revocation
	// metadata names another issuer
}

func TestMetadataIsRefused(t *testing.T) {
	for name, body := range map[string]string{
		"duplicate issuer": `{"issuer":"https://evil.example","issuer":"https://id.example"}`,
		"folded name":      `{"Issuer":"https://id.example"}`,
		"wrong type":       `{"issuer":["https://id.example"]}`,
		"trailing":         `{"issuer":"https://id.example"}{}`,
		"too large":        `{"issuer":"https://id.example","x":"` + strings.Repeat("x", oauth.MaxMetadata) + `"}`,
	} {
		if _, err := oauth.ParseMetadata([]byte(body), "https://id.example"); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestWellKnownURLs(t *testing.T) {
	urls, err := oauth.WellKnownURLs("https://id.example/tenant/a")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"https://id.example/tenant/a/.well-known/openid-configuration",
		"https://id.example/.well-known/oauth-authorization-server/tenant/a",
	}
	if fmt.Sprint(urls) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", urls, want)
	}
	for _, bad := range []string{"", "id.example", "https://", "https://id.example?x=1", "https://id.example#x"} {
		if _, err := oauth.WellKnownURLs(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestParseScopes(t *testing.T) {
	set, err := oauth.ParseScopes("read write read")
	if err != nil || set.String() != "read write" {
		t.Fatalf("got %q, %v", set, err)
	}
	if !set.Contains("write", "read") || set.Contains("read", "admin") || set.Contains("rea") {
		t.Error("Contains is wrong")
	}
	many := strings.TrimSuffix(strings.Repeat("a ", oauth.MaxScopes+1), " ")
	for _, bad := range []string{" ", "a  b", " a", "a ", "a\tb", `a"b`, `a\b`, "é", "a\x00", many, strings.Repeat("a", oauth.MaxScope+1)} {
		if _, err := oauth.ParseScopes(bad); !errors.Is(err, oauth.ErrScope) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParseScopes(f *testing.F) {
	f.Add("read write")
	f.Add("a  b")
	f.Fuzz(func(t *testing.T, s string) {
		set, err := oauth.ParseScopes(s)
		if err != nil {
			return
		}
		again, err := oauth.ParseScopes(set.String())
		if err != nil || again.String() != set.String() {
			t.Fatalf("%q does not survive its own String: %v", s, err)
		}
	})
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://id.example","counterfoil_feed":"https://id.example/revocation"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := oauth.ParseMetadata(data, "https://id.example")
		if err == nil && m.Issuer != "https://id.example" {
			t.Fatal("believed another issuer")
		}
	})
}
