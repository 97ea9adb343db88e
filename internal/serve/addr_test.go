package serve_test

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/serve"
)

func TestClientAddr(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	tests := []struct {
		name, peer string
		trusted    []netip.Prefix
		forwarded  []string
		want       string
	}{
		{"nobody is trusted", "203.0.113.9:1", nil, []string{"1.1.1.1"}, "203.0.113.9"},
		{"a stranger forwards", "203.0.113.9:1", proxies, []string{"1.1.1.1"}, "203.0.113.9"},
		{"a proxy forwards", "10.0.0.1:1", proxies, []string{"1.1.1.1"}, "1.1.1.1"},
		{"the client lied before the proxy", "10.0.0.1:1", proxies, []string{"8.8.8.8, 1.1.1.1"}, "1.1.1.1"},
		{"two proxies", "10.0.0.1:1", proxies, []string{"8.8.8.8, 1.1.1.1, 10.0.0.2"}, "1.1.1.1"},
		{"two fields", "10.0.0.1:1", proxies, []string{"1.1.1.1", "10.0.0.2"}, "1.1.1.1"},
		{"port and mapped address", "[::1]:1", proxies, []string{"[::ffff:1.1.1.1]:99"}, "1.1.1.1"},
		{"rubbish stops the walk", "10.0.0.1:1", proxies, []string{"1.1.1.1, unknown"}, "10.0.0.1"},
		{"nothing forwarded", "10.0.0.1:1", proxies, nil, "10.0.0.1"},
		{"mapped peer", "[::ffff:10.0.0.1]:1", proxies, []string{"1.1.1.1"}, "1.1.1.1"},
		{"unix socket", "@", proxies, []string{"1.1.1.1"}, "1.1.1.1"},
		{"unix socket, nobody trusted", "@", nil, []string{"1.1.1.1"}, "invalid IP"},
		{"endless chain", "10.0.0.1:1", proxies, []string{"1.1.1.1" + strings.Repeat(", 10.0.0.2", 1000)}, "10.0.0.2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			for _, f := range tt.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			if got := serve.ClientAddr(r, tt.trusted).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
