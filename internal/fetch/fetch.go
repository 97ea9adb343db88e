// Package fetch makes the outbound requests of a verifier: to URLs that came
// from configuration or from metadata, and so perhaps from somebody who would
// like to see our network from the inside.
//
//	u, err := fetch.ParseURL("https://id.example/jwks")
//	client := fetch.NewClient(u, nil)
//
// A client follows no redirect, uses no proxy from the environment, and
// connects to no loopback, link-local or private address unless it was allowed
// to. That is checked on the address connected to, after resolution.
package fetch

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

const (
	dialTimeout      = 3 * time.Second
	handshakeTimeout = 3 * time.Second
	idleTimeout      = 90 * time.Second

	// With HTTP/2 all requests share one connection. After pingAfter without a frame
	// it has pingTimeout to show that it is not dead; without, every further request
	// would wait on it, as long as the kernel does.
	pingAfter   = 2 * time.Second
	pingTimeout = 2 * time.Second

	maxHeaderBytes = 64 << 10 // of a response
)

var (
	// ErrTooLarge reports a body above its limit.
	ErrTooLarge = errors.New("response body is too large")
	// ErrURL reports a URL that is neither https nor http on loopback.
	ErrURL = errors.New("not an https URL (http is for loopback only)")
)

// An AddressError reports a host that resolved to an address of the inner
// network. Where the issuer runs in the same cluster that is as it should be, so
// that the text says what to set.
type AddressError struct{ Addr netip.Addr }

func (e *AddressError) Error() string {
	one := netip.PrefixFrom(e.Addr, e.Addr.BitLen())
	return "refusing to connect to the inner address " + e.Addr.String() + ": if the issuer belongs there, allow its network " +
		"with Config.AllowPrivate (guard: --allow-private CIDR, such as --allow-private " + one.String() + ")"
}

// A StatusError reports an answer other than the one hoped for.
type StatusError struct{ Status int }

func (e *StatusError) Error() string {
	if e.Status >= 300 && e.Status < 400 {
		return fmt.Sprintf("answered %d: redirects are not followed", e.Status)
	}
	return fmt.Sprintf("answered %d", e.Status)
}

// ParseURL parses an absolute https URL without user information, query or
// fragment; http is taken for loopback hosts.
func ParseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, ErrURL // url.Error repeats its input, which may hold a password
	}
	if u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" {
		return nil, ErrURL
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !IsLoopback(u)) {
		return nil, ErrURL
	}
	return u, nil
}

// IsLoopback reports whether u names this machine: localhost or an address
// written as 127.0.0.0/8 or ::1.
func IsLoopback(u *url.URL) bool { return IsLoopbackHost(u.Hostname()) }

// IsLoopbackHost is IsLoopback for a host without a port and without brackets.
func IsLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// SameOrigin reports whether two URLs share scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Hostname() == b.Hostname() && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// NewClient returns a client for the origin of u. If u is on loopback the
// client connects to loopback addresses only; otherwise to public addresses and
// those within allow.
func NewClient(u *url.URL, allow []netip.Prefix) *http.Client {
	inner := IsLoopback(u)
	dialer := &net.Dialer{
		Timeout: dialTimeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			return checkAddress(address, inner, allow)
		},
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    handshakeTimeout,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeaderBytes,
			ForceAttemptHTTP2:      true,
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
			DisableCompression:     true,
		},
		CheckRedirect: noRedirect,
	}
}

// WithoutRedirects returns a copy of a caller's client that follows none.
func WithoutRedirects(c *http.Client) *http.Client {
	copied := *c
	copied.CheckRedirect = noRedirect
	return &copied
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// checkAddress decides on the address that a name resolved to, just before the
// connection is made: a check of the name could be outrun by its next
// resolution.
func checkAddress(address string, loopback bool, allow []netip.Prefix) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	addr := ap.Addr().Unmap().WithZone("")
	if loopback && addr.IsLoopback() {
		return nil
	}
	for _, p := range allow {
		if p.Contains(addr) {
			return nil
		}
	}
	if loopback || isInner(addr) {
		return &AddressError{Addr: addr}
	}
	return nil
}

// reserved are ranges that lead inward or nowhere and that netip has no method for:
// those that the IANA registries of special-purpose addresses (RFC 6890) do not call
// globally reachable, and those that carry an IPv4 address within.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // RFC 1122: this network
	netip.MustParsePrefix("100.64.0.0/10"),   // RFC 6598: carrier-grade NAT
	netip.MustParsePrefix("192.0.0.0/24"),    // RFC 6890: protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // RFC 5737: documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // RFC 7526: 6to4 relays of old
	netip.MustParsePrefix("198.18.0.0/15"),   // RFC 2544: benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // RFC 5737: documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // RFC 5737: documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // RFC 1112: reserved, and broadcast
	netip.MustParsePrefix("::/96"),           // RFC 4291: IPv4 within, deprecated
	netip.MustParsePrefix("::ffff:0:0:0/96"), // RFC 2765: IPv4-translated
	netip.MustParsePrefix("64:ff9b::/96"),    // RFC 6052: IPv4 behind NAT64
	netip.MustParsePrefix("64:ff9b:1::/48"),  // RFC 8215: the same, local
	netip.MustParsePrefix("100::/64"),        // RFC 6666: discarded
	netip.MustParsePrefix("100:0:0:1::/64"),  // RFC 9780: dummy
	netip.MustParsePrefix("2001::/23"),       // RFC 2928: protocol assignments, with Teredo (RFC 4380: IPv4 within)
	netip.MustParsePrefix("2001:db8::/32"),   // RFC 3849: documentation
	netip.MustParsePrefix("2002::/16"),       // RFC 3056: IPv4 within 6to4
	netip.MustParsePrefix("3fff::/20"),       // RFC 9637: documentation
	netip.MustParsePrefix("5f00::/16"),       // RFC 9602: segment routing
	netip.MustParsePrefix("fec0::/10"),       // RFC 3879: site-local
}

func isInner(addr netip.Addr) bool {
	if addr.IsUnspecified() || addr.IsLoopback() || addr.IsPrivate() || addr.IsMulticast() ||
		addr.IsLinkLocalUnicast() {
		return true
	}
	for _, p := range reserved {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Body reads a whole body of at most limit bytes.
func Body(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, ErrTooLarge
	}
	return body, nil
}
