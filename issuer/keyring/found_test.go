package keyring_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/testlog"
	"github.com/counterfoil/counterfoil/issuer/keyring"
)

// An empty store where there has to be an issuer is not one more, and every founding is
// said, with the root that verifiers do not know yet.
func TestNoFounding(t *testing.T) {
	st := newStore(t)
	var said testlog.Buffer
	cfg := keyring.Config{Issuer: issuerURL, KEK: newKEK(t), NoFounding: true, Log: slog.New(slog.NewTextHandler(&said, nil))}
	if _, err := keyring.Open(t.Context(), st, cfg); !errors.Is(err, keyring.ErrNotFounded) {
		t.Fatal(err)
	}
	cfg.NoFounding = false
	k, err := keyring.Open(t.Context(), st, cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.NoFounding = true
	if _, err := keyring.Open(t.Context(), st, cfg); err != nil {
		t.Errorf("a store that has its issuer: %v", err)
	}
	if n := strings.Count(said.String(), "founded a new issuer"); n != 1 || !strings.Contains(said.String(), "root="+k.Root().Thumbprint()) {
		t.Errorf("said %d times: %s", n, said.String())
	}
}
