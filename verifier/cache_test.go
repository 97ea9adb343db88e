package verifier_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// A sharedSecret is a verifier without a feed, whose clock the test moves.
type sharedSecret struct {
	*verifier.Verifier
	key *jwk.Key
	now time.Time
}

func newSharedSecret(t *testing.T, cacheTokens int) *sharedSecret {
	t.Helper()
	s := &sharedSecret{key: generate(t, jwk.HS256), now: time.Unix(1_800_000_000, 0)}
	set, err := jwk.NewSet(s.key)
	if err != nil {
		t.Fatal(err)
	}
	s.Verifier, err = verifier.Open(t.Context(), verifier.Config{
		Issuer: "https://id.example", Audience: audience, Keys: set,
		Now: func() time.Time { return s.now }, CacheTokens: cacheTokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func (s *sharedSecret) token(t *testing.T, id string) string {
	t.Helper()
	token, err := jwt.Sign(s.key, "at+jwt", jwt.Claims{
		Issuer: "https://id.example", Subject: "user-1", Audience: []string{audience}, ID: id,
		IssuedAt: s.now, Expiry: s.now.Add(tokenLife),
	}, map[string]any{"roles": []string{"clerk"}})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestCacheSavesTheSignatureCheck(t *testing.T) {
	for _, c := range []struct {
		tokens int
		hits   uint64
	}{{0, 9}, {verifier.DefaultCacheTokens, 9}, {-1, 0}} {
		s := newSharedSecret(t, c.tokens)
		token := s.token(t, "a")
		for range 10 {
			if err := verify(t, s.Verifier, token); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.Status().CacheHits; got != c.hits {
			t.Errorf("CacheTokens %d: %d hits, want %d", c.tokens, got, c.hits)
		}
	}
}

// A hit is looked up in the table like any other token: the kinds one by one are
// in TestThreat62EveryKindIsRefused, which shows each token before and after.
func TestCacheDoesNotHideARevocation(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		token := o.token(t, nil)
		for range 3 {
			if err := verify(t, v, token); err != nil {
				t.Fatal(err)
			}
		}
		if v.Status().CacheHits != 2 {
			t.Fatalf("%d hits: the cache takes no part", v.Status().CacheHits)
		}
		o.revoke(revocation.Session, "session-1")
		pass(10 * time.Millisecond)
		if err := verify(t, v, token); !refusedAs(err, revocation.Session) {
			t.Errorf("a remembered token of a revoked session: %v", err)
		}
	})
}

func TestCachedTokenExpires(t *testing.T) {
	s := newSharedSecret(t, 0)
	begin := s.now
	token := s.token(t, "a")
	for _, c := range []struct {
		at   time.Duration
		good bool
	}{
		{0, true},
		{tokenLife + jwt.DefaultLeeway - time.Second, true},
		{tokenLife + jwt.DefaultLeeway + time.Second, false},
	} {
		s.now = begin.Add(c.at)
		err := verify(t, s.Verifier, token)
		var expired *jwt.ExpiredError
		if (err == nil) != c.good || !c.good && !errors.As(err, &expired) {
			t.Errorf("at %v: %v", c.at, err)
		}
	}
}

func TestCachedTokenAndAClockSetBack(t *testing.T) {
	s := newSharedSecret(t, 0)
	token := s.token(t, "a")
	if err := verify(t, s.Verifier, token); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(-time.Hour)
	var early *jwt.NotYetError
	if err := verify(t, s.Verifier, token); !errors.As(err, &early) {
		t.Errorf("a token from the future: %v", err)
	}
}

func TestCacheForgetsWithTheKey(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		token := o.token(t, nil)
		if err := verify(t, v, token); err != nil {
			t.Fatal(err)
		}
		o.set(func() { o.signing = []*jwk.Key{generate(t, jwk.ES256)} })
		pass(2 * time.Minute)
		if err := verify(t, v, token); !errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("a remembered token of a withdrawn key: %v", err)
		}
	})
}

func TestCacheKnowsEveryByte(t *testing.T) {
	s := newSharedSecret(t, 0)
	token := s.token(t, "a")
	if err := verify(t, s.Verifier, token); err != nil {
		t.Fatal(err)
	}
	for i := range token {
		bad := []byte(token)
		bad[i] ^= 1
		if verify(t, s.Verifier, string(bad)) == nil {
			t.Errorf("accepted with byte %d flipped", i)
		}
		if verify(t, s.Verifier, token[:i]) == nil {
			t.Errorf("accepted with %d bytes only", i)
		}
	}
}

// A kid says which key is meant, not what it is: another key may come under it.
func TestCacheForgetsAReplacedKey(t *testing.T) {
	bubble(t, func(t *testing.T, o *origin) {
		v := o.ready(t, nil)
		token := o.token(t, nil)
		if err := verify(t, v, token); err != nil {
			t.Fatal(err)
		}
		o.set(func() {
			other, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256, KeyID: o.signing[0].KeyID()})
			if err != nil {
				t.Error(err)
			}
			o.signing = []*jwk.Key{other}
		})
		pass(2 * time.Minute)
		if err := verify(t, v, token); !errors.Is(err, jwk.ErrSignature) {
			t.Errorf("a remembered token of a replaced key: %v", err)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	const limit = 64
	s := newSharedSecret(t, limit)
	for i := range 20 * limit {
		if err := verify(t, s.Verifier, s.token(t, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		if verify(t, s.Verifier, s.token(t, fmt.Sprint(i))+"x") == nil {
			t.Fatal("accepted a longer token")
		}
	}
	if held := s.Status().CachedTokens; held > limit || held < limit/2 {
		t.Errorf("%d tokens held, limit %d", held, limit)
	}
}

// Who signs chooses how long a token is, and not how much memory it costs: a thief of
// the key signs long ones.
func TestThreat138LongTokensTakeTheirRoom(t *testing.T) {
	const limit = 256
	s := newSharedSecret(t, limit)
	long := strings.Repeat("long ", 1400)
	for i := range 2 * limit {
		if err := verify(t, s.Verifier, s.token(t, fmt.Sprint(i, long))); err != nil {
			t.Fatal(err)
		}
	}
	st := s.Status()
	if st.CachedTokens == 0 || st.CachedTokens > limit/4 {
		t.Errorf("%d long tokens held where there is room for %d short ones", st.CachedTokens, limit)
	}
	t.Logf("%d tokens in %d bytes", st.CachedTokens, st.CachedBytes)
}

// What a handler does to the claims it was given must not reach the next request
// with the same token.
func TestHandlersDoNotShareClaims(t *testing.T) {
	s := newSharedSecret(t, 0)
	h := s.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tok, _ := verifier.From[verifier.Access](r.Context())
		fmt.Fprint(w, tok.Claims().Roles[0])
		tok.Claims().Roles[0] = "admin"
	}))
	for range 2 {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+s.token(t, "a"))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Body.String() != "clerk" {
			t.Errorf("the role is %q", w.Body)
		}
	}
}
