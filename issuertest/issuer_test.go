package issuertest_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuertest"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/revocation"
	"github.com/counterfoil/counterfoil/verifier"
)

func TestEveryByteMatters(t *testing.T) {
	iss := issuertest.New(t)
	tok, v := iss.Mint(t, nil), iss.Verifier(t)
	if _, err := v.Verify(t.Context(), tok); err != nil {
		t.Fatal(err)
	}
	for i := range tok {
		bad := []byte(tok)
		bad[i] ^= 1
		if _, err := v.Verify(t.Context(), string(bad)); err == nil {
			t.Errorf("accepted with byte %d flipped", i)
		}
	}
}

// The whole trip: sign in, be accepted, be revoked, be refused, sign in again.
func TestTrip(t *testing.T) {
	iss := issuertest.New(t)
	v := iss.VerifierWith(t, verifier.Config{Credential: iss.Credential(t, "orders")})
	user := iss.User(t, "ada", "clerk")
	first := iss.SignIn(t, user)
	tok, err := v.Verify(t.Context(), first.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if tok.Subject() != user.ID || tok.Claims().SessionID != first.SessionID {
		t.Errorf("subject %q, session %q", tok.Subject(), tok.Claims().SessionID)
	}
	renewed, status := iss.Refresh(t, first.RefreshToken)
	if status != http.StatusOK {
		t.Fatalf("refresh answered %d", status)
	}
	iss.Revoke(t, revocation.Subject, user.ID)
	for name, token := range map[string]string{"first": first.AccessToken, "renewed": renewed.AccessToken} {
		var revoked *verifier.RevokedError
		if _, err := v.Verify(t.Context(), token); !errors.As(err, &revoked) || revoked.Kind != revocation.Subject {
			t.Errorf("%s token after the user was revoked: %v", name, err)
		}
	}
	if _, status := iss.Refresh(t, renewed.RefreshToken); status != http.StatusBadRequest {
		t.Errorf("refresh after the user was revoked answered %d", status)
	}
	if _, err := v.Verify(t.Context(), iss.SignIn(t, user).AccessToken); err != nil {
		t.Errorf("after signing in again: %v", err)
	}
}

func TestThreat62EveryKindOverTheRealFeed(t *testing.T) {
	iss := issuertest.New(t)
	verifiers := []*verifier.Verifier{iss.Verifier(t), iss.Verifier(t)}
	for kind := revocation.Token; kind <= revocation.Everything; kind++ {
		name := kind.String()
		token := iss.Mint(t, issuertest.Claims{
			"sid": name, "sub": name, "client_id": name, "tenant": name, "cnf": map[string]string{"jkt": name},
		})
		tok, err := verifiers[0].CheckUnproved(t.Context(), token, verifier.Route{})
		if err != nil {
			t.Fatalf("%s: before: %v", name, err)
		}
		value := name
		switch kind {
		case revocation.Token:
			value = tok.ID()
		case revocation.Key:
			value = tok.Key().KeyID()
		case revocation.Everything:
			value = ""
		}
		iss.Revoke(t, kind, value)
		for n, v := range verifiers {
			var revoked *verifier.RevokedError
			if _, err := v.Verify(t.Context(), token); !errors.As(err, &revoked) || revoked.Kind != kind { // bound or not
				t.Errorf("%s at verifier %d: %v", name, n, err)
			}
		}
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	iss := issuertest.New(t)
	v := iss.VerifierWith(t, verifier.Config{StateDir: t.TempDir()})
	tok := iss.Mint(t, nil)
	iss.Revoke(t, revocation.Session, "another")
	iss.Stop(t)
	if _, err := v.Verify(t.Context(), tok); err != nil {
		t.Errorf("with the issuer down: %v", err)
	}
	iss.Restart(t)
	iss.Revoke(t, revocation.Session, "session-1")
	var revoked *verifier.RevokedError
	if _, err := v.Verify(t.Context(), tok); !errors.As(err, &revoked) {
		t.Errorf("revoked after a restart: %v", err)
	}
	signer, err := iss.Keyring(t).Signer(jwk.ES256)
	if err != nil || signer.Key().KeyID() == "" {
		t.Error(err)
	}
}

// The issuer comes back from a backup that knows nothing of the last
// revocation. A verifier that holds it shows the frames, and nothing revoked
// revives: not even at a verifier that has never heard of it. So soon after the first
// time, a person says that it was restored again.
func TestThreat75RestoredFromABackup(t *testing.T) {
	iss := issuertest.New(t)
	old := iss.Verifier(t)
	alive := iss.Mint(t, issuertest.Claims{"sid": "session-2", "sub": "user-2"})
	for round := range 2 { // twice from the same backup
		session := fmt.Sprint("session-of-round-", round)
		revoked := iss.Mint(t, issuertest.Claims{"sid": session})
		backup := iss.Backup(t)
		iss.Settle(t)
		iss.Revoke(t, revocation.Session, session)
		before := old.Status()
		iss.Restore(t, backup)
		if round > 0 {
			iss.Admin(t, "POST", "/admin/restored", map[string][]string{"frames": {}}, nil)
		}
		restored := time.Now()
		for tick := time.NewTicker(10 * time.Millisecond); old.Status().Epoch == before.Epoch; <-tick.C {
			if time.Since(restored) > 20*time.Second {
				t.Fatal("no new epoch")
			}
		}
		iss.Settle(t)
		young := iss.Verifier(t)
		for name, v := range map[string]*verifier.Verifier{"old": old, "young": young} {
			var refused *verifier.RevokedError
			if _, err := v.Verify(t.Context(), revoked); !errors.As(err, &refused) {
				t.Errorf("%s verifier: revived: %v", name, err)
			}
		}
		if _, err := old.Verify(t.Context(), alive); err != nil {
			t.Errorf("token of another session: %v", err)
		}
	}
	iss.Revoke(t, revocation.Subject, "user-2")
	var refused *verifier.RevokedError
	if _, err := old.Verify(t.Context(), alive); !errors.As(err, &refused) || refused.Kind != revocation.Subject {
		t.Errorf("a later revocation does not bite on a token from before the restore: %v", err)
	}
}

// The feed key was changed after the backup: the verifier takes none of what the restored
// issuer says, and what it shows is signed by a key that the issuer has lost.
func TestThreat75FeedKeyIsLost(t *testing.T) {
	iss := issuertest.New(t)
	old := iss.Verifier(t)
	sooner := iss.Mint(t, issuertest.Claims{"sid": "session-0", "sub": "user-0"})
	revoked, alive := iss.Mint(t, nil), iss.Mint(t, issuertest.Claims{"sid": "session-2", "sub": "user-2"})
	backup := iss.Backup(t)
	iss.Revoke(t, revocation.Session, "session-0")
	iss.Admin(t, "POST", "/admin/keys/feed", nil, nil)
	iss.Settle(t)
	iss.Revoke(t, revocation.Session, "session-1")
	before := old.Status()
	iss.Restore(t, backup)
	waitFor(t, "a new epoch", func() bool { return old.Status().Epoch > before.Epoch })
	iss.Settle(t)
	for name, v := range map[string]*verifier.Verifier{"old": old, "young": iss.Verifier(t)} {
		for _, token := range []string{sooner, revoked} {
			var refused *verifier.RevokedError
			if _, err := v.Verify(t.Context(), token); !errors.As(err, &refused) {
				t.Errorf("%s verifier: revived: %v", name, err)
			}
		}
		if _, err := v.Verify(t.Context(), alive); err != nil {
			t.Errorf("%s verifier: token of another session: %v", name, err)
		}
	}
}

// The issuer is restored while the one verifier that holds the last revocation is
// down. It starts from its state, and shows what it had applied before.
func TestThreat75EvidenceSurvivesARestart(t *testing.T) {
	for name, goOn := range map[string]bool{"issuer below": false, "issuer on another way": true} {
		t.Run(name, func(t *testing.T) {
			iss := issuertest.New(t)
			cfg := verifier.Config{Issuer: iss.URL, Audience: issuertest.Audience, StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
			revoked, alive := iss.Mint(t, nil), iss.Mint(t, issuertest.Claims{"sid": "session-2", "sub": "user-2"})
			backup := iss.Backup(t)
			before := revokeAtOneVerifier(t, iss, cfg)
			iss.Restore(t, backup)
			if goOn { // past the place where the verifier stands
				for _, session := range []string{"session-3", "session-4"} {
					iss.Revoke(t, revocation.Session, session)
				}
			}

			old := iss.VerifierWith(t, cfg)
			waitFor(t, "a new epoch", func() bool { return old.Status().Epoch > before.Epoch })
			iss.Settle(t)
			young := iss.Verifier(t)
			for name, v := range map[string]*verifier.Verifier{"old": old, "young": young} {
				var refused *verifier.RevokedError
				if _, err := v.Verify(t.Context(), revoked); !errors.As(err, &refused) || refused.Kind != revocation.Session {
					t.Errorf("%s verifier: revived: %v", name, err)
				}
				if _, err := v.Verify(t.Context(), alive); err != nil {
					t.Errorf("%s verifier: token of another session: %v", name, err)
				}
			}
		})
	}
}

// revokeAtOneVerifier revokes session-1, at a verifier that is closed once it has
// applied it.
func revokeAtOneVerifier(t *testing.T, iss *issuertest.Issuer, cfg verifier.Config) verifier.Status {
	t.Helper()
	v, err := verifier.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a ready verifier", func() bool { return v.Ready() == nil })
	seq := iss.Revoke(t, revocation.Session, "session-1")
	waitFor(t, "the revocation", func() bool { return v.Status().Head >= seq })
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	return v.Status()
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

// A test of a service sees what happens to a forged token: it passes until somebody
// has looked, and then every verifier refuses it, while those who are signed in go on.
func TestForge(t *testing.T) {
	iss := issuertest.New(t)
	one, another := iss.Verifier(t), iss.Verifier(t)
	session := iss.SignIn(t, iss.User(t, "ada"))
	forged := iss.Forge(t, issuertest.Claims{"sub": "admin"})
	if _, err := one.Verify(t.Context(), forged); err != nil {
		t.Fatalf("the signature is right: %v", err)
	}
	begin, tick := time.Now(), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for _, v := range []*verifier.Verifier{one, another} {
		for ; ; <-tick.C {
			if _, err := v.Verify(t.Context(), forged); err != nil {
				t.Logf("refused after %v: %v", time.Since(begin), err)
				break
			}
			if time.Since(begin) > 10*time.Second {
				t.Fatal("a forged token is still good")
			}
		}
	}
	next, status := iss.Refresh(t, session.RefreshToken)
	if status != http.StatusOK {
		t.Fatalf("refresh answered %d", status)
	}
	for _, v := range []*verifier.Verifier{one, another} {
		for name, token := range map[string]string{"the token from before": session.AccessToken, "a new one": next.AccessToken} {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
