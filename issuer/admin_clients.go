package issuer

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/revocation"
)

// The kinds of client.
const (
	kindVerifier     = "verifier"     // may have the secret of the feed
	kindConfidential = "confidential" // a program that can keep a secret (RFC 6749, Section 2.1)
	kindPublic       = "public"       // one that cannot
)

const (
	maxClientID  = 64 // bytes of a client id
	clientSecret = 32 // random bytes of a client secret
)

// clientJSON is a client as administration sees one. The secret is set once, in
// the answer that made it.
type clientJSON struct {
	ID         string    `json:"id"`
	Kind       string    `json:"kind"`
	Disabled   bool      `json:"disabled"`
	Created    time.Time `json:"created"`
	Secret     string    `json:"secret,omitempty"`
	Credential string    `json:"credential,omitempty"` // the content of a credential file
}

func showClient(c *store.Client) clientJSON {
	return clientJSON{ID: c.ID, Kind: c.Kind, Disabled: c.Disabled, Created: c.Created.UTC()}
}

// showSecret shows a client with the secret that it has just been given. The
// credential of a verifier names the root key too, so that the verifier knows the
// issuer at first contact.
func (i *Issuer) showSecret(c *store.Client, secret string) clientJSON {
	out := showClient(c)
	if secret == "" {
		return out
	}
	out.Secret, out.Credential = secret, c.ID+":"+secret
	if c.Kind == kindVerifier {
		out.Credential += "\nroot " + i.keys.Root().Thumbprint()
	}
	return out
}

// validClientID allows what needs no escaping in a URL, a Basic credential, a
// file or a log. RFC 6749, Appendix A.1 would allow more.
func validClientID(id string) bool {
	for n := range len(id) {
		c := id[n]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._-", c) >= 0) {
			return false
		}
	}
	return id != "" && len(id) <= maxClientID && id != loopback
}

// newSecret makes a client secret and the hash to keep of it.
func newSecret() (secret string, hash []byte) {
	var b [clientSecret]byte
	rand.Read(b[:])
	secret = wire.Encode(b[:])
	sum := sha256.Sum256([]byte(secret))
	return secret, sum[:]
}

func (i *Issuer) listClients(w http.ResponseWriter, r *http.Request) error {
	list := items[clientJSON]{Items: []clientJSON{}}
	err := i.st.View(r.Context(), func(tx *store.Tx) error {
		clients, err := tx.Clients()
		for n := range clients {
			list.Items = append(list.Items, showClient(&clients[n]))
		}
		return err
	})
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, list)
}

func (i *Issuer) addClient(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		ID   string `json:"id"`
		Kind string `json:"kind"`
	}
	if err := serve.ReadJSON(w, r, maxAdminBody, &in); err != nil {
		return err
	}
	if !validClientID(in.ID) {
		return badRequest("id must be 1 to 64 letters, digits, '.', '_' or '-', and not \"loopback\"")
	}
	c := store.Client{ID: in.ID, Kind: in.Kind, Created: i.cfg.Now()}
	var secret string
	switch in.Kind {
	case kindVerifier, kindConfidential:
		secret, c.SecretHash = newSecret()
	case kindPublic:
	default:
		return badRequest("kind must be verifier, confidential or public")
	}
	err := i.st.Update(r.Context(), func(tx *store.Tx) error {
		if err := tx.CreateClient(c); err != nil {
			return err
		}
		return i.record(r.Context(), tx, audit.ClientAdd, c.ID, "kind="+c.Kind)
	})
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusCreated, i.showSecret(&c, secret))
}

// newClientSecret serves POST /admin/clients/{id}/secret. The secret before is
// worth nothing from then on.
func (i *Issuer) newClientSecret(w http.ResponseWriter, r *http.Request) error {
	secret, hash := newSecret()
	var out clientJSON
	err := i.st.Update(r.Context(), func(tx *store.Tx) error {
		c, err := tx.Client(r.PathValue("id"))
		if err != nil {
			return err
		}
		if c.Kind == kindPublic {
			return badRequest("a public client has no secret")
		}
		c.SecretHash = hash
		if err := tx.UpdateClient(c); err != nil {
			return err
		}
		out = i.showSecret(&c, secret)
		return i.record(r.Context(), tx, audit.ClientSecret, c.ID, "")
	})
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, out)
}

// removeClient serves DELETE /admin/clients/{id}. What the client holds is revoked.
func (i *Issuer) removeClient(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	var out revoked
	err := i.st.Update(r.Context(), func(tx *store.Tx) error {
		if _, err := tx.Client(id); err != nil {
			return err
		}
		record, err := tx.Revoke(i.revocation(revocation.Client, id, 0))
		if err != nil {
			return err
		}
		if err := tx.RemoveClient(id); err != nil {
			return err
		}
		out = revoked{Epoch: record.Epoch, Seq: record.Seq}
		return i.record(r.Context(), tx, audit.ClientRemove, id, "seq="+strconv.FormatUint(record.Seq, 10))
	})
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, out)
}
