package issuer

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/issuer/account"
	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/session"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/oauth"
)

// maxAdminBody is the largest request body of the admin API, in bytes.
const maxAdminBody = 64 << 10

// socketActor stands in the audit trail for whoever came through the unix socket.
const socketActor = "socket"

type actorKey struct{}

// actor says who administers.
func actor(ctx context.Context) string {
	if name, ok := ctx.Value(actorKey{}).(string); ok {
		return name
	}
	return socketActor
}

// items is the answer of every list.
type items[T any] struct {
	Items []T `json:"items"`
}

// adminRoutes are the endpoints of administration. Who may reach them has been
// decided before.
func (i *Issuer) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h serve.HandlerFunc) {
		mux.Handle(pattern, serve.Handler(i.log, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Cache-Control", "no-store")
			return adminError(h(w, r))
		}))
	}
	handle("GET /admin/users", i.listUsers)
	handle("POST /admin/users", i.addUser)
	handle("PATCH /admin/users/{name}", i.changeUser)
	handle("GET /admin/clients", i.listClients)
	handle("POST /admin/clients", i.addClient)
	handle("POST /admin/clients/{id}/secret", i.newClientSecret)
	handle("DELETE /admin/clients/{id}", i.removeClient)
	handle("GET /admin/sessions", i.listSessions)
	handle("POST /admin/revoke", i.revoke)
	handle("GET /admin/keys", i.listKeys)
	handle("POST /admin/keys/rotate", i.rotateKeys)
	handle("POST /admin/keys/feed", i.rotateFeed)
	handle("POST /admin/keys/canary", i.addCanary)
	handle("DELETE /admin/keys/canary/{kid}", i.removeCanary)
	handle("GET /admin/incidents", i.listIncidents)
	handle("GET /admin/incidents/{kid}", i.showIncident)
	handle("POST /admin/incidents/{kid}/close", i.closeIncident)
	handle("GET /admin/audit", i.listAudit)
	handle("GET /admin/audit/verify", i.verifyAudit)
	handle("GET /admin/feed", i.feedStatus)
	handle("POST /admin/restored", i.restored)
	handle("POST /admin/drill", i.beginDrill)
	handle("GET /admin/drill/{kid}", i.drillStatus)
	handle("POST /admin/drill/{kid}/token", i.drillToken)
	handle("DELETE /admin/drill/{kid}", i.endDrill)
	return mux
}

// adminByToken lets in who has an access token of this issuer with the scope
// admin, made for this issuer. Its tag is checked before anything is done.
func (i *Issuer) adminByToken() http.Handler {
	return serve.Handler(i.log, func(w http.ResponseWriter, r *http.Request) error {
		token, err := bearer(r)
		if err != nil {
			return err
		}
		tok, err := i.sessions.VerifyAccess(r.Context(), token)
		if trouble, ok := session.Answer(err).(*serve.Error); ok {
			return trouble
		}
		if err != nil || !slices.Contains(tok.Audience(), i.cfg.URL) {
			return errToken
		}
		scopes, err := oauth.ParseScopes(tok.Claims().Scope)
		if err != nil || !scopes.Contains(oauth.ScopeAdmin) {
			return errScope
		}
		ctx := context.WithValue(r.Context(), actorKey{}, "user:"+tok.Subject())
		i.admin.ServeHTTP(w, r.WithContext(ctx))
		return nil
	})
}

var (
	errToken = &serve.Error{
		Status: http.StatusUnauthorized, Code: oauth.InvalidToken,
		Description: "an access token of this issuer, for this issuer, is needed",
		Challenge:   `Bearer realm="counterfoil", error="invalid_token"`,
	}
	errNoToken = &serve.Error{
		Status: http.StatusUnauthorized, Description: "an access token is needed", Challenge: `Bearer realm="counterfoil"`,
	}
	errScope = &serve.Error{
		Status: http.StatusForbidden, Code: oauth.InsufficientScope, Description: "the scope admin is needed",
		Challenge: `Bearer realm="counterfoil", error="insufficient_scope", scope="admin"`,
	}
)

// bearer takes the token out of exactly one Authorization header (RFC 6750,
// Section 2.1). No cookie counts here.
func bearer(r *http.Request) (string, error) {
	token, err := oauth.ParseBearer(r.Header.Values("Authorization"))
	switch {
	case errors.Is(err, oauth.ErrNoBearer):
		return "", errNoToken
	case err != nil:
		return "", badRequest("want exactly one header Authorization: Bearer TOKEN")
	}
	return token, nil
}

// adminError is the table of what goes wrong in administration.
func adminError(err error) error {
	if answer := keysError(err); answer != nil {
		return answer
	}
	if answer, ok := session.Answer(err).(*serve.Error); ok {
		return answer
	}
	var input *account.InputError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &input):
		return badRequest(input.Error())
	case errors.Is(err, account.ErrBusy):
		return &serve.Error{Status: http.StatusServiceUnavailable, Code: oauth.TemporarilyUnavailable, Description: "too many passwords are being hashed", RetryAfter: time.Second}
	case errors.Is(err, store.ErrNotFound):
		return &serve.Error{Status: http.StatusNotFound, Code: oauth.NotFound, Description: "there is no such thing"}
	case errors.Is(err, store.ErrExists):
		return &serve.Error{Status: http.StatusConflict, Code: oauth.Conflict, Description: "that name is taken"}
	case errors.Is(err, store.ErrConflict):
		return &serve.Error{Status: http.StatusConflict, Code: oauth.Conflict, Description: "changed by somebody else at the same time; look again"}
	case errors.Is(err, store.ErrText):
		return badRequest("a text is not valid UTF-8 or holds NUL")
	}
	return err
}

// record writes an audit row for the request inside its transaction.
func (i *Issuer) record(ctx context.Context, tx *store.Tx, action audit.Action, subject, detail string) error {
	return audit.Record(tx, i.cfg.Now(), audit.Event{Actor: actor(ctx), Action: action, Subject: subject, Detail: detail})
}
