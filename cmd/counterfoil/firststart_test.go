package main

import (
	"log/slog"
	"os"
	"testing"
)

// A first start that fails for a key-encryption key which does not open leaves nothing
// that the next one would take for half of a backup.
func TestFirstStartWithoutItsKey(t *testing.T) {
	data, log := dataFolder(t.TempDir()), slog.New(slog.DiscardHandler)
	t.Setenv("COUNTERFOIL_TEST_JUNK", "junk")
	for _, c := range []ServeConfig{
		{KEK: "env:COUNTERFOIL_TEST_NO_SUCH_KEK"},
		{KEK: "env:COUNTERFOIL_TEST_JUNK"},
		{KEK: "pkcs11:token=none;object=kek?module-path=/nonexistent"},
		{KEKNext: "/nonexistent"},
	} {
		if _, err := data.openSecrets(t.Context(), &c, log); err == nil {
			t.Fatalf("%s%s was opened", c.KEK, c.KEKNext)
		}
		if left, _ := os.ReadDir(string(data)); len(left) > 0 {
			t.Errorf("%s%s: left behind: %v", c.KEK, c.KEKNext, left)
		}
	}
	s, err := data.openSecrets(t.Context(), &ServeConfig{}, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
