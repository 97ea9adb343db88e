package issuer

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
)

func (i *Issuer) openDesk(ctx context.Context) (*forgery.Desk, error) {
	c := &i.cfg
	return forgery.Open(ctx, forgery.Config{
		Issuer: c.URL, Store: c.Store, Keyring: c.Keyring, Notary: c.Tagger, Each: c.Notaries, TokenLife: c.TokenLife,
		Answer: c.Answer, Webhook: c.Webhook, Log: c.Log, Now: c.Now,
	})
}

// evidenceType is the media type of a token shown as evidence (RFC 7519, Section 10.3.1).
const evidenceType = "application/jwt"

// seen serves POST /revocation/seen: what a verifier has seen in use.
func (i *Issuer) seen(w http.ResponseWriter, r *http.Request) error {
	reporter, body, err := i.report(w, r, notary.ReportType, notary.MaxReport)
	if err != nil {
		return err
	}
	records, err := notary.ParseReport(body)
	if err != nil {
		return badRequest("the body is not a report of seen tokens")
	}
	answer, err := i.desk.Records(r.Context(), reporter, records)
	if err != nil {
		return deskError(err)
	}
	return serve.WriteJSON(w, http.StatusOK, answer)
}

// evidence serves POST /revocation/seen/evidence: a token that a verifier could not
// prove.
func (i *Issuer) evidence(w http.ResponseWriter, r *http.Request) error {
	reporter, body, err := i.report(w, r, evidenceType, forgery.MaxToken)
	if err != nil {
		return err
	}
	verdict, err := i.desk.Evidence(r.Context(), reporter, serve.ClientAddr(r, i.cfg.TrustedProxies), string(body))
	if err != nil {
		return deskError(err)
	}
	return serve.WriteJSON(w, http.StatusOK, struct {
		Verdict forgery.Verdict `json:"verdict"`
	}{verdict})
}

// report lets a verifier in and reads what it sends.
func (i *Issuer) report(w http.ResponseWriter, r *http.Request, want string, limit int64) (reporter string, body []byte, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if i.desk.Answer() == forgery.Off {
		return "", nil, errNotAudited
	}
	if reporter, err = i.door.verifier(r); err != nil {
		return "", nil, err
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != want {
		return "", nil, &serve.Error{
			Status: http.StatusUnsupportedMediaType, Code: oauth.InvalidRequest, Description: "the body must be " + want,
		}
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
		return "", nil, &serve.Error{
			Status: http.StatusRequestEntityTooLarge, Code: oauth.InvalidRequest, Description: "the body is too large",
		}
	}
	if err != nil {
		return "", nil, errCutOff
	}
	return reporter, body, nil
}

// errCutOff says of a body that did not arrive, by the time limit of the server or
// with a lost connection, that it may be sent again (RFC 9110, Section 15.5.9). A 400
// would have the verifier give up what was in it.
var errCutOff = &serve.Error{
	Status: http.StatusRequestTimeout, Code: oauth.InvalidRequest, Description: "the body ended early",
}

var errNotAudited = &serve.Error{
	Status: http.StatusNotFound, Code: oauth.NotFound, Description: "this issuer does not look for forged tokens",
}

// deskError is the table of what the desk refuses.
func deskError(err error) error {
	var limited *forgery.LimitedError
	switch {
	case errors.As(err, &limited):
		return &serve.Error{
			Status: http.StatusTooManyRequests, Code: oauth.TemporarilyUnavailable,
			Description: "too much from this verifier", RetryAfter: max(limited.RetryAfter, time.Second),
		}
	case errors.Is(err, forgery.ErrOff):
		return errNotAudited
	}
	return &serve.Error{
		Status: http.StatusServiceUnavailable, Code: oauth.TemporarilyUnavailable,
		Description: "nothing can be told now", RetryAfter: time.Second, Err: err,
	}
}
