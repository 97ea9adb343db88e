package issuer

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/forgery"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
)

func (i *Issuer) openDesk(ctx context.Context) (*forgery.Desk, error) {
	c := &i.cfg
	return forgery.Open(ctx, forgery.Config{
		Issuer: c.URL, Store: c.Store, Keyring: c.Keyring, Notary: c.Tagger, Each: c.Notaries, TokenLife: c.TokenLife,
		Waiting: i.waitingFor, Reporting: i.fleet.reporting,
		Answer: c.Answer, Webhook: c.Webhook, Log: c.Log, Now: c.Now,
	})
}

// reportTimeout bounds how long a verifier may take to send a report or a token: one
// gives up after five seconds itself.
const reportTimeout = 10 * time.Second

// evidenceType is the media type of a token shown as evidence (RFC 7519, Section 10.3.1).
const evidenceType = "application/jwt"

// seen serves POST /revocation/seen: what a verifier has seen in use.
func (i *Issuer) seen(w http.ResponseWriter, r *http.Request) error {
	reporter, body, err := i.report(w, r, revocation.SeenPath, notary.ReportType, notary.MaxReport)
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
	return i.answerSigned(w, r, revocation.SeenPath, body, answer)
}

// evidence serves POST /revocation/seen/evidence: a token that a verifier could not
// prove.
func (i *Issuer) evidence(w http.ResponseWriter, r *http.Request) error {
	reporter, body, err := i.report(w, r, revocation.EvidencePath, evidenceType, forgery.MaxToken)
	if err != nil {
		return err
	}
	verdict, err := i.desk.Evidence(r.Context(), reporter, serve.ClientAddr(r, i.cfg.TrustedProxies), string(body))
	if err != nil {
		return deskError(err)
	}
	return i.answerSigned(w, r, revocation.EvidencePath, body, struct {
		Verdict forgery.Verdict `json:"verdict"`
	}{verdict})
}

// answerSigned answers with v, and signs that for who asks.
func (i *Issuer) answerSigned(w http.ResponseWriter, r *http.Request, path string, request []byte, v any) error {
	answer, err := wire.Marshal(v)
	if err != nil {
		return err
	}
	if err := i.vouch(w, r, path, request, answer); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(answer)
	return err
}

// vouch signs an answer for a verifier that wants that: by these answers it lets
// tokens pass under quarantine and takes them for reported, and whoever stands where
// TLS ends could otherwise prove what he likes. No answer stands for a 404.
func (i *Issuer) vouch(w http.ResponseWriter, r *http.Request, path string, request, answer []byte) error {
	nonce := r.Header.Get(revocation.NonceHeader)
	if nonce == "" {
		return nil
	}
	e := revocation.Exchange{Issuer: i.cfg.URL, Path: path, Nonce: nonce, Request: request, Answer: answer}
	signed, err := e.Sign(i.keys.FeedKey())
	if errors.Is(err, revocation.ErrFormat) {
		return badRequest(revocation.NonceHeader + " has 16 to 64 characters")
	}
	if err == nil {
		w.Header().Set(revocation.AnswerHeader, signed)
	}
	return err
}

// report lets a verifier in and reads what it sends.
func (i *Issuer) report(w http.ResponseWriter, r *http.Request, path, want string, limit int64) (reporter string, body []byte, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if reporter, err = i.door.verifier(r); err != nil {
		return "", nil, err
	}
	// Where a connection knows no deadlines, the server's own time limit holds.
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(reportTimeout))
	if body, err = serve.ReadBody(w, r, want, limit); err != nil {
		return "", nil, err
	}
	_ = conn.SetReadDeadline(time.Time{})
	if i.desk.Answer() != forgery.Off {
		return reporter, body, nil
	}
	if err := i.vouch(w, r, path, body, nil); err != nil {
		return "", nil, err
	}
	return "", nil, errNotAudited
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
