package issuer

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/oauth"
)

// keyJSON is a key as administration sees one.
type keyJSON struct {
	keyring.Info

	Due     time.Time `json:"due,omitzero"`      // of the one that signs: when the next one takes over
	Ready   time.Time `json:"ready,omitzero"`    // of the next one: from when on it may be told to
	Waiting []string  `json:"waiting,omitempty"` // of a standby: connected verifiers that do not hold it yet

	Quarantined time.Time `json:"quarantined,omitzero"` // since when first-seen tokens are proved before they pass
}

// listKeys serves GET /admin/keys.
func (i *Issuer) listKeys(w http.ResponseWriter, r *http.Request) error {
	if err := i.keys.Reload(r.Context()); err != nil {
		return err
	}
	rows := map[string]keyJSON{}
	for _, p := range i.keys.Plans() {
		rows[p.From] = keyJSON{Due: p.Due}
		rows[p.To] = keyJSON{Ready: p.Ready}
	}
	since, err := i.quarantined(r.Context())
	if err != nil {
		return err
	}
	list := items[keyJSON]{Items: []keyJSON{}}
	for _, info := range i.keys.Keys() {
		row := rows[info.KeyID]
		row.Info, row.Quarantined = info, since[info.KeyID]
		if info.Use == keyring.UseAccess && info.State == keyring.Standby {
			if row.Waiting, err = i.waitingFor(r.Context(), info.KeyID); err != nil {
				return err
			}
		}
		list.Items = append(list.Items, row)
	}
	return serve.WriteJSON(w, http.StatusOK, list)
}

// quarantined returns since when keys are under quarantine.
func (i *Issuer) quarantined(ctx context.Context) (map[string]time.Time, error) {
	var open []store.Incident
	err := i.st.View(ctx, func(tx *store.Tx) (err error) {
		open, err = tx.OpenIncidents()
		return err
	})
	since := map[string]time.Time{}
	for _, in := range open {
		since[in.KeyID] = in.Quarantined
	}
	return since, err
}

// rotateKeys serves POST /admin/keys/rotate.
func (i *Issuer) rotateKeys(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Algorithm string `json:"alg"`
		Force     bool   `json:"force"`
	}
	if err := serve.ReadJSON(w, r, maxAdminBody, &in); err != nil {
		return err
	}
	alg, err := i.keys.Algorithm(in.Algorithm)
	if err != nil {
		return errForeignAlgorithm
	}
	done, err := i.keys.Rotate(r.Context(), keyring.RotateOptions{
		Algorithm: alg, Force: in.Force, Gate: i.waitingFor, Actor: actor(r.Context()),
	})
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, done)
}

// rotateFeed serves POST /admin/keys/feed.
func (i *Issuer) rotateFeed(w http.ResponseWriter, r *http.Request) error {
	done, err := i.keys.RotateFeed(r.Context(), actor(r.Context()))
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, done)
}

var errForeignAlgorithm = badRequest("this issuer does not sign with that alg")

// canaryJSON is the answer of POST /admin/keys/canary.
type canaryJSON struct {
	KeyID     string         `json:"kid"`
	Algorithm jwk.Algorithm  `json:"alg"`
	Key       jsontext.Value `json:"key"` // the private JWK, this once
}

// addCanary serves POST /admin/keys/canary.
func (i *Issuer) addCanary(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Algorithm string `json:"alg"`
	}
	if err := serve.ReadJSON(w, r, maxAdminBody, &in); err != nil {
		return err
	}
	key, err := i.keys.AddCanary(r.Context(), jwk.Algorithm(in.Algorithm), actor(r.Context()))
	if errors.Is(err, keyring.ErrNoActive) {
		return badRequest("alg is not a signature algorithm with a public key, such as ES256")
	}
	if err != nil {
		return err
	}
	private, err := key.MarshalPrivate()
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusCreated, canaryJSON{key.KeyID(), key.Algorithm(), private})
}

// removeCanary serves DELETE /admin/keys/canary/{kid}.
func (i *Issuer) removeCanary(w http.ResponseWriter, r *http.Request) error {
	if err := i.keys.RemoveCanary(r.Context(), r.PathValue("kid"), actor(r.Context())); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// keysError is the part of the table that is about keys; nil is for an error of
// another kind.
func keysError(err error) error {
	var soon *keyring.TooSoonError
	var waiting *keyring.WaitingError
	var kek *keyring.KEKError
	conflict := &serve.Error{Status: http.StatusConflict, Code: oauth.Conflict}
	away := &serve.Error{Status: http.StatusServiceUnavailable, Code: oauth.TemporarilyUnavailable, RetryAfter: time.Minute, Err: err}
	switch {
	case errors.As(err, &soon):
		conflict.Description, conflict.RetryAfter = soon.Error(), time.Until(soon.At)
		return conflict
	case errors.As(err, &waiting):
		conflict.Description, conflict.RetryAfter = waiting.Error(), time.Second
		return conflict
	case errors.Is(err, keyring.ErrNotActive), errors.Is(err, keyring.ErrTooMany):
		conflict.Description = err.Error()
		return conflict
	case errors.Is(err, keyring.ErrCanary):
		conflict.Description = err.Error() + "; to end the watch: counterfoil keys canary --remove KID"
		return conflict
	case errors.As(err, &kek):
		away.Description = kek.Error() + ": start this node with that one, or ask another node"
		return away
	case errors.Is(err, keyring.ErrHeld):
		away.Description = keyring.ErrHeld.Error()
		return away
	case errors.Is(err, jwk.ErrUnavailable):
		away.Description, away.RetryAfter = "the token of the keys does not answer", time.Second
		return away
	case errors.Is(err, keyring.ErrUnknownKey):
		return &serve.Error{Status: http.StatusNotFound, Code: oauth.NotFound, Description: "there is no such thing"}
	case errors.Is(err, keyring.ErrConflict):
		conflict.Description = "changed by somebody else at the same time; look again"
		return conflict
	}
	return nil
}
