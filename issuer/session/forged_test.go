package session_test

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/http"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/session"
	"github.com/counterfoil/counterfoil/issuer/store"
)

// A thief of the MAC key who once had a token of the session knows its seed, and
// can put himself at the very place where the row stands. The secret that the row
// has the hash of he cannot make.
func TestThreat137TokenAtTheRowsPlaceWithoutItsSecret(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	b := f.refreshed(laptop, a.RefreshToken)
	raw, err := base64.RawURLEncoding.DecodeString(a.RefreshToken)
	f.check(err)
	const counter = 1 + 1 + 16
	binary.BigEndian.PutUint64(raw[counter:], binary.BigEndian.Uint64(raw[counter:])+1)
	forged := session.SignRefresh(f.ring, raw)
	if _, err := session.ParseRefresh(f.ring, forged); err != nil {
		t.Fatalf("the thief has the MAC key: %v", err)
	}
	if got := f.ask(laptop.form("/token", "grant_type", "refresh_token", "refresh_token", forged)); got.Status != http.StatusBadRequest || got.AccessToken != "" {
		t.Errorf("%d %s", got.Status, got.Error)
	}
	if n := f.srv.Counts().Impossible; n != 1 {
		t.Errorf("noticed %d times", n)
	}
	f.refreshed(laptop, b.RefreshToken) // the owner goes on
}

// This node has not heard yet, and its keyring still publishes the key.
func TestThreat136KeyKilledOnAnotherNode(t *testing.T) {
	f := newFixture(t, nil)
	a := f.signIn(laptop)
	tok, err := f.srv.VerifyAccess(t.Context(), a.AccessToken)
	f.check(err)
	other, err := keyring.Open(t.Context(), f.store, keyring.Config{
		Issuer: issuerURL, KEK: f.kek, Now: f.clock.now, Log: slog.New(slog.DiscardHandler),
	})
	f.check(err)
	_, err = other.Kill(t.Context(), tok.Key().KeyID(), "test")
	f.check(err)
	if _, err := f.srv.VerifyAccess(t.Context(), a.AccessToken); !errors.Is(err, store.ErrKeyInactive) {
		t.Errorf("a token under a killed key: %v", err)
	}
}
