package issuertest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/testkey"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/issuertest"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

// A verifier never holds a key that somebody wrote into the issuer's database.
func TestPlantedKeyReachesNoVerifier(t *testing.T) {
	iss := issuertest.New(t)
	v := iss.VerifierWith(t, verifier.Config{Credential: iss.Credential(t, "orders")})
	_, data := testkey.Published(t, jwk.Params{Algorithm: jwk.ES256, KeyID: "planted"})
	err := iss.Store(t).Update(t.Context(), func(tx *store.Tx) error {
		return tx.InsertKey(store.KeyRow{
			KID: "planted", Use: keyring.UseAccess, Alg: "ES256", State: keyring.Retiring, Public: data,
			Published: time.Now().Add(-time.Hour), Activated: time.Now().Add(-time.Hour),
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := iss.Keyring(t).Rotate(t.Context(), keyring.RotateOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	// The verifier has the key set of after: it takes a token of the new key.
	within(t, "the new key at the verifier", func() bool {
		_, err := v.Verify(t.Context(), iss.Mint(t, nil))
		return err == nil && v.Status().Keys.Keys == 4
	})
	if _, err := iss.Keyring(t).Public().Find("planted", "ES256"); err == nil {
		t.Error("the planted key is published")
	}
}

// A verifier goes over to another feed key without becoming stale, and hears what is
// revoked after. It does not take the old key for one any more.
func TestVerifierFollowsANewFeedKey(t *testing.T) {
	iss := issuertest.New(t)
	v := iss.VerifierWith(t, verifier.Config{Credential: iss.Credential(t, "orders")})
	user := iss.User(t, "ada")
	token := iss.SignIn(t, user).AccessToken
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := iss.Keyring(t).RotateFeed(t.Context(), "test"); err != nil {
			t.Fatal(err)
		}
		iss.Revoke(t, revocation.Tenant, "nobody") // waits for the verifier
		if st := v.Status(); st.State > verifier.Late {
			t.Errorf("%v: %v", st.State, st.LastError)
		}
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Error("an honest token: ", err)
		}
	}
	iss.Restart(t)
	iss.Revoke(t, revocation.Subject, user.ID)
	var revoked *verifier.RevokedError
	if _, err := v.Verify(t.Context(), token); !errors.As(err, &revoked) {
		t.Errorf("after the user was revoked: %v", err)
	}
}

// within polls a condition that real time brings about.
func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	const limit, pause = 20 * time.Second, 10 * time.Millisecond
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", limit, what)
		}
	}
}
