package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/notary"
)

// warnSize is the length in bytes from which an access token is remarked upon: it
// travels with every request, and proxies begin to refuse headers above 4 KiB.
const warnSize = 1 << 10

// signLimit bounds the wait for one signature of a key that is held elsewhere. It is
// a part of [RefreshGrace]: whoever waited that long in vain can still come back.
const signLimit = 5 * time.Second

// A Minter makes access tokens (RFC 9068). It is safe for concurrent use.
type Minter struct {
	issuer   string
	life     time.Duration
	authTime bool
	tagger   notary.Tagger
	witness  notary.Witnesser    // nil: tokens have no witness
	absent   atomic.Bool         // the notary did not answer the last time
	mute     atomic.Bool         // the key did not sign the last time
	claims   map[string][]string // by audience: the users' own claims it receives; an absent one receives all
	log      *slog.Logger
}

func newMinter(cfg *Config) *Minter {
	m := &Minter{
		issuer: cfg.Issuer, life: cfg.TokenLife, authTime: cfg.AuthTime,
		tagger: cfg.Tagger, claims: make(map[string][]string), log: cfg.Log,
	}
	if cfg.Witness {
		m.witness = cfg.Tagger.(notary.Witnesser) // Config.complete looked
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

var errWitnessPlace = errors.New("session: the witness is not the last header parameter")

var errSessionOver = errors.New("session: no time is left for an access token")

var errSilent = fmt.Errorf("session: no signature within %v: %w", signLimit, jwk.ErrUnavailable)

// Ready reports whether the notary, or the key of signer, that did not do its part
// the last time does so by now. An error says that no token can be made, as those of
// [Minter.Mint] do. Whoever is about to change something for the sake of a token
// asks first.
func (m *Minter) Ready(ctx context.Context, signer *jws.Signer) error {
	if m.absent.Load() {
		_, err := m.tagger.Tag(ctx, readyKey, notary.Digest{})
		if m.heard(err) != nil {
			return err
		}
	}
	if !m.mute.Load() {
		return nil
	}
	return m.signed(ctx, func(ctx context.Context) error {
		_, err := signer.Key().SignContext(ctx, []byte(readyKey))
		return err
	})
}

// readyKey is a kid that no key has. It is nothing that a JWS has signed either,
// which always has a dot.
const readyKey = "counterfoil/ready"

// heard remembers whether the notary answered.
func (m *Minter) heard(err error) error {
	m.absent.Store(errors.Is(err, notary.ErrUnavailable))
	return err
}

// signed has sign ask the key, for signLimit at most, and remembers whether it
// signed.
func (m *Minter) signed(ctx context.Context, sign func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, signLimit)
	defer cancel()
	err := sign(limited)
	m.mute.Store(err != nil)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return errSilent
	}
	return err
}

// Mint makes an access token for a session with the given scope. Without the
// notary it makes none: the error is then [notary.ErrUnavailable]. It is
// [jwk.ErrUnavailable] when who holds the key does not sign.
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
	token, err := m.sign(ctx, signer, object)
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

// sign has the payload tagged, and the header witnessed if that is wanted, and
// signs them. rest is the payload after the jti.
func (m *Minter) sign(ctx context.Context, signer *jws.Signer, rest []byte) (string, error) {
	kid := signer.Key().KeyID()
	if m.witness == nil {
		jti, err := m.tagger.Tag(ctx, kid, notary.Sum(signer.Header(), rest))
		if m.heard(err) != nil {
			return "", err
		}
		return m.compact(ctx, signer, notary.Join(jti, rest))
	}
	jti, witness, err := m.witness.TagWitness(ctx, kid, signer.Header(), rest)
	if m.heard(err) != nil {
		return "", err
	}
	witnessed, err := signer.With(notary.WitnessHeader, witness)
	if err != nil {
		return "", err
	}
	// Anywhere else than at the end the witness would be a part of what is tagged,
	// and our own token would look forged.
	if bare, _ := notary.SplitWitness(witnessed.Header()); bare != signer.Header() {
		return "", errWitnessPlace
	}
	return m.compact(ctx, witnessed, notary.Join(jti, rest))
}

// compact signs the payload.
func (m *Minter) compact(ctx context.Context, signer *jws.Signer, payload []byte) (token string, err error) {
	err = m.signed(ctx, func(ctx context.Context) error {
		token, err = signer.SignContext(ctx, payload)
		return err
	})
	return token, err
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
