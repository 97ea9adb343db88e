package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
)

// warnSize is the length in bytes from which an access token is remarked upon: it
// travels with every request, and proxies begin to refuse headers above 4 KiB.
const warnSize = 1 << 10

// A Minter makes access tokens (RFC 9068). It is safe for concurrent use.
type Minter struct {
	issuer   string
	life     time.Duration
	authTime bool
	tagger   notary.Tagger
	claims   map[string][]string // by audience: the users' own claims it receives; an absent one receives all
	log      *slog.Logger
}

func newMinter(cfg *Config) *Minter {
	m := &Minter{
		issuer: cfg.Issuer, life: cfg.TokenLife, authTime: cfg.AuthTime,
		tagger: cfg.Tagger, claims: make(map[string][]string), log: cfg.Log,
	}
	for _, a := range cfg.Audiences {
		if a.Claims != nil {
			m.claims[a.Name] = a.Claims
		}
	}
	return m
}

// accessClaims is the payload after jti. Its order is fixed, so that equal
// tokens have equal sizes and the claims that everybody reads come first.
type accessClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  string   `json:"aud"`
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope,omitzero"`
	SessionID string   `json:"sid,omitzero"`
	IssuedAt  int64    `json:"iat"`
	Expiry    int64    `json:"exp"`
	RSQ       uint64   `json:"rsq"`
	AuthTime  int64    `json:"auth_time,omitzero"`
	Roles     []string `json:"roles,omitempty"`
	Tenant    string   `json:"tenant,omitzero"`

	Own map[string]jsontext.Value `json:",embed"`
}

// An AccessToken is a new access token and when it ends.
type AccessToken struct {
	Token   string
	Expires time.Time
	Life    time.Duration
}

var errSessionOver = errors.New("session: no time is left for an access token")

// Mint makes an access token for a session with the given scope.
//
// standing is the one statement that said yes: its head becomes rsq and its time
// iat, and it holds the user and the state of signer's key. A revocation that
// commits after it has a higher number and refuses the token, so Mint may run
// outside of the transaction and later.
func (m *Minter) Mint(ctx context.Context, signer *jws.Signer, standing *store.Standing, sess *store.Session, scope string) (*AccessToken, error) {
	claims, err := m.payload(standing, sess, scope)
	if err != nil {
		return nil, err
	}
	object, err := wire.Marshal(claims)
	if err != nil {
		return nil, fmt.Errorf("session: claims of user %s: %w", sess.UserID, err)
	}
	object[0] = ',' // what follows the jti
	jti, err := m.tagger.Tag(ctx, signer.Key().KeyID(), notary.Sum(signer.Header(), object))
	if err != nil {
		return nil, err
	}
	token, err := signer.Sign(notary.Join(jti, object))
	if err != nil {
		return nil, err
	}
	if len(token) > warnSize {
		m.log.Warn("access token is large", "bytes", len(token), "sub", sess.UserID, "aud", sess.Audience)
	}
	return &AccessToken{
		Token: token, Expires: time.Unix(claims.Expiry, 0),
		Life: time.Duration(claims.Expiry-claims.IssuedAt) * time.Second,
	}, nil
}

func (m *Minter) payload(standing *store.Standing, sess *store.Session, scope string) (*accessClaims, error) {
	now := standing.Now.Truncate(time.Second)
	expires := now.Add(m.life)
	if sess.Expires.Before(expires) {
		expires = sess.Expires
	}
	if !expires.Truncate(time.Second).After(now) {
		return nil, errSessionOver
	}
	user := standing.User
	claims := &accessClaims{
		Issuer: m.issuer, Subject: user.ID, Audience: sess.Audience, ClientID: sess.ClientID,
		Scope: scope, SessionID: sess.ID,
		IssuedAt: now.Unix(), Expiry: expires.Unix(), RSQ: standing.Head,
		Roles: user.Roles, Tenant: user.Tenant, Own: m.own(user, sess.Audience),
	}
	if m.authTime {
		claims.AuthTime = sess.AuthTime.Unix()
	}
	return claims, nil
}

// own selects the user's own claims that an audience receives.
func (m *Minter) own(user *store.User, audience string) map[string]jsontext.Value {
	names, limited := m.claims[audience]
	if !limited {
		return user.Claims
	}
	own := make(map[string]jsontext.Value)
	for name, value := range user.Claims {
		if slices.Contains(names, name) {
			own[name] = value
		}
	}
	return own
}
