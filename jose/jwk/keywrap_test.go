package jwk_test

import (
	"bytes"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

func TestWrapRoundTrip(t *testing.T) {
	k := accept(t, generated(t, jwk.A256GCMKW))
	seen := map[string]bool{}
	for n := range 70 {
		cek := bytes.Repeat([]byte{byte(n)}, n)
		w, err := k.WrapKey(cek, jwk.WrapParams{})
		if err != nil {
			t.Fatal(err)
		}
		if len(w.IV) != 12 || len(w.Tag) != 16 || len(w.Key) != n || seen[string(w.IV)] {
			t.Errorf("%d bytes: %d, %d, %d", n, len(w.IV), len(w.Key), len(w.Tag))
		}
		seen[string(w.IV)] = true
		if got, err := k.UnwrapKey(w); err != nil || !bytes.Equal(got, cek) {
			t.Errorf("%d bytes: %x, %v", n, got, err)
		}
	}
}

func TestUnwrapRefusesEveryChange(t *testing.T) {
	k := accept(t, generated(t, jwk.A256GCMKW))
	w, err := k.WrapKey(make([]byte, 32), jwk.WrapParams{})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, w jwk.Wrapped) {
		t.Helper()
		if got, err := k.UnwrapKey(w); got != nil || err != jwk.ErrUnwrap {
			t.Errorf("%s: %x, %v", what, got, err)
		}
	}
	for _, part := range []*[]byte{&w.Key, &w.IV, &w.Tag} {
		whole := *part
		for bit := range 8 * len(whole) {
			*part = bytes.Clone(whole)
			(*part)[bit/8] ^= 1 << (bit % 8)
			refused("flipped", w)
		}
		for n := range len(whole) {
			*part = whole[:n]
			refused("cut", w)
		}
		*part = append(bytes.Clone(whole), 0)
		refused("longer", w)
		*part = nil
		refused("none", w)
		*part = whole
	}
	// A byte moved from the tag to the key, or back, is another split of one text.
	refused("moved", jwk.Wrapped{IV: w.IV, Key: append(bytes.Clone(w.Key), w.Tag[0]), Tag: w.Tag[1:]})
	refused("moved back", jwk.Wrapped{IV: w.IV, Key: w.Key[:31], Tag: append([]byte{w.Key[31]}, w.Tag...)})
	other := accept(t, generated(t, jwk.A256GCMKW))
	if _, err := other.UnwrapKey(w); err != jwk.ErrUnwrap {
		t.Errorf("another key: %v", err)
	}
}

func TestSigningAndWrappingKeysDoNotMix(t *testing.T) {
	kek := accept(t, generated(t, jwk.A256GCMKW))
	if _, err := kek.Sign(input); err != jwk.ErrUse {
		t.Errorf("Sign: %v", err)
	}
	if err := kek.Verify(input, make([]byte, 32)); err != jwk.ErrUse {
		t.Errorf("Verify: %v", err)
	}
	for _, alg := range signing {
		k := accept(t, generated(t, alg))
		if _, err := k.WrapKey(make([]byte, 32), jwk.WrapParams{}); err != jwk.ErrUse {
			t.Errorf("%s: WrapKey: %v", alg, err)
		}
		if _, err := k.UnwrapKey(jwk.Wrapped{}); err != jwk.ErrUse {
			t.Errorf("%s: UnwrapKey: %v", alg, err)
		}
	}
}
