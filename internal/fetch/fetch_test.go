package fetch

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

func TestThreat129InnerAddresses(t *testing.T) {
	for _, address := range []string{
		"127.0.0.1:443", "10.1.2.3:443", "172.16.0.1:443", "192.168.1.1:443", "169.254.169.254:80",
		"100.64.0.1:443", "0.0.0.0:443", "255.255.255.255:443", "224.0.0.1:443", "198.18.0.1:443",
		"[::1]:443", "[::]:443", "[fe80::1%eth0]:443", "[fc00::1]:443", "[ff02::1]:443",
		"[::ffff:127.0.0.1]:443", "[::ffff:10.0.0.1]:443", "[::ffff:100.64.0.1]:443", "[64:ff9b::7f00:1]:443", "[64:ff9b::a9fe:a9fe]:80", "[64:ff9b:1:2::a00:1]:443", "[2002:7f00:1::]:443",
		"[::7f00:1]:443", "[::ffff:0:7f00:1]:443", "[2001:0:7f00:1::1]:443", "[2001:20::1]:443", "[2001:db8::1]:443", "[3fff::1]:443",
		"[5f00::1]:443", "[100::1]:443", "[100:0:0:1::1]:443", "[fec0::1]:443", "192.0.0.8:443", "192.0.2.1:443", "198.51.100.1:443", "203.0.113.1:443",
		"192.88.99.1:443",
	} {
		var inner *AddressError
		if err := checkAddress(address, false, nil); !errors.As(err, &inner) {
			t.Errorf("%s: %v, want an AddressError", address, err)
		}
	}
	for _, address := range []string{
		"93.184.216.34:443", "[2606:4700::1111]:443", "[2001:4860:4860::8888]:443", "[2a00:1450::1]:443", "192.0.3.1:443", "198.20.0.1:443", "100.128.0.1:443",
	} {
		if err := checkAddress(address, false, nil); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	allow := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	if err := checkAddress("10.1.2.3:443", false, allow); err != nil {
		t.Errorf("allowed address: %v", err)
	}
	for _, address := range []string{"10.1.2.3:443", "93.184.216.34:443"} {
		if err := checkAddress(address, true, nil); err == nil {
			t.Errorf("a loopback URL reached the network at %s", address)
		}
	}
	if err := checkAddress("127.0.0.1:80", true, nil); err != nil {
		t.Errorf("loopback from a loopback URL: %v", err)
	}
}

// The name is public and its address is not: only the dialer can tell.
func TestThreat129NameThatResolvesInward(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	public := &url.URL{Scheme: "https", Host: "id.example"}
	client := NewClient(public, nil)
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	_, err := client.Get("http://localhost:" + port)
	var inner *AddressError
	if !errors.As(err, &inner) {
		t.Fatalf("got %v, want an AddressError", err)
	}
}

func TestParseURL(t *testing.T) {
	for _, raw := range []string{
		"http://id.example", "ftp://id.example", "//id.example", "https://", "https://u:p@id.example",
		"https://id.example/?a", "https://id.example/#a", "http://127.0.0.1.example", "file:///etc/passwd", "%",
	} {
		if u, err := ParseURL(raw); err == nil {
			t.Errorf("%s: accepted as %v", raw, u)
		}
	}
	for _, raw := range []string{"https://id.example", "http://localhost:8080/x", "http://127.0.0.1:1", "http://[::1]:1/"} {
		if _, err := ParseURL(raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestNoRedirect(t *testing.T) {
	var hits atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer srv.Close()
	u, err := ParseURL(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*http.Client{NewClient(u, nil), WithoutRedirects(srv.Client())} {
		hits.Store(0)
		resp, err := c.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if n := hits.Load(); resp.StatusCode != http.StatusFound || n != 1 {
			t.Errorf("status %d after %d requests, want 302 after 1", resp.StatusCode, n)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	if _, err := Body(strings.NewReader("12345"), 4); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if b, err := Body(strings.NewReader("1234"), 4); err != nil || string(b) != "1234" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestSameOrigin(t *testing.T) {
	parse := func(s string) *url.URL { u, _ := url.Parse(s); return u }
	a := parse("https://id.example/x")
	for s, want := range map[string]bool{
		"https://id.example:443/y": true, "https://id.example:8443": false, "http://id.example": false, "https://evil.example": false,
	} {
		if got := SameOrigin(a, parse(s)); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
}
