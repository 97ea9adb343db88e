package jwk_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil/jose/jwk"
)

var streamed = []jwk.Algorithm{
	jwk.HS256, jwk.HS384, jwk.HS512, jwk.RS256, jwk.RS384, jwk.RS512, jwk.PS256, jwk.PS384, jwk.PS512,
	jwk.ES256, jwk.ES384, jwk.ES512, jwk.Ed25519, jwk.EdDSA, jwk.MLDSA44, jwk.MLDSA65, jwk.MLDSA87,
}

// write feeds input to a new stream in pieces of n bytes.
func write(t *testing.T, key *jwk.Key, input []byte, n int) *jwk.Stream {
	t.Helper()
	s := key.NewStream()
	for piece := range chunks(input, n) {
		if written, err := s.Write(piece); err != nil || written != len(piece) {
			t.Fatalf("%d, %v", written, err)
		}
	}
	return s
}

func chunks(b []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 && yield(b[:min(n, len(b))]) {
			b = b[min(n, len(b)):]
		}
	}
}

// What is signed whole verifies in pieces and the other way round.
func TestStream(t *testing.T) {
	input := bytes.Repeat([]byte("0123456789"), 1000)
	for _, alg := range streamed {
		t.Run(string(alg), func(t *testing.T) {
			key, err := jwk.Generate(jwk.Params{Algorithm: alg})
			if err != nil {
				t.Fatal(err)
			}
			for _, input := range [][]byte{nil, input} {
				sig, err := write(t, key, input, 77).Sign(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := key.Verify(input, sig); err != nil {
					t.Errorf("signed in pieces: %v", err)
				}
				if sig, err = key.Sign(input); err != nil {
					t.Fatal(err)
				}
				if err := write(t, key, input, 64).Verify(sig); err != nil {
					t.Errorf("verified in pieces: %v", err)
				}
				for _, s := range []*jwk.Stream{write(t, key, append([]byte("x"), input...), 64), write(t, key, append(input, 'x'), 64)} {
					if err := s.Verify(sig); !errors.Is(err, jwk.ErrSignature) {
						t.Errorf("other input: %v", err)
					}
				}
				for _, sig := range [][]byte{nil, sig[:len(sig)-1], append(sig, 0)} {
					if err := write(t, key, input, 64).Verify(sig); !errors.Is(err, jwk.ErrSignature) {
						t.Errorf("a signature of %d bytes: %v", len(sig), err)
					}
				}
			}
		})
	}
}

// A mistake in the length of the whole input costs an error, not memory.
func TestStreamOfAlgorithmThatNeedsTheWhole(t *testing.T) {
	block := make([]byte, 1<<20)
	for _, alg := range []jwk.Algorithm{jwk.Ed25519, jwk.MLDSA44, jwk.HS256} {
		key, err := jwk.Generate(jwk.Params{Algorithm: alg})
		if err != nil {
			t.Fatal(err)
		}
		s := key.NewStream()
		for range jwk.MaxWhole / len(block) {
			if _, err := s.Write(block); err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
		}
		if alg == jwk.HS256 {
			if _, err := s.Write(block); err != nil {
				t.Error(err)
			}
			continue
		}
		for range 2 { // no way back
			if n, err := s.Write([]byte{0}); n != 0 || !errors.Is(err, jwk.ErrNotStreamable) {
				t.Errorf("%s: %d, %v", alg, n, err)
			}
		}
		if _, err := s.Sign(t.Context()); !errors.Is(err, jwk.ErrNotStreamable) {
			t.Errorf("%s: %v", alg, err)
		}
		if err := s.Verify(make([]byte, 64)); !errors.Is(err, jwk.ErrNotStreamable) {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestStreamOfKeysThatMayNot(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, alg := range []jwk.Algorithm{jwk.ES256, jwk.RS256, jwk.Ed25519, jwk.MLDSA44} {
		key, err := jwk.Generate(jwk.Params{Algorithm: alg})
		if err != nil {
			t.Fatal(err)
		}
		public, err := key.Public()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := public.NewStream().Sign(t.Context()); !errors.Is(err, jwk.ErrNotPrivate) {
			t.Errorf("%s: %v", alg, err)
		}
		if _, err := key.NewStream().Sign(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", alg, err)
		}
	}
	wrapper, err := jwk.Generate(jwk.Params{Algorithm: jwk.A256GCMKW})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrapper.NewStream().Sign(t.Context()); !errors.Is(err, jwk.ErrUse) {
		t.Error(err)
	}
	if err := wrapper.NewStream().Verify(nil); !errors.Is(err, jwk.ErrUse) {
		t.Error(err)
	}
	nobody := new(jwk.Key).NewStream()
	if _, err := nobody.Sign(t.Context()); !errors.Is(err, jwk.ErrNotPrivate) {
		t.Error(err)
	}
	if err := nobody.Verify(nil); !errors.Is(err, jwk.ErrSignature) {
		t.Error(err)
	}
	for _, ops := range []string{`["sign"]`, `["verify"]`} {
		key, err := jwk.Parse([]byte(`{"kty":"oct","alg":"HS256","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow","key_ops":` + ops + `}`))
		if err != nil {
			t.Fatal(err)
		}
		s := key.NewStream()
		_, signing := s.Sign(t.Context())
		verifying := s.Verify(make([]byte, 32))
		if errors.Is(signing, jwk.ErrUse) == errors.Is(verifying, jwk.ErrUse) {
			t.Errorf("%s: %v, %v", ops, signing, verifying)
		}
	}
}
