package jwk

import (
	"crypto/rand"
	"math/big"
	"testing"
)

func TestMod97(t *testing.T) {
	for n := range 300 {
		b := make([]byte, n)
		rand.Read(b)
		x := new(big.Int).SetBytes(b)
		if got, want := mod97(b), x.Mod(x, big.NewInt(97)).Uint64(); got != want {
			t.Errorf("%d bytes: %d, want %d", n, got, want)
		}
	}
}
