package serve

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxForwarded bounds the addresses read from X-Forwarded-For. A longer chain is
// no proxy's doing.
const maxForwarded = 32

// ClientAddr tells the address of the client that sent r. X-Forwarded-For is
// believed only as far as trusted peers wrote it: from its right end, the first
// address that is not trusted is the client's. A peer on a unix socket counts as
// trusted when any proxy is, since the socket's mode decides who that is; without
// a trusted proxy its address is the zero Addr.
func ClientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer := peerAddr(r.RemoteAddr)
	if len(trusted) == 0 || peer.IsValid() && !contains(trusted, peer) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if len(hops) > maxForwarded {
		hops = hops[len(hops)-maxForwarded:]
	}
	client := peer
	for _, hop := range slices.Backward(hops) {
		addr := parseHop(hop)
		if !addr.IsValid() {
			break // nothing to the left of it can be believed
		}
		client = addr
		if !contains(trusted, addr) {
			break
		}
	}
	return client
}

// Forwarded reports whether a proxy, or somebody who plays one, has left its mark on r.
func Forwarded(r *http.Request) bool {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") || slices.Contains(proxyMarks[:], name) {
			return true
		}
	}
	return false
}

// proxyMarks are what proxies and content networks add beside X-Forwarded-*.
var proxyMarks = [...]string{"Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip"}

func peerAddr(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// parseHop reads one element of X-Forwarded-For, with or without a port.
func parseHop(s string) netip.Addr {
	s = strings.TrimSpace(s)
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Unmap().WithZone("")
	}
	return peerAddr(s)
}

func contains(trusted []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}
