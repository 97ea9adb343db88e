//go:build pkcs11 && cgo

package pkcs11_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	module "github.com/miekg/pkcs11"

	"github.com/counterfoil/counterfoil/internal/softhsm"
	"github.com/counterfoil/counterfoil/issuer/keyring/pkcs11"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// closeSessions does to the token what its removal from a reader does.
func closeSessions(t *testing.T, hsm *softhsm.Token) {
	t.Helper()
	p := module.New(hsm.Module) // the same library, initialized already
	slots, err := p.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		if err := p.CloseAllSessions(slot); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSessionsThatWereLost(t *testing.T) {
	hsm := softhsm.New(t)
	var log bytes.Buffer
	token := open(t, pkcs11.Config{URI: parse(t, hsm.URI("object=kek")), PIN: pin, Sessions: 2, Log: slog.New(slog.NewTextHandler(&log, nil))})
	key, _ := makeKey(t, token, jwk.Params{Algorithm: jwk.ES256, KeyID: "k"})
	kek, err := token.KEK(t.Context(), pkcs11.Make)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		closeSessions(t, hsm)
		checkSigns(t, key)
		closeSessions(t, hsm)
		checkSeals(t, kek, jwk.ECDHESA256KW)
	}
	if n := strings.Count(log.String(), "opened again"); n < 6 || strings.Contains(log.String(), softhsm.PIN) {
		t.Errorf("%d times in the log:\n%s", n, log.String())
	}
}

// Somebody else in this process ends the login: no private key is seen any more, and
// it would be wrong to say that there is none.
func TestLoginThatWasLost(t *testing.T) {
	hsm := softhsm.New(t)
	token := open(t, pkcs11.Config{URI: parse(t, hsm.URI("object=kek")), PIN: pin})
	p := jwk.Params{Algorithm: jwk.ES256, KeyID: "k"}
	_, name := makeKey(t, token, p)
	for range 3 {
		logout(t, hsm)
		if _, err := token.FindKey(t.Context(), name, p); err != nil {
			t.Error(err)
		}
	}
}

func logout(t *testing.T, hsm *softhsm.Token) {
	t.Helper()
	p := module.New(hsm.Module)
	slots, err := p.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.OpenSession(slots[0], module.CKF_SERIAL_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Logout(s); err != nil {
		t.Fatal(err)
	}
	if err := p.CloseSession(s); err != nil {
		t.Fatal(err)
	}
}

// Taken out: "try again later", and neither a wrong key nor a hang. Put back: as
// before, though the slot has another number and every handle is another.
func TestTokenTakenOut(t *testing.T) {
	hsm := softhsm.New(t)
	token := open(t, pkcs11.Config{URI: parse(t, hsm.URI("object=kek")), PIN: pin})
	p := jwk.Params{Algorithm: jwk.ES256, KeyID: "k"}
	key, name := makeKey(t, token, p)
	kek, err := token.KEK(t.Context(), pkcs11.Make)
	if err != nil {
		t.Fatal(err)
	}
	w, err := kek.WrapKey(make([]byte, 32), jwk.WrapParams{})
	if err != nil {
		t.Fatal(err)
	}
	rename(t, hsm.Dir, hsm.Dir+".out")
	if err := os.Mkdir(hsm.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	closeSessions(t, hsm)
	for range 3 {
		if _, err := key.SignContext(t.Context(), nil); !errors.Is(err, jwk.ErrUnavailable) {
			t.Errorf("sign: %v", err)
		}
		if _, err := kek.UnwrapKey(w); !errors.Is(err, jwk.ErrUnavailable) {
			t.Errorf("unwrap: %v", err)
		}
		if _, err := token.FindKey(t.Context(), name, p); !errors.Is(err, jwk.ErrUnavailable) || errors.Is(err, jwk.ErrUnknownKey) {
			t.Errorf("find: %v", err)
		}
	}
	if err := os.Remove(hsm.Dir); err != nil {
		t.Fatal(err)
	}
	rename(t, hsm.Dir+".out", hsm.Dir)
	pkcs11.AllowRestart(token)
	checkSigns(t, key)
	if _, err := kek.UnwrapKey(w); err != nil {
		t.Error(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// A token locks itself after some wrong PINs, so that each is tried once. What was
// tried is in no error and no log.
func TestWrongPIN(t *testing.T) {
	hsm := softhsm.New(t)
	said, asked := "wrong-"+softhsm.PIN, 0
	cfg := pkcs11.Config{URI: parse(t, hsm.URI("")), PIN: func() (string, error) { asked++; return said, nil }}
	for range 2 {
		if _, err := pkcs11.Open(t.Context(), cfg); !errors.Is(err, pkcs11.ErrPIN) || strings.Contains(err.Error(), said) {
			t.Errorf("%v", err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times in two attempts", asked)
	}
	said = softhsm.PIN
	token := open(t, cfg)
	key, _ := makeKey(t, token, jwk.Params{Algorithm: jwk.ES256, KeyID: "k"})
	said = "changed-" + softhsm.PIN
	closeSessions(t, hsm)
	for i := range 20 {
		_, err := key.SignContext(t.Context(), nil)
		_, tried := errors.AsType[module.Error](err)
		if !errors.Is(err, pkcs11.ErrPIN) || tried != (i == 0) || strings.Contains(err.Error(), said) {
			t.Errorf("%d: %v", i, err)
		}
	}
	said = softhsm.PIN
	checkSigns(t, key)
}

func TestNoTokenFits(t *testing.T) {
	hsm := softhsm.New(t)
	for _, bad := range []string{"serial=0", "manufacturer=Nobody", "model=X", "slot-id=0"} {
		if _, err := pkcs11.Open(t.Context(), pkcs11.Config{URI: parse(t, hsm.URI(bad)), PIN: pin}); !errors.Is(err, pkcs11.ErrNoToken) || !errors.Is(err, jwk.ErrUnavailable) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	hsm.Util(t, "--init-token", "--free", "--label", softhsm.Label, "--pin", "another", "--so-pin", "another")
	if _, err := pkcs11.Open(t.Context(), pkcs11.Config{URI: parse(t, hsm.URI("")), PIN: pin}); !errors.Is(err, pkcs11.ErrNoToken) {
		t.Errorf("two tokens of one name: %v", err)
	}
	for _, path := range []string{"/nonexistent.so", "/etc/passwd"} {
		if _, err := pkcs11.Open(t.Context(), pkcs11.Config{URI: parse(t, "pkcs11:token=x?module-path="+path)}); err == nil || errors.Is(err, jwk.ErrUnavailable) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Another tool may have put a key there, which somebody else may then hold as well.
func TestKeyThatWasNotMadeInside(t *testing.T) {
	hsm := softhsm.New(t)
	hsm.Util(t, "--import", writePEM(t), "--token", softhsm.Label, "--pin", softhsm.PIN, "--label", "counterfoil.k", "--id", strings.Repeat("61", 16))
	token := open(t, pkcs11.Config{URI: parse(t, hsm.URI("")), PIN: pin})
	name := "pkcs11:object=counterfoil.k;id=" + strings.Repeat("a", 16)
	if key, err := token.FindKey(t.Context(), name, jwk.Params{Algorithm: jwk.RS256, KeyID: "k"}); !errors.Is(err, pkcs11.ErrWeak) {
		t.Errorf("%v, %v", key, err)
	}
}
