//go:build !race

package jwk_test

import (
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

// Under the race detector sync.Pool forgets at random, hence the build tag.
func TestHMACDoesNotAllocate(t *testing.T) {
	k := accept(t, generated(t, jwk.HS256))
	sig := mustSign(t, k, input)
	if n := testing.AllocsPerRun(100, func() { k.Verify(input, sig) }); n > 0 {
		t.Errorf("Verify: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { k.Sign(input) }); n > 1 {
		t.Errorf("Sign: %v allocations", n)
	}
}
