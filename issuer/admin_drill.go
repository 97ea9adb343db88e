package issuer

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/session"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
)

const (
	// drillSubject is whom the tokens of a drill name: nobody.
	drillSubject = "counterfoil-drill"
	// drillTokenLife is how long they live.
	drillTokenLife = 2 * time.Minute
	// maxAudience bounds the name of an audience, in bytes.
	maxAudience = 256
)

// drillKeys names the keys of a drill.
type drillKeys struct {
	KeyID    string `json:"kid"`
	Standby  string `json:"standby"`
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"`
	Answer   string `json:"answer"`
}

// beginDrill serves POST /admin/drill: it publishes a key for the drill, which is
// about to be "stolen", and its standby.
func (i *Issuer) beginDrill(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Audience string `json:"audience"`
	}
	if err := serve.ReadJSON(w, r, maxAdminBody, &in); err != nil {
		return err
	}
	in.Audience = cmp.Or(in.Audience, i.cfg.DefaultAudience, session.DefaultAudience)
	if len(in.Audience) > maxAudience || in.Audience == i.cfg.URL {
		return badRequest("audience must name a service, in at most 256 bytes")
	}
	if i.desk.Answer() == forgery.Off {
		return errDrillOff
	}
	kids, err := i.keys.AddDrill(r.Context(), keyring.DrillOptions{
		Audience: in.Audience, Subject: drillSubject, Claims: drillClaimNames, Actor: actor(r.Context()),
	})
	if errors.Is(err, keyring.ErrDrill) {
		return errDrill
	}
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, drillKeys{
		KeyID: kids[0], Standby: kids[1], Issuer: i.cfg.URL, Audience: in.Audience, Answer: string(i.desk.Answer()),
	})
}

// drillToken serves POST /admin/drill/{kid}/token: a token of the drill's key that
// signs now, or one that a thief of the drill's first key would make. The private
// halves stay here.
func (i *Issuer) drillToken(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Forged bool `json:"forged"`
	}
	if err := serve.ReadJSON(w, r, maxAdminBody, &in); err != nil {
		return err
	}
	signer, err := i.keys.DrillSigner()
	if errors.Is(err, keyring.ErrNoActive) || err == nil && in.Forged && signer.Key().KeyID() != r.PathValue("kid") {
		return errNoDrill
	}
	if err != nil {
		return err
	}
	token, err := i.signDrill(r.Context(), signer, in.Forged)
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, map[string]string{"token": token})
}

var (
	errDrill    = drillConflict("a drill is under way")
	errDrillOff = drillConflict("forged tokens are not looked for: serve.forgery.answer is off")
	errNoDrill  = drillConflict("no such drill is under way")
)

func drillConflict(why string) *serve.Error {
	return &serve.Error{Status: http.StatusConflict, Code: oauth.Conflict, Description: why}
}

// drillClaimNames are the claims that the keys of a drill may make, with jti those of
// drillClaims: whoever gets hold of such a key can permit himself nothing either.
var drillClaimNames = []string{"jti", "iss", "sub", "aud", "client_id", "iat", "exp", "rsq"}

// drillClaims are those of the tokens of a drill. They permit nothing.
type drillClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	ClientID string `json:"client_id"`
	IssuedAt int64  `json:"iat"`
	Expiry   int64  `json:"exp"`
	RSQ      uint64 `json:"rsq"`
}

// signDrill makes a token of a drill: with a tag, or with one that proves nothing but
// that this issuer made it.
func (i *Issuer) signDrill(ctx context.Context, signer *jws.Signer, forged bool) (string, error) {
	claims := drillClaims{
		Issuer: i.cfg.URL, Subject: drillSubject, Audience: signer.Key().Limits().Audiences[0], ClientID: drillSubject,
	}
	err := i.st.View(ctx, func(tx *store.Tx) error {
		head, err := tx.Head()
		if err != nil {
			return err
		}
		now, err := tx.Now()
		claims.RSQ, claims.IssuedAt, claims.Expiry = head.Seq, now.Unix(), now.Add(drillTokenLife).Unix()
		return err
	})
	if err != nil {
		return "", err
	}
	rest, err := wire.Marshal(claims)
	if err != nil {
		return "", err
	}
	rest[0] = ',' // what follows the jti
	tagged := signer.Key().KeyID()
	if forged {
		tagged = forgery.Rehearsal(tagged)
	}
	jti, err := i.cfg.Tagger.Tag(ctx, tagged, notary.Sum(signer.Header(), rest))
	if err != nil {
		return "", err
	}
	return signer.SignContext(ctx, notary.Join(jti, rest))
}

// drillJSON is how far a drill has come. Times are the store's.
type drillJSON struct {
	drillKeys
	Now     time.Time `json:"now"`
	Waiting []string  `json:"waiting,omitempty"` // verifiers that do not hold the keys yet
	Holders int       `json:"holders"`           // verifiers that are connected

	Found       time.Time `json:"found,omitzero"`
	Alarmed     time.Time `json:"alarmed,omitzero"`
	Webhook     string    `json:"webhook,omitempty"`
	Quarantined time.Time `json:"quarantined,omitzero"`
	Switched    time.Time `json:"switched,omitzero"`
	Killed      time.Time `json:"killed,omitzero"`

	Quarantine *Coverage `json:"quarantine,omitempty"`
	Kill       *Coverage `json:"kill,omitempty"`
}

// drillStatus serves GET /admin/drill/{kid}.
func (i *Issuer) drillStatus(w http.ResponseWriter, r *http.Request) error {
	kid := r.PathValue("kid")
	out := drillJSON{drillKeys: drillKeys{KeyID: kid, Issuer: i.cfg.URL, Answer: string(i.desk.Answer())}}
	if _, info, ok := i.keys.Verification(kid); !ok || info.Use != keyring.UseDrill {
		return keyring.ErrUnknownKey
	}
	if _, err := i.keySet(r.Context()); err != nil { // so that it is known who holds it
		return err
	}
	rows, err := i.connected(r.Context(), true)
	if err != nil {
		return unavailable(err)
	}
	out.Waiting, out.Holders = i.without(rows, kid), len(rows)
	err = i.st.View(r.Context(), func(tx *store.Tx) error { return i.drillIncident(tx, &out, rows) })
	if err != nil {
		return err
	}
	return serve.WriteJSON(w, http.StatusOK, out)
}

// drillIncident fills in what has happened to the drill's key, if anything has.
func (i *Issuer) drillIncident(tx *store.Tx, out *drillJSON, rows []holder) (err error) {
	if out.Now, err = tx.Now(); err != nil {
		return err
	}
	in, err := tx.Incident(out.KeyID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	head, err := tx.Head()
	if err != nil {
		return err
	}
	out.Found, out.Alarmed, out.Quarantined = in.Found, in.Alarmed, in.Quarantined
	out.Switched, out.Killed, out.Standby = in.Switched, in.Killed, in.Successor
	out.Quarantine, out.Kill = reached(rows, head.Epoch, in.QuarantineSeq), reached(rows, head.Epoch, in.KillSeq)
	if i.cfg.Webhook == nil {
		out.Webhook = "none is configured"
	}
	return nil
}

// reached says which of the verifiers have applied an entry, or nil for none.
func reached(rows []holder, epoch, seq uint64) *Coverage {
	if seq == 0 {
		return nil
	}
	c := &Coverage{Of: len(rows), Silent: []string{}}
	for _, row := range rows {
		if row.reached(epoch, seq) {
			c.Confirmed++
		} else {
			c.Silent = append(c.Silent, row.name())
		}
	}
	return c
}

// endDrill serves DELETE /admin/drill/{kid}: the drill's keys are withdrawn.
func (i *Issuer) endDrill(w http.ResponseWriter, r *http.Request) error {
	if err := i.keys.EndDrill(r.Context(), actor(r.Context())); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
