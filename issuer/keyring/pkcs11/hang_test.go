//go:build pkcs11 && cgo

package pkcs11_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/softhsm"
	"github.com/counterfoil/counterfoil/issuer/keyring/pkcs11"
	"github.com/counterfoil/counterfoil/jose/jwk"
)

// short is a timeout for modules that do not answer anyway.
const short = 50 * time.Millisecond

func wantSilent(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, pkcs11.ErrSilent) || !errors.Is(err, jwk.ErrUnavailable) {
		t.Errorf("%s: %v", what, err)
	}
}

// settle waits until no more goroutines are left than there were: what hung is over.
func settle(t *testing.T, were int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > were; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, and there were %d", runtime.NumGoroutine(), were)
		}
	}
}

// A module hangs while it is opened: whoever waits is told, and does not wait when
// ctx is over.
func TestOpenAModuleThatHangs(t *testing.T) {
	for name, function := range map[string]softhsm.Function{
		"C_Initialize": softhsm.Initialize, "C_GetSlotList": softhsm.GetSlotList, "C_OpenSession": softhsm.OpenSession,
		"C_Login": softhsm.Login, "C_GetSessionInfo": softhsm.GetSessionInfo,
	} {
		t.Run(name, func(t *testing.T) {
			hsm, were := softhsm.New(t).Hanging(t, function), runtime.NumGoroutine()
			cfg := pkcs11.Config{URI: parse(t, hsm.URI("object=kek")), PIN: pin, Timeout: short}
			_, err := pkcs11.Open(t.Context(), cfg)
			wantSilent(t, "open", err)
			ctx, cancel := context.WithTimeout(t.Context(), short)
			defer cancel()
			cfg.Timeout = 0
			if _, err := pkcs11.Open(ctx, cfg); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("with a context that is over: %v", err)
			}
			hsm.LetGo(t)
			settle(t, were)
			open(t, cfg)
		})
	}
}

// A module begins to hang: each thing that is asked of it has an end, all wait for one
// goroutine, and it goes on when the module does.
func TestModuleThatBeginsToHang(t *testing.T) {
	hsm := softhsm.New(t)
	hanging := hsm.Hanging(t, softhsm.Login)
	hanging.LetGo(t)
	token := open(t, pkcs11.Config{URI: parse(t, hanging.URI("object=kek")), PIN: pin, Timeout: short})
	key, name := makeKey(t, token, jwk.Params{Algorithm: jwk.ES256, KeyID: "k"})
	closeSessions(t, hsm)
	were := runtime.NumGoroutine()
	hanging.Hang(t)
	_, err := key.SignContext(t.Context(), nil)
	wantSilent(t, "sign", err)
	before := runtime.NumGoroutine()
	for range 5 {
		_, err := key.SignContext(t.Context(), nil)
		wantSilent(t, "sign", err)
		wantSilent(t, "forget", token.ForgetKey(context.Background(), name))
		_, err = token.KEK(context.Background(), pkcs11.Find)
		wantSilent(t, "key-encryption key", err)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, and then %d", before, after)
	}
	hanging.LetGo(t)
	settle(t, were)
	checkSigns(t, key)
}

// What hangs when all is over is left behind.
func TestCloseAModuleThatHangs(t *testing.T) {
	for name, function := range map[string]softhsm.Function{"C_CloseSession": softhsm.CloseSession, "C_Finalize": softhsm.Finalize} {
		t.Run(name, func(t *testing.T) {
			hsm, were := softhsm.New(t).Hanging(t, function), runtime.NumGoroutine()
			token, err := pkcs11.Open(t.Context(), pkcs11.Config{URI: parse(t, hsm.URI("object=kek")), PIN: pin, Timeout: short})
			if err != nil {
				t.Fatal(err)
			}
			if err := token.Close(); err == nil {
				t.Error("closed")
			}
			hsm.LetGo(t)
			settle(t, were)
			open(t, pkcs11.Config{URI: parse(t, hsm.URI("object=kek")), PIN: pin})
		})
	}
}
