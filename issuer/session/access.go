package session

import (
	"context"
	"errors"

	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
)

// Access is what an access token says beyond the registered claims.
type Access struct {
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope"`
	SessionID string   `json:"sid"`
	Roles     []string `json:"roles"`
	Tenant    string   `json:"tenant"`
	RSQ       uint64   `json:"rsq"`
}

var (
	// ErrForged reports an access token with the right signature and a tag that
	// the notary did not make: the signing key is in other hands.
	ErrForged = errors.New("session: access token is forged")

	errNoRSQ = errors.New("session: access token without rsq")
)

// VerifyAccess verifies an access token of this issuer, whatever its audience:
// signature, time and tag, and then in the store that its key signs or has
// signed and that neither its session nor its user, client, tenant or key was
// revoked after it was made. It is for the issuer's own endpoints. An error that
// is [store.ErrUnavailable] or [notary.ErrUnavailable] says nothing about the
// token; see [Answer].
func (s *Server) VerifyAccess(ctx context.Context, token string) (*jwt.Token[Access], error) {
	tok, err := s.genuine(ctx, token)
	if err != nil {
		return nil, err
	}
	return tok, s.view(ctx, func(tx *store.Tx) error { return s.stands(tx, tok) })
}

// genuine verifies what can be verified without the store.
func (s *Server) genuine(ctx context.Context, token string) (*jwt.Token[Access], error) {
	tok, err := jwt.Verify[Access](jwt.Policy{
		Issuer: s.cfg.Issuer, Type: oauth.AccessTokenType, Now: s.cfg.Now,
		// The issuer acts on its own tokens, whomever they are for.
		InsecureSkipAudience: true,
	}, s.cfg.Keys.Public(), token)
	if err != nil {
		s.show(ctx, token, err)
		return nil, err
	}
	right, err := s.tagged(ctx, tok.Key().KeyID(), token)
	if err != nil {
		return nil, err
	}
	if !right {
		s.counts.forged.Add(1)
		s.show(ctx, token, ErrForged)
		return nil, ErrForged
	}
	if tok.Claims().RSQ == 0 {
		return nil, errNoRSQ
	}
	return tok, nil
}

// show takes a refused token to the desk, unless it is clear why an honest client has
// it, or its signature was found wrong: what is left may be of a key that is not
// published, such as a canary, or signed by ours and nothing that we sign.
func (s *Server) show(ctx context.Context, token string, reason error) {
	_, expired := errors.AsType[*jwt.ExpiredError](reason)
	if s.cfg.Desk == nil || expired || errors.Is(reason, jwk.ErrSignature) || errors.Is(reason, jwk.ErrAlgorithm) {
		return
	}
	s.cfg.Desk.Present(ctx, token)
}

// tagged asks the auditor whether the notary made the token's tag.
func (s *Server) tagged(ctx context.Context, kid, token string) (bool, error) {
	record, err := notary.RecordOf(kid, token)
	if err != nil {
		return false, nil // not even the place for a tag
	}
	right, err := s.cfg.Auditor.Check(ctx, []notary.Record{record})
	return err == nil && right[0], err
}

// stands asks the store about a genuine token: its key must sign or have signed,
// and nothing that it rests on may have been revoked since it was made.
func (s *Server) stands(tx *store.Tx, tok *jwt.Token[Access]) error {
	c := tok.Claims()
	now, err := tx.Standing(store.StandingQuery{
		Session: c.SessionID, UserID: tok.Subject(), ClientID: c.ClientID, Tenant: c.Tenant, KeyID: tok.Key().KeyID(),
	})
	if err != nil {
		return err
	}
	if now.User == nil || c.SessionID != "" && now.Session == nil {
		return store.ErrNotFound
	}
	// A key that retires has signed rightly until it stopped.
	err = now.Permits(c.RSQ)
	if err != nil && !(errors.Is(err, store.ErrKeyInactive) && now.KeyState == store.KeyRetiring) {
		return err
	}
	revoked, err := tx.TokenRevoked(s.entry(revocation.Token, tok.ID()), c.SessionID)
	if err == nil && !revoked {
		revoked, err = tx.KeyRevokedAfter(c.RSQ, s.entry(revocation.Key, tok.Key().KeyID()))
	}
	if err == nil && revoked {
		return store.ErrRevoked
	}
	return err
}
