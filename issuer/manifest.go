package issuer

import (
	"context"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
)

// signManifest says where the log stands and where a newcomer begins.
func (h *hub) signManifest(v *view) (string, error) {
	keys, err := h.jwks.forManifest(v.head.Epoch)
	if err != nil {
		return "", err
	}
	feedKey, trust := h.keys.Feed()
	m := revocation.Manifest{
		Issuer:        h.keys.Issuer(),
		Epoch:         v.head.Epoch,
		Base:          v.head.Base,
		Head:          v.head.Seq,
		C:             v.head.C,
		LowWater:      v.head.LowWater,
		AsOf:          v.asOf,
		HandleKeyID:   h.keys.HandleKey().ID(),
		KeySet:        keys.plain.hash,
		KeySetVersion: keys.version,
		Canaries:      keys.canariesID,
		Trust:         trust,
		MaxLife:       h.keys.MaxTokenLife(),
		Heartbeat:     heartbeat,
	}
	if snap := h.snaps.before(v.head); snap != nil {
		m.Snapshot = &snap.ref
	}
	return m.Sign(feedKey)
}

// feedKey is the answer of GET /revocation/key.
type feedKey struct {
	KFID       string      `json:"kfid"`
	Key        string      `json:"key"` // base64url
	Root       *jwk.Key    `json:"root"`
	HandleKeys []handleKey `json:"handle_keys"` // all in force, the present one first
	// Canaries are a JWK Set whose hash the manifest names; absent where there are
	// none. They are not in the public set: any library would accept their tokens.
	Canaries jsontext.Value `json:"canaries,omitempty"`
}

type handleKey struct {
	ID  string `json:"id"`
	Key string `json:"key"`
}

// key serves GET /revocation/key: the secret of the feed, for verifiers only.
func (i *Issuer) key(w http.ResponseWriter, r *http.Request) error {
	if _, err := i.door.verifier(r); err != nil {
		return err
	}
	keys, err := i.keySet(r.Context())
	if err != nil {
		return err
	}
	id, secret := i.keys.HandleKey().ID(), wire.Encode(i.keys.HandleSecret())
	w.Header().Set("Cache-Control", "no-store")
	return serve.WriteJSON(w, http.StatusOK, feedKey{
		KFID: id, Key: secret, Root: i.keys.Root(), HandleKeys: []handleKey{{id, secret}}, Canaries: keys.canaries,
	})
}

// manifestLimit is how long a manifest may take.
const manifestLimit = 3 * time.Second

// manifest serves GET /revocation/manifest. The head in it was read after the
// request came in, so that a verifier may count its age from when it asked. To one that
// sends a nonce it is vouched for: nothing else tells it that no recording answers. All
// who ask at one time share the read and the manifest; what a nonce costs besides is one
// Ed25519 signature, less than the handshake of the connection it comes over.
func (i *Issuer) manifest(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), manifestLimit)
	defer cancel()
	v, err := i.hub.fresh(ctx)
	if err != nil {
		return unavailable(err)
	}
	signed, err := v.manifest()
	if err != nil {
		return unavailable(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/jwt")
	h.Set("Vary", revocation.NonceHeader)
	h.Set("Cache-Control", "public, max-age=1")
	if r.Header.Get(revocation.NonceHeader) != "" {
		h.Set("Cache-Control", "no-store")
	}
	if err := i.vouch(w, r, revocation.ManifestPath, nil, []byte(signed)); err != nil {
		return err
	}
	_, err = w.Write([]byte(signed))
	return err
}
