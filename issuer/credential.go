package issuer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/oauth"
)

// loopback names who comes without a credential under the loopback rule.
const loopback = "loopback"

// A doorkeeper decides which verifiers may have the feed's secret.
type doorkeeper struct {
	st    *store.Store
	local bool // the issuer URL itself is http on loopback
}

// verifier returns the name of the verifier client that sent r: by its Basic
// credential (RFC 6749, Section 2.3.1), or [loopback]. Without a credential it is
// let in only if the issuer's own URL is http on loopback, the request comes from
// loopback and is for loopback, and no proxy has left its mark on it.
func (d *doorkeeper) verifier(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		if d.local && fromLoopback(r) {
			return loopback, nil
		}
		return "", errCredential
	}
	name, secret, ok := r.BasicAuth()
	if !ok || len(values) > 1 {
		return "", errCredential
	}
	return d.client(r.Context(), unescape(name), unescape(secret))
}

// fromLoopback wants the Host on loopback, too: a web page whose name was made to
// lead to this machine (DNS rebinding) comes from loopback, and names itself.
func fromLoopback(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback() && isLoopback(hostname(r.Host)) && !serve.Forwarded(r)
}

// hostname returns a Host header without its port.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }

// unescape undoes the form encoding that RFC 6749 asks for inside Basic. Names and
// secrets of ours need none, so that both ways of sending them work.
func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// client checks a client's secret. The secret has 256 random bits, so its hash
// needs neither salt nor stretching.
func (d *doorkeeper) client(ctx context.Context, name, secret string) (string, error) {
	var held [sha256.Size]byte
	var good bool
	err := d.st.View(ctx, func(tx *store.Tx) error {
		c, err := tx.Client(name)
		if err != nil {
			return err
		}
		good = c.Kind == kindVerifier && !c.Disabled && copy(held[:], c.SecretHash) == len(held)
		return nil
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrText) {
		return "", unavailable(err)
	}
	sum := sha256.Sum256([]byte(secret))
	if same := subtle.ConstantTimeCompare(sum[:], held[:]) == 1; !same || !good {
		return "", errCredential
	}
	return name, nil
}

// errCredential is the one answer to every bad credential.
var errCredential = &serve.Error{
	Status: http.StatusUnauthorized, Code: oauth.InvalidClient,
	Description: "a verifier credential is needed: counterfoil client add --verifier NAME",
	Challenge:   `Basic realm="counterfoil", charset="UTF-8"`,
}
