package account_test

import (
	"runtime"
	"testing"

	"github.com/counterfoil/counterfoil/issuer/account"
)

// What Argon2id costs shows in the memory that it takes: an account that does not
// exist takes as much.
func TestUnknownUserIsReallyHashed(t *testing.T) {
	const memory = 8 << 10 // KiB
	h := newHasher(t, account.HasherConfig{Params: account.Params{Memory: memory, Time: 1, Threads: 1}})
	phc, err := h.Hash(t.Context(), "a password")
	if err != nil {
		t.Fatal(err)
	}
	for name, stored := range map[string]string{"known": phc, "unknown": "", "broken row": "$argon2id$v=19$m=1"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if ok, _, _ := h.Verify(t.Context(), stored, "another password"); ok {
			t.Errorf("%s: let in", name)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took < memory<<10 {
			t.Errorf("%s: %d bytes of memory, want %d", name, took, memory<<10)
		}
	}
}
