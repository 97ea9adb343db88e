package keyring_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer/audit"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
)

func TestCanary(t *testing.T) {
	st, kek := newStore(t), newKEK(t)
	ring := open(t, st, keyring.Config{KEK: kek})
	before := ring.Version()
	private, err := ring.AddCanary(t.Context(), jwk.ES256, "test")
	if err != nil {
		t.Fatal(err)
	}
	kid := private.KeyID()
	if _, err := ring.Canaries().Find(kid, "ES256"); err != nil {
		t.Errorf("verifiers do not learn of it: %v", err)
	}
	if _, err := ring.Public().Find(kid, "ES256"); !errors.Is(err, jwk.ErrUnknownKey) {
		t.Errorf("it is published, and a plain JOSE library takes what it signed: %v", err)
	}
	if ring.Version() <= before {
		t.Error("verifiers are not told that something changed")
	}
	token, err := jws.Sign(private, jws.Header{Type: "at+jwt"}, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	public, info, ok := ring.Verification(kid)
	if !ok || info.Use != keyring.UseCanary {
		t.Fatalf("as evidence: %v %+v", ok, info)
	}
	if _, err := jws.Verify(public, token); err != nil {
		t.Errorf("its signature does not verify: %v", err)
	}
	for _, row := range rowsOf(t, st) {
		if row.KID == kid && row.Sealed != "" {
			t.Error("its private half is kept")
		}
	}
	audited(t, st, audit.KeyCanary, 1)
	if got := counts(ring, jwk.ES256); got != "standby=2 active=1 retiring=0 retired=0 killed=0" {
		t.Errorf("it counts among the others: %s", got)
	}
}

// A thief who finds a canary beside a real key cannot tell which is which.
func TestCanaryLooksLikeAKey(t *testing.T) {
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t)})
	canary, err := ring.AddCanary(t.Context(), "", "test")
	if err != nil {
		t.Fatal(err)
	}
	real := signer(t, ring).Key().WithLimits(jwk.Limits{}) // as it lies in the store
	if a, b := shape(t, canary), shape(t, real); a != b {
		t.Errorf("a canary is %s, a key %s", a, b)
	}
}

// shape renders a private JWK without what is random in it.
func shape(t testing.TB, key *jwk.Key) string {
	t.Helper()
	data, err := key.MarshalPrivate()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for i, part := range bytes.Split(data, []byte(`"`)) {
		if i%4 == 3 && len(part) > 7 { // a long value
			part = bytes.Repeat([]byte("x"), len(part))
		}
		out.Write(part)
		out.WriteByte('"')
	}
	return out.String()
}

func TestRemoveCanary(t *testing.T) {
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t)})
	canary, err := ring.AddCanary(t.Context(), jwk.EdDSA, "test")
	if err != nil {
		t.Fatal(err)
	}
	kid := canary.KeyID()
	if err := ring.RemoveCanary(t.Context(), kid, "test"); err != nil {
		t.Fatal(err)
	}
	if ring.Canaries().Len() != 0 {
		t.Error("it is still on watch")
	}
	if _, _, ok := ring.Verification(kid); !ok {
		t.Error("its late tokens are no evidence")
	}
	for _, other := range []string{kid, signs(t, ring), kids(ring, jwk.ES256, keyring.Standby)[0], "nonesuch"} {
		if err := ring.RemoveCanary(t.Context(), other, "test"); !errors.Is(err, keyring.ErrUnknownKey) {
			t.Errorf("%s: %v", other, err)
		}
	}
	for _, alg := range []jwk.Algorithm{"HS256", "none", "ECDH-ES"} {
		if _, err := ring.AddCanary(t.Context(), alg, "test"); !errors.Is(err, keyring.ErrNoActive) {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// To kill a canary would end the watch for it without a word.
func TestCanaryOnWatchIsNotKilled(t *testing.T) {
	ring := open(t, newStore(t), keyring.Config{KEK: newKEK(t)})
	canary, err := ring.AddCanary(t.Context(), "", "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Kill(t.Context(), canary.KeyID(), "test"); !errors.Is(err, keyring.ErrCanary) || ring.Canaries().Len() != 1 {
		t.Errorf("%v, and %d canaries are on watch", err, ring.Canaries().Len())
	}
}

func TestDrill(t *testing.T) {
	now, st := newClock(), newStore(t)
	ring := open(t, st, keyring.Config{KEK: newKEK(t), Now: now.Now})
	first := signs(t, ring)
	if _, err := ring.DrillSigner(); !errors.Is(err, keyring.ErrNoActive) {
		t.Errorf("got %v", err)
	}
	drill, err := ring.AddDrill(t.Context(), keyring.DrillOptions{Audience: "drill.example"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := ring.DrillSigner()
	if err != nil || s.Key().KeyID() != drill[0] {
		t.Fatalf("%v, signer %v", err, s)
	}
	key, err := ring.Public().Find(drill[0], "ES256")
	if err != nil {
		t.Fatal("the drill's key is not published")
	}
	l := key.Limits()
	if !slices.Equal(l.Audiences, []string{"drill.example"}) || l.MaxLife != keyring.DefaultDrillLife || !l.Tagged ||
		!l.Until.Equal(now.Now().Add(keyring.DefaultDrillWindow)) || l.Issuer != issuerURL {
		t.Errorf("limits %+v", l)
	}
	if err := verify(ring.Public(), now.Now(), mint(t, s, now.Now(), time.Minute)); err == nil {
		t.Error("a token of the drill is good for a service")
	}
	if _, err := ring.AddDrill(t.Context(), keyring.DrillOptions{Audience: "drill.example"}); !errors.Is(err, keyring.ErrDrill) {
		t.Errorf("two drills at once: %v", err)
	}
	if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{From: drill[0], Force: true}); err != nil {
		t.Fatal(err)
	}
	if s, err := ring.DrillSigner(); err != nil || s.Key().KeyID() != drill[1] {
		t.Errorf("%v, signer %v", err, s)
	}
	if _, err := ring.Kill(t.Context(), drill[0], "test"); err != nil {
		t.Fatal(err)
	}
	if signs(t, ring) != first || counts(ring, jwk.ES256) != "standby=2 active=1 retiring=0 retired=0 killed=0" {
		t.Errorf("the drill touched the keys: %s", counts(ring, jwk.ES256))
	}
}

// A drill ends by itself, or by hand, and then the next one may begin.
func TestDrillEnds(t *testing.T) {
	now, st := newClock(), newStore(t)
	ring := open(t, st, keyring.Config{KEK: newKEK(t), Now: now.Now})
	begin := func() []string {
		t.Helper()
		kids, err := ring.AddDrill(t.Context(), keyring.DrillOptions{Audience: "drill.example"})
		if err != nil {
			t.Fatal(err)
		}
		return kids
	}
	states := func(kids []string) (list []keyring.State) {
		for _, kid := range kids {
			_, info, _ := ring.Verification(kid)
			list = append(list, info.State)
		}
		return list
	}
	expire := func(d time.Duration) {
		t.Helper()
		now.advance(d)
		if err := ring.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first := begin()
	expire(keyring.DefaultDrillWindow)
	if got := states(first); !slices.Equal(got, []keyring.State{keyring.Active, keyring.Standby}) {
		t.Errorf("in its window: %v", got)
	}
	expire(time.Second)
	if got := states(first); !slices.Equal(got, []keyring.State{keyring.Retiring, keyring.Retired}) {
		t.Errorf("after its window: %v", got)
	}
	expire(2 * time.Hour)
	if got := states(first); !slices.Equal(got, []keyring.State{keyring.Retired, keyring.Retired}) {
		t.Errorf("at its end: %v", got)
	}
	second := begin()
	if err := ring.EndDrill(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if got := states(second); !slices.Equal(got, []keyring.State{keyring.Retired, keyring.Retired}) {
		t.Errorf("ended by hand: %v", got)
	}
	third := begin()
	now.advance(keyring.DefaultDrillWindow + time.Second)
	begin() // nobody has tidied up
	if got := states(third); !slices.Equal(got, []keyring.State{keyring.Retiring, keyring.Retired}) {
		t.Errorf("replaced: %v", got)
	}
}

// A key id is never used again: not after its key retired, nor was killed, nor from
// a copy of the store.
func TestKeyIDIsNeverUsedAgain(t *testing.T) {
	now, st, kek := newClock(), newStore(t), newKEK(t)
	ring := open(t, st, keyring.Config{KEK: kek, Now: now.Now})
	retired := signs(t, ring)
	if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	killed := signs(t, ring)
	if _, err := ring.Kill(t.Context(), killed, "test"); err != nil {
		t.Fatal(err)
	}
	now.advance(2 * time.Hour)
	if err := ring.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, info, _ := ring.Verification(retired); info.State != keyring.Retired {
		t.Fatalf("%+v", info)
	}
	for _, row := range rowsOf(t, st) {
		again := store.KeyRow{KID: row.KID, Use: "at+jwt", Alg: "ES256", State: keyring.Standby, Published: now.Now()}
		err := st.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertKey(again) })
		if !errors.Is(err, store.ErrExists) {
			t.Errorf("key %s (%s): %v", row.KID, row.State, err)
		}
	}
	for _, kid := range []string{retired, killed} {
		if _, err := ring.Rotate(t.Context(), keyring.RotateOptions{From: kid, Force: true}); !errors.Is(err, keyring.ErrNotActive) {
			t.Errorf("%s: %v", kid, err)
		}
	}
}
