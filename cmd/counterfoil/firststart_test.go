package main

import (
	"log/slog"
	"testing"
)

// A first start that fails for a key-encryption key which is not there leaves nothing
// that the next one would take for half of a backup.
func TestFirstStartWithoutItsVariable(t *testing.T) {
	data, log := dataFolder(t.TempDir()), slog.New(slog.DiscardHandler)
	if _, err := data.openSecrets(&ServeConfig{KEK: "env:COUNTERFOIL_TEST_NO_SUCH_KEK"}, log); err == nil {
		t.Fatal("it was opened")
	}
	s, err := data.openSecrets(&ServeConfig{}, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
