package revocation_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/revocation"
)

// A rootedIssuer makes trust statements.
type rootedIssuer struct {
	root, rootPublic *jwk.Key
	feed, feedPublic *jwk.Key
	trust            revocation.Trust
}

func newRootedIssuer(t testing.TB) *rootedIssuer {
	t.Helper()
	var r rootedIssuer
	r.root, r.rootPublic = feedKey(t)
	r.feed, r.feedPublic = feedKey(t)
	keys, err := jwk.NewSet(r.feedPublic)
	if err != nil {
		t.Fatal(err)
	}
	r.trust = revocation.Trust{Issuer: issuer, Version: 5, FeedKeys: keys, HandleKeyIDs: []string{"k1"}, MaxLife: time.Hour}
	return &r
}

func (r *rootedIssuer) sign(t testing.TB, change func(*revocation.Trust)) string {
	t.Helper()
	trust := r.trust
	change(&trust)
	token, err := trust.Sign(r.root)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTrustRoundTrip(t *testing.T) {
	r := newRootedIssuer(t)
	token := r.sign(t, func(*revocation.Trust) {})
	got, err := revocation.OpenTrust(r.rootPublic, issuer, token)
	if err != nil {
		t.Fatal(err)
	}
	if got.Version != 5 || got.MaxLife != time.Hour || !slices.Equal(got.HandleKeyIDs, []string{"k1"}) || got.FeedKeys.Len() != 1 {
		t.Errorf("%+v", got)
	}
	if _, err := got.FeedKeys.Find(r.feed.KeyID(), "EdDSA"); err != nil {
		t.Error(err)
	}
	for i := range token {
		bad := []byte(token)
		bad[i] ^= 1
		if _, err := revocation.OpenTrust(r.rootPublic, issuer, string(bad)); err == nil {
			t.Fatalf("accepted with byte %d flipped", i)
		}
	}
	if _, err := revocation.OpenTrust(nil, issuer, token); !errors.Is(err, revocation.ErrFeedKey) {
		t.Errorf("without a root: %v", err)
	}
}

// FuzzOpenTrust signs whatever statement it is given: what is believed may also be
// signed.
func FuzzOpenTrust(f *testing.F) {
	r := newRootedIssuer(f)
	u, err := jws.Parse(r.sign(f, func(*revocation.Trust) {}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(u.UnverifiedPayload()))
	f.Add("{}")
	f.Fuzz(func(t *testing.T, payload string) {
		token, err := jws.Sign(r.root, jws.Header{Type: revocation.TrustType}, []byte(payload))
		if err != nil {
			return
		}
		trust, err := revocation.OpenTrust(r.rootPublic, issuer, token)
		if err != nil {
			if trust != nil {
				t.Fatal("a statement beside an error")
			}
			return
		}
		if _, err := trust.Sign(r.root); err != nil || trust.Issuer != issuer {
			t.Fatalf("believed what may not be signed: %v", err)
		}
	})
}

func TestTrustRules(t *testing.T) {
	r := newRootedIssuer(t)
	_, token := generate(t, jwk.Params{Algorithm: jwk.ES256})
	tokenKeys, _ := jwk.NewSet(token)
	none, _ := jwk.NewSet()
	for name, spoil := range map[string]func(*revocation.Trust){
		"no issuer":          func(s *revocation.Trust) { s.Issuer = "" },
		"version 0":          func(s *revocation.Trust) { s.Version = 0 },
		"no feed keys":       func(s *revocation.Trust) { s.FeedKeys = nil },
		"empty feed keys":    func(s *revocation.Trust) { s.FeedKeys = none },
		"token key":          func(s *revocation.Trust) { s.FeedKeys = tokenKeys },
		"no handle keys":     func(s *revocation.Trust) { s.HandleKeyIDs = nil },
		"empty handle key":   func(s *revocation.Trust) { s.HandleKeyIDs = []string{""} },
		"ten handle keys":    func(s *revocation.Trust) { s.HandleKeyIDs = slices.Repeat([]string{"k"}, 10) },
		"life of nothing":    func(s *revocation.Trust) { s.MaxLife = 0 },
		"life of many years": func(s *revocation.Trust) { s.MaxLife = 100_000 * time.Hour },
	} {
		trust := r.trust
		spoil(&trust)
		if _, err := trust.Sign(r.root); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

// Whoever holds the feed key and stands in the path is no root.
func TestThreat133FeedKeyCannotChangeTrust(t *testing.T) {
	r := newRootedIssuer(t)
	anchor := revocation.NewAnchor(r.rootPublic, issuer)
	if err := anchor.Accept(r.sign(t, func(*revocation.Trust) {})); err != nil {
		t.Fatal(err)
	}
	_, stranger := feedKey(t)
	evil := r.trust
	evil.Version, evil.HandleKeyIDs, evil.MaxLife = 6, []string{"evil"}, time.Second
	evil.FeedKeys, _ = jwk.NewSet(stranger)
	token, err := evil.Sign(r.feed)
	if err != nil {
		t.Fatal(err)
	}
	if err := anchor.Accept(token); !errors.Is(err, revocation.ErrFeedKey) {
		t.Errorf("statement by the feed key: %v", err)
	}
	if got := anchor.HandleKeyIDs(); !slices.Equal(got, []string{"k1"}) || anchor.MaxLife() != time.Hour || anchor.Version() != 5 {
		t.Errorf("it changed something: %v, %v", got, anchor.MaxLife())
	}
	if _, err := anchor.FeedKeys().Find(stranger.KeyID(), "EdDSA"); err == nil {
		t.Error("the stranger's key signs the feed")
	}
}

func TestThreat133OldValuesStayInForce(t *testing.T) {
	r := newRootedIssuer(t)
	anchor := revocation.NewAnchor(r.rootPublic, issuer)
	first := r.sign(t, func(*revocation.Trust) {})
	second := r.sign(t, func(s *revocation.Trust) { s.Version, s.HandleKeyIDs, s.MaxLife = 6, []string{"k2"}, time.Minute })
	now := start
	anchor.Advance(now)
	for _, token := range []string{first, first, second} {
		if err := anchor.Accept(token); err != nil {
			t.Fatal(err)
		}
	}
	both := func() {
		t.Helper()
		if got := anchor.HandleKeyIDs(); !slices.Equal(got, []string{"k2", "k1"}) {
			t.Errorf("handle keys %v", got)
		}
		if anchor.MaxLife() != time.Hour || anchor.Retention() != time.Hour+revocation.RetentionSlack {
			t.Errorf("max life %v, retention %v", anchor.MaxLife(), anchor.Retention())
		}
	}
	both()
	for range 80 { // the old retention
		now = now.Add(time.Minute)
		anchor.Advance(now)
	}
	both()
	anchor.Advance(now.Add(time.Minute))
	if got := anchor.HandleKeyIDs(); !slices.Equal(got, []string{"k2"}) || anchor.MaxLife() != time.Minute {
		t.Errorf("after the old retention: %v, %v", got, anchor.MaxLife())
	}
}

func TestThreat133ClockJumpForgetsNothing(t *testing.T) {
	r := newRootedIssuer(t)
	anchor := revocation.NewAnchor(r.rootPublic, issuer)
	anchor.Advance(start)
	anchor.Accept(r.sign(t, func(*revocation.Trust) {}))
	anchor.Accept(r.sign(t, func(s *revocation.Trust) { s.Version, s.HandleKeyIDs = 6, []string{"k2"} }))
	for _, jump := range []time.Duration{1000 * time.Hour, 0, 2000 * time.Hour} {
		anchor.Advance(start.Add(jump))
	}
	if got := anchor.HandleKeyIDs(); len(got) != 2 {
		t.Errorf("handle keys %v", got)
	}
}

func TestThreat69OlderTrustRefused(t *testing.T) {
	r := newRootedIssuer(t)
	anchor := revocation.NewAnchor(r.rootPublic, issuer)
	if anchor.FeedKeys() != nil || anchor.HandleKeyIDs() != nil || anchor.Version() != 0 || anchor.MaxLife() != 0 {
		t.Error("an anchor believes something from the beginning")
	}
	good := r.sign(t, func(*revocation.Trust) {})
	if err := anchor.Accept(good); err != nil {
		t.Fatal(err)
	}
	older := r.sign(t, func(s *revocation.Trust) { s.Version = 4 })
	if err := anchor.Accept(older); !errors.Is(err, revocation.ErrStale) {
		t.Errorf("lower version: %v", err)
	}
	other := r.sign(t, func(s *revocation.Trust) { s.MaxLife = time.Minute })
	if err := anchor.Accept(other); !errors.Is(err, revocation.ErrFork) {
		t.Errorf("same version, other words: %v", err)
	}
	foreign := r.sign(t, func(s *revocation.Trust) { s.Issuer += "/" })
	if err := anchor.Accept(foreign); !errors.Is(err, revocation.ErrIssuer) {
		t.Errorf("another issuer: %v", err)
	}
	if anchor.Version() != 5 || anchor.MaxLife() != time.Hour {
		t.Error("a refused statement changed something")
	}
}

// A verifier follows the issuer however often the root speaks, and forgets nothing that
// is in force: not by many changes of the feed key, nor of anything else, nor by a start.
func TestThreat69ManyStatements(t *testing.T) {
	r := newRootedIssuer(t)
	anchor := revocation.NewAnchor(r.rootPublic, issuer)
	anchor.Advance(start)
	accept := func(change func(*revocation.Trust)) {
		t.Helper()
		if err := anchor.Accept(r.sign(t, func(s *revocation.Trust) { r.trust.Version++; s.Version = r.trust.Version; change(s) })); err != nil {
			t.Fatal(err)
		}
	}
	believed := func(a *revocation.Anchor, handles []string, life time.Duration) {
		t.Helper()
		if !slices.Equal(a.HandleKeyIDs(), handles) || a.MaxLife() != life || a.Version() != r.trust.Version {
			t.Errorf("handle keys %v, life %v at version %d; want %v, %v at %d", a.HandleKeyIDs(), a.MaxLife(), a.Version(), handles, life, r.trust.Version)
		}
	}
	again := func() *revocation.Anchor {
		t.Helper()
		next := revocation.NewAnchor(r.rootPublic, issuer)
		for _, s := range anchor.Statements() {
			if err := next.Accept(s); err != nil {
				t.Fatal(err)
			}
		}
		return next
	}
	accept(func(*revocation.Trust) {})
	for range 40 {
		_, public := feedKey(t)
		keys, err := jwk.NewSet(public)
		if err != nil {
			t.Fatal(err)
		}
		accept(func(s *revocation.Trust) { s.HandleKeyIDs, s.MaxLife, s.FeedKeys = []string{"k2"}, time.Minute, keys })
	}
	if n := len(anchor.Statements()); n != 2 {
		t.Errorf("%d statements are in force", n)
	}
	believed(anchor, []string{"k2", "k1"}, time.Hour)
	believed(again(), []string{"k2", "k1"}, time.Hour)
	for n := range 100 {
		accept(func(s *revocation.Trust) {
			s.HandleKeyIDs, s.MaxLife = []string{"k2"}, time.Duration(200-n)*time.Second
		})
	}
	believed(anchor, []string{"k2", "k1"}, time.Hour)
	believed(again(), []string{"k2", "k1"}, time.Hour)
	if n := len(anchor.Statements()); n > 20 {
		t.Errorf("%d statements are kept", n)
	}
	anchor.Advance(start.Add(time.Minute))
	believed(anchor, []string{"k2", "k1"}, time.Hour)
	for at := time.Duration(0); at <= time.Hour+revocation.RetentionSlack+time.Minute; at += time.Minute {
		anchor.Advance(start.Add(at))
	}
	believed(anchor, []string{"k2"}, 101*time.Second)
}

func TestWitnessKeysComeFromTheRoot(t *testing.T) {
	r := newRootedIssuer(t)
	_, first := feedKey(t)
	_, second := feedKey(t)
	set := func(keys ...*jwk.Key) func(*revocation.Trust) {
		return func(trust *revocation.Trust) {
			trust.Version++
			s, err := jwk.NewSet(keys...)
			if err != nil {
				t.Fatal(err)
			}
			trust.WitnessKeys = s
			r.trust = *trust
		}
	}
	names := func(a *revocation.Anchor) (list []string) {
		if s := a.WitnessKeys(); s != nil {
			for _, k := range s.Keys() {
				list = append(list, k.KeyID())
			}
		}
		return list
	}
	a := revocation.NewAnchor(r.rootPublic, issuer)
	if a.WitnessKeys() != nil {
		t.Error("witness keys without a statement")
	}
	start := time.Unix(1_800_000_000, 0)
	a.Advance(start)
	for _, c := range []struct {
		change func(*revocation.Trust)
		want   []string
	}{
		{func(*revocation.Trust) {}, nil},
		{set(first), []string{first.KeyID()}},
		{set(first, second), []string{first.KeyID(), second.KeyID()}},
		{set(second), []string{second.KeyID(), first.KeyID()}}, // the old one stays beside the new
		{func(trust *revocation.Trust) { trust.Version++; trust.WitnessKeys = nil }, []string{first.KeyID(), second.KeyID()}},
	} {
		if err := a.Accept(r.sign(t, c.change)); err != nil {
			t.Fatal(err)
		}
		if got := names(a); !slices.Equal(got, c.want) {
			t.Errorf("version %d: %v, want %v", a.Version(), got, c.want)
		}
	}
	for at := time.Duration(0); at <= time.Hour+revocation.RetentionSlack+time.Minute; at += time.Minute {
		a.Advance(start.Add(at))
	}
	if got := names(a); got != nil {
		t.Errorf("after the old retention: %v", got)
	}
}

func TestTrustRefusesWitnessKeysOfAnotherKind(t *testing.T) {
	r := newRootedIssuer(t)
	other, err := jwk.Generate(jwk.Params{Algorithm: jwk.ES256})
	if err != nil {
		t.Fatal(err)
	}
	public, err := other.Public()
	if err != nil {
		t.Fatal(err)
	}
	private, _ := feedKey(t)
	for name, keys := range map[string][]*jwk.Key{"none": {}, "ES256": {public}, "private": {private}} {
		trust := r.trust
		if trust.WitnessKeys, err = jwk.NewSet(keys...); err != nil {
			t.Fatal(err)
		}
		if _, err := trust.Sign(r.root); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}
